"""What the command line notices of the head of a Ray cluster; the rest is tested on clusters, in tests/cluster."""

import pathlib
import socket
from collections.abc import Iterator

import pytest

from launch import cluster, head
from launch.node import Node, Options
from launch.supervisor import PlaceLost
from tests.launch.running import wait


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(head, "_LOOK_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener


@pytest.fixture
def place(listener: socket.socket, tmp_path: pathlib.Path) -> cluster.Cluster:
    options = Options(address=f"127.0.0.1:{listener.getsockname()[1]}")
    return cluster.Cluster([Node("learner")], tmp_path, options, "group")


def test_a_head_that_answers_is_there(place: cluster.Cluster) -> None:
    place.check()
    assert place.answers


def test_a_head_that_refuses_has_stopped(
    place: cluster.Cluster, listener: socket.socket, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_REFUSED_SECONDS", 0.3)
    monkeypatch.setattr(cluster, "_LAST_WORDS_SECONDS", 0.0)
    listener.close()
    wait(lambda: not place.answers, 10, "a refusal")
    place.check()  # It may only be starting again.
    wait(lambda: place._head.refused_for() > 0.3, 10, "further refusals")
    with pytest.raises(PlaceLost, match="before the run had a checkpoint"):
        place.check()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "000000001200.npz").touch()
    with pytest.raises(PlaceLost, match=r"of update 1,200: continue with --run-dir \S+ --resume"):
        place.check()


def test_a_silent_head_is_waited_for_and_then_out_of_reach(
    place: cluster.Cluster, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_SILENT_SECONDS", 0.3)

    def silence(options: Options, timeout: float) -> None:
        raise TimeoutError("timed out")

    with monkeypatch.context() as cut:
        cut.setattr(head, "knock", silence)
        wait(lambda: not place.answers, 10, "silence")
        wait(lambda: place._head.silent_for() > 0.3, 10, "more of it")
        with pytest.raises(PlaceLost, match="acme-agents attach"):
            place.check()
    wait(lambda: place.answers, 10, "an answer")
    place.check()
