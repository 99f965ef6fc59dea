"""The actor: its epsilons, its memory, and that the learner sees what it saw."""

import collections
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import r2d2
from acme_agents.agents.r2d2 import acting, learning
from acme_agents.agents.r2d2.networks import make_networks
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import SampleInfo, Sequence, Step
from tests.agents.r2d2.toys import SPEC, TINY, A, H, observations

ALONE = (0, 1)
NETWORKS = make_networks(TINY, SPEC)
PARAMS = jax.tree.map(lambda x: 1.5 * x + 0.05, NETWORKS.init(jax.random.PRNGKey(0)))  # no bias is zero
LADDER = r2d2.Config(num_epsilons=7, epsilon_max=1.0, epsilon_min=1e-6)  # 1, 0.1, ... 1e-6


def _epsilons(index, num_actors, config=LADDER):
    """Those that an actor draws in 200 episodes, the largest first."""
    context = ActorContext(False, index, num_actors)
    draw = jax.vmap(lambda key: acting.draw_epsilon(key, config, context))
    return sorted(set(draw(jax.random.split(jax.random.PRNGKey(0), 200)).tolist()), reverse=True)


def _rungs(index, num_actors, config=LADDER):
    return np.round(-np.log10(_epsilons(index, num_actors, config))).astype(int).tolist()


def test_actors_share_the_ladder_out():
    assert _rungs(0, 1) == [0, 1, 2, 3, 4, 5, 6]
    assert [_rungs(i, 2) for i in range(2)] == [[0, 2, 4, 6], [1, 3, 5]]
    assert [_rungs(i, 7) for i in range(7)] == [[0], [1], [2], [3], [4], [5], [6]]
    assert [_rungs(i, 9) for i in range(9)] == [[0], [1], [2], [3], [4], [5], [6], [0], [1]]  # as many again
    many = _epsilons(0, 1, r2d2.Config())
    assert len(many) > 100 and 0.001 <= many[-1] < many[0] <= np.float32(0.1)
    one = r2d2.Config(num_epsilons=1, epsilon_max=0.01, epsilon_min=0.002)
    np.testing.assert_allclose(_epsilons(3, 8, one), [0.01])


def test_an_epsilon_is_drawn_as_from_a_list_of_those_of_the_actor():
    ladder = np.geomspace(1.0, 1e-6, 7)
    for index, num_actors in [(0, 1), (1, 2), (2, 3), (6, 7), (8, 9)]:
        keys, own = jax.random.split(jax.random.PRNGKey(index), 20), jnp.array(ladder[index % 7 :: num_actors])
        drawn = [acting.draw_epsilon(key, LADDER, ActorContext(False, index, num_actors)) for key in keys]
        assert drawn == [jax.random.choice(key, own) for key in keys]


def _actor(config=TINY, *, evaluation=False, place=ALONE, networks=NETWORKS):
    return acting.make_actor(config, networks, ActorContext(evaluation, *place))


@pytest.mark.parametrize(("place", "expected"), [((0, 1), {0.9, 0.3}), ((0, 2), {0.9}), ((1, 2), {0.3})])
def test_an_episode_has_one_of_the_actors_epsilons(place, expected):
    states = jax.vmap(_actor(place=place).init)(jax.random.split(jax.random.PRNGKey(0), 40))
    assert {round(float(e), 6) for e in states.epsilon} == expected
    evaluation = _actor(dataclasses.replace(TINY, evaluation_epsilon=0.05), evaluation=True, place=place)
    assert evaluation.init(jax.random.PRNGKey(0)).epsilon == np.float32(0.05)


def test_evaluation_is_greedy_and_exploration_is_not():
    observation = jax.tree.map(lambda x: x[0], observations(np.random.default_rng(0), 1))
    keys = jax.random.split(jax.random.PRNGKey(1), 300)

    def actions(actor):
        return np.asarray(jax.vmap(lambda key: actor.select_action(PARAMS, observation, actor.init(key))[0])(keys))

    greedy = actions(_actor(evaluation=True))
    assert len(set(greedy.tolist())) == 1
    explored = actions(_actor(place=(0, 2)))  # epsilon 0.9: the greedy action in four of ten cases
    np.testing.assert_allclose(np.mean(explored == greedy), 0.4, atol=0.1)
    assert len(set(explored.tolist())) == A


def _recording(networks):
    """The networks, and a dict to which each call adds the values that it returned, by their number of rows."""
    calls = collections.defaultdict(list)

    def unroll(params, inputs, state):
        q_values, state = networks.unroll(params, inputs, state)
        jax.debug.callback(lambda q: calls[q.shape[1]].append(np.asarray(q)), q_values)
        return q_values, state

    return networks._replace(unroll=unroll), calls


