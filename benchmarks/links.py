"""Links: what does the way through a link and a gateway cost, next to the direct one?

A Courier and a Reverb server, in a process with a gateway for each; a client in another process, which also has the
links; both on this machine, so that there is no network whose own time would hide that of the links.

    python benchmarks/links.py --output benchmarks/results/links.md

Reading it: `direct` and `link` are the mean time of a call; the ratio is the median over rounds of that within a round.
Two cores share both processes, and each link and gateway copies every byte once more.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import common
import courier
import numpy as np
import reverb

from acme_agents.launch import links

_TOKEN = b"a benchmark's token"
_REPLY_BYTES = 10_000_000
_WARM_UP = 3  # calls
_TIMEOUT = 60  # seconds for a call


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    options = parser.parse_args()
    report = common.Report("Links, ms per call", ["call", "direct", "link", "link - direct", "link / direct"])
    with _addresses() as (couriers, reverbs):
        clients = [courier.Client(address, call_timeout=_TIMEOUT) for address in couriers]
        replays = [reverb.Client(address) for address in reverbs]
        calls: dict[str, tuple[int, list[Callable[[], Any]]]] = {
            "Courier, 10 MB reply": (10, [lambda client=client: client.reply(_REPLY_BYTES) for client in clients]),
            "Courier, 8-byte reply": (300, [lambda client=client: client.reply(8) for client in clients]),
            "Reverb, server_info": (300, [lambda client=client: client.server_info(_TIMEOUT) for client in replays]),
        }
        for label, (num_calls, (direct, link)) in calls.items():
            contestants = {
                "direct": lambda call=direct, n=num_calls: _milliseconds(call, n),
                "link": lambda call=link, n=num_calls: _milliseconds(call, n),
            }
            times = common.interleave(contestants, options.repeats)
            report.row(
                label,
                *(statistics.median(times[name]) for name in ("direct", "link")),
                statistics.median(b - a for a, b in zip(times["direct"], times["link"])),
                common.median_ratio(times["link"], times["direct"]),
            )
    report.note(f"Medians of {options.repeats} interleaved rounds.")
    report.finish(options.output)


def _milliseconds(call: Callable[[], Any], num_calls: int) -> float:
    for _ in range(_WARM_UP):
        call()
    began = time.perf_counter()
    for _ in range(num_calls):
        call()
    return 1000 * (time.perf_counter() - began) / num_calls


@contextlib.contextmanager
def _addresses() -> Iterator[list[list[str]]]:
    """For Courier's and for Reverb's server: the direct address, and that of a link to it."""
    with common.Child(_serve) as child, contextlib.ExitStack() as stack:
        addresses = []
        for port, gateway in child.receive():
            link = stack.enter_context(contextlib.closing(links.Link(_TOKEN)))
            link.point_to(gateway)
            addresses.append([f"localhost:{port}", f"localhost:{link.port}"])
        yield addresses


def _serve(connection: Any) -> None:
    server = courier.Server()
    server.Bind("reply", lambda num_bytes: np.ones(num_bytes, np.uint8))
    server.Start()
    replay = reverb.Server([reverb.Table.queue("queue", max_size=10)])
    gateways = [links.Gateway(port, _TOKEN, "127.0.0.1", [0]) for port in (server.port, replay.port)]
    connection.send([(port, gateway.address) for port, gateway in zip((server.port, replay.port), gateways)])
    with contextlib.suppress(EOFError):  # raised when the parent has gone
        connection.recv()


if __name__ == "__main__":
    main()
