"""Hindsight credit assignment by tables, as the paper's authors published it, and the policy gradients beside it.

After each episode every table moves by its learning rate times an increment, and all increments are of the tables as
they were during the episode: `state_update` and `return_update` are those of the authors' `hca_classes.py`
(github.com/hca-neurips2019/hca), without any clipping. An episode is T steps of states and actions by number; those
that are behind its end have `valid` false. Every reward is earned in the state of its row.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Action, Array, Key


class Tables(NamedTuple):
    """What is learned of S states and A actions; or the increments of it, or the learning rates."""

    policy: Any  # [S, A] logits
    value: Any  # [S]
    hindsight: Any  # [S, K, A] logits; K is S, the later state, or the number of bins of the return
    reward: Any  # [S, A] the immediate reward


class Episode(NamedTuple):
    """T steps, of which those at the episode's start are valid."""

    state: Array  # [T] int32
    action: Array  # [T] int32
    reward: Array  # [T] float32, what the action earned in the state
    valid: Array  # [T] bool


Update = Callable[[Tables, Episode], Tables]  # from tables to their increments


def init(num_states: int, num_actions: int, num_outcomes: int) -> Tables:
    """Uniform policies and hindsight, values and rewards of zero; the outcomes are states or bins of the return."""
    logits = jnp.zeros((num_states, num_actions))
    return Tables(logits, jnp.zeros(num_states), jnp.zeros((num_states, num_outcomes, num_actions)), logits)


def state_update(
    tables: Tables, episode: Episode, *, discount: float, reward_model: bool = False, relative: bool = False
) -> Tables:
    """State-conditional: `G_a(i) = sum_{j>=i} gamma^(j-i) R_j (h(a|x_i,x_j) - pi(a|x_i))`.

    The logits of x_i take in `G_a - pi(a|x_i) sum_b G_b`, and h a step of cross-entropy for every pair i, j >= i. With
    `reward_model` what x_i earns is left to a model r(x, a): j begins at i + 1 in G, to which is added
    `pi(a|x_i) (r(x_i,a) - sum_b pi(b|x_i) r(x_i,b))` (theorem 1 has r(x, a) there; the authors' class has none). With
    `relative` the tables of hindsight are what an outcome adds to the policy's logits.
    """
    _check(tables, episode)
    state, action, reward, valid = episode
    policy = jax.nn.softmax(tables.policy)[state]  # [T, A]
    base = tables.policy[state][:, None] if relative else 0.0
    hindsight = jax.nn.softmax(base + tables.hindsight[state[:, None], state[None]])  # [T, T, A]
    steps = jnp.arange(len(state))[None] - jnp.arange(len(state))[:, None]  # [T, T], j - i
    pairs = (steps >= 0) & valid[None] & valid[:, None]
    weights = jnp.where(pairs & (steps > 0) if reward_model else pairs, discount ** jnp.maximum(steps, 0), 0.0)
    credit = jnp.einsum("ij,j,ija->ia", weights, reward, hindsight - policy[:, None])
    if reward_model:
        model = tables.reward[state]
        credit += policy * (model - jnp.sum(policy * model, axis=1, keepdims=True)) * valid[:, None]
    taken = jax.nn.one_hot(action, policy.shape[1])
    wrong = jnp.where(pairs[..., None], taken[:, None] - hindsight, 0.0)
    return Tables(
        jnp.zeros_like(tables.policy).at[state].add(credit - policy * jnp.sum(credit, axis=1, keepdims=True)),
        _value_increment(tables, episode, returns(episode, discount)),
        jnp.zeros_like(tables.hindsight).at[state[:, None], state[None]].add(wrong),
        _reward_increment(tables, episode),
    )


def return_update(
    tables: Tables,
    episode: Episode,
    *,
    discount: float,
    bins: Array,
    relative: bool = False,
    baseline: bool = False,
) -> Tables:
    """Return-conditional: `A(i) = (1 - pi(a_i|x_i) / h(a_i|x_i,bin)) G_i`, with the bin whose centre is nearest to G_i.

    The logits of x_i take in `A (1[a = a_i] - pi(a|x_i))`, and h a step of cross-entropy. Bins: [K] float32. With
    `baseline` the ratio multiplies `G_i - V(x_i)`; `relative` is as in `state_update`.
    """
    _check(tables, episode)
    state, action, _, valid = episode
    found = returns(episode, discount)
    outcome = jnp.argmin(jnp.abs(bins[None] - found[:, None]), axis=1)
    policy = jax.nn.softmax(tables.policy)[state]
    base = tables.policy[state] if relative else 0.0
    hindsight = jax.nn.softmax(base + tables.hindsight[state, outcome])  # [T, A]
    taken = jax.nn.one_hot(action, policy.shape[1])
    ratio = jnp.sum(taken * policy, axis=1) / jnp.sum(taken * hindsight, axis=1)
    advantage = jnp.where(valid, (1.0 - ratio) * (found - tables.value[state] if baseline else found), 0.0)
    wrong = jnp.where(valid[:, None], taken - hindsight, 0.0)
    return Tables(
        jnp.zeros_like(tables.policy).at[state].add(advantage[:, None] * (taken - policy)),
        _value_increment(tables, episode, found),
        jnp.zeros_like(tables.hindsight).at[state, outcome].add(wrong),
        _reward_increment(tables, episode),
    )


