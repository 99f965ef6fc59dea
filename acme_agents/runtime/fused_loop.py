"""Acting, replay and updates as one compiled loop on the device.

A round is one time step of N environments: all actions in one call of the vmapped policy, then a row of each into the
replay. After a round that completed a chunk the learner has its turn: every update that the chunk allows, in the groups
in which `runtime.learner` does them; then acting goes on with the new parameters. A call does many rounds. With several
seeds all of it is vmapped; each seed has its own environments, replay and counts.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core import finite
from acme_agents.core.interfaces import REPLAY, ActorCore, LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, Key, Params, Step
from acme_agents.environments.pure import Pure
from acme_agents.replay import device_replay, rounds, stream
from acme_agents.replay.stream import Pieces
from acme_agents.runtime.learner import MAX_UPDATES

_MAX_LOGGED = 8  # groups of updates of one call whose metrics are kept, unless each is


class Sum(NamedTuple):
    """A sum of many float32 numbers, [N, *R], with what rounding has lost: nearly as exact as float64."""

    total: Array
    lost: Array

    def add(self, number: Array) -> "Sum":
        """The sum with another number (Knuth's two-sum)."""
        total = self.total + number
        part = total - self.total
        return Sum(total, self.lost + (self.total - (total - part)) + (number - part))


class Actors(NamedTuple):
    """N environments, and the actor in each."""

    environment: Any  # states
    observation: Any  # [N, ...] o_t
    is_final: Array  # [N] bool, whether that is an episode's final one
    actor: Any  # states
    reward: Array  # [N, *R] float32, of the last action
    has_reward: Array  # [N] bool, whether an action was taken in this episode
    num_episodes: Array  # [N] int32, begun
    episode_return: Sum
    length: Array  # [N] int32


class Events(NamedTuple):
    """What happened in a call, for the log."""

    is_end: Array  # [C, N] bool, whether the round ended an episode
    episode_return: Sum  # [C, N, *R], of that episode
    length: Array  # [C, N]
    steps: Array  # [C] steps of this life after the round
    updates: Array  # [C] updates before the learner's turn that followed it
    logged: Array  # [L, M] metrics of the groups that are to be logged
    logged_at: Array  # [L, 3] steps, updates and items inserted in this call at their end
    num_logged: Array  # []


class Loop(NamedTuple):
    """All of a run that lives on the device."""

    keys: tuple[Key, Key, Key]  # of the environments [N, 2], of the actors [N, 2], of the sampling [2]
    actors: Actors
    stream: Any  # a `Stream`, or `Rounds` where experience is learned from once
    training: TrainingState
    steps: Array  # [] int32, environment steps of this life
    updates: Array  # [] int32, of the run
    owed: Array  # [] float32, how many items sampling lags behind; from the host at each call
    inserted: Array  # [] int32, items of this call
    metrics: Array  # [M], means of the newest group
    not_finite: Array  # [M] int32, of `finite.note`
    is_turn: Array  # [] bool, whether the newest round completed a chunk, after which the learner had its turn
    odd: Array  # [3] float32, NaN if an action, observation or reward of this call was not finite, else 0
    events: Events


class Limits(NamedTuple):
    """How far each seed may go in a call."""

    enough_steps: Any  # [] int32, of this life: after the first learner's turn from there on it stops
    max_steps: Any  # [] int32, of this life: never exceeded
    max_updates: Any  # [] int32, of the run: never exceeded


class Size(NamedTuple):
    """How far a call goes."""

    rounds: Any  # [] int32, at most `max_rounds`
    updates: Any  # [] int32: it ends after the round in which a seed has done that many


class Program(NamedTuple):
    """The functions of a fused run, to be compiled; with S > 1 seeds every array of the loop begins with [S]."""

    init: Callable[..., Loop]  # (training state, keys) -> a loop before its first step
    call: Callable[[Loop, Limits, Size], Loop]
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
      max_rounds: C, of a call.
      log_period: in updates; the metrics of each group that reaches a multiple are logged.
    """
    once, layout = replay.experience.once, replay.experience.layout
    per_round = 1 if once else stream.layouts(replay, num_envs).per_round
    one_update = _once(core, replay) if once else device_replay.make_one(core, replay, num_envs)
    max_logged = max(_MAX_LOGGED, max_rounds // layout.period + 2)
    over_seeds = jax.vmap if num_seeds > 1 else (lambda function: function)
    tolerance = float(MAX_UPDATES * replay.batch_size)
    ratio, batch_size = replay.samples_per_insert, replay.batch_size

    def over_envs(function: Callable[..., Any]) -> Callable[..., Any]:
        """Vmapped; a single environment is computed without a batch, as an actor on the CPU computes it."""
        if num_envs > 1:
            return jax.vmap(function)

        def one(*args: Any) -> Any:
            return jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], args)))

        return one

    metric_shapes = _metric_shapes(core, one_update, steps, replay, num_envs)
    names = tuple(sorted(metric_shapes))

    # Acting.

    indices = jnp.arange(num_envs)

    def actor_of(index: Array) -> ActorCore:
        return make_actor(index if num_envs > 1 else 0)

    def begin(environment_key: Key, actor_key: Key, index: Array, episode: Array) -> tuple[Any, Any, Any]:
        state, observation = environment.init(jax.random.fold_in(environment_key, episode))
        return state, observation, actor_of(index).init(jax.random.fold_in(actor_key, episode))

    def act(
        params: Params, env: Actors, environment_key: Key, actor_key: Key, index: Array
    ) -> tuple[Actors, Step, Array, Array]:
        """A time step of one environment, `env` without [N].

        Returns what is there after it, its row, whether it ended the episode, and `Loop.odd` for it.
        """
        actor, state = actor_of(index), env.actor
        state = _where(env.has_reward, actor.observe(state, env.reward), state)
        action, state, extras = actor.select_action(params, env.observation, state)
        action = jnp.asarray(action)
        moved, timestep = environment.step(env.environment, action)
        fresh = begin(environment_key, actor_key, index, env.num_episodes)
        final = env.is_final
        is_end = timestep.last & ~final
        done = action, timestep.reward, timestep.discount, extras
        action_row, reward_row, discount_row, extras_row = _where(final, jax.tree.map(jnp.zeros_like, done), done)
        row = Step(env.observation, action_row, reward_row, discount_row, final, extras_row)
        environment_state, observation, actor_state = _where(final, fresh, (moved, timestep.observation, state))
        total = env.episode_return
        after = Actors(
            environment_state,
            observation,
            is_end,
            actor_state,
            timestep.reward,
            ~final,
            env.num_episodes + final,
            Sum(*_where(final, jax.tree.map(jnp.zeros_like, tuple(total)), tuple(total.add(timestep.reward)))),
            jnp.where(final, 0, env.length + 1),
        )
        odd = jnp.stack([_odd(action), _odd(timestep.observation), _odd(timestep.reward)])
        return after, row, is_end, jnp.where(final, 0.0, odd)

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
        params = core.params(loop.training)
        acting = over_envs(lambda *args: act(params, *args))
        before = loop.actors
        actors, rows, is_end, odd = acting(before, loop.keys[0], loop.keys[1], indices)
        if once:
            written: Any
            written, complete = rounds.write(loop.stream, rows, actors.observation, actors.is_final, active)
            pieces = Pieces(*[jnp.int32(complete)[None]] * len(Pieces._fields))
        else:
            written, pieces = stream.write(loop.stream, rows, is_end, layout, per_round, active)
        num_steps = num_envs - jnp.sum(before.is_final)
        odd = jnp.sum(odd, axis=0)
        actors, is_end, num_steps, odd = _where(
            active,
            (actors, is_end, num_steps, odd),
            (before, jnp.zeros_like(is_end), jnp.int32(0), jnp.zeros_like(odd)),
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
            actors=actors, stream=written, steps=taken, is_turn=is_turn, odd=loop.odd + odd, events=events
        )
        return loop, pieces

    # Learning.

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
        return _where(active, result, carry) if num_seeds > 1 else result

    def finish(loop: Loop, due: Array, carry: tuple[TrainingState, Any, Array, Array]) -> Loop:
        """Counts a group of updates, and keeps its metrics if they are to be logged."""
        training, priorities, total, not_finite = carry
        updates = loop.updates + due
        metrics = jnp.where(due > 0, total / jnp.maximum(due, 1), loop.metrics)
        is_logged = updates // log_period > loop.updates // log_period
        events, place = loop.events, jnp.where(is_logged, loop.events.num_logged, max_logged)
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

    def call(loop: Loop, limits: Limits, size: Size) -> Loop:
        before = loop.updates

        def may_go_on(state: tuple[Loop, Array]) -> Array:
            loop, index = state
            going = over_seeds(goes_on)(loop, limits)
            return jnp.any(going) & (index < size.rounds) & (jnp.max(loop.updates - before) < size.updates)

        def body(state: tuple[Loop, Array]) -> tuple[Loop, Array]:
            loop, index = state
            loop, pieces = over_seeds(functools.partial(round_of, index=index))(loop, limits)
            complete = jnp.any(pieces.num_steps > 0, axis=-1)
            return turn(loop, pieces, limits, complete), index + 1

        return jax.lax.while_loop(may_go_on, body, (loop, jnp.int32(0)))[0]

    def catch_up(loop: Loop, limits: Limits) -> Loop:
        none = jnp.zeros((*loop.steps.shape, num_envs * per_round), jnp.int32)
        return turn(loop, Pieces(*[none] * len(Pieces._fields)), limits, jnp.ones_like(loop.steps, bool))

    # The beginning.

    def init(training: TrainingState, keys: tuple[Key, Key, Key]) -> Loop:
        episodes = jnp.zeros(num_envs, jnp.int32)
        state, observation, actor_state = over_envs(begin)(keys[0], keys[1], indices, episodes)
        reward = jnp.zeros((num_envs, *steps.reward.shape))
        none = jnp.zeros(num_envs, bool)
        total = Sum(reward, reward)
        actors = Actors(
            state, observation, none, actor_state, reward, none, episodes + 1, total, jnp.zeros(num_envs, jnp.int32)
        )
        zero, metrics = jnp.int32(0), jnp.zeros(len(names))
        return Loop(
            keys=keys,
            actors=actors,
            stream=(rounds if once else stream).make(steps, replay, num_envs),
            training=training,
            steps=zero,
            updates=zero,
            owed=jnp.float32(0),
            inserted=zero,
            metrics=metrics,
            not_finite=jnp.zeros(len(names), jnp.int32),
            is_turn=jnp.bool_(False),
            odd=jnp.zeros(3),
            events=Events(
                is_end=jnp.zeros((max_rounds, num_envs), bool),
                episode_return=Sum(*[jnp.zeros((max_rounds, *reward.shape))] * 2),
                length=jnp.zeros((max_rounds, num_envs), jnp.int32),
                steps=jnp.zeros(max_rounds, jnp.int32),
                updates=jnp.zeros(max_rounds, jnp.int32),
                logged=jnp.zeros((max_logged, len(names))),
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

    return Program(over_seeds(init), prepared(call), prepared(catch_up), names)


def _where(chosen: Array | bool, x: Any, y: Any) -> Any:
    """`x` where `chosen` [], else `y`; a pytree."""
    return jax.tree.map(lambda a, b: jnp.where(chosen, a, b), x, y)


def _odd(values: Any) -> Array:
    """0 if all numbers of a pytree are finite, else NaN."""
    numbers = [leaf for leaf in jax.tree.leaves(values) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return sum((jnp.sum(leaf * 0) for leaf in numbers), start=jnp.float32(0)).astype(jnp.float32)


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
