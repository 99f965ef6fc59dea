"""Divergence: which metric was the first, at which update, and that the training state is looked at."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import errors, finite
from acme_agents.core.interfaces import DATASET, LearnerCore, UpdateOutput
from acme_agents.core.types import Trajectory
from acme_agents.replay import device_replay
from acme_agents.replay.device_replay import DeviceReplay, FixedRing
from acme_agents.runtime.learner import Learner
from tests.replay import toys


def test_what_is_noted_is_the_first_update_of_each_metric() -> None:
    first = np.zeros(3, np.int32)
    for update, (a, b, c) in enumerate([(1, 1, 1), (1, np.inf, 1), (np.nan, 1, 1), (np.nan, np.nan, 1)], start=1):
        metrics = {"c": jnp.float32(c), "b": jnp.float32(b), "a": jnp.float32(a)}
        first = finite.merge(first, jax.jit(finite.note)(metrics, np.int32(update)))
    np.testing.assert_array_equal(first, [3, 2, 0])  # in the order of their names
    with pytest.raises(errors.NotFinite, match=r"diverged: b is no longer finite at update 2: lower the learning rate"):
        finite.check_metrics(first, {"c": 1, "b": 1, "a": 1})
    finite.check_metrics(np.zeros(3, np.int32), {"c": 1, "b": 1, "a": 1})
    assert finite.note({}, np.int32(1)).shape == (0,)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_state_is_checked_but_for_what_was_never_finite(wrong: float) -> None:
    state = {"best": jnp.float32(-np.inf), "count": jnp.int32(3), "w": jnp.ones((2, 3)), "z": jnp.bfloat16(1)}
    checker = finite.Checker(state)
    checker.check(state, 1)
    with pytest.raises(errors.NotFinite, match=r"state\['w'\] is no longer finite after update 1,200"):
        checker.check({**state, "w": state["w"].at[1, 2].set(wrong)}, 1200)
    with pytest.raises(errors.NotFinite, match=r"\['z'\]"):
        checker.check({**state, "z": jnp.bfloat16(wrong)}, 5)


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
