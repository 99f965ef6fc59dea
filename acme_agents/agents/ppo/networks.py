"""PPO's two networks, what they see of an observation, and the policy's two laws."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.agents.ppo.config import Config
from acme_agents.core import distributions, networks, running, specs, torsos
from acme_agents.core.distributions import Gaussian
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key, Observation, Params

OBSERVATION_LIMIT = 10.0  # of normalised observations


class Law(NamedTuple):
    """The law of an action: a Gaussian, or logits [B, A].

    Attributes:
      sample: `(key, law) -> action`, for one action [1, ...]; a Gaussian's may leave the box.
      log_prob: `(law, actions) -> [B]`, in nats.
      entropy: `(law) -> [B]`, in nats.
      mode: `(law) -> action`.
    """

    sample: Callable[[Key, Any], Action]
    log_prob: Callable[[Any, Action], Array]
    entropy: Callable[[Any], Array]
    mode: Callable[[Any], Action]


class Scale(NamedTuple):
    """How an observation is normalised: trees like the observation, an empty tuple for what is left alone."""

    mean: Any
    stddev: Any


class ActorParams(NamedTuple):
    """What actors receive."""

    policy: Params
    scale: Scale


class Networks(NamedTuple):
    """Both networks.

    Attributes:
      policy: from a normalised observation [B, ...] to a law of batch shape [B].
      value: from the same to values [B], in units of the normalised return.
      law: the policy's kind.
    """

    policy: Network
    value: Network
    law: Law


def make_networks(config: Config, spec: EnvironmentSpec) -> Networks:
    """Makes the networks, for discrete or continuous actions.

    Raises:
      UserError: the environment's reward is a vector.
    """
    specs.needs_one_reward(spec, agent="PPO")
    discrete = spec.action.num_values is not None
    num_outputs = specs.num_actions(spec, agent="PPO") if discrete else specs.num_dimensions(spec, agent="PPO")

    def policy(observation: Observation) -> Any:
        outputs = _mlp(torsos.encode(observation, spec), config.policy_layers, num_outputs, 0.01)
        if discrete:
            return outputs
        init = hk.initializers.Constant(config.init_log_stddev)
        log_stddev = hk.get_parameter("log_stddev", (num_outputs,), init=init)
        return Gaussian(outputs, jnp.broadcast_to(jnp.exp(log_stddev)[None], outputs.shape))

    def value(observation: Observation) -> Array:
        return _mlp(torsos.encode(observation, spec), config.value_layers, 1, 1.0)[..., 0]

    observation = torsos.zeros_like(spec.observation)
    return Networks(
        networks.make(policy, observation), networks.make(value, observation), CATEGORICAL if discrete else GAUSSIAN
    )


def _mlp(features: Array, layers: tuple[int, ...], num_outputs: int, output_scale: float) -> Array:
    """Tanh layers and a linear one, orthogonally initialised, as Huang et al. 2022 have it."""
    for size in layers:
        features = jnp.tanh(hk.Linear(size, w_init=_orthogonal(2.0**0.5))(features))
    return hk.Linear(num_outputs, w_init=_orthogonal(output_scale))(features)


def _orthogonal(scale: float) -> hk.initializers.Initializer:
    """Haiku's own promotes ranks."""
    init = jax.nn.initializers.orthogonal(scale)
    return lambda shape, dtype: init(hk.next_rng_key(), shape, dtype)


def _categorical_log_prob(logits: Array, actions: Action) -> Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), actions[..., None], axis=-1)[..., 0]


def _categorical_entropy(logits: Array) -> Array:
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)


def _gaussian_entropy(law: Gaussian) -> Array:
    return jnp.sum(jnp.log(law.stddev) + 0.5 + distributions.LOG_SQRT_2PI, axis=-1)


CATEGORICAL = Law(
    sample=lambda key, logits: jax.random.categorical(key, logits),
    log_prob=_categorical_log_prob,
    entropy=_categorical_entropy,
    mode=lambda logits: jnp.argmax(logits, axis=-1),
)
GAUSSIAN = Law(
    sample=lambda key, law: distributions.sample(key, law, 1)[0],
    log_prob=distributions.log_prob,
    entropy=_gaussian_entropy,
    mode=lambda law: law.mean,
)


# --- Normalisation of observations.


def init_moments(config: Config, spec: EnvironmentSpec) -> Any:
    """The moments of each leaf of an observation, an empty tuple for leaves that are left alone."""

    def init(leaf: ArraySpec) -> Any:
        is_picture = len(leaf.shape) == 3 and leaf.dtype in ("uint8", "float32")  # see `torsos.encode`
        return running.init(leaf.shape) if config.normalise_observations and not is_picture else ()

    return jax.tree.map(init, spec.observation)


def add_to_moments(moments: Any, observation: Observation, counts: Array) -> Any:
    """The moments with further observations [N, *O], those that `counts` [N] bool."""

    def add(x: Array, moments: Any) -> Any:
        return running.add(moments, x.astype(jnp.float32), counts) if moments else ()

    return jax.tree.map(add, observation, moments)


def scale_of(moments: Any, spec: EnvironmentSpec) -> Scale:
    """What actors need of the moments."""
    means = jax.tree.map(lambda _, m: m.mean if m else (), spec.observation, moments)
    return Scale(means, jax.tree.map(lambda _, m: running.stddev(m) if m else (), spec.observation, moments))


def normalise(observation: Observation, scale: Scale) -> Observation:
    """The observation [..., *O] as the networks see it."""

    def one(x: Array, mean: Any, stddev: Any) -> Array:
        if isinstance(mean, tuple):  # It is left alone.
            return x
        return running.normalise(x, mean, stddev, limit=OBSERVATION_LIMIT)

    return jax.tree.map(one, observation, scale.mean, scale.stddev)
