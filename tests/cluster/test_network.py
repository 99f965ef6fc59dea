"""What the hosts of a run can and cannot reach of each other."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cluster import network

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(not network.allowed(), reason="this machine allows no network namespaces"),
]

_TESTS = pathlib.Path(__file__).parents[1]
_PORT = 7000  # Each host has ports of its own.
_SECONDS = 60.0  # that a process may take to start
_NOTICE_SECONDS = 25.0  # within which a host that vanished is noticed


@pytest.fixture
def hosts() -> Iterator[list[network.Host]]:
    with network.Network(2) as made:
        yield made.hosts


@contextlib.contextmanager
def _process(host: network.Host, script: str, *arguments: str) -> Iterator[subprocess.Popen]:
    """A script on a host, from when it has said that it is serving."""
    command = [sys.executable, str(_TESTS / script), *arguments]
    with host.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline().startswith("serving")
            yield process
        finally:
            process.kill()


def _reach(host: network.Host, address: str, port: int = _PORT) -> bool:
    """Whether a connection from `host` is taken."""
    with host.inside():
        try:
            socket.create_connection((address, port), timeout=_SECONDS).close()
        except ConnectionRefusedError:
            return False
        return True


@pytest.mark.parametrize("kind", ["reverb", "courier"])
def test_servers_are_reached_from_their_own_host_alone(hosts, kind):
    here, there = hosts
    with _process(here, "launch/server.py", kind, str(_PORT)) as process:  # As the libraries have it.
        assert _reach(here, "127.0.0.1") and _reach(there, here.address)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("only this machine\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith("serving")
        assert _reach(here, "127.0.0.1") and not _reach(there, here.address)


def test_a_gateway_lets_the_link_of_another_host_through(hosts):
    here, there = hosts
    with (
        _process(here, "launch/server.py", "courier", str(_PORT), "loopback"),
        _process(here, "cluster/ends.py", "gateway", str(_PORT), here.address, "7001"),
        _process(there, "cluster/ends.py", "link", "7002", f"{here.address}:7001"),
        there.popen([sys.executable, str(_TESTS / "cluster/ends.py"), "call", "7002"]) as call,
    ):
        assert call.wait(_SECONDS) == 0


def test_a_host_that_vanishes_is_noticed_and_found_again(hosts):
    """Without a word from it, whether its silence is for want of data (keepalive) or of acknowledgements."""
    here, there = hosts
    with (
        _process(here, "cluster/ends.py", "echo", str(_PORT)),
        _process(here, "cluster/ends.py", "gateway", str(_PORT), here.address, "7001"),
        _process(there, "cluster/ends.py", "link", "7002", f"{here.address}:7001"),
    ):
        with _connect(there) as idle, _connect(there) as busy:
            assert _echoes(idle) and _echoes(busy)
            here.cut()
            cut = time.monotonic()
            busy.sendall(b"?")
            for client in (idle, busy):
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
            assert time.monotonic() - cut < _NOTICE_SECONDS
        with _connect(there) as client:  # The link takes it, and waits.
            client.sendall(b"!")
            time.sleep(3)
            here.mend()
            assert client.recv(1) == b"!"


def _connect(host: network.Host) -> socket.socket:
    with host.inside():
        return socket.create_connection(("127.0.0.1", 7002), timeout=_SECONDS)


def _echoes(client: socket.socket) -> bool:
    client.sendall(b"hello")
    return client.recv(5, socket.MSG_WAITALL) == b"hello"


def test_kill_all_leaves_no_process(hosts):
    with hosts[0].popen(["sleep", "100"]) as here, hosts[1].popen(["sleep", "100"]) as there:
        hosts[0].kill_all()
        assert here.wait(_SECONDS) == -9
        assert there.poll() is None
        hosts[1].kill_all()


def test_nothing_is_left_of_a_network():
    def names() -> set[str]:
        return set(subprocess.run(["ip", "netns"], check=True, capture_output=True, text=True).stdout.split())

    with pytest.raises(KeyError), network.Network(2) as made:
        namespaces = {host.namespace for host in made.hosts}
        process = made.hosts[1].popen(["sleep", "100"])
        assert namespaces <= names()
        raise KeyError
    assert process.wait(_SECONDS) == -9
    assert not namespaces & names()
