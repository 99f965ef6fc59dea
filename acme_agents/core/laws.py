"""The laws that a policy gradient needs: of discrete actions, and of continuous ones that may leave the box."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core import distributions, masks
from acme_agents.core.distributions import Gaussian
from acme_agents.core.types import Action, Array, EnvironmentSpec, Key


class Law(NamedTuple):
    """The law of an action: a Gaussian [..., A], or logits [..., A].

    Attributes:
      sample: `(key, law) -> actions`; a Gaussian's may leave the box.
      log_prob: `(law, actions) -> [...]`, in nats.
      entropy: `(law) -> [...]`, in nats.
      mode: `(law) -> actions`.
    """

    sample: Callable[[Key, Any], Action]
    log_prob: Callable[[Any, Action], Array]
    entropy: Callable[[Any], Array]
    mode: Callable[[Any], Action]


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


def of(spec: EnvironmentSpec) -> Law:
    """The law of an environment's actions."""
    return GAUSSIAN if spec.action.num_values is None else CATEGORICAL


def kl_from_acted(log_ratio: Array, valid: Array) -> Array:
    """Schulman's estimate of the KL divergence of a policy from the one that acted: [], in nats, never negative.

    Args:
      log_ratio: [...] float32, the log-probability of the action taken, less that under the policy that acted.
      valid: [...] bool, where there is an action.
    """
    log_ratio = jnp.where(valid, log_ratio, 0.0)
    return masks.mean_where(jnp.expm1(log_ratio) - log_ratio, valid)
