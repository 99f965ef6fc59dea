"""Run by test_rlax.py in a process of its own: prints a line of JSON per seed, {name: [our answer, rlax's answer]}.

rlax cannot be imported once TensorFlow 2.8 is loaded, as other tests of the suite do.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import rlax

from acme_agents.agents.dqn import losses as dqn
from acme_agents.agents.mpo import losses
from acme_agents.agents.ppo import losses as ppo
from acme_agents.agents.r2d2 import losses as r2d2
from acme_agents.core import distributions, returns, values
from acme_agents.core.distributions import Gaussian

N, B, A = 6, 5, 3
EPSILON, EPSILON_PENALTY, EPSILON_MEAN, EPSILON_STDDEV = 0.1, 0.02, 0.01, 0.003


def mpo(rng):
    """The whole of MPO's loss, its parts and its gradient."""

    def normal(*shape):
        return jnp.array(rng.normal(size=shape), jnp.float32)

    duals = losses.Duals(normal(), normal(), normal(A), normal(A))
    online = Gaussian(normal(B, A), jnp.exp(0.3 * normal(B, A)))
    target = Gaussian(normal(B, A), jnp.exp(0.3 * normal(B, A)))
    actions, q_values = 1.5 * normal(N, B, A), normal(N, B)

    def ours(duals, online, epsilon_penalty):
        return losses.mpo_loss(
            duals,
            online,
            target,
            actions,
            q_values,
            epsilon=EPSILON,
            epsilon_penalty=epsilon_penalty,
            epsilon_mean=EPSILON_MEAN,
            epsilon_stddev=EPSILON_STDDEV,
        )[0]

    gaussian = rlax.gaussian_diagonal()

    def log_probs(online):
        return gaussian.logprob(actions, online.mean, target.stddev) + gaussian.logprob(
            actions, target.mean, online.stddev
        )

    def temperature(log, epsilon):
        return rlax.LagrangePenalty(alpha=log, epsilon=epsilon)

    def per_dimension_kl(p, q):
        flat = [x.reshape(-1, 1) for x in (*p, *q)]
        return rlax.multivariate_normal_kl_divergence(*flat).reshape(B, A)

    def theirs(duals, online, epsilon_penalty):
        moved_mean, moved_stddev = Gaussian(online.mean, target.stddev), Gaussian(target.mean, online.stddev)
        constraints = [
            (per_dimension_kl(target, moved_mean), rlax.LagrangePenalty(duals.log_alpha_mean, EPSILON_MEAN, True)),
            (
                per_dimension_kl(target, moved_stddev),
                rlax.LagrangePenalty(duals.log_alpha_stddev, EPSILON_STDDEV, True),
            ),
        ]
        loss, _ = rlax.mpo_loss(
            log_probs(online),
            q_values,
            temperature(duals.log_temperature, EPSILON),
            constraints,
            projection_operator=losses.positive,
        )
        if epsilon_penalty is not None:  # a second objective with its own temperature
            cost = -jnp.linalg.norm(actions - jnp.clip(actions, -1, 1), axis=-1)
            temperature_loss, weights, _ = rlax.mpo_compute_weights_and_temperature_loss(
                cost, temperature(duals.log_penalty_temperature, epsilon_penalty), losses.positive
            )
            loss += temperature_loss - jnp.sum(jax.lax.stop_gradient(weights) * log_probs(online), axis=0)
        return jnp.mean(loss)

    for name, penalty in (("mpo_loss", None), ("mpo_loss_with_penalty", EPSILON_PENALTY)):
        yield name, ours(duals, online, penalty), theirs(duals, online, penalty)
        ours_grad, theirs_grad = (jax.grad(f, argnums=(0, 1))(duals, online, penalty) for f in (ours, theirs))
        for part in (0, 1):
            for field in ours_grad[part]._fields:
                yield f"{name}_d_{field}", getattr(ours_grad[part], field), getattr(theirs_grad[part], field)

    temperature_loss, weights, _ = rlax.mpo_compute_weights_and_temperature_loss(
        q_values, temperature(duals.log_temperature, EPSILON), losses.positive
    )
    eta = losses.positive(duals.log_temperature)
    yield "weights", losses.expectation_weights(q_values, eta), weights
    yield "temperature_loss", losses.temperature_loss(q_values, eta, EPSILON), jnp.mean(temperature_loss)

    kl = distributions.kl_divergence(target, online)
    yield "gaussian_kl", kl, per_dimension_kl(target, online)
    log_prob = jax.vmap(lambda a: distributions.log_prob(online, a))(actions)
    yield "gaussian_log_prob", log_prob, gaussian.logprob(actions, online.mean, online.stddev)
    penalty, dual = losses.constraint_losses(kl.mean(0), losses.positive(duals.log_alpha_mean), EPSILON_MEAN)
    kl_loss, alpha_loss = rlax.compute_parametric_kl_penalty_and_dual_loss(
        [(kl, rlax.LagrangePenalty(duals.log_alpha_mean, EPSILON_MEAN, True))], losses.positive
    )
    yield "constraint_penalty", penalty, jnp.mean(kl_loss)
    yield "constraint_dual", dual, jnp.mean(alpha_loss)


