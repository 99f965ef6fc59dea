"""CCA's networks besides policy and value: the statistic of the future, and what sees it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.cca.config import Config
from acme_agents.core import networks, recurrent, specs, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params

_SMALL = hk.initializers.VarianceScaling(1e-2)  # of last layers: at first the statistic changes little


class Networks(NamedTuple):
    """Pure functions of parameters; rows are [B, T], and the features are those that policy and value are read from.

    Attributes:
      init: `(key) -> (statistic's, critic's, classifier's params)`.
      statistic: `(params, observation [B, T + 1, *O], action [B, T], reward [B, T], last [B, T]) -> phi [B, T, K]`,
        of all rows behind each row in its episode, as far as they reach: not of the row's own action and its reward.
        At an episode's final row it means nothing.
      critic: `(params, features [B, T, H], phi) -> [B, T, N]`: how much more than V(x) the return is, given phi; of
        each action (N = A), or of the one taken (N = 1).
      classifier: `(params, features [B, T, H], phi) -> [B, T, A]`: what phi adds to the policy's logits.
    """

    init: Callable[[Key], tuple[Params, Params, Params]]
    statistic: Callable[[Params, Observation, Array, Array, Array], Array]
    critic: Callable[[Params, Array, Array], Array]
    classifier: Callable[[Params, Array, Array], Array]


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks.

    Raises:
      UserError: actions are continuous.
    """
    num_actions = specs.num_actions(spec, agent="CCA")

    def statistic(observation: Observation, action: Array, reward: Array, last: Array) -> Array:
        # Neither a final observation nor the row behind the unroll has an action and a reward.
        taken = jnp.concatenate([jax.nn.one_hot(action, num_actions), reward[..., None]], axis=-1)
        taken = jnp.pad(jnp.where(last[..., None], 0.0, taken), ((0, 0), (0, 1), (0, 0)))
        seen = jnp.concatenate([torsos.encode(observation, spec), taken], axis=-1)[:, 1:]  # rows 1 .. T
        inputs = torsos.layer_norm_mlp(seen, config.hindsight_layers)
        # From the last row to the first; nothing is carried over an episode's end, and the first is the last of all.
        ends = jnp.pad(last[:, 1:], ((0, 0), (0, 1)))
        state = recurrent.zero_state(last.shape[0], config.hindsight_lstm_size)
        later, _ = recurrent.LSTM(config.hindsight_lstm_size)(inputs[:, ::-1], state, ends[:, ::-1])
        return hk.Linear(config.statistic_size)(jnp.concatenate([later[:, ::-1], seen], axis=-1))

    def head(layers: tuple[int, ...], size: int) -> Callable[[Array, Array], Array]:
        def apply(features: Array, statistic: Array) -> Array:
            hidden = torsos.layer_norm_mlp(jnp.concatenate([features, statistic], axis=-1), layers)
            return hk.Linear(size, w_init=_SMALL)(jnp.concatenate([hidden, statistic], axis=-1))

        return apply

    num_estimates = num_actions if config.estimator == "critic" else 1
    rows: Any = jax.tree.map(lambda x: x[None].repeat(2, axis=1), torsos.zeros_like(spec.observation))  # [1, 2, *O]
    none, nowhere = jnp.zeros((1, 1)), jnp.zeros((1, 1), bool)
    features = jnp.zeros((1, 1, config.lstm_size or config.torso_layers[-1]))
    phi = jnp.zeros((1, 1, config.statistic_size))
    of_future = networks.make(statistic, rows, none.astype(jnp.int32), none, nowhere)
    critic = networks.make(head(config.critic_layers, num_estimates), features, phi)
    classifier = networks.make(head(config.classifier_layers, num_actions), features, phi)

    def init(key: Key) -> tuple[Params, Params, Params]:
        keys = jax.random.split(key, 3)
        return of_future.init(keys[0]), critic.init(keys[1]), classifier.init(keys[2])

    return Networks(init, of_future.apply, critic.apply, classifier.apply)
