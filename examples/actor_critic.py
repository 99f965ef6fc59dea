"""DDPG: a deterministic policy that climbs its critic (Lillicrap et al. 2015, arXiv 1509.02971)."""

import dataclasses
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from acme_agents.core import actors, networks, torsos, training, values
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ReplaySpec, UpdateOutput

HEAD = values.scalar()  # values.mixture(5, 1e-3, 0.3) makes the critic a distribution, and nothing else changes


@dataclasses.dataclass(frozen=True)
class Config:
    """DDPG. Every field becomes a flag, such as --config.noise, and its docstring the flag's help."""

    layers: tuple[int, ...] = (64, 64)
    """Widths of the policy and of the critic."""
    noise: float = 0.3
    """Standard deviation of the exploration noise, in units of the action."""
    discount: float = 0.97
    """gamma, per environment step."""
    learning_rate: float = 1e-3
    """Adam's, per update."""
    target_update_period: int = 100
    """Updates from one copy of the networks to the target networks to the next."""


class Params(NamedTuple):
    policy: Any
    critic: Any


@dataclasses.dataclass(frozen=True)
class DDPG:
    config: Config

    def networks(self, spec):
        def policy(observation):  # [B, ...] -> [B, A]
            features = torsos.layer_norm_mlp(torsos.encode(observation, spec), self.config.layers)
            return jnp.tanh(hk.Linear(spec.action.shape[0], w_init=hk.initializers.VarianceScaling(1e-2))(features))

        def critic(observation, action):  # [B, ...], [B, A] -> values of batch shape [B]
            inputs = jnp.concatenate([torsos.encode(observation, spec), action], axis=-1)
            return HEAD.head(torsos.layer_norm_mlp(inputs, self.config.layers))

        observation, action = torsos.zeros_like(spec.observation), torsos.zeros_like(spec.action)
        return networks.make(policy, observation), networks.make(critic, observation, action)

    def learner(self, spec):
        policy, critic = self.networks(spec)

        def init(key):
            policy_key, critic_key = jax.random.split(key)
            return Params(policy.init(policy_key), critic.init(critic_key))

        def loss(online, target, batch):
            value_t = critic.apply(
                target.critic, batch.next_observation, policy.apply(target.policy, batch.next_observation)
            )
            value_t = jax.tree.map(lambda x: x[None], value_t)  # [N=1, B, ...]: one action at the bootstrap state
            value_tm1 = critic.apply(online.critic, batch.observation, batch.action)
            critic_loss = jnp.mean(HEAD.loss(value_tm1, batch.reward, batch.discount, value_t))
            action = policy.apply(online.policy, batch.observation)
            value = critic.apply(jax.lax.stop_gradient(online.critic), batch.observation, action)
            policy_loss = -jnp.mean(HEAD.mean(value))
            return critic_loss + policy_loss, UpdateOutput({"loss_critic": critic_loss, "loss_policy": policy_loss})

        core = training.learner(init, loss, optax.adam(self.config.learning_rate), self.config.target_update_period)
        return core._replace(params=lambda state: state.online.policy)  # all that actors need

    def actor(self, spec, context):
        policy, _ = self.networks(spec)

        def act(params, observation, key):  # observation [1, ...]
            action = policy.apply(params, observation)[0]
            noise = 0.0 if context.evaluation else self.config.noise
            return jnp.clip(action + noise * jax.random.normal(key, action.shape), -1.0, 1.0)

        return actors.stateless(act)

    def replay(self, spec):
        transitions = Transitions(n=3, discount=self.config.discount)
        return ReplaySpec(transitions, batch_size=64, min_size=500, max_size=100_000, samples_per_insert=32.0)


make = DDPG
