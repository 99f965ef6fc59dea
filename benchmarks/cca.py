import argparse
import functools
import pathlib
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents import cca, impala
from acme_agents.agents.cca import learning, networks
from acme_agents.agents.vmpo import acting
from acme_agents.agents.vmpo import networks as policies
from acme_agents.core import normalising, running
from acme_agents.core.interfaces import ActorContext, ActorCore
from acme_agents.core.types import Array, Key, Step, Unroll
from acme_agents.environments import feedback_bandit, key_to_door
from acme_agents.environments.pure import Pure

_BASE = {"torso_layers": (64,), "learning_rate": 3e-3, "entropy_weight": 0.0, "value_weight": 1.0}
_QUANTILES = 16


def play(environment: Pure, actor: ActorCore, params: Any, key: Key, *, length: int, batch_size: int) -> Unroll:
    """Episodes of `length` steps, an unroll each: [batch_size, length + 2, ...]."""

    def episode(key: Key) -> Step:
        begin_key, actor_key = jax.random.split(key)
        first = environment.init(begin_key)

        def step(carry: Any, _: None) -> Any:
            state, observation, memory = carry
            action, memory, extras = actor.select_action(params, observation, memory)
            state, timestep = environment.step(state, action)
            row = Step(observation, action, timestep.reward, timestep.discount, jnp.bool_(False), extras)
            return (state, timestep.observation, actor.observe(memory, timestep.reward)), row

        (_, observation, _), rows = jax.lax.scan(step, (*first, actor.init(actor_key)), None, length=length)
        end = jax.tree.map(lambda x: jnp.zeros_like(x[0]), rows)._replace(observation=observation, last=jnp.bool_(True))
        return jax.tree.map(lambda x, y: jnp.concatenate([x, y[None], y[None]]), rows, end)

    return Unroll(jax.vmap(episode)(jax.random.split(key, batch_size)), jnp.zeros(batch_size, jnp.int32))


def measure(agent: Any, state: Any, noise: Array) -> dict[str, Array]:
    """The policy's mean return, and the mean and the variance of one episode's gradient, by enumeration.

    Of all contexts and actions, and of the noise at equally likely quantiles; gradients are in the logits [21, 21] of the
    policy's table, in units of the reward, and of one episode each.
    """
    config, environment = agent.config, feedback_bandit.bandit(noise)
    spec, number = environment.spec, feedback_bandit.NUM_ACTIONS
    grid = jnp.meshgrid(jnp.arange(number), jnp.arange(number), jnp.arange(_QUANTILES), indexing="ij")
    context, action, quantile = (x.ravel() for x in grid)  # [M]
    luck = noise * jax.scipy.special.ndtri((quantile + 0.5) / _QUANTILES)
    _, timestep = jax.vmap(environment.step)(feedback_bandit.State(context, luck), action)
    first = jnp.eye(number, spec.observation.shape[0])[context]
    rows = jnp.stack([first, timestep.observation, timestep.observation], axis=1)  # [M, 3, 41]
    last = jnp.broadcast_to(jnp.array([False, True, True]), rows.shape[:2])
    steps = Step(rows, jnp.stack([action] * 3, axis=1), None, jnp.zeros(rows.shape[:2]), last, acting.Taken((), (), (), ()))
    scale = running.stddev(state.returns)
    reward = jnp.stack([timestep.reward / scale, jnp.zeros_like(timestep.reward)], axis=1)
    seen = normalising.normalise(rows, normalising.scale_of(state.observations, spec))
    policy = policies.make_networks(config, spec, agent="CCA")
    looked = learning.look(config, policy, networks.make_networks(config, spec), state.params, seen, reward, Unroll(steps, None))

    pi = jax.nn.softmax(looked.logits[:, 0])  # [M, 21]
    weight = jnp.take_along_axis(pi, action[:, None], axis=1)[:, 0] / (number * _QUANTILES)  # of each row, sum one
    means = jnp.asarray(feedback_bandit.mean_rewards())
    table = pi.reshape(number, -1, number)[:, 0]  # [21, 21]
    exact = table * (means - jnp.sum(table * means, axis=1, keepdims=True)) / number

    def figures(looked: learning.Looked, estimator: str) -> dict[str, Array]:
        def loss(logits: Array) -> Array:
            now = looked._replace(logits=logits)
            return learning.losses_of(now, steps.action[:, :-1], ~last[:, :-1], estimator=estimator)["policy_loss"]

        each = -scale * len(context) * jax.grad(loss)(looked.logits)[:, 0]  # [M, 21], the agent's own
        mean = jax.ops.segment_sum(weight[:, None] * each, context, number)
        variance = jnp.sum(weight * jnp.sum(jnp.square(each), axis=1)) - jnp.sum(jnp.square(mean))
        return {
            "variance": variance,
            "bias": jnp.linalg.norm(mean - exact) / jnp.linalg.norm(exact),
            "share": jnp.sum(mean * exact) / jnp.sum(jnp.square(exact)),
        }

    plain = figures(looked._replace(estimates=looked.value[..., None]), "baseline")
    found = figures(looked, config.estimator) | {f"plain_{name}": value for name, value in plain.items()}
    return found | {"return": jnp.sum(table * means) / number, "signal": jnp.linalg.norm(exact)}
