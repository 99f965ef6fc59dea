"""R2D3 is R2D2 with other numbers and the demonstrations as a second source."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from acme_agents.agents import r2d2, r2d3
from acme_agents.core.experience import Sequences
from acme_agents.core.interfaces import DATASET, REPLAY, ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from tests.agents.r2d2.toys import SPEC, TINY, random_batch

KEY = jax.random.PRNGKey(0)


def test_elements_of_a_batch_are_demonstrations_by_chance():
    spec = r2d3.make(r2d3.Config()).replay(SPEC)
    assert spec.sources == {DATASET: 1 / 256, REPLAY: 255 / 256}
    assert spec.experience == Sequences(length=81, period=40)
    assert (spec.batch_size, spec.samples_per_insert, spec.priority_exponent) == (32, 32.0, 0.9)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_the_ratio_is_the_datasets_share(ratio):
    replay = r2d3.make(r2d3.Config(demonstration_ratio=ratio)).replay(SPEC)
    assert replay.sources == {DATASET: ratio, REPLAY: 1 - ratio}


def test_updates_and_acts_as_r2d2():
    """The programs are the same, to the last operation."""
    config = dataclasses.replace(TINY, initial_state="zero")
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    batch, programs = random_batch(config), []
    observation = jax.tree.map(lambda x: x[0, 0], batch.steps.observation)
    for agent in (r2d3.make(r2d3.Config(**fields)), r2d2.make(config)):
        learner, actor = agent.learner(SPEC), agent.actor(SPEC, ActorContext(False, 1, 2))
        state = jax.eval_shape(learner.init, KEY)
        update = jax.make_jaxpr(learner.update)(state, batch)
        act = jax.make_jaxpr(actor.select_action)(learner.params(state), observation, actor.init(KEY))
        program = re.sub(r"0x[0-9a-f]+", "", f"{update} {act}")  # without functions' addresses
        programs.append((program, float(actor.init(KEY).epsilon)))
    assert "scan" in programs[0][0]
    assert programs[0] == programs[1]


def test_all_actors_have_one_epsilon():
    actor = r2d3.make(r2d3.Config()).actor(SPEC, ActorContext(False, 3, 5))
    assert actor.init(KEY).epsilon == np.float32(0.01)


def test_wrong_numbers_and_environments_are_refused():
    with pytest.raises(ValueError, match=r"demonstration_ratio must lie in \[0, 1\], not 1.5"):
        r2d3.Config(demonstration_ratio=1.5)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        r2d3.Config(batch_size=0)
    with pytest.raises(ValueError, match="R2D3 needs discrete actions"):
        r2d3.make(r2d3.Config()).learner(EnvironmentSpec(ArraySpec((1,)), ArraySpec((2,))))
