"""R2D2's network."""

from collections.abc import Callable
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.r2d2.config import Config
from acme_agents.core import discrete, recurrent, specs, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Sequence


class Inputs(NamedTuple):
    """What the network sees of T steps, batch-major."""

    observation: Observation  # [B, T, *O] o_t
    action: Array  # [B, T, A] float32, a_{t-1} one-hot; zero at an episode's first step
    reward: Array  # [B, T] float32, r_t, which a_{t-1} earned; zero at an episode's first step


class Networks(NamedTuple):
    """Pure functions of the network's parameters.

    Attributes:
      init: `(key) -> params`.
      unroll: `(params, inputs [B, T], state) -> (values of the actions [B, T, A], state after the last step)`.
      num_actions: A.
    """

    init: Callable[[Key], Params]
    unroll: Callable[[Params, Inputs, recurrent.State], tuple[Array, recurrent.State]]
    num_actions: int


def make_networks(config: Config, spec: EnvironmentSpec, *, agent: str = "R2D2") -> Networks:
    """Makes the network for an environment with discrete actions.

    Raises:
      UserError: the environment's actions are continuous, or its reward is a vector.
    """
    specs.needs_one_reward(spec, agent=agent)
    num_actions = specs.num_actions(spec, agent=agent)

    def unroll(inputs: Inputs, state: recurrent.State) -> tuple[Array, recurrent.State]:
        features = torsos.encode(inputs.observation, spec)
        features = hk.nets.MLP(config.torso_layers, activate_final=True)(features)
        reward = jnp.tanh(inputs.reward)[..., None]  # [B, T, 1]; Acme's `OAREmbedding`
        features = jnp.concatenate([features, inputs.action, reward], axis=-1)
        features, state = recurrent.LSTM(config.lstm_size)(features, state)
        return discrete.q_head(features, num_actions, config.head_layers, dueling=True), state

    net = hk.without_apply_rng(hk.transform(unroll))

    def init(key: Key) -> Params:
        observation = jax.tree.map(lambda x: x[None], torsos.zeros_like(spec.observation))
        inputs = Inputs(observation, jnp.zeros((1, 1, num_actions)), jnp.zeros((1, 1)))
        return net.init(key, inputs, recurrent.zero_state(1, config.lstm_size))

    return Networks(init, net.apply, num_actions)


def inputs_of(batch: Sequence, num_actions: int) -> Inputs:
    """What the actor's network saw at each row: the row's observation, and the row before's action and reward."""
    actions = jnp.concatenate([batch.previous_action[:, None], batch.steps.action[:, :-1]], axis=1)  # [B, T]
    rewards = jnp.concatenate([batch.previous_reward[:, None], batch.told[:, :-1]], axis=1)
    begins = batch.episode_step[:, None] + jnp.arange(actions.shape[1])[None] == 0  # [B, T]
    # The action "0" that stands before an episode's first step is none: -1 has a one-hot vector of zeros.
    return Inputs(
        observation=batch.steps.observation,
        action=jax.nn.one_hot(jnp.where(begins, -1, actions), num_actions),
        reward=jnp.where(begins, 0.0, rewards),
    )
