"""An agent that learns from each step once, for real: on both launchers, continued on the other, and killed."""

import dataclasses
import os
import pathlib
import signal
from collections.abc import Callable

import numpy as np
import pytest

from acme_agents.agents import ppo
from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment
from acme_agents.launch import run
from acme_agents.launch.options import Launcher
from acme_agents.runtime import loggers
from tests.launch.running import ROUNDS, disturbed, max_restarts, nodes, rows, started, wait

pytestmark = pytest.mark.slow

_CONFIG = ppo.Config(
    policy_layers=(16,),
    value_layers=(16,),
    unroll_length=16,
    batch_size=4,
    num_epochs=4,
    num_minibatches=2,
    learning_rate=1e-2,
)
_EXPERIMENT = Experiment("ppo", "probe:choice", config=_CONFIG, max_steps=3_000, eval_every=1_500, eval_episodes=50)


@pytest.mark.parametrize(("first", "second"), [("in-process", "processes"), ("processes", "in-process")])
def test_it_learns_the_choice_whose_value_is_1_and_goes_on_elsewhere(
    tmp_path: pathlib.Path, first: Launcher, second: Launcher
) -> None:
    run_dir = tmp_path / "run"
    result = run(_EXPERIMENT, launcher=first, run_dir=run_dir)
    assert result.finished and result.evaluation_return == 1.0
    learner = loggers.read_csv(run_dir / "learner.csv")
    np.testing.assert_array_equal(learner["learner_steps"], 1 + np.arange(len(learner["learner_steps"])))
    used = len(learner["learner_steps"]) * _CONFIG.batch_size * _CONFIG.unroll_length
    # An episode of one step has two rows; what is behind the last full batch is left.
    dropped = _CONFIG.unroll_length * learner["dropped_items"][-1]
    assert 6_000 - 2 * _CONFIG.batch_size * _CONFIG.unroll_length < used + dropped <= 6_000
    assert np.all(learner["largest_policy_lag"] <= (0 if first == "in-process" else _CONFIG.max_policy_lag))
    more = dataclasses.replace(_EXPERIMENT, max_steps=4_000)
    result = run(more, launcher=second, run_dir=run_dir, resume=True)
    assert result.finished and result.evaluation_return == 1.0
    after = loggers.read_csv(run_dir / "learner.csv")["learner_steps"]
    np.testing.assert_array_equal(after, 1 + np.arange(len(after)))
    assert len(after) > len(learner["learner_steps"])
    assert loggers.read_csv(run_dir / "actor.csv")["actor_steps"][-1] == 4_000


@pytest.mark.soak
@pytest.mark.timeout(300 * (1 + ROUNDS))
def test_survives_kill_9_of_every_worker(
    tmp_path: pathlib.Path, record_property: Callable[[str, object], None]
) -> None:
    run_dir = tmp_path / "run"
    command = (
        *("train", "ppo", "--env", "probe:choice", "--launcher", "processes", "--actors", "2", "--steps", "10000000"),
        *("--eval-every", "0", "--checkpoint-seconds", "2", "--config.unroll-length", "16", "--config.batch-size", "4"),
        *("--config.num-epochs", "4", "--config.num-minibatches", "2", *max_restarts(4 + ROUNDS)),
    )
    with started(run_dir, *command) as process:
        wait(lambda: checkpoint.steps(run_dir / "checkpoints"), 180, "a checkpoint")
        for victim in ("learner-0", "replay-0", "actor-1") * ROUNDS:
            pid = nodes(run_dir)[victim]["pid"]
            saved = checkpoint.steps(run_dir / "checkpoints")[-1]
            with disturbed(run_dir, victim, record_property):
                os.kill(pid, signal.SIGKILL)
                wait(lambda name=victim, pid=pid: nodes(run_dir)[name]["pid"] != pid, 90, f"a restart of {victim}")
                wait(
                    lambda saved=saved: checkpoint.steps(run_dir / "checkpoints")[-1] > saved + 20,
                    120,
                    f"updates after {victim} was killed",
                )
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert np.all(np.diff(rows(run_dir, "actor", "actor_steps")) >= 0)
    assert np.all(np.diff(rows(run_dir, "learner", "learner_steps")) == 1)
