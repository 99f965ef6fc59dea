"""Recurrent agents, for real: sequences from many actors and from demonstrations, on both launchers, and killed."""

import dataclasses
import os
import pathlib
import signal
from collections.abc import Callable

import jax
import numpy as np
import pytest

from acme_agents import datasets, environments
from acme_agents.agents import r2d2, r2d3
from acme_agents.agents.r2d2 import learning, networks
from acme_agents.core import checkpoint
from acme_agents.core.types import Sequence, Trajectory
from acme_agents.experiments import Experiment, making
from acme_agents.launch import collect, run
from acme_agents.runtime import loggers
from tests.launch.running import ROUNDS, disturbed, max_restarts, nodes, rows, started, wait

pytestmark = pytest.mark.slow

_ENVIRONMENT = "probe:memory"  # five steps; without memory 0.5 is the best return, with it 1
_NETWORK = {"torso_layers": (16,), "lstm_size": 16, "head_layers": (16,)}
_REPLAY = {
    "burn_in_length": 2,
    "trace_length": 8,
    "sequence_period": 4,
    "batch_size": 16,
    "min_replay_size": 50,
    "samples_per_insert": 16.0,
    "target_update_period": 50,
}
_R2D2 = r2d2.Config(**_NETWORK, **_REPLAY)
_R2D3 = r2d3.Config(**_NETWORK, **_REPLAY, demonstration_ratio=0.1)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ten perfect episodes."""
    path = tmp_path_factory.mktemp("data") / "memory-expert-v0"
    environment, made = environments.make(_ENVIRONMENT, 0), []
    for _ in range(10):
        timesteps, action = [environment.reset()], 0
        action = int(timesteps[0].observation[0] > 0)
        while not timesteps[-1].last():
            timesteps.append(environment.step(np.int32(action)))
        made.append(
            Trajectory(
                np.stack([t.observation for t in timesteps]),
                np.full(5, action, np.int32),
                np.array([t.reward for t in timesteps[1:]], np.float32),
                np.array([t.discount for t in timesteps[1:]], np.float32),
            )
        )
    spec = environments.spec(environment)
    datasets.save(path, made, spec, environment=_ENVIRONMENT, policy="expert", metadata={})
    return str(path)


def _experiment(**fields: object) -> Experiment:
    given = {"agent": "r2d2", "config": _R2D2, "max_steps": 3000, "eval_every": 1500, "eval_episodes": 20} | fields
    return Experiment(environment=_ENVIRONMENT, **given)  # type: ignore[arg-type]


def test_it_remembers_and_samples_as_often_as_it_should(tmp_path: pathlib.Path) -> None:
    result = run(_experiment(record=str(tmp_path / "history")), run_dir=tmp_path / "run")
    assert result.finished and result.evaluation_return == 1.0
    # 600 episodes of one sequence each; the last update waits for a whole batch.
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == (600 - 50) * 16 // 16
    learner = loggers.read_csv(tmp_path / "run" / "learner.csv")
    assert learner["samples_per_insert"][-1] == pytest.approx(16, rel=0.05)
    spec = _experiment().environment_spec()
    recorded = datasets.load(tmp_path / "history", spec)
    assert [len(trajectory.reward) for trajectory in recorded] == [5] * 600
    collected = collect.collect(tmp_path / "run", tmp_path / "expert", steps=100)
    assert collected.tolist() == [1.0] * 20


def test_a_stopped_run_goes_on(tmp_path: pathlib.Path) -> None:
    first = run(_experiment(max_steps=1500), run_dir=tmp_path / "run")
    assert first.finished
    run(_experiment(max_steps=3000), run_dir=tmp_path / "run", resume=True)
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == pytest.approx(550, abs=1)
    actor = loggers.read_csv(tmp_path / "run" / "actor.csv")
    np.testing.assert_array_equal(actor["actor_steps"], np.arange(5, 3001, 5))


def test_processes_with_many_actors_learn_from_demonstrations_too(tmp_path: pathlib.Path, demonstrations: str) -> None:
    experiment = _experiment(agent="r2d3", config=_R2D3, dataset=demonstrations, num_actors=4)
    result = run(experiment, launcher="processes", run_dir=tmp_path / "run")
    assert result.finished and result.evaluation_return == 1.0
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == pytest.approx((600 - 50) * 16 / 16, abs=20)


@pytest.mark.parametrize("launcher", ["in-process", "processes"])
def test_demonstrations_alone(tmp_path: pathlib.Path, demonstrations: str, launcher: str) -> None:
    experiment = _experiment(agent="r2d3", config=_R2D3, dataset=demonstrations, max_steps=0, max_updates=300)
    result = run(experiment, launcher=launcher, run_dir=tmp_path / "run")  # type: ignore[arg-type]
    assert result.finished and result.evaluation_return is not None
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == 300
    assert not (tmp_path / "run" / "actor.csv").exists()


def test_demonstrations_first_and_then_actors(tmp_path: pathlib.Path, demonstrations: str) -> None:
    experiment = _experiment(agent="r2d3", config=_R2D3, dataset=demonstrations, offline_updates=100, max_steps=1500)
    result = run(experiment, run_dir=tmp_path / "run")
    assert result.finished
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[-1] == 100 + (300 - 50)


def test_without_demonstrations_it_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="r2d3 learns from demonstrations too: give them with --dataset"):
        run(_experiment(agent="r2d3", config=_R2D3), run_dir=tmp_path / "run")


@pytest.mark.soak
@pytest.mark.timeout(300 * (1 + ROUNDS))
def test_survives_kill_9_of_every_worker(
    tmp_path: pathlib.Path, demonstrations: str, record_property: Callable[[str, object], None]
) -> None:
    run_dir = tmp_path / "run"
    flags = {**_NETWORK, **_REPLAY, "demonstration_ratio": 0.1, "max_replay_size": 1000}
    options = [
        text
        for name, value in flags.items()
        for text in (f"--config.{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value]))
    ]
    command = (
        *("train", "r2d3", "--env", _ENVIRONMENT, "--launcher", "processes", "--actors", "2", "--steps", "1000000"),
        *("--dataset", demonstrations, "--eval-every", "0", "--checkpoint-seconds", "2", *options),
        *max_restarts(4 + ROUNDS),
    )
    with started(run_dir, *command) as process:
        wait(lambda: checkpoint.steps(run_dir / "checkpoints"), 180, "a checkpoint")
        wait(lambda: checkpoint.steps(run_dir / "checkpoints")[-1] > 300, 120, "updates")
        for victim in ("learner-0", "replay-0", "actor-1") * ROUNDS:
            pid = nodes(run_dir)[victim]["pid"]
            saved = checkpoint.steps(run_dir / "checkpoints")[-1]
            with disturbed(run_dir, victim, record_property):
                os.kill(pid, signal.SIGKILL)
                wait(lambda name=victim, pid=pid: nodes(run_dir)[name]["pid"] != pid, 90, f"a restart of {victim}")
                wait(
                    lambda saved=saved: checkpoint.steps(run_dir / "checkpoints")[-1] > saved + 300,
                    120,
                    f"updates after {victim} was killed",
                )
            assert f"{victim} died (exit code -9)" in (tmp_path / "run.out").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert np.all(np.diff(rows(run_dir, "actor", "actor_steps")) >= 0)
    assert np.all(np.diff(rows(run_dir, "learner", "learner_steps")) > 0)


def test_partial_views_of_minigrid(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def inputs_of(batch: Sequence, num_actions: int) -> networks.Inputs:
        inputs = networks.inputs_of(batch, num_actions)
        seen.append(jax.tree.map(lambda x: x.shape, inputs))
        return inputs

    monkeypatch.setattr(learning, "inputs_of", inputs_of)
    config = dataclasses.replace(
        _R2D2, trace_length=16, sequence_period=8, min_replay_size=30, max_replay_size=1000, samples_per_insert=4.0
    )
    experiment = Experiment("r2d2", "gym:MiniGrid-DoorKey-5x5-v0", config=config, max_steps=600, eval_episodes=1)
    result = run(experiment, run_dir=tmp_path / "run")
    assert result.finished and result.evaluation_return is not None
    # Batches of 16 sequences of 19 rows; seven actions, the one before one-hot.
    image, direction = (16, 19, 7, 7, 20), (16, 19, 4)
    assert seen and all(
        inputs == networks.Inputs({"image": image, "direction": direction}, (16, 19, 7), (16, 19)) for inputs in seen
    )
    agent, spec = making.make_agent(experiment), experiment.environment_spec()
    template = jax.eval_shape(agent.learner(spec).init, jax.random.PRNGKey(0))
    _, meta = checkpoint.load(tmp_path / "run" / "checkpoints", template)
    updates, intake = meta["learner"]["learner_steps"], meta["learner"]["replay"]["replay"]
    # A sequence each 8 steps, but for the 10 steps more of an episode's first: 600 steps are three episodes or more.
    assert 60 <= intake["inserted"] <= 600
    assert updates == (intake["inserted"] - 30) * 4 // 16 >= 10
    assert intake["sampled"] == 16 * updates
