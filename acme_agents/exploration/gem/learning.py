"""Geometric entropy maximisation as a bonus: gradient steps of the contrast, and the rewards of the batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.core import masks, normalising, running, training, types
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
    distances: Moments  # of the median distances of batches; of none where the similarity is learned


class Batch(NamedTuple):
    """What is learned from."""

    observation: Observation  # [B, T + 1, *O], normalised
    valid: Array  # [B, T] bool, whether row t has a transition, to row t + 1
    bandwidth: Array  # [] float32, of the Gaussian


class States(NamedTuple):
    """M states of a batch that transitions led to."""

    source: Array  # [M] int32, equal for two that are not independent
    counts: Array  # [M] bool, whether there is a transition
    observation: Observation  # [M, *O]


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
        """Log f of observations [N, *O], [N], within its bounds."""
        return limit * jax.nn.sigmoid(nets.rarity.apply(params.rarity, observation))

    def features(params: Params, observation: Observation) -> Array:
        """What distances are between: [N, F]."""
        return nets.embedding.apply(params.embedding, observation) if is_learned else _flat(observation)

    def loss(params: Params, batch: Batch, key: Key) -> tuple[Array, dict[str, Array]]:
        draw_key, offset_key = jax.random.split(key)
        place = _draw(draw_key, batch, config.contrast_size)
        states = _states(batch, place)
        embedded = features(params, states.observation)
        squared = losses.squared_distances(embedded, embedded)
        alike = jax.lax.stop_gradient(losses.gaussian(squared, batch.bandwidth))
        pairs = _independent(states, states)
        entropy = losses.entropy(log_rarity(params, states.observation), alike, states.counts, pairs)
        metrics = {"entropy": entropy, "similarity": masks.mean_where(alike, pairs)}
        if not is_learned:
            return -entropy, metrics
        row, at = jnp.divmod(place, batch.valid.shape[1])
        offset = jax.random.randint(offset_key, place.shape, 1, min(config.adjacency, batch.valid.shape[1]) + 1)
        later, counts = losses.followers(batch.valid, row, at, offset)
        first, second = (features(params, _rows(batch, row, t)) for t in (at, later))
        metrics["adjacency_loss"] = losses.adjacency(jnp.sum((first - second) ** 2, axis=1), counts, squared, pairs)
        return metrics["adjacency_loss"] - entropy, metrics

    def pay(params: Params, batch: Batch, key: Key) -> tuple[Array, Array]:
        """The rewards of all transitions of a batch, and log f of what they led to: [B T] each."""
        states = _states(batch, jnp.arange(batch.valid.size))
        u = log_rarity(params, states.observation)
        if config.reward == "rarity":
            return u / limit, u
        noise = _states(batch, _draw(key, batch, config.contrast_size))
        squared = losses.squared_distances(*(features(params, x.observation) for x in (noise, states)))
        alike = losses.gaussian(squared, batch.bandwidth)
        crowding = losses.crowding(log_rarity(params, noise.observation), alike, _independent(noise, states))
        return (u - crowding) / limit, u

    def update(state: State, stretch: Stretch, key: Key) -> tuple[State, Array, dict[str, Array]]:
        observation, valid = stretch.steps.observation, stretch.valid
        moments = normalising.add_to_moments(state.observations, observation, valid)
        observation = normalising.normalise(observation, normalising.scale_of(moments, spec))
        batch, distances = Batch(observation, valid, jnp.sqrt(0.5)), state.distances  # g = exp(-d^2) if learned
        median_key, pay_key, step_key = jax.random.split(key, 3)
        if not is_learned:
            distances = _add_median(distances, _states(batch, _draw(median_key, batch, _MEDIAN_SIZE)))
            batch = batch._replace(bandwidth=jnp.maximum(config.bandwidth * distances.mean, _MIN_BANDWIDTH))

        def step(carry: tuple[Params, optax.OptState], key: Key) -> Any:
            params, optimizer_state = carry
            (total, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(params, batch, key)
            metrics |= {"loss": total, "gradient_norm": optax.global_norm(gradient)}
            return training.descend(params, gradient, optimizer_state, optimizer), metrics

        (params, optimizer_state), metrics = jax.lax.scan(
            step, (state.params, state.optimizer), jax.random.split(step_key, config.num_steps)
        )
        reward, u = pay(params, batch, pay_key)  # after the steps: rare is what this batch's law seldom visits
        metrics = {name: jnp.mean(x) for name, x in metrics.items()}
        metrics |= {"log_rarity": masks.mean_where(u, valid.reshape(-1)), "bandwidth": batch.bandwidth}
        return State(params, optimizer_state, moments, distances), reward.reshape(valid.shape), metrics

    return Bonus(init, update)


def _draw(key: Key, batch: Batch, size: int) -> Array:
    """Places of transitions among all B T of a batch, without repetition: [min(size, B T)] int32."""
    return jax.random.permutation(key, batch.valid.size)[:size]


def _rows(batch: Batch, row: Array, at: Array) -> Observation:
    """The observations [M, *O] of rows of a batch and time steps of each, [M] int32."""
    return jax.tree.map(lambda x: x[row, at], batch.observation)


def _states(batch: Batch, place: Array) -> States:
    """What the transitions at these places led to.

    Two states of one row of the batch may be a step apart: taken for independent ones they would say that the agent is
    seldom elsewhere. A batch of one row has no others.
    """
    row, at = jnp.divmod(place, batch.valid.shape[1])
    return States(row if len(batch.valid) > 1 else place, batch.valid[row, at], _rows(batch, row, at + 1))


def _independent(x: States, y: States) -> Array:
    """Which pairs of N and M states are of independent ones that count: [N, M] bool."""
    return x.counts[:, None] & y.counts[None] & (x.source[:, None] != y.source[None])


def _flat(observation: Observation) -> Array:
    """Observations [N, *O] as vectors [N, F] float32, images scaled to [0, 1]."""

    def flat(x: Array) -> Array:
        return x.reshape(len(x), -1).astype(jnp.float32) / (255.0 if x.dtype == jnp.uint8 else 1.0)

    return jnp.concatenate([flat(x) for x in jax.tree.leaves(observation)], axis=1)


def _add_median(distances: Moments, states: States) -> Moments:
    """The moments with the median distance of independent states."""
    flat, pairs = _flat(states.observation), _independent(states, states)
    squared = jnp.where(pairs, losses.squared_distances(flat, flat), jnp.nan)
    return running.add(distances, jnp.sqrt(jnp.nanmedian(squared))[None], jnp.any(pairs)[None])
