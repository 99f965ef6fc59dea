"""MPO with the mixture critic's loss as Acme has it, the likelihood of sampled returns: a reference to measure by.

Acme draws M = 128 returns independently for each of N = 20 actions and fits the mixture by their mean log-likelihood,
where `acme_agents.core.values.mixture_loss` is an energy distance without samples. As a module it offers what an agent
does, so that `Experiment(agent="likelihood")` trains it.
"""

import dataclasses

import jax
import jax.numpy as jnp

from acme_agents.agents import mpo
from acme_agents.agents.mpo import learning, networks
from acme_agents.agents.mpo.config import Config
from acme_agents.core import distributions, values
from acme_agents.core.distributions import Gaussian
from acme_agents.core.interfaces import LearnerCore
from acme_agents.core.types import Array, EnvironmentSpec, Key
from acme_agents.core.values import Mixture, ValueHead

__all__ = ["Config", "make"]

NUM_SAMPLES = 128  # Acme's `policy_eval_num_val_samples`


def log_prob(mixture: Mixture, returns: Array) -> Array:
    """The log-density of `returns` [..., B] under a mixture of batch shape [B]: [..., B]."""
    logits, loc, scale = (jnp.expand_dims(x, range(returns.ndim - 1)) for x in mixture)  # [..., B, C]
    component_log_prob = distributions.log_prob(Gaussian(loc[..., None], scale[..., None]), returns[..., None, None])
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + component_log_prob, axis=-1)


def samples(key: Key, mixture: Mixture, num_samples: int) -> Array:
    """[M, N, B] independent samples of a mixture of batch shape [N, B]."""
    component_key, normal_key = jax.random.split(key)
    shape = (num_samples, *mixture.loc.shape[:-1])
    component = jax.random.categorical(component_key, mixture.logits, shape=shape)[..., None]
    loc = jnp.take_along_axis(mixture.loc[None], component, axis=-1)[..., 0]
    scale = jnp.take_along_axis(mixture.scale[None], component, axis=-1)[..., 0]
    return loc + scale * jax.random.normal(normal_key, shape)


def loss(key: Key, value_tm1: Mixture, r_t: Array, discount_t: Array, value_t: Mixture, num_samples: int) -> Array:
    """`-1/N sum_n E[log Z(s, a)(r + discount z)]`, z ~ Z'(s', a_n), by samples (Shahriari et al. 2022).

    Args:
      key: random key.
      value_tm1: batch shape [B]. r_t: [B]. discount_t: [B]. value_t: [N, B].
      num_samples: M, for each of the N actions.

    Returns:
      [B] float32.
    """
    target = r_t[None, None] + discount_t[None, None] * jax.lax.stop_gradient(samples(key, value_t, num_samples))
    return -jnp.mean(log_prob(value_tm1, target), axis=(0, 1))


def value_head(num_components: int, init_scale: float, num_samples: int = NUM_SAMPLES) -> ValueHead:
    """The mixture critic fitted by its likelihood. A head's loss has no key: this one's is made of the targets'
    bits."""

    def keyless(value_tm1: Mixture, r_t: Array, discount_t: Array, value_t: Mixture) -> Array:
        bits = jax.lax.bitcast_convert_type(jnp.sum(r_t) + jnp.sum(value_t.loc), jnp.int32)
        return loss(jax.random.fold_in(jax.random.PRNGKey(0), bits), value_tm1, r_t, discount_t, value_t, num_samples)

    return values.mixture(num_components, init_scale, smoothing=1.0)._replace(loss=keyless)


@dataclasses.dataclass(frozen=True)
class LikelihoodMPO(mpo.MPO):
    """MPO with that critic."""

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        head = value_head(self.config.num_components, self.config.init_scale)
        nets = networks.make_networks(self.config, spec)._replace(value_head=head)
        return learning.make_learner(self.config, nets, spec.action.shape[0])


make = LikelihoodMPO
