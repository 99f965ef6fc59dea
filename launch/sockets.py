"""Sockets of this process that are served side by side, in one thread of an asyncio loop."""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import resource
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from acme_agents.core import errors

_CLOSE_SECONDS = 5.0
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


class Server:
    """A listening socket, and a task for each connection; both in the loop's thread."""

    def __init__(self, listener: socket.socket, serve: Any):
        """Serves until it is closed: `serve(connection)` is awaited for each; its connection is closed after it."""
        self._listener = listener
        self._serve = serve
        self._tasks: set[asyncio.Task] = set()
        self._accepting = thread().run(self._start())

    def close(self) -> None:
        """Ends every connection, and listens no more."""
        try:
            thread().run(self._close())
        except concurrent.futures.TimeoutError:
            _logger.warning("A link or gateway could not be closed within %.0f s.", _CLOSE_SECONDS)

    async def _start(self) -> asyncio.Task:
        return asyncio.ensure_future(self._accept())

    async def _close(self) -> None:
        await cancel(self._accepting)
        self._listener.close()
        await cancel(*self._tasks)

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
        """Calls `then` once: when all bytes and their end are carried (`ended` is then true), or with an error."""
        self._source = source
        self._sink = sink
        self._then = then
        self._thread = thread()
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


async def relay(one: socket.socket, other: socket.socket) -> None:
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


async def read(connection: socket.socket, num_bytes: int) -> bytes:
    """Reads exactly this number of bytes.

    Raises:
      ConnectionError: the other side ended the connection before.
    """
    data = b""
    while len(data) < num_bytes:
        more = await asyncio.get_running_loop().sock_recv(connection, num_bytes - len(data))
        if not more:
            raise ConnectionError("the other side hung up")
        data += more
    return data


async def within(seconds: float, work: Awaitable[_T]) -> _T:
    """The result of `work`, or a TimeoutError. Unlike Python 3.10's asyncio.wait_for, it never loses a cancellation."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError("there was no answer")
        return task.result()
    finally:
        await cancel(task)


async def cancel(*tasks: asyncio.Future) -> None:
    """Cancels tasks and waits until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)


def tune(network: socket.socket) -> None:
    """Has a connection between hosts send at once, and fail when the other host has vanished."""
    network.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in _KEEPALIVE:
        network.setsockopt(*option)


def listen(host: str, ports: Iterable[int]) -> socket.socket:
    """A socket that listens on the first of these ports that is free.

    Raises:
      UserError: none of them is free.
    """
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


class _Thread:
    """The thread of this process in which all connections are served."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))  # of the pump that reads: none waits while it is in use
        self.pid = os.getpid()
        threading.Thread(target=self.loop.run_forever, name="links", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_CLOSE_SECONDS)


_lock = threading.Lock()
_the_thread: _Thread | None = None


def thread() -> _Thread:
    """The thread of this process that serves its sockets; started by the first call."""
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
