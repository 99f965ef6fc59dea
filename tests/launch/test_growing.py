"""Growing batches: cycles of deploying, merging and learning, killed in each phase and resumed."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest

from acme_agents import datasets
from acme_agents.agents import mpo, ppo
from acme_agents.core import checkpoint
from acme_agents.core.errors import UserError
from acme_agents.experiments import Experiment, making
from acme_agents.launch import growing, node_files, run
from acme_agents.launch import main as cli
from acme_agents.launch.evaluate import evaluate
from acme_agents.launch.options import Options
from acme_agents.runtime import loggers

_LENGTH = 50  # steps of an episode of probe:reach
_CONFIG = mpo.Config(  # The update is that of test_in_process.py, which is compiled once.
    policy_layers=(32,), critic_layers=(32,), num_actions=4, batch_size=16, min_replay_size=100, samples_per_insert=4.0
)
_CYCLES = Experiment(
    "mpo", "probe:reach", config=_CONFIG, max_steps=None, cycles=2, cycle_steps=4 * _LENGTH, cycle_updates=40,
    eval_every=100, eval_episodes=2, seed=3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cycle_steps": None}, "give --cycle-steps and --cycle-updates"),
        ({"max_steps": 100}, "leave --steps and --updates out"),
        ({"cycles": None, "max_steps": 100}, "say how many with --cycles"),
        ({"cycles": 0}, "The number of cycles must be at least 1, not 0"),
        ({"record": "data"}, "leave --record out"),
        ({"offline_updates": 5}, "give --dataset"),
    ],
)
def test_cycles_are_said_whole(given: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        dataclasses.replace(_CYCLES, **given)


def test_on_policy_agents_and_fused_programs_are_refused(tmp_path: pathlib.Path) -> None:
    on_policy = dataclasses.replace(_CYCLES, agent="ppo", config=ppo.Config())
    with pytest.raises(UserError, match="ppo learns only from what its own policy just did: leave --cycles out"):
        run(on_policy, run_dir=tmp_path / "run")
    with pytest.raises(UserError, match="--launcher fused records nothing"):
        run(_CYCLES, launcher="fused", run_dir=tmp_path / "run")
    untaught = dataclasses.replace(_CYCLES, config=dataclasses.replace(_CONFIG, teacher_action_weight=1.0))
    with pytest.raises(UserError, match="The weights of a teacher need one"):
        run(untaught, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cycles_gathered_takes_the_place_of_replay() -> None:
    spec = _CYCLES.environment_spec()
    learning = Experiment("mpo", "probe:reach", config=_CONFIG, max_steps=0, max_updates=1, gathered=["a"])
    assert learning.gathered == ("a",) and learning.is_offline
    assert making.replay_spec(learning, spec).sources == {"replay": 1.0}
    with_demonstrations = dataclasses.replace(learning, dataset="b", dataset_share=0.25)
    assert making.replay_spec(with_demonstrations, spec).sources == {"dataset": 0.25, "replay": 0.75}
    before_the_first_cycle = dataclasses.replace(learning, dataset="b", gathered=())
    assert making.replay_spec(before_the_first_cycle, spec).sources == {"dataset": 1.0}


def test_a_phase_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path: pathlib.Path) -> None:
    deployment = tmp_path / growing.DEPLOYMENTS / "cycle-001"
    deployment.mkdir(parents=True)
    (deployment / "config.json").write_text("{}")
    assert _stopped_in_the_first_phase(tmp_path) == [(200, "begin", False)]


def test_what_is_learned_from_demonstrations_comes_before_the_first_deployment(tmp_path: pathlib.Path) -> None:
    experiment = dataclasses.replace(_CYCLES, dataset="demonstrations", offline_updates=7, dataset_share=0.25)
    done = []

    def run_phase(experiment: Experiment, run_dir: pathlib.Path, *, how: str) -> bool:
        done.append((run_dir.name, experiment.max_updates, experiment.gathered))
        return len(done) < 2  # The second is stopped.

    assert not growing.run(experiment, tmp_path, run_phase, stop=threading.Event(), say=lambda what: None)
    assert done == [("learning", 7, ()), ("cycle-001", None, ())]
    assert growing.read(tmp_path) == growing.Place(1, "deploying")


def test_workers_whose_launcher_was_killed_are_watched_over_again(tmp_path: pathlib.Path) -> None:
    deployment = tmp_path / growing.DEPLOYMENTS / "cycle-001"
    deployment.mkdir(parents=True)
    worker = {"role": "learner", "index": 0, "pid": os.getpid(), "started": psutil.Process().create_time()}
    node_files.Record("processes", Options(), {"ports": {}}, [worker]).write(deployment)
    assert _stopped_in_the_first_phase(tmp_path) == [(200, "attach", True)]


def _stopped_in_the_first_phase(run_dir: pathlib.Path) -> list[tuple[int | None, str, bool]]:
    """What is done first: the steps of the phase, how it is run, and whether its directory is there."""
    done = []

    def run_phase(experiment: Experiment, run_dir: pathlib.Path, *, how: str) -> bool:
        done.append((experiment.max_steps, how, run_dir.exists()))
        return False  # It was stopped.

    assert not growing.run(_CYCLES, run_dir, run_phase, stop=threading.Event(), say=lambda what: None)
    assert growing.read(run_dir) == growing.Place(1, "deploying")
    return done


@pytest.mark.slow
def test_cycles_are_killed_in_each_phase_and_go_on(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / "run"
    words = (
        f"train mpo --env probe:reach --cycles 2 --cycle-steps {_CYCLES.cycle_steps} --cycle-updates 40 "
        "--eval-every 100 --eval-episodes 2 --seed 3 --checkpoint-seconds 0 --from-scratch --config.policy-layers 32 "
        "--config.critic-layers 32 --config.num-actions 4 --config.batch-size 16 --config.min-replay-size 100 "
        f"--config.samples-per-insert 4 --run-dir {run_dir}"
    )
    begin, go_on = words.split(), ["resume", str(run_dir)]
    for phase, times, command in (("deploying", 4, begin), ("merging", 1, go_on), ("learning", 3, go_on)):
        victim = pathlib.Path(__file__).with_name("growing_victim.py")
        arguments = [sys.executable, str(victim), phase, str(times), *command]
        process = subprocess.run(arguments, capture_output=True, text=True)
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert growing.read(run_dir) == growing.Place(1, phase)
    for place in (growing.Place(2, "deploying"), growing.Place(2, "learning")):
        _die_before(place, run_dir, monkeypatch)
        before, learned = growing.read(run_dir), sorted((run_dir / "checkpoints").glob("*.npz"))[-1]
        assert before is not None and before.after() == place and learned.stem.endswith("040")
        with np.load(learned) as arrays:  # An update is behind no number: the parameters are untrained again.
            counts = [arrays[name] for name in arrays.files if arrays[name].dtype == np.int32]
        assert {int(np.max(count)) for count in counts} == {0 if place.phase == "learning" else 40}
    again = Experiment.from_run_dir(run_dir)
    assert run(again, run_dir=run_dir, resume=True).finished

    deployments = loggers.read_csv(run_dir / growing.LOG)
    np.testing.assert_array_equal(deployments["cycle"], [1, 2])
    np.testing.assert_array_equal(deployments["policy_version"], [0, 40])
    np.testing.assert_array_equal(deployments["updates"], [0, 40])
    np.testing.assert_array_equal(deployments["steps"], [_CYCLES.cycle_steps] * 2)
    np.testing.assert_array_equal(deployments["dataset_steps"], np.cumsum(deployments["steps"]))
    spec = again.environment_spec()
    for cycle, name in enumerate(("cycle-001", "cycle-002")):
        trajectories = datasets.load(run_dir / growing.DATASETS / name, spec)
        assert sum(len(each.reward) for each in trajectories) == deployments["steps"][cycle]
        complete = [each.reward.sum() for each in trajectories if len(each.reward) == _LENGTH]
        assert len(complete) == deployments["episodes"][cycle]
        np.testing.assert_allclose(np.mean(complete), deployments["return_mean"][cycle], rtol=1e-5)
    evaluations = loggers.read_csv(run_dir / "evaluator.csv")
    np.testing.assert_array_equal(evaluations["learner_steps"], [40, 80])
    assert checkpoint.steps(run_dir / "checkpoints")[-1] == 80


def _die_before(place: growing.Place, run_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on until the phase before a place is done, and `cycles.json` does not say so yet."""
    write = growing._write

    def fail_before(run_dir: pathlib.Path, now: growing.Place) -> None:
        if now == place:
            raise RuntimeError("killed")
        write(run_dir, now)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(growing, "_write", fail_before)
        run(Experiment.from_run_dir(run_dir), run_dir=run_dir, resume=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    assert run(_CYCLES, run_dir=run_dir).finished
    return run_dir


@pytest.mark.slow
def test_a_run_of_cycles_is_evaluated_lengthened_and_not_changed(whole: pathlib.Path, capsys) -> None:
    assert evaluate(whole, episodes=2).shape == (1, 2)
    assert evaluate(whole / growing.DEPLOYMENTS / "cycle-002", episodes=2).shape == (
        1,
        2,
    )  # the policy that was deployed
    cli.main(["resume", str(whole), "--cycles", "3"])
    assert "mpo on probe:reach, cycle 3 of 3: deploying" in capsys.readouterr().out
    deployments = loggers.read_csv(whole / growing.LOG)
    np.testing.assert_array_equal(deployments["policy_version"], [0, 40, 80])
    evaluations = loggers.read_csv(whole / "evaluator.csv")  # One fell due within the third cycle.
    np.testing.assert_array_equal(evaluations["learner_steps"], [40, 80, 112, 120])
    with pytest.raises(UserError, match="has done 3 cycles already: give it more --cycles"):
        run(_CYCLES, run_dir=whole, resume=True)
    with pytest.raises(UserError, match="cycle_steps 200, not 300"):
        run(dataclasses.replace(_CYCLES, cycles=4, cycle_steps=300), run_dir=whole, resume=True)
    with pytest.raises(UserError, match="holds a run already: continue it with"):
        run(_CYCLES, run_dir=whole)


@pytest.mark.slow
def test_cycles_in_processes_with_demonstrations(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    experiment = dataclasses.replace(
        _CYCLES, cycles=1, num_actors=2, dataset=str(whole / growing.DATASETS / "cycle-001"),
        dataset_share=0.25, eval_every=0,
    )  # fmt: skip
    assert run(experiment, launcher="processes", run_dir=tmp_path / "run").finished
    deployments = loggers.read_csv(tmp_path / "run" / growing.LOG)
    assert deployments["policy_version"] == [0]
    assert 0 <= _CYCLES.cycle_steps - deployments["steps"] < 2 * 32  # what an actor had not sent when it ended
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == 40
    assert json.loads((tmp_path / "run" / "learning" / "config.json").read_text())["dataset_share"] == 0.25
