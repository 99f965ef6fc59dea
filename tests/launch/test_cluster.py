"""What the command line notices of the head of a Ray cluster; the rest is tested on clusters, in tests/cluster."""

import logging
import pathlib
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from acme_agents.launch import cluster, head, links, room, sockets
from acme_agents.launch.options import Options
from acme_agents.launch.supervisor import LOST, PlaceLost
from acme_agents.runtime.display import make_display
from acme_agents.runtime.nodes import Node
from tests.launch.running import wait


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(head, "_LOOK_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener


@pytest.fixture
def place(listener: socket.socket, tmp_path: pathlib.Path) -> Iterator[cluster.Cluster]:
    logs = [logging.getLogger(module.__name__) for module in (links, sockets)]
    levels = [log.level for log in logs]
    options = Options(address=f"127.0.0.1:{listener.getsockname()[1]}")
    display = make_display(title="a run", live=False)
    place = cluster.Cluster([Node("learner"), Node("actor")], tmp_path, options, display, "group")
    yield place
    place._link.close()
    for log, level in zip(
        logs, levels
    ):  # A cluster's own process hears nothing of links; the tests that follow here do.
        log.setLevel(level)


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
    with pytest.raises(PlaceLost, match=r"of update 1,200: continue it with `acme-agents resume \S+`, with"):
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


def test_who_waits_long_for_a_place_is_named_and_without_a_server_the_run_ends(
    place: cluster.Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room, "free", lambda: {"10.0.0.1": {"CPU": 0.5}})
    learner, actor = (cluster._Placed(place, node) for node in (Node("learner"), Node("actor")))
    place._workers = {Node("actor"): actor}
    place.check()
    assert not capsys.readouterr().out
    actor._began -= 130.0
    for _ in range(3):
        place.check()
    assert capsys.readouterr().out == "actor-0 waits for a place: there is no room for it on the cluster\n"
    place._workers = {Node("learner"): learner, Node("actor"): actor}
    learner._began -= 130.0
    needs = r"\(learner needs 1 CPU; actor needs 1 CPU; free: 10.0.0.1 has 0.5 CPUs\)"
    with pytest.raises(ValueError, match=f"no room for learner-0, actor-0 {needs}"):
        place.check()


def test_a_ray_that_does_not_answer_holds_up_nobody(place: cluster.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def new_keeper(node: Node) -> None:
        answers.wait(60)
        raise ValueError("there are no places any more")

    monkeypatch.setattr(place, "_new_keeper", new_keeper)
    actor, learner = place.start(Node("actor")), place.start(Node("learner"))
    place.check()
    assert actor.exit_code() is None and learner.exit_code() is None
    actor.terminate()
    assert actor.exit_code() == -signal.SIGTERM  # It was never started.
    answers.set()
    assert wait(learner.exit_code, 10, "an answer") == LOST
    with pytest.raises(ValueError, match="there are no places any more"):
        place.check()
