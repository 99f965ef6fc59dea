"""Which deaths of workers are followed by a restart, and what is said when one is not; the workers are not real."""

import pathlib
import threading
import time
from typing import Any

import courier
import pytest

from acme_agents.core import errors
from acme_agents.launch import node_files
from acme_agents.launch import supervisor as supervisor_lib
from acme_agents.launch.node_files import Ending
from acme_agents.launch.options import Options, Role, Roles
from acme_agents.launch.supervisor import Supervisor
from acme_agents.launch.work import CERTAIN, EARLY, FAULT, USER_ERROR, ending_of
from acme_agents.runtime.display import make_display
from acme_agents.runtime.nodes import Node

_LEARNER, _ACTOR = Node("learner"), Node("actor", 0)
_REASON = "TypeError: shapes\n  agent.py:3, in update\n    a + b"


class _Worker:
    def __init__(self, code: int | None):
        self.code = code
        self.asked: list[str] = []

    def exit_code(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.asked.append("terminate")

    def kill(self) -> None:
        self.asked.append("kill")

    def record(self) -> dict[str, Any]:
        return {"pid": 0}


class _Place:
    """Where one worker ends each time in the next of the ways that it is told, and the others run."""

    launcher, stop_seconds, learner_port = "processes", 1.0, 1

    def __init__(self, run_dir: pathlib.Path, dying: Node, endings: list[Ending]):
        self.starts = 0
        self._run_dir, self._dying, self._endings = run_dir, dying, endings

    def start(self, node: Node) -> _Worker:
        if node != self._dying:
            return _Worker(None)
        ending = self._endings[min(self.starts, len(self._endings) - 1)]
        self.starts += 1
        if ending.report:
            node_files.write_ending(self._run_dir, node, ending)
        return _Worker(ending.code)

    def check(self) -> None:
        pass

    def record(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def _watch(run_dir: pathlib.Path, dying: Node, *endings: Ending, max_restarts: int = 3) -> tuple[Exception, int]:
    """What a run ends with, and how often the worker was started."""
    (run_dir / "logs").mkdir()
    node_files.log_path(run_dir, dying).write_text("the log's last line\n")
    place = _Place(run_dir, dying, list(endings))
    options = Options(roles=Roles(actor=Role(max_restarts=max_restarts), learner=Role(max_restarts=max_restarts)))
    display = make_display(title="a run", live=False)
    supervisor = Supervisor(run_dir, [_LEARNER, _ACTOR], options, place, display)  # type: ignore[arg-type]
    supervisor.start()
    with pytest.raises((errors.UserError, errors.RunFailed)) as ended:
        supervisor.watch(threading.Event())
    return ended.value, place.starts


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_lib, "_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(supervisor_lib, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(courier, "Client", lambda *_, **__: None)  # The learner never answers.


def test_a_learner_that_never_answers_keeps_nobody_from_being_watched(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Client:
        def __init__(self, *_: Any, **__: Any):
            pass

        def status(self) -> None:
            asked.set()
            answer.wait()

    monkeypatch.setattr(courier, "Client", Client)
    monkeypatch.setattr(supervisor_lib, "_STATUS_SECONDS", 0.1)
    error, starts = _watch(tmp_path, _ACTOR, Ending(FAULT, _REASON, "TypeError at agent.py:3"))
    assert asked.wait(5) and starts == 4 and "actor-0 died 4 times" in str(error)
    answer.set()


def test_what_another_would_meet_again_ends_the_run_at_once_and_comes_first(tmp_path: pathlib.Path) -> None:
    error, starts = _watch(tmp_path, _LEARNER, Ending(CERTAIN, _REASON, "TypeError at agent.py:3"))
    assert starts == 1 and isinstance(error, errors.RunFailed)
    log = tmp_path / "logs" / "learner-0.log"
    assert str(error) == (
        f"{_REASON}\nlearner-0 would meet this again if it were restarted; the full trace is in {log}."
    )


def test_the_same_early_fault_twice_in_a_row_is_enough(tmp_path: pathlib.Path) -> None:
    one, other = (Ending(EARLY, _REASON, f"TypeError at agent.py:{line}") for line in (3, 4))
    error, starts = _watch(tmp_path, _ACTOR, one, other, one, one)
    assert starts == 4 and str(error).startswith(f"{_REASON}\nactor-0 has met this twice in a row")


def test_any_other_fault_is_restarted_as_often_as_the_role_allows(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = "ConnectionError: the simulator hung up\n  simulator.py:9, in step\n    raise"
    error, starts = _watch(tmp_path, _ACTOR, Ending(FAULT, reason, "ConnectionError at simulator.py:9"))
    assert starts == 4
    assert str(error).startswith(f"{reason}\nactor-0 died 4 times, the last time with exit code 1; the full trace is")
    out, err = capfd.readouterr()
    assert "actor-0 died (exit code 1); restart 1 of 3 in 0 s: ConnectionError: the simulator hung up\n" in out + err


def test_one_that_was_killed_left_no_word_but_its_log(tmp_path: pathlib.Path) -> None:
    error, starts = _watch(tmp_path, _ACTOR, Ending(-9), max_restarts=1)
    assert starts == 2
    assert str(error).startswith("actor-0 died 2 times, the last time with exit code -9; its log, ")
    assert str(error).endswith("the log's last line")


def test_a_sentence_for_the_user_ends_the_run(tmp_path: pathlib.Path) -> None:
    error, starts = _watch(tmp_path, _ACTOR, Ending(USER_ERROR, "Lower the learning rate."))
    assert starts == 1 and isinstance(error, errors.UserError)
    assert str(error) == f"Lower the learning rate. [{tmp_path / 'logs' / 'actor-0.log'}]"


def test_the_learner_of_a_run_that_failed_has_the_time_to_save(tmp_path: pathlib.Path) -> None:
    (tmp_path / "logs").mkdir()
    place = _Place(tmp_path, _ACTOR, [Ending(CERTAIN, _REASON)])
    display = make_display(title="a run", live=False)
    supervisor = Supervisor(tmp_path, [_LEARNER, _ACTOR], Options(), place, display)  # type: ignore[arg-type]
    supervisor.start()
    learner, actor = supervisor._workers[_LEARNER], supervisor._workers[_ACTOR]
    assert isinstance(learner, _Worker) and isinstance(actor, _Worker)

    def save() -> None:
        while not learner.asked:
            time.sleep(0.01)
        assert not actor.asked  # The others stay for as long as it may need them.
        time.sleep(0.3)
        assert learner.asked == ["terminate"]
        learner.code = 0

    saving = threading.Thread(target=save)
    saving.start()
    supervisor.end()
    saving.join()
    assert learner.code == 0 and actor.asked == ["terminate", "kill"]


def _early(steps: int, cause: Exception) -> Exception:
    error = errors.EarlyFault(steps)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("node", "error", "code"),
    [
        (_LEARNER, errors.NotFinite("It diverged."), USER_ERROR),
        (_LEARNER, OSError(28, "No space left on device"), USER_ERROR),
        (_LEARNER, errors.RunFailed("Another learner continues this run."), FAULT),
        (_LEARNER, _early(0, TypeError("shapes")), CERTAIN),
        (_LEARNER, _early(0, RuntimeError("of XLA's")), FAULT),
        (_LEARNER, _early(7, TypeError("shapes")), EARLY),
        (_LEARNER, _early(1000, TypeError("shapes")), FAULT),
        (_LEARNER, TypeError("shapes"), FAULT),
        (_ACTOR, _early(0, TypeError("shapes")), EARLY),
        (_ACTOR, _early(0, ConnectionError("a server is away")), FAULT),
        (_ACTOR, errors.EnvironmentFault("it raised ValueError"), FAULT),
        (_ACTOR, errors.EnvironmentFault("its reward is a vector", permanent=True), USER_ERROR),
    ],
)
def test_which_restarts_may_help(node: Node, error: Exception, code: int) -> None:
    assert ending_of(error, node).code == code


def test_word_of_an_end_is_read_as_it_was_written(tmp_path: pathlib.Path) -> None:
    (tmp_path / "logs").mkdir()
    path = node_files.exit_path(tmp_path, _ACTOR)
    assert node_files.read_ending(path) is None
    ending = Ending(EARLY, _REASON, "TypeError at agent.py:3")
    node_files.write_ending(tmp_path, _ACTOR, ending)
    assert node_files.read_ending(path) == ending
    path.write_text("")  # of a disk that is full
    assert node_files.read_ending(path) is None