@functools.cache
def _episode(length=9):
    """Acts for an episode: its steps [length + 1, ...], the final observation included, and the actor's values."""
    rng = np.random.default_rng(0)
    recorded, calls = _recording(NETWORKS)
    actor = _actor(networks=recorded)
    select_action = jax.jit(actor.select_action)
    state, steps = actor.init(jax.random.PRNGKey(3)), []
    seen = observations(rng, length + 1)
    for t in range(length):
        observation = jax.tree.map(lambda x, t=t: x[t], seen)
        action, state, extras = select_action(PARAMS, observation, state)
        reward = jnp.float32(rng.normal())
        state = actor.observe(state, reward)
        steps.append(Step(observation, action, reward, jnp.float32(1.0), jnp.bool_(False), extras))
    final = jax.tree.map(jnp.zeros_like, steps[-1])
    final = final._replace(observation=jax.tree.map(lambda x: x[length], seen), last=jnp.bool_(True))
    jax.effects_barrier()
    assert list(calls) == [1]
    return jax.tree.map(lambda *x: jnp.stack(x), *steps, final), np.concatenate(calls[1], axis=1)[0]


def _sequence(steps, first, rows):
    """The stretch of `rows` rows from row `first` on as a batch of one, padded with zeros."""
    length = steps.reward.shape[0]
    used = min(rows, length - first)

    def cut(x):
        return jnp.pad(x[first : first + used], [(0, rows - used)] + [(0, 0)] * (x.ndim - 1))[None]

    before = jax.tree.map(lambda x: x[first - 1] if first else jnp.zeros_like(x[0]), steps)
    return Sequence(
        steps=jax.tree.map(cut, steps),
        num_steps=jnp.array([used]),
        episode_step=jnp.array([first]),
        previous_action=before.action[None],
        previous_reward=before.reward[None],
        sample_info=SampleInfo(jnp.ones(1), jnp.zeros(1, jnp.int32)),
    )


@functools.cache
def _learner(config):
    recorded, calls = _recording(NETWORKS)
    learner = learning.make_learner(config, recorded)
    return learner.init(jax.random.PRNGKey(9))._replace(online=PARAMS), jax.jit(learner.update), calls


def _learners_values(config, batch):
    """The values [T, A] of the online network's unroll in one update: of the burn-in and of the trace."""
    state, update, calls = _learner(config)
    calls.clear()
    update(state, batch)
    jax.effects_barrier()
    burn_in, rows = config.burn_in_length, batch.steps.reward.shape[1]
    assert sorted(calls) == [burn_in, rows - burn_in, rows]  # the last is the target network's
    return np.concatenate([*calls[burn_in], *calls[rows - burn_in]], axis=1)[0]


@pytest.mark.long
@pytest.mark.parametrize("first", [0, 1, 3, 6], ids="from row {}".format)
def test_learner_computes_the_values_that_the_actor_did(first):
    steps, acted = _episode()
    assert len(set(np.asarray(steps.action[:9]).tolist())) == A  # some actions are 0, which is not the same as none
    assert steps.extras.hidden.shape == (10, H)
    batch = _sequence(steps, first, rows=7)
    learnt = _learners_values(TINY, batch)
    used = min(7, 9 - first)  # the actor saw no value of the final observation
    np.testing.assert_allclose(learnt[:used], acted[first : first + used], rtol=1e-5, atol=1e-6)

    # Without the state of the middle of an episode the values are others; its beginning has none.
    other = _learners_values(dataclasses.replace(TINY, initial_state="zero"), batch)[:used]
    assert (np.abs(other - learnt[:used]).max() > 1e-3) == (first > 0)
    # What led to the first row is seen too, and nothing led to an episode's first.
    changed = batch._replace(previous_action=(batch.previous_action + 1) % A)
    other = _learners_values(TINY, changed)[:used]
    assert (np.abs(other - learnt[:used]).max() > 1e-3) == (first > 0)
    other = _learners_values(TINY, batch._replace(previous_reward=batch.previous_reward - 0.5))[:used]
    assert (np.abs(other - learnt[:used]).max() > 1e-3) == (first > 0)


def test_first_action_and_reward_are_none():
    actor = _actor()
    state = actor.init(jax.random.PRNGKey(0))
    np.testing.assert_array_equal(state.action, np.zeros(A))
    assert state.reward == 0.0
    observation = jax.tree.map(lambda x: x[0], observations(np.random.default_rng(0), 1))
    action, after, extras = jax.jit(actor.select_action)(PARAMS, observation, state)
    np.testing.assert_array_equal(extras.hidden, np.zeros(H))  # the state before the observation
    assert np.abs(after.memory.hidden).max() > 0.0
    np.testing.assert_array_equal(after.action, np.arange(A) == action)
    assert actor.observe(after, jnp.float32(2.5)).reward == 2.5
    assert np.any(after.key != state.key)
    assert action.dtype == jnp.int32


@pytest.mark.long
def test_extras_are_what_the_learner_needs():
    observation = jax.tree.map(lambda x: x[0], observations(np.random.default_rng(0), 1))
    for initial_state, size in (("stored", 2), ("zero", 0)):
        actor = _actor(dataclasses.replace(TINY, initial_state=initial_state))
        _, _, extras = actor.select_action(PARAMS, observation, actor.init(jax.random.PRNGKey(0)))
        assert [x.shape for x in jax.tree.leaves(extras)] == [(H,)] * size
