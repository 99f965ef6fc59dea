"""A Reverb or Courier server in a process of its own: `server.py reverb|courier PORT [loopback]`.

Without `loopback` it listens everywhere until it is given a line.
"""

import sys
import time

import numpy as np

from acme_agents.runtime import loopback


def main(kind: str, port: int, only_this_machine: bool) -> None:
    if kind == "reverb":
        import reverb  # and TensorFlow

        server = reverb.Server([reverb.Table.queue("queue", max_size=1000)], port=port)
    else:
        import courier

        server = courier.Server(port=port)
        server.Bind("echo", lambda x: x)
        server.Bind("ones", lambda n: np.ones(n, np.uint8))
        server.Start()
    if not only_this_machine:
        print("serving", server.port, flush=True)
        sys.stdin.readline()
    if not loopback.only_this_machine():
        raise SystemExit("not permitted")
    print("serving", server.port, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "loopback" in sys.argv)
