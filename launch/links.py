"""Carries a run's connections between hosts, for the run alone.

Reverb's and Courier's servers ask nobody who they are, so they are reachable from their own machine only. A `Gateway`
on the server's host is reachable from elsewhere, and passes a connection on once the other side has proved to know the
run's token. A `Link` on the client's host is what the client connects to:

    client -> Link (127.0.0.1) -> network -> Gateway (the host's address) -> server (127.0.0.1)

A link keeps its port for ever while the server may move; it notices a host that vanished without a word, which gRPC
does not; and it holds a new connection until the server is back, so that gRPC's growing back-off delays nothing.

The proof is mutual: HMAC-SHA256, keyed by the token, of a fresh nonce of either side and of who is speaking. The token
itself is never sent. Nothing is encrypted or signed after that: who can read or change what passes on the network can
read or change the run's data.
"""

import asyncio
import concurrent.futures
import contextlib
import hmac
import logging
import os
import resource
import secrets
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from acme_agents.core import errors

_MAGIC = b"acme-agents-link"
_VERSION = b"\x01"
_HELLO = _MAGIC + _VERSION
_NONCE_BYTES = 32
_PROOF_BYTES = 32

_HANDSHAKE_SECONDS = 5.0
_HALF_OPEN = 512  # handshakes at a time; a further one ends the oldest, so that idle strangers keep nobody out
_HOLD_SECONDS = 20.0  # that a client waits for its server; gRPC gives up on a connection after as long
_PAUSES = (0.2, 1.0)  # seconds between tries: the first, and the longest
_CLOSE_SECONDS = 5.0
_LOG_SECONDS = 60.0
_BUFFER_BYTES = 256 * 1024
_BACKLOG = 1024
_MAX_FILES = 65536

_KEEPALIVE = (  # A host is taken for dead when it has not answered for 15 s.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),  # seconds
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
    # Milliseconds; for data, which keepalive does not cover. A side that takes nothing for so long is dead, too.
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 15_000),
)

_logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Gateway:
    """Lets the run's links, and nobody else, through to a server on this machine."""

    def __init__(self, target_port: int, token: bytes, host: str, ports: Iterable[int]):
        """Listens on the first port that is free.

        Args:
          target_port: of the server, on 127.0.0.1.
          token: the run's secret.
          host: the address of this machine to listen on.
          ports: to try, in this order; 0 is any.

        Raises:
          ValueError: none of the ports is free, or the token is empty.
        """
        self._target = ("127.0.0.1", target_port)
        self._token = _checked(token)
        self._half_open: dict[asyncio.Task, None] = {}  # the oldest first
        self._log = _SeldomLog()
        listener = _listen(host, ports)
        port = listener.getsockname()[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server = _Server(listener, self._serve)

    def lead_to(self, target_port: int) -> None:
        """Passes new connections on to another port of 127.0.0.1 from now on."""
        self._target = ("127.0.0.1", target_port)

    def close(self) -> None:
        """Ends every connection, and listens no more."""
        self._server.close()

    async def _serve(self, network: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._half_open[task] = None
        if len(self._half_open) > _HALF_OPEN:
            oldest = next(iter(self._half_open))
            del self._half_open[oldest]
            oldest.cancel()
        try:
            _tune(network)
            proof = await _within(_HANDSHAKE_SECONDS, self._challenge(network))
        except (_Stranger, TimeoutError) as error:
            peer = network.getpeername()[0] if network.fileno() >= 0 else "?"
            self._log.warning("A gateway turned away a stranger at %s: %s.", peer, str(error) or "it was silent")
            return
        finally:
            self._half_open.pop(task, None)
        with socket.socket() as server:
            server.setblocking(False)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Only then the proof, so that a link does not take a gateway for its server.
            await _within(_HANDSHAKE_SECONDS, asyncio.get_running_loop().sock_connect(server, self._target))
            await _within(_HANDSHAKE_SECONDS, asyncio.get_running_loop().sock_sendall(network, proof))
            await _relay(network, server)

    async def _challenge(self, network: socket.socket) -> bytes:
        """Makes the other side prove itself; returns the proof for it."""
        theirs = await _hello(network)
        ours = secrets.token_bytes(_NONCE_BYTES)
        await asyncio.get_running_loop().sock_sendall(network, _HELLO + ours)
        proof = await _read(network, _PROOF_BYTES)
        if not hmac.compare_digest(proof, _proof(self._token, b"link", theirs, ours)):
            raise _Stranger("it does not know the run's token")
        return _proof(self._token, b"gateway", theirs, ours)


class Link:
    """A port of this machine behind which the run's server is, wherever that is now."""

    def __init__(self, token: bytes, port: int = 0):
        """Listens on 127.0.0.1; leads nowhere until `point_to`.

        Args:
          token: the run's secret.
          port: to listen on; 0 is any.

        Raises:
          ValueError: the port is not free, or the token is empty.
        """
        self._token = _checked(token)
        self._address: str | None = None
        self._changed: asyncio.Event | None = None  # of the loop's thread; set and replaced by each `point_to`
        self._going: dict[asyncio.Task, str] = {}  # the connections that are through, and where they went
        self._log = _SeldomLog()
        listener = _listen("127.0.0.1", [port])
        self.port: int = listener.getsockname()[1]
        self._server = _Server(listener, self._serve)

    def point_to(self, address: str | None) -> None:
        """Sends connections to the gateway at `address` from now on; ends those that went to another.

        Args:
          address: "host:port"; None while there is no server: new connections wait for one.
        """
        if address is not None:
            _split(address)
        _thread().loop.call_soon_threadsafe(self._point_to, address)

    def close(self) -> None:
        """Ends every connection, and listens no more."""
        self._server.close()

    def _point_to(self, address: str | None) -> None:
        self._address = address
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        for task, went_to in self._going.items():
            if went_to != address:
                task.cancel()

    async def _serve(self, client: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        network, address = await self._reach(client)
        with network:
            self._going[task] = address
            try:
                if address != self._address:  # It changed just now.
                    raise ConnectionError("The server has moved.")
                await _relay(client, network)
            finally:
                del self._going[task]

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
                await _cancel(attempt, changed)
        where = self._address or "the server"
        self._log.warning("A connection waited for %s for %.0f s in vain: %s.", where, _HOLD_SECONDS, failure)
        raise ConnectionError("There is no server.")


class _Stranger(Exception):
    """The other side is none of this run's."""


class _Server:
    """A listening socket, and a task for each connection; both in the loop's thread."""

    def __init__(self, listener: socket.socket, serve: Any):
        """Serves until it is closed: `serve(connection)` is awaited for each; its connection is closed after it."""
        self._listener = listener
        self._serve = serve
        self._tasks: set[asyncio.Task] = set()
        self._accepting = _thread().run(self._start())

    def close(self) -> None:
        try:
            _thread().run(self._close())
        except concurrent.futures.TimeoutError:
            _logger.warning("A link or gateway could not be closed within %.0f s.", _CLOSE_SECONDS)

    async def _start(self) -> asyncio.Task:
        return asyncio.ensure_future(self._accept())

    async def _close(self) -> None:
        await _cancel(self._accepting)
        self._listener.close()
        await _cancel(*self._tasks)

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError as error:  # Too many open files, or a connection that ended at once.
                _logger.warning("A connection could not be taken: %s.", error)
                await asyncio.sleep(0.1)
                continue
            task = asyncio.ensure_future(self._run(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            await self._serve(connection)


class _Pump:
    """Carries bytes from one socket to another, and then the end of them."""

    def __init__(self, source: socket.socket, sink: socket.socket, then: Callable[[OSError | None], None]):
        """Calls `then` once: when all bytes and their end are carried (`ended` says so), or with what went wrong."""
        self._source = source
        self._sink = sink
        self._then = then
        self._thread = _thread()
        self._left = b""  # read, but not yet taken by the sink; nothing more is read meanwhile
        self.ended = False

    def start(self) -> None:
        self._thread.loop.add_reader(self._source, self._read)

    def stop(self) -> None:
        self._thread.loop.remove_reader(self._source)
        self._thread.loop.remove_writer(self._sink)

    def _read(self) -> None:
        buffer = self._thread.buffer
        try:
            num_bytes = self._source.recv_into(buffer)
            if num_bytes == 0:
                self._end()
                return
            try:
                num_sent = self._sink.send(buffer[:num_bytes])
            except BlockingIOError:
                num_sent = 0
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if num_sent < num_bytes:
            self._left = bytes(buffer[num_sent:num_bytes])
            self._thread.loop.remove_reader(self._source)
            self._thread.loop.add_writer(self._sink, self._write)

    def _write(self) -> None:
        try:
            self._left = self._left[self._sink.send(self._left) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not self._left:
            self._thread.loop.remove_writer(self._sink)
            self._thread.loop.add_reader(self._source, self._read)

    def _end(self) -> None:
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail(error)
            return
        self.stop()
        self.ended = True
        self._then(None)

    def _fail(self, error: OSError) -> None:
        self.stop()
        self._then(error)


async def _relay(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways until both sides have ended; if either fails, both are reset."""
    over = asyncio.get_running_loop().create_future()

    def then(error: OSError | None) -> None:
        if over.done():
            return
        if error is not None:
            over.set_exception(error)
        elif all(pump.ended for pump in pumps):
            over.set_result(None)

    pumps = (_Pump(one, other, then), _Pump(other, one, then))
    try:
        for pump in pumps:
            pump.start()
        await over
    except BaseException:
        for end in (one, other):  # A stream that was cut must not look like one that is complete.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise
    finally:
        for pump in pumps:
            pump.stop()


async def _dial(address: str | None, token: bytes) -> socket.socket:
    """A connection to the gateway at `address`, each side having proved itself to the other."""
    if address is None:
        raise ConnectionError
    loop = asyncio.get_running_loop()
    host, port = _split(address)
    infos = await _within(_HANDSHAKE_SECONDS, loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    network = socket.socket(infos[0][0], socket.SOCK_STREAM)
    try:
        network.setblocking(False)
        _tune(network)
        await _within(_HANDSHAKE_SECONDS, _prove(network, infos[0][4], token))
    except BaseException:
        network.close()
        raise
    return network


async def _prove(network: socket.socket, address: Any, token: bytes) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(network, address)
    ours = secrets.token_bytes(_NONCE_BYTES)
    await loop.sock_sendall(network, _HELLO + ours)
    theirs = await _hello(network)
    await loop.sock_sendall(network, _proof(token, b"link", ours, theirs))
    proof = await _read(network, _PROOF_BYTES)
    if not hmac.compare_digest(proof, _proof(token, b"gateway", ours, theirs)):
        raise _Stranger("what is there does not know the run's token")


async def _hello(network: socket.socket) -> bytes:
    """The other side's nonce."""
    hello = await _read(network, len(_HELLO))
    if not hello.startswith(_MAGIC):
        raise _Stranger("it speaks another protocol")
    if hello != _HELLO:
        raise _Stranger("it speaks another version of the protocol")
    return await _read(network, _NONCE_BYTES)


def _proof(token: bytes, who: bytes, link_nonce: bytes, gateway_nonce: bytes) -> bytes:
    """That `who` ("link" or "gateway") knows the token; neither can use the other's."""
    return hmac.digest(token, b"\0".join((_HELLO, who, link_nonce + gateway_nonce)), "sha256")


async def _read(connection: socket.socket, num_bytes: int) -> bytes:
    """Exactly so many bytes, and none after them."""
    data = b""
    while len(data) < num_bytes:
        more = await asyncio.get_running_loop().sock_recv(connection, num_bytes - len(data))
        if not more:
            raise ConnectionError("the other side hung up")
        data += more
    return data


async def _within(seconds: float, work: Awaitable[_T]) -> _T:
    """The result of `work`, or a TimeoutError. Unlike Python 3.10's asyncio.wait_for, it never loses a cancellation."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError("there was no answer")
        return task.result()
    finally:
        await _cancel(task)


async def _cancel(*tasks: asyncio.Future) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)


def _has_left(client: socket.socket) -> bool:
    """Whether a client that is kept waiting has given up."""
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _tune(network: socket.socket) -> None:
    network.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in _KEEPALIVE:
        network.setsockopt(*option)


def _listen(host: str, ports: Iterable[int]) -> socket.socket:
    ports = list(ports)
    failure: str | None = "there is none"
    for port in ports:
        listener = None
        try:
            family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            return listener
        except OSError as error:
            failure = error.strerror
            if listener is not None:
                listener.close()
    tried = f"port {ports[0]}" if len(ports) == 1 else f"any of {len(ports)} ports"
    raise errors.UserError(f"Cannot listen on {tried} of {host}: {failure}.")


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"An address is 'host:port', not {address!r}.")
    return host.strip("[]"), int(port)


def _checked(token: bytes) -> bytes:
    if not token:
        raise ValueError("The token is empty: everybody knows that one.")
    return token


class _SeldomLog:
    """Warns at most once a minute."""

    def __init__(self) -> None:
        self._next = 0.0

    def warning(self, message: str, *args: object) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOG_SECONDS
            _logger.warning(message, *args)


class _Thread:
    """The thread of this process in which all of its links and gateways live."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))  # of whoever is reading: nobody waits while it is in use
        self.pid = os.getpid()
        threading.Thread(target=self.loop.run_forever, name="links", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_CLOSE_SECONDS)


_lock = threading.Lock()
_the_thread: _Thread | None = None


def _thread() -> _Thread:
    global _the_thread
    with _lock:
        if _the_thread is None or _the_thread.pid != os.getpid():  # A fork has the object, but not the thread.
            _raise_file_limit()
            _the_thread = _Thread()
        return _the_thread


def _raise_file_limit() -> None:
    """A connection takes two files; the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
