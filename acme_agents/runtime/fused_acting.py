"""The acting half of a fused run: N environments with an actor in each, a time step of all of them at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Array, Key, Params, Step
from acme_agents.environments.pure import Pure
from acme_agents.runtime.fused_state import Actors, Sum, where


class Acting(NamedTuple):
    """The functions of N environments, pure."""

    init: Callable[[Key, Key], Actors]  # (keys of the environments [N, 2], of the actors [N, 2]) -> before a first step
    # (parameters, actors, the same keys) -> actors, rows [N, ...], whether each ended its episode [N], and [N, 3] what
    # `Loop.nonfinite` is the sum of
    step: Callable[[Params, Actors, Key, Key], tuple[Actors, Step, Array, Array]]


def make(
    make_actor: Callable[[Any], ActorCore], environment: Pure, reward_shape: tuple[int, ...], num_envs: int
) -> Acting:
    """Makes the functions; the arguments are those of `fused_loop.make`, `reward_shape` a reward's."""

    def over_envs(function: Callable[..., Any]) -> Callable[..., Any]:
        """Vmapped; a single environment is computed without a batch, as an actor on the CPU computes it."""
        if num_envs > 1:
            return jax.vmap(function)

        def one(*args: Any) -> Any:
            return jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], args)))

        return one

    indices = jnp.arange(num_envs)

    def actor_of(index: Array) -> ActorCore:
        return make_actor(index if num_envs > 1 else 0)

    def begin(environment_key: Key, actor_key: Key, index: Array, episode: Array) -> tuple[Any, Any, Any]:
        state, observation = environment.init(jax.random.fold_in(environment_key, episode))
        return state, observation, actor_of(index).init(jax.random.fold_in(actor_key, episode))

    def act(
        params: Params, env: Actors, fresh: tuple[Any, Any, Any], index: Array
    ) -> tuple[Actors, Step, Array, Array]:
        """A time step of one environment, `env` without [N]; an episode that is over is followed by the `fresh` one.

        Returns what is there after it, its row, whether it ended the episode, and `Loop.nonfinite` for it.
        """
        actor, state = actor_of(index), env.actor
        state = where(env.has_reward, actor.observe(state, env.reward), state)
        action, state, extras = actor.select_action(params, env.observation, state)
        action = jnp.asarray(action)
        moved, timestep = environment.step(env.environment, action)
        final = env.is_final
        is_end = timestep.last & ~final
        done = action, timestep.reward, timestep.discount, extras
        action_row, reward_row, discount_row, extras_row = where(final, jax.tree.map(jnp.zeros_like, done), done)
        row = Step(env.observation, action_row, reward_row, discount_row, final, extras_row)
        environment_state, observation, actor_state = where(final, fresh, (moved, timestep.observation, state))
        total = env.episode_return
        after = Actors(
            environment_state,
            observation,
            is_end,
            actor_state,
            timestep.reward,
            ~final,
            env.num_episodes + final,
            Sum(*where(final, jax.tree.map(jnp.zeros_like, tuple(total)), tuple(total.add(timestep.reward)))),
            jnp.where(final, 0, env.length + 1),
        )
        nonfinite = jnp.stack([_nonfinite(action), _nonfinite(timestep.observation), _nonfinite(timestep.reward)])
        return after, row, is_end, jnp.where(final, 0.0, nonfinite)

    def step(
        params: Params, actors: Actors, environment_keys: Key, actor_keys: Key
    ) -> tuple[Actors, Step, Array, Array]:
        def begin_all() -> tuple[Any, Any, Any]:
            return over_envs(begin)(environment_keys, actor_keys, indices, actors.num_episodes)

        # To begin an episode can cost as much as a step, or far more, and most rounds end none.
        now = actors.environment, actors.observation, actors.actor
        fresh = jax.lax.cond(jnp.any(actors.is_final), begin_all, lambda: now)
        return over_envs(lambda *args: act(params, *args))(actors, fresh, indices)

    def init(environment_keys: Key, actor_keys: Key) -> Actors:
        episodes, none = jnp.zeros(num_envs, jnp.int32), jnp.zeros(num_envs, bool)
        state, observation, actor_state = over_envs(begin)(environment_keys, actor_keys, indices, episodes)
        reward = jnp.zeros((num_envs, *reward_shape))
        total, length = Sum(reward, reward), jnp.zeros(num_envs, jnp.int32)
        return Actors(state, observation, none, actor_state, reward, none, episodes + 1, total, length)

    return Acting(init, step)


def _nonfinite(values: Any) -> Array:
    """0 if all numbers of a pytree are finite, else NaN."""
    numbers = [leaf for leaf in jax.tree.leaves(values) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return sum((jnp.sum(leaf * 0) for leaf in numbers), start=jnp.float32(0)).astype(jnp.float32)
