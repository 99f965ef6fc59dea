"""DQN, for real: it finds a task's known value on both launchers."""

import pathlib

import pytest

from acme_agents.agents import dqn
from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment
from acme_agents.launch import run
from acme_agents.launch.options import Launcher
from acme_agents.runtime import loggers

pytestmark = pytest.mark.slow

_CONFIG = dqn.Config(
    torso_layers=(32,),
    head_layers=(32,),
    learning_rate=2e-3,
    epsilon_updates=100,
    target_update_period=20,
    batch_size=32,
    min_replay_size=100,
    samples_per_insert=8.0,
)


def test_it_learns_the_choice_whose_value_is_1_on_both_launchers(tmp_path: pathlib.Path) -> None:
    """At random the return is a half, and with the second-best action everywhere too."""
    experiment = Experiment(
        "dqn",
        "probe:choice",
        config=_CONFIG,
        num_actors=2,
        environments_per_actor=3,
        max_steps=2_000,
        eval_every=1_000,
        eval_episodes=50,
    )
    launchers: tuple[Launcher, ...] = ("in-process", "processes")
    for launcher in launchers:
        run_dir = tmp_path / launcher
        result = run(experiment, launcher=launcher, run_dir=run_dir)
        assert result.finished and result.evaluation_return == 1.0
        assert checkpoint.steps(run_dir / "checkpoints")[-1] == (2_000 - 100) * 8 // 32
        learner = loggers.read_csv(run_dir / "learner.csv")
        assert learner["samples_per_insert"][-1] == pytest.approx(8, rel=0.1)
        assert 0.5 < learner["q_value"][-1] < 1.05  # of what it chose while it explored; rewards are at most 1
    for launcher in launchers:
        assert Experiment.from_run_dir(tmp_path / launcher) == experiment
