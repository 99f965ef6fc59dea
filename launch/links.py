"""Carries a run's connections between hosts, for the run alone.

Reverb's and Courier's servers take every connection, so they are reachable from their own machine only. A `Gateway`
on the server's host is reachable from elsewhere, and passes a connection on once the other side has proved to know the
run's token. A `Link` on the client's host is what the client connects to:

    client -> Link (127.0.0.1) -> network -> Gateway (the host's address) -> server (127.0.0.1)

A link keeps its port for ever while the server may move; it notices a host that vanished without a word, which gRPC
does not; and it holds a new connection until the server is back, so that gRPC's growing back-off delays nothing.

Both sides prove that they know the token (see `handshake`). Nothing is encrypted or signed after that: whatever can
read or change what passes on the network can read or change the run's data.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

from acme_agents.launch import handshake, sockets

_HANDSHAKE_SECONDS = 5.0
_HALF_OPEN = 512  # handshakes at a time; a further one ends the oldest, so that idle strangers keep no link out
_HOLD_SECONDS = 20.0  # that a client waits for its server; gRPC gives up on a connection after as long
_PAUSES = (0.2, 1.0)  # seconds between tries: the first, and the longest
_LOG_SECONDS = 60.0

_logger = logging.getLogger(__name__)


class Gateway:
    """Connects the run's links, and nothing else, to a server on this machine."""

    def __init__(self, target_port: int, token: bytes, host: str, ports: Iterable[int]):
        """Listens on the first port that is free.

        Args:
          target_port: of the server, on 127.0.0.1.
          token: the run's secret.
          host: the address of this machine to listen on.
          ports: to try, in this order; 0 is any.

        Raises:
          UserError: none of the ports is free.
          ValueError: the token is empty.
        """
        self._target = ("127.0.0.1", target_port)
        self._token = handshake.checked(token)
        self._half_open: dict[asyncio.Task, None] = {}  # the oldest first
        self._going = _Going()
        self._log = _SeldomLog()
        listener = sockets.listen(host, ports)
        port = listener.getsockname()[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server = sockets.Server(listener, self._serve)

    def lead_to(self, target_port: int) -> None:
        """Passes connections on to another port of 127.0.0.1 from now on; ends those that went to the one before.

        Another server may have taken that port before this one did, and would answer in its place for ever.
        """
        sockets.thread().loop.call_soon_threadsafe(self._lead_to, target_port)

    def close(self) -> None:
        """Ends every connection, and listens no more."""
        self._server.close()

    def _lead_to(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._going.end_all_but(self._target)

    async def _serve(self, network: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._half_open[task] = None
        if len(self._half_open) > _HALF_OPEN:
            oldest = next(iter(self._half_open))
            del self._half_open[oldest]
            oldest.cancel()
        try:
            sockets.tune(network)
            proof = await sockets.within(_HANDSHAKE_SECONDS, handshake.challenge(network, self._token))
        except (handshake.Stranger, TimeoutError) as error:
            peer = network.getpeername()[0] if network.fileno() >= 0 else "?"
            self._log.warning("A gateway turned away a stranger at %s: %s.", peer, str(error) or "it was silent")
            return
        finally:
            self._half_open.pop(task, None)
        with socket.socket() as server:
            server.setblocking(False)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target = self._target
            with self._going.to(target):
                # Only then the proof, so that a link does not take a gateway for its server.
                await sockets.within(_HANDSHAKE_SECONDS, asyncio.get_running_loop().sock_connect(server, target))
                await sockets.within(_HANDSHAKE_SECONDS, asyncio.get_running_loop().sock_sendall(network, proof))
                await sockets.relay(network, server)


class Link:
    """A port of this machine that leads to one of the run's servers, on whichever host that runs now."""

    def __init__(self, token: bytes, port: int = 0):
        """Listens on 127.0.0.1; leads nowhere until `point_to`.

        Args:
          token: the run's secret.
          port: to listen on; 0 is any.

        Raises:
          UserError: the port is not free.
          ValueError: the token is empty.
        """
        self._token = handshake.checked(token)
        self._address: str | None = None
        self._changed: asyncio.Event | None = None  # of the loop's thread; set and replaced by each `point_to`
        self._going = _Going()
        self._log = _SeldomLog()
        listener = sockets.listen("127.0.0.1", [port])
        self.port: int = listener.getsockname()[1]
        self._server = sockets.Server(listener, self._serve)

    def point_to(self, address: str | None) -> None:
        """Sends connections to the gateway at `address` from now on; ends those that went to another.

        Args:
          address: "host:port"; None while there is no server: new connections wait for one.
        """
        if address is not None:
            _split(address)
        sockets.thread().loop.call_soon_threadsafe(self._point_to, address)

    def close(self) -> None:
        """Ends every connection, and listens no more."""
        self._server.close()

    def _point_to(self, address: str | None) -> None:
        self._address = address
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        self._going.end_all_but(address)

    async def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        network, address = await self._reach(client)
        with network, self._going.to(address):
            if address != self._address:  # It changed just now.
                raise ConnectionError("The server has moved.")
            await sockets.relay(client, network)

    async def _reach(self, client: socket.socket) -> tuple[socket.socket, str]:
        """A proven connection to the gateway, tried for until the client has left or waited for long enough."""
        deadline = time.monotonic() + _HOLD_SECONDS
        pause = _PAUSES[0]
        failure: object = "it is not known where its server is"
        while time.monotonic() < deadline:
            if _has_left(client):
                raise ConnectionError("The client has left.")
            address = self._address
            if self._changed is None:
                self._changed = asyncio.Event()
            changed = asyncio.ensure_future(self._changed.wait())
            attempt = asyncio.ensure_future(_dial(address, self._token))
            try:
                await asyncio.wait({attempt, changed}, return_when=asyncio.FIRST_COMPLETED)
                if changed.done():
                    pause = _PAUSES[0]
                elif (error := attempt.exception()) is None:
                    return attempt.result(), str(address)
                else:
                    failure = error if address else failure
                    await asyncio.wait({changed}, timeout=pause)
                    pause = min(2 * pause, _PAUSES[1])
            finally:
                await sockets.cancel(attempt, changed)
        where = self._address or "the server"
        self._log.warning("A connection waited for %s for %.0f s in vain: %s.", where, _HOLD_SECONDS, failure)
        raise ConnectionError("There is no server.")


class _Going:
    """The connections that are through, each with where it went; only for the loop's thread."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task, object] = {}

    @contextlib.contextmanager
    def to(self, where: object) -> Iterator[None]:
        """This task's connection goes there meanwhile."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = where
        try:
            yield
        finally:
            del self._tasks[task]

    def end_all_but(self, where: object) -> None:
        """Ends those that went elsewhere."""
        for task, went_to in self._tasks.items():
            if went_to != where:
                task.cancel()


async def _dial(address: str | None, token: bytes) -> socket.socket:
    """A connection to the gateway at `address`, each side having proved itself to the other."""
    if address is None:
        raise ConnectionError
    loop = asyncio.get_running_loop()
    host, port = _split(address)
    infos = await sockets.within(_HANDSHAKE_SECONDS, loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    network = socket.socket(infos[0][0], socket.SOCK_STREAM)
    try:
        network.setblocking(False)
        sockets.tune(network)
        await sockets.within(_HANDSHAKE_SECONDS, _connect(network, infos[0][4], token))
    except BaseException:
        network.close()
        raise
    return network


async def _connect(network: socket.socket, address: Any, token: bytes) -> None:
    await asyncio.get_running_loop().sock_connect(network, address)
    await handshake.prove(network, token)


def _has_left(client: socket.socket) -> bool:
    """Whether a client that is kept waiting has given up."""
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"An address is 'host:port', not {address!r}.")
    return host.strip("[]"), int(port)


class _SeldomLog:
    """Warns at most once a minute."""

    def __init__(self) -> None:
        self._next = 0.0

    def warning(self, message: str, *args: object) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOG_SECONDS
            _logger.warning(message, *args)
