"""Functional mirror ascent's surrogates of the return, each a mean over states and actions of the policy that acted.

A surrogate is `E_{s ~ d_t, a ~ pi_t}[objective - divergence / eta]` (Vaswani et al. 2021, arXiv 2108.05828), with d_t
the states that pi_t visits. Both are functions of `log_ratio = log pi(a|s) / pi_t(a|s)`, and the objective of the
advantages of pi_t:

- smdpo: `A log_ratio`, and `KL(pi_t || pi)`;
- mdpo: `A ratio`, and `KL(pi || pi_t)`;
- trpo: `A ratio`, and `KL(pi_t || pi)`;
- ppo: `min(A ratio, A clip(ratio, 1 - epsilon, 1 + epsilon))`, and none;
- sppo: `A log clip(ratio, 1 / (1 + epsilon), 1 + epsilon)`, and none;
- sppo-min: the smaller one of this and `A log_ratio`, and none.

So the same functions serve samples, of which the mean is taken, and tables, whose entries are weighted by
`d_t(s) pi_t(a|s)`: see `tabular.py`.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

from acme_agents.agents.ppo import losses as ppo
from acme_agents.agents.ppo.learning import PolicyLoss
from acme_agents.core.types import Array

Scalar = Array | float  # [] float
Name = Literal["smdpo", "mdpo", "trpo", "sppo", "sppo-min", "ppo"]


class Surrogate(NamedTuple):
    """A surrogate.

    Attributes:
      objective: `(log_ratio, advantage, clip) -> [B]`, of what is to be made large.
      divergence: `log_ratio -> [B]`, never negative, of how far the policy has gone; None where clipping holds it.
    """

    objective: Callable[[Array, Array, Scalar], Array]
    divergence: Callable[[Array], Array] | None = None


def forward_divergence(log_ratio: Array) -> Array:
    """`ratio - 1 - log_ratio`: in the mean over actions of pi_t, `KL(pi_t || pi)`.

    `-log_ratio` has the same mean, and more noise.
    """
    return jnp.expm1(log_ratio) - log_ratio


def backward_divergence(log_ratio: Array) -> Array:
    """`ratio log_ratio - (ratio - 1)`: in the mean over actions of pi_t, `KL(pi || pi_t)`."""
    return jnp.exp(log_ratio) * log_ratio - jnp.expm1(log_ratio)


def clipped_log_surrogate(log_ratio: Array, advantage: Array, clip: Scalar) -> Array:
    """sPPO's `A log clip(ratio, 1 / (1 + epsilon), 1 + epsilon)`, elementwise.

    Unlike PPO's it takes no minimum: a ratio that has left the interval has no gradient, also where it is on the wrong
    side of it.
    """
    limit = jnp.log1p(clip)
    return advantage * jnp.clip(log_ratio, -limit, limit)


def pessimistic_log_surrogate(log_ratio: Array, advantage: Array, clip: Scalar) -> Array:
    """sPPO's with PPO's minimum: `min(A log_ratio, A log clip(ratio, 1 / (1 + epsilon), 1 + epsilon))`, elementwise."""
    return jnp.minimum(advantage * log_ratio, clipped_log_surrogate(log_ratio, advantage, clip))


def _log_ratio(log_ratio: Array, advantage: Array, clip: Scalar) -> Array:
    del clip
    return advantage * log_ratio


def _ratio(log_ratio: Array, advantage: Array, clip: Scalar) -> Array:
    del clip
    return advantage * jnp.exp(log_ratio)


def _clipped_ratio(log_ratio: Array, advantage: Array, clip: Scalar) -> Array:
    return -ppo.clipped_surrogate(log_ratio, advantage, clip)


SURROGATES: dict[Name, Surrogate] = {
    "smdpo": Surrogate(_log_ratio, forward_divergence),
    "mdpo": Surrogate(_ratio, backward_divergence),
    "trpo": Surrogate(_ratio, forward_divergence),
    "sppo": Surrogate(clipped_log_surrogate),
    "sppo-min": Surrogate(pessimistic_log_surrogate),
    "ppo": Surrogate(_clipped_ratio),
}


def value(name: Name, log_ratio: Array, advantage: Array, *, eta: Scalar, clip: Scalar) -> Array:
    """The surrogate of each of B states and actions.

    Args:
      name: of the surrogate.
      log_ratio: [B] float, log-probability of the action under the policy, less that under pi_t.
      advantage: [B] float, of the action, under pi_t.
      eta: how far a step goes, in units of 1 / advantage; read where there is a divergence.
      clip: epsilon, read by ppo and sppo.

    Returns:
      [B] float.
    """
    chex.assert_rank([log_ratio, advantage], 1)
    chex.assert_equal_shape([log_ratio, advantage])
    surrogate = SURROGATES[name]
    objective = surrogate.objective(log_ratio, advantage, clip)
    return objective if surrogate.divergence is None else objective - surrogate.divergence(log_ratio) / eta


def policy_loss(name: Name, *, eta: Scalar, clip: Scalar) -> PolicyLoss:
    """The surrogate as PPO's learner takes it: of rows that were sampled, to be made small. See `value`."""

    def loss(log_ratio: Array, advantage: Array) -> tuple[Array, dict[str, Array]]:
        return -value(name, log_ratio, advantage, eta=eta, clip=clip), {}

    return loss


def smdpo_maximiser(log_policy: Array, advantage: Array, eta: Scalar, *, floor: float = 0.0) -> Array:
    """The policy that maximises smdpo's surrogate at each state: `pi_t max(1 + eta A, 0)`, normalised.

    Args:
      log_policy: log pi_t, [S, A] float.
      advantage: [S, A] float.
      eta: see `value`.
      floor: `1 + eta A` is cut off here. At 0 an action may lose all of its chance, for good; the authors' code has
        1e-8, from which it can come back.

    Returns:
      [S, A] float, the logarithm of the new policy.
    """
    chex.assert_equal_shape([log_policy, advantage])
    return jax.nn.log_softmax(log_policy + jnp.log(jnp.maximum(1.0 + eta * advantage, floor)), axis=1)


def mdpo_maximiser(log_policy: Array, advantage: Array, eta: Scalar) -> Array:
    """The policy that maximises mdpo's surrogate at each state: `pi_t exp(eta A)`, normalised; see `smdpo_maximiser`.

    Values in the place of the advantages give the same.
    """
    chex.assert_equal_shape([log_policy, advantage])
    return jax.nn.log_softmax(log_policy + eta * advantage, axis=1)
