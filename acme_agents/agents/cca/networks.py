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
      statistic: `(params, observation [B, T, *O], action [B, T], reward [B, T], last [B, T]) -> phi [B, T, K]`, of
        each row's action, its reward and all that comes later in its episode, as far as the rows reach.
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
        # A final observation has neither action nor reward.
        action = jnp.where(last[..., None], 0.0, jax.nn.one_hot(action, num_actions))
        reward = jnp.where(last, 0.0, reward)[..., None]
        seen = jnp.concatenate([torsos.encode(observation, spec), action, reward], axis=-1)
        inputs = torsos.layer_norm_mlp(seen, config.hindsight_layers)
        state = recurrent.zero_state(last.shape[0], config.hindsight_lstm_size)
        # From the last row to the first: at an episode's final observation there is nothing later.
        later, _ = recurrent.LSTM(config.hindsight_lstm_size)(inputs[:, ::-1], state, last[:, ::-1])
        return hk.Linear(config.statistic_size)(jnp.concatenate([later[:, ::-1], seen], axis=-1))

    def head(layers: tuple[int, ...], size: int) -> Callable[[Array, Array], Array]:
        def apply(features: Array, statistic: Array) -> Array:
            hidden = torsos.layer_norm_mlp(jnp.concatenate([features, statistic], axis=-1), layers)
            return hk.Linear(size, w_init=_SMALL)(jnp.concatenate([hidden, statistic], axis=-1))

        return apply

    num_estimates = num_actions if config.estimator == "critic" else 1
    rows: Any = jax.tree.map(lambda x: x[None], torsos.zeros_like(spec.observation))  # [1, 1, *O]
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
