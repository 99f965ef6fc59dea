"""What updates share: a network in training, its optimiser, its target network, and the learner of one network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.core.types import Array, Key, Params


class Trained(NamedTuple):
    """A network in training.

    Attributes:
      online: the parameters that every update changes.
      target: a copy of them, some updates old, for targets that stand still.
      optimizer: the optimiser's state.
      steps: [] int32, updates done.
    """

    online: Params
    target: Params
    optimizer: optax.OptState
    steps: Array


def clipped_adam(
    learning_rate: float, max_gradient_norm: float, *, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015) of gradients that are scaled down to `max_gradient_norm` where their norm is larger."""
    return optax.chain(optax.clip_by_global_norm(max_gradient_norm), optax.adam(learning_rate, eps=epsilon))


def init(params: Params, optimizer: optax.GradientTransformation) -> Trained:
    """A network before its first update."""
    # A copy: the runtime donates the state to the update, and a buffer can be donated once.
    return Trained(params, jax.tree.map(jnp.copy, params), optimizer.init(params), jnp.int32(0))


def descend(
    params: Params, gradient: Params, state: optax.OptState, optimizer: optax.GradientTransformation
) -> tuple[Params, optax.OptState]:
    """One step of an optimiser: the new parameters and its new state."""
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state


def step(
    network: Trained, gradient: Params, optimizer: optax.GradientTransformation, target_update_period: int
) -> Trained:
    """One update of a network.

    Args:
      network: before the update.
      gradient: of the loss, in the online parameters.
      optimizer: the one that `network` was initialised with.
      target_update_period: in updates; after each multiple of it, the target becomes a copy of the online parameters.
    """
    online, state = descend(network.online, gradient, network.optimizer, optimizer)
    steps = network.steps + 1
    return Trained(online, optax.periodic_update(online, network.target, steps, target_update_period), state, steps)


def follow(target: Params, online: Params, rate: float) -> Params:
    """Polyak averaging: the target, moved a share `rate` of the way to the online parameters."""
    return jax.tree.map(lambda x, y: x + rate * (y - x), target, online)


def learner(
    init_params: Callable[[Key], Params],
    loss: Callable[[Params, Params, Any], tuple[Array, UpdateOutput]],
    optimizer: optax.GradientTransformation,
    target_update_period: int,
) -> LearnerCore:
    """The learner of one network whose update draws nothing at random; actors receive the online parameters.

    Args:
      init_params: `(key) -> params`.
      loss: `(online, target, batch) -> (loss [], output)`; the gradient's norm is added to the output's metrics.
      optimizer: see `step`.
      target_update_period: see `step`.
    """

    def update(state: Trained, batch: Any) -> tuple[Trained, UpdateOutput]:
        gradient, output = jax.grad(loss, has_aux=True)(state.online, state.target, batch)
        metrics = output.metrics | {"gradient_norm": optax.global_norm(gradient)}
        return step(state, gradient, optimizer, target_update_period), output._replace(metrics=metrics)

    return LearnerCore(
        init=lambda key: init(init_params(key), optimizer), update=update, params=lambda state: state.online
    )
