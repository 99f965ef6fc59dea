"""Geometric entropy where states can be counted: exact, and the policy that has most of it.

The law of the visits of a policy is discounted, `d(s) = (1 - gamma) sum_t gamma^t P(s_t = s)`. S states, A actions.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.core.types import Array

_IMPROVEMENTS = 30  # of a policy, before it is taken to be the best


class Process(NamedTuple):
    """A Markov decision process without rewards."""

    transitions: Array  # [S, A, S] float32, P(s' | s, a)
    start: Array  # [S] float32, the law of the first state
    discount: float  # gamma < 1


def rarity(law: Array, similarity: Array) -> Array:
    """`f(s) = 1 / sum_s' d(s') g(s, s')`: [S] float32, of [S] and [S, S]."""
    chex.assert_shape(similarity, (law.shape[0], law.shape[0]))
    return 1.0 / (similarity @ law)


def entropy(law: Array, similarity: Array) -> Array:
    """`H_g(d) = sum_s d(s) log f(s)`, in nats: [] float32; Shannon's where no two states are alike."""
    return jnp.sum(law * jnp.log(rarity(law, similarity)))


def gradient(law: Array, similarity: Array) -> Array:
    """`dH_g / dd(s) = log f(s) - sum_s' d(s') f(s') g(s', s)`: [S] float32."""
    found = rarity(law, similarity)
    return jnp.log(found) - (law * found) @ similarity


def visits(policy: Array, process: Process) -> Array:
    """The discounted law of states and actions [S, A] of a policy [S, A], whose rows sum to 1."""
    moves = jnp.einsum("sa,saz->sz", policy, process.transitions)
    number = process.start.shape[0]
    law = jnp.linalg.solve(jnp.eye(number) - process.discount * moves.T, (1.0 - process.discount) * process.start)
    return law[:, None] * policy


def best_policy(reward: Array, process: Process) -> Array:
    """A policy [S, A] of the largest discounted sum of a state's reward [S] (policy iteration, exactly evaluated)."""
    number, num_actions, _ = process.transitions.shape

    def improve(_: int, action: Array) -> Array:
        moves = jnp.take_along_axis(process.transitions, action[:, None, None], axis=1)[:, 0]
        value = jnp.linalg.solve(jnp.eye(number) - process.discount * moves, reward)
        return jnp.argmax(process.transitions @ value, axis=1)

    action = jax.lax.fori_loop(0, _IMPROVEMENTS, improve, jnp.zeros(number, jnp.int32))
    return jax.nn.one_hot(action, num_actions)


def policy_of(law: Array) -> Array:
    """The policy [S, A] whose law of states and actions is `law` [S, A]; uniform where nothing is visited."""
    states = jnp.sum(law, axis=1, keepdims=True)
    return jnp.where(states > 0.0, law / jnp.where(states > 0.0, states, 1.0), 1.0 / law.shape[1])


class Maximum(NamedTuple):
    """What `maximise` finds."""

    law: Array  # [S, A] float32, of states and actions
    entropy: Array  # [] float32, nats
    gap: Array  # [] float32, `max_d' <d' - d, dH_g(d)>`: where H_g is concave, no law has more than entropy + gap


def maximise(similarity: Array, process: Process, *, iterations: int, exact: bool = True) -> Maximum:
    """The law of visits of most geometric entropy (Frank and Wolfe 1956): what GEM does, without samples or networks.

    In turns: what the best policy for the reward `dH_g / dd(s)` of the law so far visits is mixed into it, with a share
    of 2 / (k + 2) in turn k. Of all laws that were met the one of most entropy is returned.

    Args:
      similarity: g, [S, S] float32.
      process: where the policy acts.
      iterations: turns.
      exact: pay the gradient; else `log f(s)` alone.
    """
    pay = gradient if exact else lambda law, similarity: jnp.log(rarity(law, similarity))

    def turn(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        law, best = carry
        found = visits(best_policy(pay(law.sum(1), similarity), process), process)
        law = law + 2.0 / (k + 2.0) * (found - law)
        better = entropy(law.sum(1), similarity) > entropy(best.sum(1), similarity)
        return (law, jnp.where(better, law, best)), None

    number, num_actions, _ = process.transitions.shape
    first = visits(jnp.full((number, num_actions), 1.0 / num_actions), process)
    (_, law), _ = jax.lax.scan(turn, (first, first), jnp.arange(1.0, iterations + 1.0))
    slope = gradient(law.sum(1), similarity)
    best = visits(best_policy(slope, process), process).sum(1)
    return Maximum(law, entropy(law.sum(1), similarity), jnp.sum((best - law.sum(1)) * slope))
