"""An agent of which each `Config.mistake` is one that authors make: a linear policy and a linear value, for a test."""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorCore, LearnerCore, ReplaySpec, UpdateOutput

CALLS = itertools.count()
RNG = np.random.default_rng(0)


@dataclasses.dataclass(frozen=True)
class Config:
    """What is wrong with the agent; nothing, if it is empty."""

    mistake: str = ""


class State(NamedTuple):
    policy: jax.Array  # [O, A]
    value: jax.Array  # [O + A]
    target: jax.Array  # [O + A]
    steps: jax.Array
    key: jax.Array


@dataclasses.dataclass(frozen=True)
class Agent:
    config: Config

    def learner(self, spec):
        mistake = self.config.mistake
        size = spec.observation.shape[0] + spec.action.shape[0]

        def init(key):
            policy_key, value_key, key = jax.random.split(key, 3)
            value = 0.1 * jax.random.normal(value_key, (size,))
            target = value if mistake == "shared buffer" else jnp.copy(value)
            policy = 0.1 * jax.random.normal(policy_key, (spec.observation.shape[0], spec.action.shape[0]))
            return State(policy, value, target, jnp.int32(0), key)

        def loss(value, policy, state, batch, noise):
            next_action = jnp.tanh(batch.next_observation @ policy) + noise
            following = jnp.concatenate([batch.next_observation, next_action], axis=-1) @ state.target
            q = jnp.concatenate([batch.observation, batch.action], axis=-1) @ value
            if mistake == "column":
                q = q[:, None]
            if mistake == "wrong shape":
                q = q[:-1]
            error = batch.reward + batch.discount * following - q
            if mistake == "nan":
                error = jnp.sqrt(error)
            through = jnp.tanh(batch.observation @ policy) @ value[-spec.action.shape[0] :]
            total = jnp.mean(jnp.square(error)) - 0.1 * jnp.mean(through)
            if mistake == "float of an array":
                total = total * float(total)
            return total, error

        def update(state, batch):
            key, noise_key = jax.random.split(state.key)
            noise = 0.1 * jax.random.normal(noise_key, batch.action.shape)
            if mistake == "key used twice":
                noise = noise + jax.random.uniform(noise_key, batch.action.shape)
            gradient, error = jax.grad(loss, argnums=(0, 1), has_aux=True)(
                state.value, state.policy, state, batch, noise
            )
            rate = 1e-2 / (1 + next(CALLS)) if mistake == "python counter" else 1e-2
            value, policy = state.value - rate * gradient[0], state.policy - rate * gradient[1]
            if mistake == "nothing learnt":
                value, policy = state.value, state.policy
            steps = state.steps + (1.0 if mistake == "other dtype" else 1)
            target = 0.9 * state.target + 0.1 * value
            metrics = {"error": jnp.abs(error) if mistake == "vector metric" else jnp.mean(jnp.abs(error))}
            state = State(policy, value, target, steps, key)
            return (state, metrics) if mistake == "metrics alone" else (state, UpdateOutput(metrics))

        def params(state):
            return {"weights" if mistake == "missing parameters" else "policy": state.policy}

        core = LearnerCore(init, update, params)
        return tuple(core) if mistake == "plain tuple" else core

    def actor(self, spec, context):
        mistake = self.config.mistake

        def select_action(params, observation, key):
            next_key, noise_key = jax.random.split(key)
            action = jnp.tanh(observation @ params["policy"])
            if mistake == "if on an array" and action[0] > 0.5:
                action = 0.9 * action
            noise: Any = (3.0 if mistake == "out of bounds" else 0.1) * jax.random.normal(noise_key, action.shape)
            if mistake == "numpy noise":
                noise = np.random.normal(size=action.shape).astype(np.float32)
            if mistake == "generator's noise":
                noise = RNG.normal(size=action.shape).astype(np.float32)
            if not context.evaluation:
                action = action + noise
            if mistake != "out of bounds":
                action = jnp.clip(action, -1.0, 1.0)
            if mistake == "batch dimension":
                action = action[None]
            if mistake == "whole numbers":
                action = jnp.round(action).astype(jnp.int32)
            if mistake == "two values":
                return action, next_key
            return action, key if mistake == "same key" else next_key, ()

        if mistake == "state of another form":
            return ActorCore(lambda key: key, select_action, lambda state, reward: (state, reward))
        return ActorCore(lambda key: key, select_action)

    def replay(self, spec):
        sizes = (200, 100) if self.config.mistake == "never fills" else (10, 100)
        return ReplaySpec(Transitions(1, 0.9), 16, *sizes, samples_per_insert=16.0)


make = Agent
