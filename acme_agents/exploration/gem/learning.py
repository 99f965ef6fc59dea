"""Geometric entropy maximisation as a bonus: gradient steps of the contrast, and the rewards of the batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.core import masks, normalising, running, training
from acme_agents.core import types
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Stretch
from acme_agents.exploration.gem import losses
from acme_agents.exploration.gem.config import Config
from acme_agents.exploration.gem.networks import Networks
from acme_agents.exploration.wrapping import Bonus

_MEDIAN_SIZE = 256  # states of a batch whose median distance is taken
_MIN_BANDWIDTH = 1e-3


class Params(NamedTuple):
    """The parameters that gradients change."""

    rarity: types.Params
    embedding: types.Params  # () where the similarity is fixed


class State(NamedTuple):
    """Everything that an update changes."""

    params: Params
    optimizer: optax.OptState
    observations: Any  # `Moments` of each leaf of an observation
    distances: Moments  # of the median distance in a batch


class Drawn(NamedTuple):
    """M states of a batch: what a transition led to."""

    place: Array  # [M] int32, of the transition among all B T
    row: Array  # [M] int32; two states of one row are not independent
    counts: Array  # [M] bool, whether there is a transition
    observation: Observation  # [M, *O], normalised


def make_bonus(config: Config, nets: Networks, spec: EnvironmentSpec) -> Bonus:
    """Makes the bonus's functions."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)
    is_learned = config.similarity == "learned"
    limit = jnp.log(config.max_rarity)

    def init(key: Key) -> State:
        rarity_key, embedding_key = jax.random.split(key)
        embedding = nets.embedding.init(embedding_key) if is_learned else ()
        params = Params(nets.rarity.init(rarity_key), embedding)
        moments = normalising.init_moments(spec, enabled=config.normalise_observations)
        return State(params, optimizer.init(params), moments, running.init(()))

    def log_rarity(params: Params, observation: Observation) -> Array:
        """Log f, [N], within its bounds."""
        return limit * jax.nn.sigmoid(nets.rarity.apply(params.rarity, observation))

    def similarity(params: Params, x: Observation, y: Observation, bandwidth: Array) -> tuple[Array, Array]:
        """The squared distances and g of N states with M, [N, M] each."""
        if is_learned:
            squared = losses.squared_distances(*(nets.embedding.apply(params.embedding, s) for s in (x, y)))
            return squared, jnp.exp(-squared)
        squared = losses.squared_distances(_flat(x), _flat(y))
        return squared, losses.gaussian(squared, bandwidth)

    def update(state: State, stretch: Stretch, key: Key) -> tuple[State, Array, dict[str, Array]]:
        valid = stretch.valid
        moments = normalising.add_to_moments(state.observations, stretch.steps.observation, valid)
        rows = normalising.normalise(stretch.steps.observation, normalising.scale_of(moments, spec))
        states = jax.tree.map(lambda x: x[:, 1:].reshape(-1, *x.shape[2:]), rows)
        median_key, noise_key, *step_keys = jax.random.split(key, config.num_steps + 2)

        def draw(key: Key, size: int) -> Drawn:
            place = jax.random.permutation(key, valid.size)[:size]
            row = place // valid.shape[1] if len(valid) > 1 else place
            return Drawn(place, row, valid.reshape(-1)[place], jax.tree.map(lambda x: x[place], states))

        distances = state.distances
        if not is_learned:
            distances = _add_median(distances, draw(median_key, _MEDIAN_SIZE))
        bandwidth = jnp.maximum(config.bandwidth * distances.mean, _MIN_BANDWIDTH)

        def loss(params: Params, key: Key) -> tuple[Array, dict[str, Array]]:
            draw_key, offset_key = jax.random.split(key)
            drawn = draw(draw_key, config.contrast_size)
            pairs = losses.independent(drawn.row, drawn.counts, drawn.row, drawn.counts)
            squared, alike = similarity(params, drawn.observation, drawn.observation, bandwidth)
            u = log_rarity(params, drawn.observation)
            entropy = losses.entropy(u, jax.lax.stop_gradient(alike), drawn.counts, pairs)
            metrics = {"entropy": entropy, "similarity": masks.mean_where(alike, pairs)}
            if not is_learned:
                return -entropy, metrics
            positive, counts = adjacent(params, drawn.place, offset_key)
            metrics["adjacency_loss"] = losses.adjacency(positive, counts, squared, pairs)
            return metrics["adjacency_loss"] - entropy, metrics

        def adjacent(params: Params, place: Array, key: Key) -> tuple[Array, Array]:
            """Squared distances of M rows and rows soon behind them, and whether one episode leads there."""
            batch, row = jnp.divmod(place, valid.shape[1])
            offset = jax.random.randint(key, place.shape, 1, min(config.adjacency, valid.shape[1]) + 1)
            so_far = jnp.pad(jnp.cumsum(valid, axis=1), ((0, 0), (1, 0)))  # transitions before each row
            later = jnp.minimum(row + offset, valid.shape[1])
            counts = so_far[batch, later] - so_far[batch, row] == offset
            x, y = (
                nets.embedding.apply(params.embedding, jax.tree.map(lambda leaf: leaf[batch, at], rows))
                for at in (row, later)
            )
            return jnp.sum((x - y) ** 2, axis=-1), counts

        def step(carry: tuple[Params, optax.OptState], key: Key) -> Any:
            params, optimizer_state = carry
            (total, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(params, key)
            metrics |= {"loss": total, "gradient_norm": optax.global_norm(gradient)}
            return training.descend(params, gradient, optimizer_state, optimizer), metrics

        (params, optimizer_state), all_metrics = jax.lax.scan(
            step, (state.params, state.optimizer), jnp.stack(step_keys)
        )
        u = log_rarity(params, states)  # from after the last step: of the law that the batch is from
        reward = u
        if config.reward == "gradient":
            noise = draw(noise_key, config.contrast_size)
            every = jnp.arange(valid.size)
            row = every // valid.shape[1] if len(valid) > 1 else every
            pairs = losses.independent(noise.row, noise.counts, row, valid.reshape(-1))
            _, alike = similarity(params, noise.observation, states, bandwidth)
            reward = u - losses.crowding(log_rarity(params, noise.observation), alike, pairs)
        metrics = {name: jnp.mean(x) for name, x in all_metrics.items()}
        metrics["log_rarity"] = masks.mean_where(u, valid.reshape(-1))
        if not is_learned:
            metrics["bandwidth"] = bandwidth
        return State(params, optimizer_state, moments, distances), (reward / limit).reshape(valid.shape), metrics

    return Bonus(init, update)


def _flat(observation: Observation) -> Array:
    """Observations [N, *O] as vectors [N, F], images scaled to [0, 1]."""
    leaves = [
        x.reshape(len(x), -1).astype(jnp.float32) / (255.0 if x.dtype == jnp.uint8 else 1.0)
        for x in jax.tree.leaves(observation)
    ]
    return jnp.concatenate(leaves, axis=1)


def _add_median(distances: Moments, drawn: Drawn) -> Moments:
    """The moments with the median distance of independent states."""
    flat = _flat(drawn.observation)
    pairs = losses.independent(drawn.row, drawn.counts, drawn.row, drawn.counts)
    squared = jnp.where(pairs, losses.squared_distances(flat, flat), jnp.nan)
    return running.add(distances, jnp.sqrt(jnp.nanmedian(squared))[None], jnp.any(pairs)[None])
