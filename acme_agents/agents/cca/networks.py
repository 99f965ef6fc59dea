"""CCA's networks besides policy and value: the statistic of the future, and what sees it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.cca.config import Config
from acme_agents.core import networks, specs, torsos
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
        hidden = torsos.layer_norm_mlp(seen, config.hindsight_layers)
        # A return is a sum of rewards, and which of them count is for the layers to say.
        parts = hk.Linear(config.hindsight_size)(jnp.concatenate([hidden, hidden * seen[..., -1:], seen], axis=-1))
        later = _sums(parts, jnp.pad(last[:, 1:], ((0, 0), (0, 1))))
        return hk.Linear(config.statistic_size)(jnp.concatenate([later, seen], axis=-1))

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


def _sums(parts: Array, ends: Array) -> Array:
    """The recurrence that goes backwards: `s_t = p_t + d s_{t+1}`, with a learned decay d in (0, 1) of each unit.

    Args:
      parts: [B, T, H] float32, p.
      ends: [B, T] bool, whether an episode ends at the row, so that nothing is carried over.

    Returns:
      [B, T, H] float32.
    """
    # From hardly a step to a thousand of them.
    init = hk.initializers.Constant(jnp.linspace(-2.0, 7.0, parts.shape[-1]))
    decay = jax.nn.sigmoid(hk.get_parameter("decay", parts.shape[-1:], init=init))

    def step(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        part, end = now
        later = part + jnp.where(end[:, None], 0.0, decay[None] * later)
        return later, later

    _, sums = jax.lax.scan(step, jnp.zeros_like(parts[:, 0]), (jnp.swapaxes(parts, 0, 1), ends.T), reverse=True)
    return jnp.swapaxes(sums, 0, 1)
