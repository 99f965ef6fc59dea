"""Links and gateways, on this machine's loopback."""

import contextlib
import hashlib
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import courier
import numpy as np
import portpicker
import pytest
import reverb

from acme_agents.launch import handshake, links

_TOKEN = b"the run's token"
_SECONDS = 30.0  # that anything may take here


class _Echo:
    """A server that returns what it is sent after its name, and ends its side when the client has ended its own."""

    def __init__(self, name: bytes = b""):
        self._name = name
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.num_connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.num_connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(self._name)
            while data := connection.recv(65536):
                connection.sendall(data)


@contextlib.contextmanager
def _gateway(port: int, token: bytes = _TOKEN, ports: tuple[int, ...] = (0,)) -> Iterator[links.Gateway]:
    with contextlib.closing(links.Gateway(port, token, "127.0.0.1", ports)) as gateway:
        yield gateway


@pytest.fixture
def link() -> Iterator[links.Link]:
    with contextlib.closing(links.Link(_TOKEN)) as link:
        yield link


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)


def _ended(connection: socket.socket) -> bool:
    """Whether the other side ends the connection without a byte."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_carries_bytes_both_ways_and_their_end(link):
    with _gateway(_Echo().port) as gateway, _connect(link.port) as client:
        link.point_to(gateway.address)
        data = os.urandom(10_000_000)

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)  # The way back stays open.

        threading.Thread(target=send, daemon=True).start()
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
        assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


def test_many_connections_at_once(link):
    with _gateway(_Echo().port) as gateway, contextlib.ExitStack() as stack:
        link.point_to(gateway.address)
        clients = [stack.enter_context(_connect(link.port)) for _ in range(200)]
        for i, client in enumerate(clients):
            client.sendall(b"%03d" % i)
        for i, client in enumerate(clients):
            assert client.recv(3, socket.MSG_WAITALL) == b"%03d" % i


def test_a_link_of_another_run_does_not_reach_the_server(monkeypatch, caplog):
    monkeypatch.setattr(links, "_HOLD_SECONDS", 1.0)
    server = _Echo(b"secret")
    with _gateway(server.port) as gateway, contextlib.closing(links.Link(b"another run's")) as link:
        link.point_to(gateway.address)
        with _connect(link.port) as client:
            client.sendall(b"malice")
            assert _ended(client)
    assert server.num_connections == 0
    turned_away = [record for record in caplog.records if "turned away a stranger" in record.message]
    assert len(turned_away) == 1  # Of several tries.


def test_a_gateway_that_does_not_know_the_token_gets_nothing(link, monkeypatch):
    """It may say that the proof is right: it cannot give its own."""
    monkeypatch.setattr(links, "_HOLD_SECONDS", 1.0)
    received = []

    def impostor(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                hello = connection.recv(len(handshake.HELLO) + 32, socket.MSG_WAITALL)
                connection.sendall(hello)  # The link's own nonce,
                connection.sendall(connection.recv(32, socket.MSG_WAITALL))  # and its own proof.
                received.append(connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=impostor, args=(listener,), daemon=True).start()
        link.point_to(f"127.0.0.1:{listener.getsockname()[1]}")
        with _connect(link.port) as client:
            client.sendall(b"secret")
            assert _ended(client)
    assert received and set(received) <= {b""}


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n" + bytes(100), b"", handshake.HELLO + bytes(64)])
def test_a_stranger_gets_nothing_and_keeps_nobody_out(link, monkeypatch, words):
    monkeypatch.setattr(links, "_HANDSHAKE_SECONDS", 3.0)
    monkeypatch.setattr(links, "_HALF_OPEN", 20)
    server = _Echo(b"hello")
    with _gateway(server.port) as gateway, contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(_connect(int(gateway.address.split(":")[1]))) for _ in range(50)]
        for stranger in strangers:
            with contextlib.suppress(ConnectionError):
                stranger.sendall(words)
        link.point_to(gateway.address)
        with _connect(link.port) as client:
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
        for stranger in strangers:
            with contextlib.suppress(ConnectionError):
                assert b"hello" not in b"".join(iter(lambda s=stranger: s.recv(1000), b""))
    assert server.num_connections == 1


def test_of_too_many_silent_strangers_the_oldest_are_turned_away(monkeypatch):
    monkeypatch.setattr(links, "_HANDSHAKE_SECONDS", 2 * _SECONDS)
    monkeypatch.setattr(links, "_HALF_OPEN", 3)
    with _gateway(1) as gateway, contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(_connect(int(gateway.address.split(":")[1]))) for _ in range(5)]
        assert _ended(strangers[0]) and _ended(strangers[1])
        strangers[2].settimeout(0.2)
        with pytest.raises(TimeoutError):
            strangers[2].recv(1)


def test_a_connection_waits_for_its_server(link):
    with _connect(link.port) as client:
        client.sendall(b"early")
        port = portpicker.pick_unused_port()
        link.point_to(f"127.0.0.1:{port}")  # There is nothing yet.
        time.sleep(0.5)
        with _gateway(_Echo().port, ports=(port,)):
            assert client.recv(5, socket.MSG_WAITALL) == b"early"


def test_connections_go_where_the_server_is_now(link):
    with _gateway(_Echo(b"a").port) as first, _gateway(_Echo(b"b").port) as second:
        link.point_to(first.address)
        with _connect(link.port) as client, _connect(link.port) as other:
            assert client.recv(1) == other.recv(1) == b"a"
            link.point_to(first.address)  # The same: nothing is ended.
            client.sendall(b"still")
            assert client.recv(5, socket.MSG_WAITALL) == b"still"
            link.point_to(second.address)
            assert _ended(client) and _ended(other)
        with _connect(link.port) as client:
            assert client.recv(1) == b"b"
            link.point_to(None)
            assert _ended(client)


def test_a_gateway_may_lead_to_another_server(link):
    one, other = _Echo(b"one"), _Echo(b"two")
    with _gateway(one.port) as gateway:
        link.point_to(gateway.address)
        with socket.create_connection(("127.0.0.1", link.port), timeout=_SECONDS) as client:
            assert client.recv(3, socket.MSG_WAITALL) == b"one"
            gateway.lead_to(one.port)
            client.sendall(b"still")
            assert client.recv(5, socket.MSG_WAITALL) == b"still"
            gateway.lead_to(other.port)
            assert _ended(client)
        with socket.create_connection(("127.0.0.1", link.port), timeout=_SECONDS) as client:
            assert client.recv(3, socket.MSG_WAITALL) == b"two"


def test_closing_ends_the_connections(link):
    with _gateway(_Echo(b"a").port) as gateway:
        link.point_to(gateway.address)
        with _connect(link.port) as client:
            assert client.recv(1) == b"a"
            gateway.close()
            assert _ended(client)
            link.close()
        with pytest.raises(ConnectionError):
            _connect(link.port)


def test_a_gateway_takes_the_first_free_port():
    with _gateway(1) as taken:
        port, free = int(taken.address.split(":")[1]), portpicker.pick_unused_port()
        with _gateway(1, ports=(port, free)) as gateway:
            assert gateway.address == f"127.0.0.1:{free}"
        with pytest.raises(
            ValueError, match=rf"Cannot listen on port {port} of 127\.0\.0\.1: Address already in use\."
        ):
            links.Gateway(1, _TOKEN, "127.0.0.1", [port])
    with pytest.raises(ValueError, match="token is empty"):
        links.Gateway(1, b"", "127.0.0.1", [0])


@contextlib.contextmanager
def _process(kind: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """A server in a process of its own, and its port."""
    port = portpicker.pick_unused_port()
    script = pathlib.Path(__file__).with_name("server.py")
    command = [sys.executable, str(script), kind, str(port), "loopback"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline().startswith("serving")
            yield process, port
        finally:
            process.kill()


@pytest.mark.slow
def test_a_courier_client_outlives_its_server(link):
    client = courier.Client(f"localhost:{link.port}", call_timeout=_SECONDS)
    with _process("courier") as (process, port), _gateway(port) as gateway:
        link.point_to(gateway.address)
        assert client.echo("a") == "a"
        np.testing.assert_array_equal(client.ones(10_000_000), np.ones(10_000_000, np.uint8))
        process.kill()
        process.wait()
        link.point_to(None)
    with _process("courier") as (_, port), _gateway(port) as gateway:
        link.point_to(gateway.address)
        assert client.echo("b") == "b"


@pytest.mark.slow
def test_a_trajectory_writer_outlives_its_server(link):
    client = reverb.Client(f"localhost:{link.port}")

    def write(writer: reverb.TrajectoryWriter, value: int) -> None:
        writer.append({"x": np.int32(value)})
        writer.create_item("queue", priority=1.0, trajectory={"x": writer.history["x"][-1:]})

    with _process("reverb") as (process, port), _gateway(port) as gateway:
        link.point_to(gateway.address)
        writer = client.trajectory_writer(num_keep_alive_refs=1)
        write(writer, 1)
        writer.flush(timeout_ms=int(1000 * _SECONDS))
        assert client.server_info(timeout=30)["queue"].current_size == 1
        process.kill()
        process.wait()
        write(writer, 2)  # There is no server.
    with _process("reverb") as (_, port), _gateway(port) as gateway:
        link.point_to(gateway.address)
        writer.flush(timeout_ms=int(1000 * _SECONDS))
        write(writer, 3)
        writer.flush(timeout_ms=int(1000 * _SECONDS))
        values = [int(next(iter(client.sample("queue")))[0].data[0]) for _ in range(2)]
        assert values == [2, 3]
        writer.close()
