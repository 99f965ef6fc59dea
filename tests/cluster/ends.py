"""One end of a connection between hosts, in a process of its own.

`ends.py echo PORT`, `ends.py gateway PORT HOST PORT`, `ends.py link PORT HOST:PORT` or `ends.py call PORT`.
"""

import socket
import sys
import threading
import time

import courier

from acme_agents.launch import links

_TOKEN = b"the run's token"


def _echo(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def main(kind: str, port: int, *arguments: str) -> None:
    if kind == "call":
        assert courier.Client(f"localhost:{port}", call_timeout=60).echo("hello") == "hello"
        return
    if kind == "echo":
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
    elif kind == "gateway":
        links.Gateway(port, _TOKEN, arguments[0], [int(arguments[1])])
    else:
        links.Link(_TOKEN, port).point_to(arguments[0])
    print("serving", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
