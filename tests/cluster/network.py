"""Hosts on one machine: network namespaces, joined by a bridge in a namespace of its own.

The machine's own network is not touched, and nothing outlives the test.
"""

import contextlib
import ctypes
import functools
import ipaddress
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import IO, Any

_SUBNET = ipaddress.ip_network("10.213.77.0/24")
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000  # of <sched.h>; Python 3.12 is the first to have os.setns
_numbers = itertools.count()


class Host:
    """A host: its processes, its address, and its cable."""

    def __init__(self, namespace: str, address: str, switch: str, port: str):
        """Of `namespace`, at `address`, plugged into the bridge's `port` in the namespace `switch`."""
        self.namespace = namespace
        self.address = address
        self._switch = switch
        self._port = port

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread opens and starts meanwhile belongs to this host."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.namespace}") as there:
            _set_namespace(there)
            try:
                yield
            finally:
                _set_namespace(home)

    def popen(self, command: list[str], **kwargs: Any) -> subprocess.Popen:
        """Starts a process on this host; arguments as subprocess.Popen."""
        with self.inside():
            return subprocess.Popen(command, **kwargs)

    def cut(self) -> None:
        """Pulls the cable: packets vanish, and nobody is told."""
        _ip("-n", self._switch, "link", "set", self._port, "down")

    def mend(self) -> None:
        """Plugs the cable in again."""
        _ip("-n", self._switch, "link", "set", self._port, "up")

    def pids(self) -> list[int]:
        """The processes of this host."""
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]

    def kill_all(self) -> None:
        """Kills every process of this host, those included that they start meanwhile."""
        deadline = time.monotonic() + 10
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise RuntimeError(f"The processes {pids} of {self.namespace} cannot be killed.")
            time.sleep(0.02)


class Network:
    """Hosts that reach each other; removed with all of their processes at the end of the `with`."""

    def __init__(self, num_hosts: int):
        """Describes a network; `with` makes it."""
        self._name = f"acme{os.getpid()}x{next(_numbers)}"
        self._num_hosts = num_hosts
        self._namespaces: list[str] = []
        self.hosts: list[Host] = []

    def __enter__(self) -> "Network":
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._remove()

    def _make(self) -> None:
        switch = self._add_namespace("switch")
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for i, address in zip(range(self._num_hosts), _SUBNET.hosts()):
            namespace, port = self._add_namespace(f"h{i}"), f"port{i}"
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
            _ip("-n", namespace, "address", "add", f"{address}/{_SUBNET.prefixlen}", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            self.hosts.append(Host(namespace, str(address), switch, port))

    def _add_namespace(self, name: str) -> str:
        namespace = f"{self._name}{name}"
        _ip("netns", "add", namespace)
        self._namespaces.append(namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    def _remove(self) -> None:
        with contextlib.ExitStack() as stack:  # Each is tried, whatever becomes of the others.
            for namespace in self._namespaces:
                stack.callback(_ip, "netns", "delete", namespace)
            for host in self.hosts:
                stack.callback(host.kill_all)
        self._namespaces, self.hosts = [], []


@functools.cache
def allowed() -> bool:
    """Whether this machine allows the making of such hosts."""
    try:
        with Network(1) as network:
            return network.hosts[0].popen(["true"]).wait() == 0
    except (OSError, subprocess.CalledProcessError):
        return False


def _set_namespace(namespace: IO) -> None:
    if _LIBC.setns(namespace.fileno(), _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns is not permitted")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
