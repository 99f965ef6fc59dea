"""Functional mirror ascent where states can be counted: exact values, exact gradients, and the tasks of the paper.

S states, A actions. A policy is a softmax of a table of logits [S, A]; an iteration evaluates it exactly and then
makes the surrogate larger, in closed form or by steps. All is dtype-agnostic: enable JAX's float64 for long runs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.fma_pg import losses
from acme_agents.agents.fma_pg.losses import Scalar
from acme_agents.core.types import Array


class Process(NamedTuple):
    """A Markov decision process; where it ends, it stays unrewarded."""

    transitions: Array  # [S, A, S] float, P(s' | s, a)
    rewards: Array  # [S, A] float
    start: Array  # [S] float, the law of the first state
    discount: float  # gamma < 1


class Evaluation(NamedTuple):
    """What is known of a policy."""

    log_policy: Array  # [S, A] float
    value: Array  # [] float, of the start
    advantage: Array  # [S, A] float
    visits: Array  # [S] float, the discounted law of the states that it visits; sums to 1


# How an iteration makes a policy better: `(logits [S, A], their evaluation) -> logits [S, A]`.
Improve = Callable[[Array, Evaluation], Array]


def evaluate(logits: Array, process: Process) -> Evaluation:
    """Solves `v = r_pi + gamma P_pi v` and `d = (1 - gamma) start + gamma P_pi' d`."""
    log_policy = jax.nn.log_softmax(logits, axis=1)
    policy = jnp.exp(log_policy)
    stays = jnp.eye(logits.shape[0], dtype=logits.dtype)
    matrix = stays - process.discount * jnp.einsum("sa,saz->sz", policy, process.transitions)
    values = jnp.linalg.solve(matrix, jnp.sum(policy * process.rewards, axis=1))
    visits = jnp.linalg.solve(matrix.T, (1.0 - process.discount) * process.start)
    advantage = process.rewards + process.discount * process.transitions @ values - values[:, None]
    return Evaluation(log_policy, process.start @ values, advantage, jnp.maximum(visits, 0.0))


def best_value(process: Process, *, iterations: int = 1000) -> Array:
    """The value of the start under the best policy, []: value iteration."""

    def step(_: int, values: Array) -> Array:
        return jnp.max(process.rewards + process.discount * process.transitions @ values, axis=1)

    return process.start @ jax.lax.fori_loop(0, iterations, step, jnp.zeros_like(process.start))


def ascend(process: Process, improve: Improve, *, iterations: int) -> tuple[Array, Array]:
    """Runs iterations from the uniform policy.

    Returns:
      The value of the start before each iteration and after the last, [iterations + 1]; and the last logits [S, A].
    """

    def step(logits: Array, _: None) -> tuple[Array, Array]:
        found = evaluate(logits, process)
        return improve(logits, found), found.value

    logits, values = jax.lax.scan(step, jnp.zeros_like(process.rewards), None, length=iterations)
    return jnp.append(values, evaluate(logits, process).value), logits


# The surrogates of a table: the entries of pi_t are rows, weighted by how often pi_t is there and does so.


def _rows(logits: Array, at: Evaluation) -> tuple[Array, Array, Array]:
    """Weights, log-ratios and advantages, [S * A] each."""
    log_ratio = jax.nn.log_softmax(logits, axis=1) - at.log_policy
    weights = at.visits[:, None] * jnp.exp(at.log_policy)
    return weights.ravel(), log_ratio.ravel(), at.advantage.ravel()


def surrogate(name: losses.Name, logits: Array, at: Evaluation, *, eta: Scalar, clip: Scalar) -> Array:
    """The surrogate of the policy of `logits`, []; `at` is pi_t. See `losses.value`."""
    weights, log_ratio, advantage = _rows(logits, at)
    return weights @ losses.value(name, log_ratio, advantage, eta=eta, clip=clip)


def objective(name: losses.Name, logits: Array, at: Evaluation) -> Array:
    """The surrogate without its divergence, []."""
    weights, log_ratio, advantage = _rows(logits, at)
    return weights @ losses.SURROGATES[name].objective(log_ratio, advantage, 0.0)


def divergence(name: losses.Name, logits: Array, at: Evaluation) -> Array:
    """The surrogate's divergence from pi_t, []; of smdpo, mdpo and trpo."""
    weights, log_ratio, _ = _rows(logits, at)
    measure = losses.SURROGATES[name].divergence
    assert measure is not None, name
    return weights @ measure(log_ratio)


