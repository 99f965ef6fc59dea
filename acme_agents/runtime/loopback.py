"""Makes servers reachable from their own machine only, without a proxy in between.

Reverb's and Courier's servers authenticate nobody and listen on every interface, and Courier unpickles what it is
sent; neither can be told to listen on one address. So their sockets are bound to the loopback device after the fact.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator

_DEVICE = b"lo\0"
_NO_GRPC_PROXY, _NO_PROXY = "no_grpc_proxy", "no_proxy"  # in lower case, as gRPC reads them; the first wins
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def only_this_machine() -> bool:
    """Makes every TCP server of this process reachable from this machine alone.

    A connection from elsewhere is refused from then on. Call it as soon as the servers have started, and before
    anything that is meant to be reached from elsewhere (a gateway) listens: it binds every server of the process.

    Returns:
      Whether it could be done; if not, a warning is logged. Linux allows it to everyone from version 5.7 on.
    """
    failure = None
    for server in _listening():
        try:
            if server.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) != _DEVICE:  # Allowed only once.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _DEVICE)
        except OSError as error:
            failure = error
    if failure is not None:
        logging.warning("The servers of this process can be reached from other machines, unasked: %s.", failure)
    return failure is None


def _listening() -> Iterator[socket.socket]:
    """The listening TCP sockets of this process, each open for as long as it is looked at."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.ExitStack() as stack:
            try:
                copy = os.dup(int(name))
            except OSError:
                continue  # Closed meanwhile.
            try:
                server = stack.enter_context(socket.socket(fileno=copy))
            except OSError:
                os.close(copy)  # Not a socket.
                continue
            if server.family not in (socket.AF_INET, socket.AF_INET6) or server.type != socket.SOCK_STREAM:
                continue
            if server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield server


def without_proxy() -> None:
    """Makes Reverb and Courier reach this machine directly, even if the environment names a proxy.

    They speak gRPC, which sends what is local through `grpc_proxy`, `https_proxy` and `http_proxy`, too, unless it is
    told otherwise. To be called before there is any server or client; processes that are started later inherit it.
    """
    listed = os.environ.get(_NO_GRPC_PROXY, os.environ.get(_NO_PROXY, "")).split(",")
    hosts = [host.strip() for host in listed if host.strip()]
    os.environ[_NO_GRPC_PROXY] = ",".join(dict.fromkeys((*hosts, *_LOCAL_NAMES)))