def policy_gradient_update(tables: Tables, episode: Episode, *, discount: float, n: int | None = None) -> Tables:
    """The policy gradient with a baseline, `(G_i - V(x_i)) (1[a = a_i] - pi(a|x_i))`.

    G is the return to the episode's end; with `n`, of n steps, and from there the value of the state, if the episode
    is not over by then. The values learn the same G.
    """
    _check(tables, episode)
    state, action, _, valid = episode
    found = returns(episode, discount)
    if n is not None:
        later = jnp.concatenate([jnp.where(valid, tables.value[state], 0.0)[n:], jnp.zeros(min(n, len(state)))])
        beyond = jnp.concatenate([found[n:], jnp.zeros(min(n, len(state)))])
        found = found + discount**n * (later - beyond)
    policy = jax.nn.softmax(tables.policy)[state]
    advantage = jnp.where(valid, found - tables.value[state], 0.0)
    taken = jax.nn.one_hot(action, policy.shape[1])
    return Tables(
        jnp.zeros_like(tables.policy).at[state].add(advantage[:, None] * (taken - policy)),
        _value_increment(tables, episode, found),
        jnp.zeros_like(tables.hindsight),
        _reward_increment(tables, episode),
    )


def returns(episode: Episode, discount: float) -> Array:
    """The discounted return from each row on, [T]; 0 behind the episode's end."""

    def step(later: Array, reward: Array) -> tuple[Array, Array]:
        now = reward + discount * later
        return now, now

    return jax.lax.scan(step, jnp.zeros(()), jnp.where(episode.valid, episode.reward, 0.0), reverse=True)[1]


def play(functions: Any, policy: Array, key: Key, *, max_steps: int) -> Episode:
    """One episode of a policy, [S, A] logits, with T = `max_steps`.

    Args:
      functions: of an environment in pure JAX, `init` and `step`, whose observations are one-hot and whose episodes are
        never longer.
      policy: the logits.
      key: of the episode and its actions.
      max_steps: T.
    """
    begin_key, act_key = jax.random.split(key)
    world, observation = functions.init(begin_key)

    def step(carry: tuple[Any, Array, Array], key: Key) -> tuple[tuple[Any, Array, Array], Episode]:
        world, state, valid = carry
        action: Action = jax.random.categorical(key, policy[state])
        world, timestep = functions.step(world, action)
        row = Episode(state, action, timestep.reward, valid)
        return (world, jnp.argmax(timestep.observation), valid & ~timestep.last), row

    start = (world, jnp.argmax(observation), jnp.bool_(True))
    return jax.lax.scan(step, start, jax.random.split(act_key, max_steps))[1]


@functools.partial(jax.jit, static_argnames=("functions", "update", "num_episodes", "max_steps"))
def learn(
    functions: Any, update: Update, tables: Tables, rates: Tables, keys: Key, *, num_episodes: int, max_steps: int
) -> Array:
    """Learns in many runs side by side, and returns the policies before each episode, [N, E, S, A] logits.

    Args:
      functions: see `play`.
      update: one of the updates above, its options given.
      tables: what every run begins with.
      rates: the learning rate of each table, a number.
      keys: [N, 2], one for each run.
      num_episodes: E.
      max_steps: see `play`.
    """

    def episode(tables: Tables, key: Key) -> tuple[Tables, Array]:
        increments = update(tables, play(functions, tables.policy, key, max_steps=max_steps))
        after = jax.tree.map(lambda table, rate, increment: table + rate * increment, tables, rates, increments)
        return after, tables.policy

    def run(key: Key) -> Array:
        return jax.lax.scan(episode, tables, jax.random.split(key, num_episodes))[1]

    return jax.vmap(run)(keys)


def _value_increment(tables: Tables, episode: Episode, targets: Array) -> Array:
    error = jnp.where(episode.valid, targets - tables.value[episode.state], 0.0)
    return jnp.zeros_like(tables.value).at[episode.state].add(error)


def _reward_increment(tables: Tables, episode: Episode) -> Array:
    at = (episode.state, episode.action)
    return jnp.zeros_like(tables.reward).at[at].add(jnp.where(episode.valid, episode.reward - tables.reward[at], 0.0))


def _check(tables: Tables, episode: Episode) -> None:
    chex.assert_rank([tables.policy, tables.value, tables.hindsight, *episode], [2, 1, 3, 1, 1, 1, 1])
    chex.assert_equal_shape(episode)
