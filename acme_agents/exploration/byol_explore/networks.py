"""The networks of a model of the world, and what they are given."""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from acme_agents.core import networks, recurrent, torsos
from acme_agents.core.types import Array, EnvironmentSpec, Observation, Params, Stretch
from acme_agents.exploration.byol_explore import losses
from acme_agents.exploration.byol_explore.config import WorldModel


class Networks(NamedTuple):
    """Pure functions of the networks' parameters.

    Attributes:
      encoder: from observations [N, *O] to embeddings [N, E].
      memory: from embeddings [B, T, E] and `Inputs` to the states b_{t,k} after k steps, [B, T, K + 1, M], k = 0 .. K.
    """

    encoder: networks.Network
    memory: networks.Network


class Inputs(NamedTuple):
    """What the recurrences are given besides embeddings."""

    previous: Array  # [B, T, A] float32, a_{t-1}; zero where an episode begins or it is not known
    begins: Array  # [B, T] bool, whether an episode begins, or what is known of it
    future: Array  # [B, T, K, A] float32: a_{t+k-1} at k = 1 .. K


def make_networks(config: WorldModel, spec: EnvironmentSpec) -> Networks:
    """Makes the networks."""

    def encode(observation: Observation) -> Array:
        return mlp(torsos.encode(observation, spec), config.encoder_layers, config.embedding_size)

    def remember(embedding: Array, inputs: Inputs) -> Array:
        batch_size, num_rows, horizon, _ = inputs.future.shape
        size = config.memory_size
        closed = recurrent.GRU(size, name="closed_loop")(
            jnp.concatenate([embedding, inputs.previous], axis=-1), jnp.zeros((batch_size, size)), inputs.begins
        )
        # Every b_t begins a recurrence of its own, which sees no more than actions.
        start = closed.reshape(-1, size)
        opened = recurrent.GRU(size, name="open_loop")(inputs.future.reshape(-1, *inputs.future.shape[2:]), start)
        states = jnp.concatenate([start[:, None], opened], axis=1)
        return states.reshape(batch_size, num_rows, horizon + 1, size)

    width = action_width(spec)
    example = Inputs(jnp.zeros((1, 1, width)), jnp.ones((1, 1), bool), jnp.zeros((1, 1, 1, width)))
    return Networks(
        networks.make(encode, torsos.zeros_like(spec.observation)),
        networks.make(remember, jnp.zeros((1, 1, config.embedding_size)), example),
    )


def mlp(inputs: Array, layers: tuple[int, ...], size: int) -> Array:
    """ReLU layers and a linear one: [..., F] to [..., size]."""
    return hk.nets.MLP((*layers, size))(inputs)


def action_width(spec: EnvironmentSpec) -> int:
    """A, numbers of an action as networks see it."""
    return spec.action.num_values or spec.action.shape[0]


def actions_of(stretch: Stretch, spec: EnvironmentSpec) -> Array:
    """The actions as networks see them, one-hot where they are discrete; zero without a transition: [B, T, A]."""
    action = stretch.steps.action[:, :-1]
    if spec.action.num_values is not None:
        action = jax.nn.one_hot(action, spec.action.num_values)
    return jnp.where(stretch.valid[..., None], action, 0.0)


def inputs_of(actions: Array, valid: Array, horizon: int) -> Inputs:
    """What the recurrences are given of the actions [B, T, A], where `valid` [B, T] bool says which there are."""
    previous = jnp.pad(actions, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    begins = jnp.pad(~valid, ((0, 0), (1, 0)), constant_values=True)[:, :-1]
    return Inputs(previous, begins, losses.following(actions, horizon))


def prepare(config: WorldModel, spec: EnvironmentSpec, stretch: Stretch) -> tuple[Inputs, Array]:
    """What the recurrences are given of a stretch, and which predictions there are, [B, T, K] bool.

    K is the configured horizon, or the stretch's number of rows if that is less.
    """
    horizon = min(config.horizon, stretch.valid.shape[1])
    inputs = inputs_of(actions_of(stretch, spec), stretch.valid, horizon)
    return inputs, losses.foreseen(stretch.valid, horizon)


def states(nets: Networks, encoder: Params, memory: Params, seen: Observation, inputs: Inputs) -> Array:
    """b_{t,k} of observations [B, T + 1, *O]: [B, T, K + 1, M]."""
    first = jax.tree.map(lambda x: x[:, :-1], seen)
    return nets.memory.apply(memory, _each(nets.encoder, encoder, first), inputs)


def targets(nets: Networks, encoder: Params, seen: Observation, inputs: Inputs) -> Array:
    """The target encoder's embeddings of what is seen k = 1 .. K steps later: [B, T, K, E], without gradient."""
    later = jax.tree.map(lambda x: x[:, 1:], seen)
    return jax.lax.stop_gradient(losses.following(_each(nets.encoder, encoder, later), inputs.future.shape[2]))


def _each(encoder: networks.Network, params: Params, observation: Observation) -> Array:
    """The embeddings of observations [B, T, *O]: [B, T, E]."""
    leading = jax.tree.leaves(observation)[0].shape[:2]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), observation)
    return encoder.apply(params, flat).reshape(*leading, -1)
