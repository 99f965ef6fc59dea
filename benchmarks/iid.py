"""MPO with the mixture critic's loss as Acme has it, by independent samples of the return: a reference to measure by.

Acme draws M = 128 returns independently for each of N = 20 actions, where `acme_agents.core.values.mixture_loss` places
few over the quantiles of every component. As a module it offers what an agent does, so that `Experiment(agent="iid")`
trains it.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import values
from acme_agents.core.interfaces import LearnerCore
from acme_agents.core.types import Array, EnvironmentSpec, Key
from acme_agents.core.values import Mixture, ValueHead
from acme_agents.mpo import agent, learning, networks
from acme_agents.mpo.config import Config

__all__ = ["Config", "make"]

_NODES = 32  # of Gauss-Hermite quadrature, in each component of a target


def samples(key: Key, mixture: Mixture, num_samples: int) -> Array:
    """[M, N, B] independent samples of a mixture of batch shape [N, B]."""
    component_key, normal_key = jax.random.split(key)
    shape = (num_samples, *mixture.loc.shape[:-1])
    component = jax.random.categorical(component_key, mixture.logits, shape=shape)[..., None]
    loc = jnp.take_along_axis(mixture.loc[None], component, axis=-1)[..., 0]
    scale = jnp.take_along_axis(mixture.scale[None], component, axis=-1)[..., 0]
    return loc + scale * jax.random.normal(normal_key, shape)


def loss(key: Key, value_tm1: Mixture, r_t: Array, discount_t: Array, value_t: Mixture, num_samples: int) -> Array:
    """`values.mixture_loss` by independent samples; same arguments, same expectation."""
    target = r_t[None, None] + discount_t[None, None] * jax.lax.stop_gradient(samples(key, value_t, num_samples))
    return -jnp.mean(values.mixture_log_prob(value_tm1, target), axis=(0, 1))


def exact_loss(value_tm1: Mixture, r_t: Array, discount_t: Array, value_t: Mixture) -> Array:
    """`values.mixture_loss` without sampling: Gauss-Hermite quadrature in every component of every target.

    Args:
      value_tm1: batch shape [B]. r_t: [B]. discount_t: [B]. value_t: [N, B].

    Returns:
      [B] float32.
    """
    nodes, weights = (x.astype(np.float32) for x in np.polynomial.hermite_e.hermegauss(_NODES))
    weights /= weights.sum()

    def one_action(total: Array, value: Mixture) -> tuple[Array, None]:
        returns = value.loc.T[None] + value.scale.T[None] * nodes[:, None, None]  # [Q, C, B]
        targets = r_t[None, None] + discount_t[None, None] * returns
        expected = jnp.tensordot(weights, values.mixture_log_prob(value_tm1, targets), 1)  # [C, B]
        return total - jnp.sum(jax.nn.softmax(value.logits) * expected.T, axis=-1), None

    total, _ = jax.lax.scan(one_action, jnp.zeros_like(r_t), jax.lax.stop_gradient(value_t))
    return total / value_t.loc.shape[0]


def value_head(config: Config) -> ValueHead:
    """The mixture critic, fitted by independent samples, `config.num_return_samples` for each action."""
    return values.mixture(config.num_components, config.init_scale, config.num_return_samples)._replace(
        loss=lambda key, value_tm1, r_t, discount_t, value_t: loss(
            key, value_tm1, r_t, discount_t, value_t, config.num_return_samples
        )
    )


@dataclasses.dataclass(frozen=True)
class IidMPO(agent.MPO):
    """MPO with that critic."""

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        nets = networks.make_networks(self.config, spec)._replace(value_head=value_head(self.config))
        return learning.make_learner(self.config, nets, spec.action.shape[0])


make = IidMPO
