"""A learner whose loss or parameters stop being numbers: it ends at once, and says which was the first."""

import dataclasses

import jax.numpy as jnp
import pytest

from acme_agents.core import errors
from acme_agents.core.interfaces import DATASET, LearnerCore, UpdateOutput
from acme_agents.core.types import Trajectory
from acme_agents.replay import device_replay
from acme_agents.replay.device_replay import DeviceReplay, FixedRing
from acme_agents.runtime.learner import Learner
from tests.replay import toys


def _diverging(at: int, leaf: str) -> LearnerCore:
    """An agent that learns nothing; at one update its loss or its parameters become NaN."""

    def update(state, batch):
        count = state["count"] + 1
        wrong = jnp.where(count == at, jnp.nan, 0.0)
        loss = jnp.float32(2) + (wrong if leaf == "loss" else 0.0)
        weights = state["weights"] + (wrong if leaf == "weights" else 0.0)
        return {"count": count, "weights": weights}, UpdateOutput({"loss": loss, "one": jnp.float32(1)})

    return LearnerCore(lambda key: {"count": jnp.int32(0), "weights": jnp.ones(3)}, update, lambda state: state)


def _learner(core: LearnerCore, *, in_python: bool = False) -> Learner:
    e = toys.episode(0, 40)
    spec = dataclasses.replace(toys.REPLAY, sources={DATASET: 1.0})
    held = FixedRing(toys.STEPS, spec, [Trajectory(e.observations, e.actions, e.rewards, e.discounts)])
    replay = DeviceReplay(core, spec, 0, {DATASET: held})
    if in_python:
        replay._update = device_replay.make_update(core, spec, in_python=True)
    return Learner(core, 0, replay)


@pytest.mark.parametrize("in_python", [False, True])
def test_a_loss_that_is_not_a_number_ends_the_step_and_is_named(in_python: bool) -> None:
    learner = _learner(_diverging(37, "loss"), in_python=in_python)
    learner.step(), learner.step()
    learner.check_finite()
    with pytest.raises(errors.NotFinite, match=r"diverged: loss is no longer finite at update 37:"):
        learner.step()


def test_parameters_that_are_not_numbers_are_found_where_no_metric_tells() -> None:
    learner = _learner(_diverging(20, "weights"))
    learner.step()
    learner.check_finite()
    learner.step()
    with pytest.raises(errors.NotFinite, match=r"\['weights'\] is no longer finite after update 32"):
        learner.check_finite()
