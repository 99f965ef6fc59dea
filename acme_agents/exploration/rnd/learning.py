"""Random network distillation as a bonus: one step of the predictor, and the rewards of the batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from acme_agents.core import masks, running, training
from acme_agents.core.running import Moments
from acme_agents.core.types import Array, EnvironmentSpec, Key, Observation, Params, Stretch
from acme_agents.exploration.rnd import losses
from acme_agents.exploration.rnd.config import Config
from acme_agents.exploration.rnd.networks import Networks
from acme_agents.exploration.wrapping import Bonus


class State(NamedTuple):
    """Everything that an update changes, and the target, which none does."""

    target: Params
    predictor: Params
    optimizer: optax.OptState
    observations: Any  # `Moments` of each leaf of an observation
    returns: Moments  # of discounted returns of errors


def make_bonus(config: Config, nets: Networks, spec: EnvironmentSpec) -> Bonus:
    """Makes the bonus's functions."""
    optimizer = training.clipped_adam(config.learning_rate, config.max_gradient_norm)

    def init(key: Key) -> State:
        target_key, predictor_key = jax.random.split(key)
        predictor = nets.predictor.init(predictor_key)
        moments = jax.tree.map(lambda leaf: running.init(leaf.shape), spec.observation)
        return State(nets.target.init(target_key), predictor, optimizer.init(predictor), moments, running.init(()))

    def normalise(observation: Observation, moments: Any) -> Observation:
        def one(x: Array, moments: Moments) -> Array:
            return running.normalise(x, moments.mean, running.stddev(moments), limit=config.observation_limit)

        return jax.tree.map(one, observation, moments)

    def update(state: State, stretch: Stretch, key: Key) -> tuple[State, Array, dict[str, Array]]:
        valid = stretch.valid
        shape = valid.shape
        # What a transition led to, [B T, *O].
        observation = jax.tree.map(lambda x: x[:, 1:].reshape(-1, *x.shape[2:]), stretch.steps.observation)

        def add(x: Array, moments: Moments) -> Moments:
            return running.add(moments, x.astype(jnp.float32), valid.reshape(-1))

        moments = jax.tree.map(add, observation, state.observations)
        seen = normalise(observation, moments)
        target = nets.target.apply(state.target, seen)

        def loss(predictor: Params, key: Key) -> tuple[Array, Array]:
            chosen = jax.random.bernoulli(key, config.update_share, shape)
            errors = losses.errors(nets.predictor.apply(predictor, seen), target).reshape(shape)
            return losses.loss(errors, valid, chosen), errors

        def step(carry: tuple[Params, optax.OptState], key: Key) -> Any:
            predictor, optimizer_state = carry
            (total, errors), gradient = jax.value_and_grad(loss, has_aux=True)(predictor, key)
            metrics = {"loss": total, "gradient_norm": optax.global_norm(gradient)}
            return training.descend(predictor, gradient, optimizer_state, optimizer), (errors, metrics)

        (predictor, optimizer_state), (all_errors, steps_metrics) = jax.lax.scan(
            step, (state.predictor, state.optimizer), jax.random.split(key, config.num_steps)
        )
        errors = all_errors[0]  # from before the first step
        reward, scale, return_moments = losses.scaled(errors, valid, state.returns, gamma=config.discount)
        metrics = {name: jnp.mean(x) for name, x in steps_metrics.items()}
        metrics |= {"error": masks.mean_where(errors, valid), "scale": scale}
        return State(state.target, predictor, optimizer_state, moments, return_moments), reward, metrics

    return Bonus(init, update)
