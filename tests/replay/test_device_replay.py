"""Updates on transitions drawn by priority: what was drawn gets the agent's new priority, the rest stays."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core.interfaces import DATASET, LearnerCore, UpdateOutput
from acme_agents.core.types import Trajectory
from acme_agents.replay import device_replay, ring
from acme_agents.replay.device_replay import DeviceReplay, FixedRing
from tests.replay import toys

LENGTH = 40  # transitions, of one episode; a transition is known by its time, the second number observed
REPLAY = dataclasses.replace(toys.REPLAY, batch_size=4, priority_exponent=0.5, sources={DATASET: 1.0})


@pytest.fixture
def fixed():
    e = toys.episode(0, LENGTH)
    return FixedRing(toys.STEPS, REPLAY, [Trajectory(e.observations, e.actions, e.rewards, e.discounts)])


@pytest.fixture
def held(fixed):
    return fixed.state


def _core(priorities_of):
    """An agent that learns nothing: its state says which transitions it was given."""

    def update(seen, batch):
        times = batch.observation[:, 1].astype(jnp.int32)  # [B]
        output = UpdateOutput({"one": jnp.float32(1)}, priorities_of(times))
        return seen.at[times].set(True), output

    return LearnerCore(init=lambda key: jnp.zeros(LENGTH, bool), update=update, params=lambda seen: seen)


@pytest.mark.parametrize("in_python", [False, True])
def test_what_was_drawn_gets_the_priority_that_the_agent_gave_it_and_nothing_else_does(held, in_python):
    update = device_replay.make_update(_core(lambda times: 4.0 + times), REPLAY, in_python=in_python)
    trees = {DATASET: ring.equal_priorities(held, REPLAY.priority_exponent)}
    seen, trees, *_ = update(
        jnp.zeros(LENGTH, bool), trees, {DATASET: held}, jax.random.PRNGKey(0), np.int32(0), np.int32(6)
    )
    assert 6 <= np.sum(seen) <= 24  # six batches of four
    expected = np.where(seen, (4.0 + np.arange(LENGTH)) ** 0.5, 1.0)
    np.testing.assert_allclose(trees[DATASET].weights.reshape(-1)[:LENGTH], expected, rtol=1e-6)
    np.testing.assert_allclose(trees[DATASET].sums.reshape(-1)[0], expected.sum(), rtol=1e-6)
    assert float(trees[DATASET].largest) == 4.0 + np.max(np.flatnonzero(seen))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_priority_that_is_not_finite_is_one_sentence(fixed, wrong):
    core = _core(lambda times: jnp.where(times == 7, wrong, 1.0))
    replay = DeviceReplay(core, REPLAY, 0, {DATASET: fixed})
    with pytest.raises(ValueError, match="priorities are no longer finite at update 130: lower its learning rate"):
        replay.update(jnp.zeros(LENGTH, bool), 100, 30)
