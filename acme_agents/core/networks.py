"""A network as two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax

from acme_agents.core.types import Key, Params


class Network(NamedTuple):
    """Pure functions of a network's parameters.

    Attributes:
      init: `(key) -> params`.
      apply: `(params, *inputs) -> output`; inputs and output have a batch dimension.
    """

    init: Callable[[Key], Params]
    apply: Callable[..., Any]


def make(function: Callable[..., Any], *inputs: Any) -> Network:
    """The network that a function computes with Haiku's modules; `inputs` are an example of its arguments."""
    net = hk.without_apply_rng(hk.transform(function))
    return Network(lambda key: net.init(key, *inputs), net.apply)


def ensemble(network: Network, size: int) -> Network:
    """K networks of one form, each with weights of its own.

    Parameters and outputs get a leading dimension K; the inputs are the same for all.
    """

    def apply(params: Params, *inputs: Any) -> Any:
        return jax.vmap(lambda one: network.apply(one, *inputs))(params)

    return Network(lambda key: jax.vmap(network.init)(jax.random.split(key, size)), apply)
