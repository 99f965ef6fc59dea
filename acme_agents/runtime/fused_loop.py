"""Acting, replay and updates as one compiled loop on the device.

A round is one time step of N environments (`fused_acting`): all actions in one call of the vmapped policy, then a row
of each into the replay. After a round that completed a chunk the learner has its turn (`fused_learning`): every update
that the chunk allows, in the groups in which `runtime.learner` does them; then acting goes on with the new parameters.
A call does many rounds. With several seeds all of it is vmapped; each seed has its own environments, replay and counts.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.interfaces import ActorCore, LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, Key, Step
from acme_agents.environments.pure import Pure
from acme_agents.replay import rounds, stream
from acme_agents.replay.stream import Pieces
from acme_agents.runtime import fused_acting, fused_learning
from acme_agents.runtime.fused_state import Events, Limits, Loop, Sum, where

_MAX_LOGGED = 8  # groups of updates of one call whose metrics are kept, unless each is


class Program(NamedTuple):
    """The functions of a fused run, to be compiled; with S > 1 seeds every array of the loop begins with [S]."""

    init: Callable[..., Loop]  # (training state, keys) -> a loop before its first step
    call: Callable[[Loop, Limits], Loop]
    catch_up: Callable[[Loop, Limits], Loop]  # does the updates that are owed
    names: tuple[str, ...]  # of the metrics


def make(
    core: LearnerCore,
    make_actor: Callable[[Any], ActorCore],
    environment: Pure,
    steps: Step,
    replay: ReplaySpec,
    *,
    num_envs: int,
    num_seeds: int,
    max_rounds: int,
    max_updates: int,
    log_period: int,
) -> Program:
    """Makes the functions.

    Args:
      core: the learner's functions.
      make_actor: `(index of the environment) -> ` the exploring actor's functions.
      environment: to act in.
      steps: `chunks.step_spec` of the agent and the environment.
      replay: the agent's.
      num_envs: N.
      num_seeds: S.
      max_rounds: C, of a call at most: its record has a row for each.
      max_updates: a call ends after the round in which a seed has done that many.
      log_period: in updates; the metrics of each group that reaches a multiple are logged.
    """
    once, layout = replay.experience.once, replay.experience.layout
    per_round = 1 if once else stream.layouts(replay, num_envs).per_round
    max_logged = max(_MAX_LOGGED, max_rounds // layout.period + 2)
    over_seeds = jax.vmap if num_seeds > 1 else (lambda function: function)
    acting = fused_acting.make(make_actor, environment, steps.reward.shape, num_envs)
    learning = fused_learning.make(core, steps, replay, num_envs=num_envs, num_seeds=num_seeds, log_period=log_period)

    def goes_on(loop: Loop, limits: Limits) -> Array:
        """Whether a seed may take another round."""
        will_step = num_envs - jnp.sum(loop.actors.is_final)
        is_enough = (loop.steps >= limits.enough_steps) & loop.is_turn
        may = ~is_enough & (loop.steps + will_step <= limits.max_steps)
        # The last row of an episode that is over is written, as an actor writes it with the episode's last step.
        return (may | jnp.all(loop.actors.is_final)) & (loop.updates < limits.max_updates)

    def round_of(loop: Loop, limits: Limits, index: Array) -> tuple[Loop, Pieces]:
        """One round of one seed."""
        active = goes_on(loop, limits) if num_seeds > 1 else True
        before = loop.actors
        actors, rows, is_end, nonfinite = acting.step(core.params(loop.training), before, *loop.keys[:2])
        if once:
            written: Any
            written, complete = rounds.write(loop.stream, rows, actors.observation, actors.is_final, active)
            pieces = Pieces(*[jnp.int32(complete)[None]] * len(Pieces._fields))
        else:
            written, pieces = stream.write(loop.stream, rows, is_end, layout, per_round, active)
        num_steps = num_envs - jnp.sum(before.is_final)
        nonfinite = jnp.sum(nonfinite, axis=0)
        actors, is_end, num_steps, nonfinite = where(
            active,
            (actors, is_end, num_steps, nonfinite),
            (before, jnp.zeros_like(is_end), jnp.int32(0), jnp.zeros_like(nonfinite)),
        )
        taken = loop.steps + num_steps
        events = loop.events
        events = events._replace(
            is_end=events.is_end.at[index].set(is_end),
            episode_return=jax.tree.map(lambda x, y: x.at[index].set(y), events.episode_return, actors.episode_return),
            length=events.length.at[index].set(actors.length),
            steps=events.steps.at[index].set(taken),
            updates=events.updates.at[index].set(loop.updates),
        )
        is_turn = jnp.where(active, jnp.any(pieces.num_steps > 0), loop.is_turn)
        loop = loop._replace(
            actors=actors,
            stream=written,
            steps=taken,
            is_turn=is_turn,
            nonfinite=loop.nonfinite + nonfinite,
            events=events,
        )
        return loop, pieces

    def call(loop: Loop, limits: Limits) -> Loop:
        before = loop.updates

        def may_go_on(state: tuple[Loop, Array]) -> Array:
            loop, index = state
            going = over_seeds(goes_on)(loop, limits)
            return jnp.any(going) & (index < max_rounds) & (jnp.max(loop.updates - before) < max_updates)

        def body(state: tuple[Loop, Array]) -> tuple[Loop, Array]:
            loop, index = state
            loop, pieces = over_seeds(functools.partial(round_of, index=index))(loop, limits)
            complete = jnp.any(pieces.num_steps > 0, axis=-1)
            return learning.turn(loop, pieces, limits, complete), index + 1

        return jax.lax.while_loop(may_go_on, body, (loop, jnp.int32(0)))[0]

    def catch_up(loop: Loop, limits: Limits) -> Loop:
        none = jnp.zeros((*loop.steps.shape, num_envs * per_round), jnp.int32)
        return learning.turn(loop, Pieces(*[none] * len(Pieces._fields)), limits, jnp.ones_like(loop.steps, bool))

    # The beginning.

    def init(training: TrainingState, keys: tuple[Key, Key, Key]) -> Loop:
        zero, metrics = jnp.int32(0), jnp.zeros(len(learning.names))
        return Loop(
            keys=keys,
            actors=acting.init(*keys[:2]),
            stream=(rounds if once else stream).make(steps, replay, num_envs),
            training=training,
            steps=zero,
            updates=zero,
            owed=jnp.float32(0),
            inserted=zero,
            metrics=metrics,
            not_finite=jnp.zeros(len(learning.names), jnp.int32),
            is_turn=jnp.bool_(False),
            nonfinite=jnp.zeros(3),
            events=Events(
                is_end=jnp.zeros((max_rounds, num_envs), bool),
                episode_return=Sum(*[jnp.zeros((max_rounds, num_envs, *steps.reward.shape))] * 2),
                length=jnp.zeros((max_rounds, num_envs), jnp.int32),
                steps=jnp.zeros(max_rounds, jnp.int32),
                updates=jnp.zeros(max_rounds, jnp.int32),
                logged=jnp.zeros((max_logged, len(learning.names))),
                logged_at=jnp.zeros((max_logged, 3), jnp.int32),
                num_logged=zero,
            ),
        )

    def prepared(function: Callable[..., Loop]) -> Callable[..., Loop]:
        """The function, on a loop whose record of the call before is empty."""

        def run(loop: Loop, *limits: Any) -> Loop:
            events = loop.events._replace(
                is_end=jnp.zeros_like(loop.events.is_end), num_logged=jnp.zeros_like(loop.events.num_logged)
            )
            return function(loop._replace(events=events, inserted=jnp.zeros_like(loop.inserted)), *limits)

        return run

    return Program(over_seeds(init), prepared(call), prepared(catch_up), learning.names)