def n_step(rng, n=4, length=9, gamma=0.9):
    """Every window of a sequence with a termination in it; rlax's last windows are shorter, as ours are by `valid`."""
    r_t, v_t = (jnp.array(rng.normal(size=length), jnp.float32) for _ in range(2))
    discount_t = jnp.array(rng.uniform(0.5, 1, size=length), jnp.float32).at[int(rng.integers(length))].set(0.0)
    theirs = rlax.n_step_bootstrapped_returns(r_t, gamma * discount_t, v_t, n)
    window = np.arange(length)[:, None] + np.arange(n)[None]
    valid, window = window < length, np.minimum(window, length - 1)
    reward, discount, m = returns.n_step(r_t[window], discount_t[window], jnp.array(valid), gamma)
    yield "n_step", reward + discount * v_t[np.arange(length) + m - 1], theirs


def categorical(rng, num_atoms=11):
    """The projected target, read off the gradient of our loss."""
    atoms = jnp.linspace(-3.0, 2.0, num_atoms)
    r_t, discount_t = (jnp.array(x, jnp.float32) for x in (2 * rng.normal(size=B), rng.uniform(size=B)))
    logits_t = jnp.array(2 * rng.normal(size=(N, B, num_atoms)), jnp.float32)
    logits_tm1 = jnp.zeros((B, num_atoms))
    gradient = jax.grad(lambda x: values.categorical_loss(atoms, x, r_t, discount_t, logits_t).sum())(logits_tm1)
    project = jax.vmap(rlax.categorical_l2_project, (0, 0, None))
    moved = r_t[:, None] + discount_t[:, None] * atoms[None]
    probabilities = jax.nn.softmax(logits_t).mean(0)
    yield "categorical", 1 / num_atoms - gradient, project(moved, probabilities, atoms)


def rescaling(rng):
    """R2D2's values from 1e-3 to 1e6; below, rlax loses digits."""
    x = jnp.array(rng.choice([-1, 1], size=64) * 10.0 ** rng.uniform(-3, 6, size=64), jnp.float32)
    yield "rescale", returns.rescale(x), rlax.SIGNED_HYPERBOLIC_PAIR.apply(x)
    large = jnp.where(jnp.abs(x) < 100.0, 100.0 * jnp.sign(x), x)
    yield "unrescale", returns.unrescale(large) / large, rlax.SIGNED_HYPERBOLIC_PAIR.apply_inv(large) / large


def sequences(rng, length=9, gamma=0.9, num_actions=4):
    """R2D2's errors over sequences with a termination in them, and their gradients; rlax is given one at a time."""
    shape = (B, length, num_actions)
    q_values, target_q_values = (jnp.array(3 * rng.normal(size=shape), jnp.float32) for _ in range(2))
    actions = jnp.array(rng.integers(num_actions, size=(B, length)), jnp.int32)
    rewards = jnp.array(rng.normal(size=(B, length)), jnp.float32)
    discounts = jnp.ones((B, length)).at[np.arange(B), rng.integers(length - 1, size=B)].set(0.0)
    num_steps = rng.integers(2, length + 1, size=B)
    weights = rng.normal(size=(B, length - 1)) * (np.arange(length - 1) < num_steps[:, None] - 1)
    weights = jnp.array(0.1 * weights, jnp.float32)  # small, because rlax's inverse of the rescaling errs by 1e-4

    def ours(q_values, n, rescaling):
        errors = r2d2.temporal_differences(
            q_values,
            target_q_values,
            actions,
            rewards,
            discounts,
            jnp.array(num_steps),
            gamma=gamma,
            n=n,
            rescaling=rescaling,
        )
        return weights * errors

    def theirs(q_values, n, rescaling):
        def one(b):
            m = num_steps[b]
            errors = rlax.transformed_n_step_q_learning(
                q_values[b, : m - 1],
                actions[b, : m - 1],
                target_q_values[b, 1:m],
                jnp.argmax(q_values[b, 1:m], axis=-1),
                rewards[b, : m - 1],
                gamma * discounts[b, : m - 1],
                min(n, m - 1),  # rlax fails on a sequence that is shorter than n
                tx_pair=rlax.SIGNED_HYPERBOLIC_PAIR if rescaling else rlax.IDENTITY_PAIR,
            )
            return jnp.pad(errors, (0, length - m))

        return weights * jnp.stack([one(b) for b in range(B)])

    def with_gradient(errors, n, rescaling):
        """Errors, and their sum's gradient; compiled whole, which is quicker than operation by operation."""
        found, back = jax.vjp(jax.jit(lambda x: errors(x, n, rescaling)), q_values)
        return found, *back(jnp.ones_like(found))

    for n, rescaling in ((1, False), (5, False), (5, True)):
        name = f"sequences_{n}{'_rescaled' if rescaling else ''}"
        errors, gradients = zip(*(with_gradient(f, n, rescaling) for f in (ours, theirs)))
        yield name, *errors
        yield f"{name}_d_q_values", *gradients


