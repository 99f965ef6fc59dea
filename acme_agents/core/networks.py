"""A network as two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk

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
