"""The learning half of a fused run: after a round that completed a chunk, every update that the chunk allows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core import finite
from acme_agents.core.interfaces import REPLAY, LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, Key, Step
from acme_agents.replay import device_replay, rounds, stream
from acme_agents.replay.stream import Pieces
from acme_agents.runtime.fused_state import Limits, Loop, where
from acme_agents.runtime.learner import MAX_UPDATES


class Learning(NamedTuple):
    """The learner's turn."""

    # (loop, complete chunks, limits, whether a seed has a turn) -> the loop after it; with S > 1 seeds all arrays begin
    # with [S]
    turn: Callable[[Loop, Pieces, Limits, Array], Loop]
    names: tuple[str, ...]  # of the metrics


def make(
    core: LearnerCore, steps: Step, replay: ReplaySpec, *, num_envs: int, num_seeds: int, log_period: int
) -> Learning:
    """Makes the functions; the arguments are those of `fused_loop.make`."""
    once = replay.experience.once
    one_update = _once(core, replay) if once else device_replay.make_one(core, replay, num_envs)
    over_seeds = jax.vmap if num_seeds > 1 else (lambda function: function)
    tolerance = float(MAX_UPDATES * replay.batch_size)
    ratio, batch_size = replay.samples_per_insert, replay.batch_size
    names = tuple(sorted(_metric_shapes(core, one_update, steps, replay, num_envs)))

    def ingest(loop: Loop, pieces: Pieces, done: Array, limits: Limits) -> tuple[Loop, Array, Array, Array]:
        """Inserts waiting chunks as the ratio allows, as `intake` does, and returns how many updates are due."""
        room = jnp.maximum(0.0, (tolerance - loop.owed) / ratio)
        number = stream.num_items(pieces, replay.experience)
        rank = jnp.cumsum(number > 0) - 1
        size = loop.stream.ring.size
        taken = jnp.where((room > 0) | (size == 0), 1 + jnp.int32(room / replay.experience.items_per_chunk), 0)
        is_next = (rank >= done) & (rank < done + taken)
        chosen = jax.tree.map(lambda x: jnp.where(is_next, x, 0), pieces)
        num_items = jnp.sum(jnp.where(is_next, number, 0))
        inserted = stream.insert(loop.stream, chosen, replay)
        owed = loop.owed + ratio * num_items
        allowed = jnp.where(inserted.ring.size > 0, jnp.floor(owed / batch_size), 0)
        left = jnp.maximum(0, limits.max_updates - loop.updates)
        due = jnp.clip(jnp.int32(allowed), 0, jnp.minimum(left, MAX_UPDATES))
        num_chosen = jnp.sum(is_next & (number > 0))
        loop = loop._replace(stream=inserted, owed=owed, inserted=loop.inserted + num_items)
        return loop, done + num_chosen, due, (num_chosen > 0) | (due > 0)

    def take_batch(loop: Loop, pieces: Pieces, done: Array, limits: Limits) -> tuple[Loop, Array, Array, Array]:
        """The same for experience that is learned from once: an update for a complete batch."""
        due = jnp.int32((pieces.num_steps[0] > done) & (loop.updates < limits.max_updates))
        return loop._replace(inserted=loop.inserted + due * batch_size), done + due, due, due > 0

    def update(
        carry: tuple[TrainingState, Any, Array, Array], held: Any, key: Key, number: Array, active: Array
    ) -> tuple[TrainingState, Any, Array, Array]:
        """One update of one seed."""
        training, priorities, total, not_finite = carry
        trees = {REPLAY: priorities} if replay.priority_exponent else {}
        (after, trees), metrics = one_update((training, trees), {REPLAY: held}, key, number)
        vector = jnp.stack([metrics[name] for name in names])
        noted = finite.merge(not_finite, finite.note(metrics, number + 1))
        result = after, trees.get(REPLAY, ()), total + vector, noted
        return where(active, result, carry) if num_seeds > 1 else result

    def finish(loop: Loop, due: Array, carry: tuple[TrainingState, Any, Array, Array]) -> Loop:
        """Counts a group of updates, and keeps its metrics if they are to be logged."""
        training, priorities, total, not_finite = carry
        updates = loop.updates + due
        metrics = jnp.where(due > 0, total / jnp.maximum(due, 1), loop.metrics)
        is_logged = updates // log_period > loop.updates // log_period
        events, place = loop.events, jnp.where(is_logged, loop.events.num_logged, loop.events.logged.shape[0])
        events = events._replace(
            logged=events.logged.at[place].set(metrics, mode="drop"),
            logged_at=events.logged_at.at[place].set(jnp.stack([loop.steps, updates, loop.inserted]), mode="drop"),
            num_logged=events.num_logged + is_logged,
        )
        return loop._replace(
            training=training,
            stream=loop.stream._replace(priorities=priorities),
            updates=updates,
            owed=loop.owed - due * float(batch_size),
            metrics=metrics,
            not_finite=not_finite,
            events=events,
        )

    def turn(loop: Loop, pieces: Pieces, limits: Limits, going: Array) -> Loop:
        """The learner's turn."""

        def body(state: tuple[Loop, Array, Array]) -> tuple[Loop, Array, Array]:
            loop, done, _ = state
            loop, done, due, going = over_seeds(take_batch if once else ingest)(loop, pieces, done, limits)
            held, key, first = loop.stream if once else loop.stream.ring, loop.keys[2], loop.updates
            total = jnp.zeros_like(loop.metrics)
            carry = loop.training, loop.stream.priorities, total, loop.not_finite

            def one(i: Array, carry: Any) -> Any:
                return over_seeds(update)(carry, held, key, first + i, i < due)

            carry = jax.lax.fori_loop(0, jnp.max(due), one, carry)
            return over_seeds(finish)(loop, due, carry), done, going

        start = loop, jnp.zeros_like(loop.steps), going
        return jax.lax.while_loop(lambda state: jnp.any(state[2]), body, start)[0]

    return Learning(turn, names)


def _once(core: LearnerCore, replay: ReplaySpec) -> Callable[..., Any]:
    """`device_replay.make_one` for experience that is learned from once; in one program it is never old."""

    def one(carry: Any, held: Any, key: Key, step: Array) -> Any:
        del key  # Nothing is drawn.
        training, output = core.update(carry[0], rounds.batch(held[REPLAY], replay, step))
        fresh = dict.fromkeys(("policy_lag", "largest_policy_lag", "dropped_items"), jnp.float32(0))
        return (training, carry[1]), output.metrics | fresh

    return one


def _metric_shapes(
    core: LearnerCore, one: Callable[..., Any], steps: Step, replay: ReplaySpec, num_envs: int
) -> dict[str, Any]:
    """The metrics of an update; nothing is computed."""

    def metrics(key: Key) -> dict[str, Array]:
        if replay.experience.once:
            return one((core.init(key), {}), {REPLAY: rounds.make(steps, replay, num_envs)}, key, jnp.int32(0))[1]
        held = stream.make(steps, replay, num_envs)
        trees = {REPLAY: held.priorities} if replay.priority_exponent else {}
        return one((core.init(key), trees), {REPLAY: held.ring}, key, jnp.int32(0))[1]

    return jax.eval_shape(metrics, jax.ShapeDtypeStruct((2,), "uint32"))