def double_q(rng, num_actions=4):
    """DQN's error and loss, and their gradient."""
    q_tm1, q_t, selector_t = (jnp.array(rng.normal(size=(B, num_actions)), jnp.float32) for _ in range(3))
    a_tm1 = jnp.array(rng.integers(num_actions, size=B), jnp.int32)
    r_t, discount_t, weights = (jnp.array(rng.uniform(size=B), jnp.float32) for _ in range(3))

    def ours(q_tm1, selector_t):
        errors = dqn.temporal_differences(q_tm1, a_tm1, r_t, discount_t, q_t, selector_t)
        return dqn.weighted_loss(errors, weights, 0.5)

    def theirs(q_tm1, selector_t):
        errors = jax.vmap(rlax.double_q_learning)(q_tm1, a_tm1, r_t, discount_t, q_t, selector_t)
        return jnp.mean(weights * rlax.huber_loss(errors, 0.5))

    errors = dqn.temporal_differences(q_tm1, a_tm1, r_t, discount_t, q_t, q_t)
    yield "q_learning", errors, jax.vmap(rlax.q_learning)(q_tm1, a_tm1, r_t, discount_t, q_t)
    yield "double_q_learning", ours(q_tm1, selector_t), theirs(q_tm1, selector_t)
    yield "double_q_learning_d_q_values", jax.grad(ours)(q_tm1, selector_t), jax.grad(theirs)(q_tm1, selector_t)


def unrolls(rng, length=9, gamma=0.9, trace_decay=0.8):
    """Advantages and V-trace over unrolls with a termination and an episode's final observation in them.

    rlax knows no rows without a transition: it is given a reward there that is the row's own value, and no discount.
    """
    rewards, log_ratios = (jnp.array(rng.normal(size=(B, length)), jnp.float32) for _ in range(2))
    values = jnp.array(rng.normal(size=(B, length + 1)), jnp.float32)
    valid = jnp.ones((B, length), bool).at[np.arange(B), rng.integers(length, size=B)].set(False)
    discounts = jnp.ones((B, length)).at[np.arange(B), rng.integers(length, size=B)].set(0.0)
    r_t = jnp.where(valid, rewards, values[:, :-1])
    discount_t = jnp.where(valid, gamma * discounts, 0.0)
    ours = returns.generalised_advantages(rewards, discounts, values, valid, gamma=gamma, trace_decay=trace_decay)
    advantages = jax.vmap(rlax.truncated_generalized_advantage_estimation, (0, 0, None, 0))
    yield "advantages", ours, advantages(r_t, discount_t, trace_decay, values)
    found = returns.v_trace(
        rewards, discounts, values, valid, log_ratios, gamma=gamma, trace_decay=trace_decay, max_ratio=1.5
    )
    v_trace = jax.vmap(lambda *x: rlax.vtrace_td_error_and_advantage(*x, trace_decay, 1.5, 1.5))
    theirs = v_trace(values[:, :-1], values[:, 1:], r_t, discount_t, jnp.exp(log_ratios))
    yield "v_trace_errors", found.targets - values[:, :-1], theirs.errors
    yield "v_trace_advantages", found.advantages, theirs.pg_advantage
    ours = jnp.mean(ppo.clipped_surrogate(log_ratios[0], rewards[0], 0.2))
    yield "clipped_surrogate", ours, rlax.clipped_surrogate_pg_loss(jnp.exp(log_ratios[0]), rewards[0], 0.2)


PROBLEMS = (mpo, n_step, categorical, rescaling, sequences, double_q, unrolls)


def main(seed):
    rng = np.random.default_rng(seed)
    answers = [answer for problem in PROBLEMS for answer in problem(rng)]
    print(json.dumps({name: [np.asarray(x).tolist() for x in pair] for name, *pair in answers}))


if __name__ == "__main__":
    for seed in sys.argv[1:]:
        main(int(seed))