# Ways to make a surrogate larger.


def closed_form(name: losses.Name, *, eta: Scalar, floor: float = 0.0) -> Improve:
    """To the maximiser of smdpo or mdpo; `floor` is smdpo's: see `losses.smdpo_maximiser`."""

    def improve(logits: Array, at: Evaluation) -> Array:
        if name == "mdpo":
            return losses.mdpo_maximiser(at.log_policy, at.advantage, eta)
        return losses.smdpo_maximiser(at.log_policy, at.advantage, eta, floor=floor)

    return improve


def fixed_steps(name: losses.Name, *, eta: Scalar, clip: Scalar, step_size: Scalar, num_steps: int) -> Improve:
    """Gradient steps of one size."""

    def improve(logits: Array, at: Evaluation) -> Array:
        gradient = jax.grad(lambda logits: surrogate(name, logits, at, eta=eta, clip=clip))
        return jax.lax.fori_loop(0, num_steps, lambda _, logits: logits + step_size * gradient(logits), logits)

    return improve


def armijo_steps(
    name: losses.Name,
    *,
    eta: Scalar,
    armijo: Scalar,
    num_steps: int,
    max_step_size: float = 10.0,
    warm_start: float | None = 2.0,
    regularised: bool = True,
) -> Improve:
    """Gradient steps on the surrogate, each as long as makes it larger by `armijo` times what the gradient promises.

    Args:
      name: smdpo, mdpo or trpo.
      eta: see `losses.value`.
      armijo: the share, from 0 to 1, [].
      num_steps: per iteration.
      max_step_size: of an iteration's first step, and of all without warm start.
      warm_start: a step tries first this many times the size of the one before it; None for `max_step_size`.
      regularised: measure what a step has gained by the surrogate; else by its objective alone, without divergence, as
        the authors' code has it. The direction is the surrogate's gradient in any case.
    """

    def improve(logits: Array, at: Evaluation) -> Array:
        def whole(logits: Array) -> Array:
            return surrogate(name, logits, at, eta=eta, clip=0.0)

        measured = whole if regularised else (lambda logits: objective(name, logits, at))

        def step(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            logits, first = carry
            direction = jax.grad(whole)(logits)
            promised = armijo * jnp.sum(jnp.square(direction))
            before = measured(logits)

            def accepts(size: Array) -> Array:
                return measured(logits + size * direction) >= before + size * promised

            size = _backtrack(accepts, first)
            return logits + size * direction, first if warm_start is None else warm_start * size

        first = jnp.asarray(max_step_size, logits.dtype)
        return jax.lax.fori_loop(0, num_steps, step, (logits, first))[0]

    return improve


def constrained_steps(name: losses.Name, *, delta: Scalar, num_steps: int, max_step_size: float = 1e5) -> Improve:
    """TRPO's steps on an objective: uphill as its divergence measures distance, and as far as `delta` allows.

    The direction is `H^+ g`, g the objective's gradient and H the Hessian of the divergence at the logits; the first
    size tried is the one at which the quadratic form of H is `delta`, and the size taken the first that makes the
    objective no smaller and keeps the divergence from pi_t within `delta` (Schulman et al. 2015, arXiv 1502.05477,
    appendix C; the authors' code has no Armijo share here).

    Args:
      name: smdpo, mdpo or trpo, which is TRPO.
      delta: bound of the mean divergence, in nats, [].
      num_steps: per iteration.
      max_step_size: where the quadratic form vanishes.
    """
    measure = losses.SURROGATES[name].divergence
    assert measure is not None, name

    def of_state(logits: Array, log_policy: Array) -> Array:
        return jnp.exp(log_policy) @ measure(jax.nn.log_softmax(logits) - log_policy)

    def improve(logits: Array, at: Evaluation) -> Array:
        def step(_: int, logits: Array) -> Array:
            gradient = jax.grad(lambda logits: objective(name, logits, at))(logits)
            # States do not touch each other: H has a block [A, A] for each, which its visits scale.
            hessian = at.visits[:, None, None] * jax.vmap(jax.hessian(of_state))(logits, at.log_policy)
            inverse = jnp.linalg.pinv(hessian, hermitian=True)
            direction = jnp.einsum("sab,sb->sa", inverse, gradient)
            form = jnp.einsum("sa,sab,sb->", direction, hessian, direction)
            first = jnp.minimum(jnp.sqrt(2.0 * delta / jnp.maximum(form, 1e-30)), max_step_size)
            before = objective(name, logits, at)

            def accepts(size: Array) -> Array:
                moved = logits + size * direction
                return (objective(name, moved, at) >= before) & (divergence(name, moved, at) <= delta)

            return logits + _backtrack(accepts, first) * direction

        return jax.lax.fori_loop(0, num_steps, step, logits)

    return improve


def _backtrack(accepts: Callable[[Array], Array], first: Array, *, decay: float = 0.9, most: int = 100) -> Array:
    """The largest of `first decay^k` that is accepted, k up to `most`; 0 where none is. NaN is never accepted."""

    def goes_on(carry: tuple[Array, Array]) -> Array:
        size, number = carry
        return ~accepts(size) & (number < most)

    size, number = jax.lax.while_loop(goes_on, lambda carry: (decay * carry[0], carry[1] + 1), (first, jnp.int32(0)))
    return jnp.where(number < most, size, 0.0)


def cliff_world(discount: float = 0.9) -> Process:
    """The paper's cliff: 21 states, deterministic moves down, up, left and right.

    State 5 x + y is the cell of column x, 0 to 3, and row y, 0 to 4, and 20 is the end. It starts in 0. In the cliff, 1
    to 3, any action earns -100 and leads back to the start; at the goal, 4, any action earns 1 and ends the episode.
    The shortest way passes beside the cliff and is worth gamma^6.
    """
    transitions, rewards = np.zeros((21, 4, 21)), np.zeros((21, 4))
    for state in range(20):
        x, y = divmod(state, 5)
        for action, (dx, dy) in enumerate(((0, -1), (0, 1), (-1, 0), (1, 0))):
            to = 5 * min(max(x + dx, 0), 3) + min(max(y + dy, 0), 4)
            transitions[state, action, 0 if state in (1, 2, 3) else 20 if state == 4 else to] = 1.0
    transitions[20, :, 20] = 1.0
    rewards[1:4], rewards[4] = -100.0, 1.0
    return _process(transitions, rewards, start=0, discount=discount)


def deep_sea_treasure(size: int = 5, discount: float = 0.9) -> Process:
    """The paper's deep sea, after bsuite's: each move sinks one row and goes left or right, as far as the sides allow.

    State n x + y is the cell of column x in row y above the ground, and starts in the upper left corner. A move costs
    0.01 / n, and the one into the lower right corner earns 1 instead; an episode ends on the ground.
    """
    transitions, rewards = np.zeros((size**2, 2, size**2)), np.full((size**2, 2), -0.01 / size)
    for state in range(size**2):
        x, y = divmod(state, size)
        for action, to in enumerate((max(x - 1, 0), min(x + 1, size - 1))):
            transitions[state, action, state if y == 0 else size * to + y - 1] = 1.0
            if y == 0:
                rewards[state, action] = 0.0
            elif y == 1 and action == 1 and to == size - 1:
                rewards[state, action] = 1.0
    return _process(transitions, rewards, start=size - 1, discount=discount)


def _process(transitions: np.ndarray, rewards: np.ndarray, *, start: int, discount: float) -> Process:
    first = np.eye(len(rewards))[start]
    return Process(jnp.asarray(transitions), jnp.asarray(rewards), jnp.asarray(first), discount)
