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
from acme_agents.agents.vmpo import networks as policies
from acme_agents.core import normalising
from acme_agents.core.interfaces import ActorContext, ActorCore
from acme_agents.core.types import Array, Key, Step, Unroll
from acme_agents.environments import feedback_bandit, key_to_door
from acme_agents.environments.pure import Pure

_BASE = {"torso_layers": (64,), "learning_rate": 3e-3, "entropy_weight": 0.0, "value_weight": 1.0}
_HINDSIGHT = _BASE


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


def policy_of(agent, spec, params) -> Array:
    """pi(a | c) [21, 21]."""
    nets = policies.make_networks(agent.config, spec)
    contexts = jnp.eye(feedback_bandit.NUM_ACTIONS, spec.observation.shape[0])
    seen = normalising.normalise(contexts, params.scale)
    return jax.nn.softmax(nets.unroll(params.network, seen[:, None], jnp.zeros((21, 1), bool), nets.no_memory)[0].law[:, 0])


def measure(agent: Any, environment: Pure, state: Any, key: Key, size=2**14) -> dict[str, Array]:
    config, spec = agent.config, environment.spec
    learner, actor = agent.learner(spec), agent.actor(spec, ActorContext(False))
    params = learner.params(state)
    batch = play(environment, actor, params, key, length=1, batch_size=size)
    reward, scale, _ = normalising.rewards(state.returns, batch.steps, gamma=config.discount, enabled=True)
    seen = normalising.normalise(batch.steps.observation, params.scale)
    policy, nets = policies.make_networks(config, spec), networks.make_networks(config, spec)
    looked = learning.look(config, policy, nets, state.params, seen, reward, batch)
    action, valid = batch.steps.action[:, :-1], ~batch.steps.last[:, :-1]
    context = batch.steps.observation[:, 0, :21]

    def gradients(looked, estimator):
        def loss(logits):
            return learning.losses_of(looked._replace(logits=logits), action, valid, estimator=estimator)["policy_loss"]
        return -scale * size * jax.grad(loss)(looked.logits)[:, 0]

    pi = policy_of(agent, spec, params)
    r = jnp.asarray(feedback_bandit.mean_rewards())
    exact = pi * (r - jnp.sum(pi * r, 1, keepdims=True)) / 21
    found = {"return": jnp.mean(jnp.sum(pi * r, 1))}
    plain = looked._replace(estimates=looked.value[..., None])
    for name, each in (("plain", gradients(plain, "baseline")), ("cca", gradients(looked, config.estimator))):
        mean = context.T @ each / size
        variance = jnp.mean(jnp.sum(each**2, -1)) - jnp.sum(mean**2)
        found |= {
            f"{name}_variance": variance,
            f"{name}_bias": jnp.linalg.norm(mean - exact) / jnp.linalg.norm(exact),
            f"{name}_floor": jnp.sqrt(variance / size) / jnp.linalg.norm(exact),
            f"{name}_cosine": jnp.sum(mean * exact) / jnp.linalg.norm(exact) / jnp.linalg.norm(mean),
            f"{name}_slope": jnp.sum(mean * exact) / jnp.sum(exact**2),
        }
    losses = learning.losses_of(looked, action, valid, estimator=config.estimator)
    return found | losses
