"""Holds an agent's functions to their contract: a mistake ends in one sentence that names the function.

What is checked while JAX traces costs a run nothing. Where JAX compiles nothing (`jax_disable_jit`, as `train --debug`
sets it), numbers are checked too, at every step.
"""

import contextlib
import dataclasses
import random
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import errors
from acme_agents.core.interfaces import (
    ActorContext,
    ActorCore,
    Agent,
    LearnerCore,
    ReplaySpec,
    UpdateOutput,
    ignore_reward,
)
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Key, Params

_NOT_CONCRETE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


@dataclasses.dataclass(frozen=True)
class Held:
    """The agent, whose functions raise `AgentFault` where they break the contract; it computes what the agent does.

    Within them the promotion of ranks raises: a [B] minus a [B, 1] is a mistake, not a [B, B].
    """

    agent: Agent

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """The agent's, held."""
        with named("learner"):
            core = self.agent.learner(spec)
        _must(isinstance(core, LearnerCore), f"learner must return a LearnerCore, not {_describe(core)}.")

        def init(key: Key) -> Any:
            with named("learner.init"):
                state = core.init(key)
            return jax.tree.map(jnp.asarray, state) if _is_plain(state) else state

        def update(state: Any, batch: Any) -> tuple[Any, UpdateOutput]:
            returned = _call("learner.update", core.update, state, batch)
            _must(
                isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], UpdateOutput),
                f"learner.update must return a training state and an UpdateOutput, not {_describe(returned)}.",
            )
            same_form(state, returned[0], "learner.update changes its state's form")
            _check_metrics(returned[1].metrics)
            return returned

        def params(state: Any) -> Params:
            with named("learner.params"):
                return core.params(state)

        return LearnerCore(init, update, params)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """The agent's, held."""
        with named("actor"):
            core = self.agent.actor(spec, context)
        _must(isinstance(core, ActorCore), f"actor must return an ActorCore, not {_describe(core)}.")

        def init(key: Key) -> Any:
            with named("actor.init"):
                return core.init(key)

        def select_action(params: Params, observation: Any, state: Any) -> tuple[Any, Any, Any]:
            returned = _call("actor.select_action", core.select_action, params, observation, state)
            _must(
                isinstance(returned, tuple) and len(returned) == 3,
                f"actor.select_action must return three values, the action, the actor's state and the extras (or ()), "
                f"not {_describe(returned)}.",
            )
            _check_action(returned[0], spec.action)
            same_form(state, returned[1], "actor.select_action changes its state's form")
            return returned

        def observe(state: Any, reward: Any) -> Any:
            after = _call("actor.observe", core.observe, state, reward)
            same_form(state, after, "actor.observe changes its state's form")
            return after

        return ActorCore(init, select_action, core.observe if core.observe is ignore_reward else observe)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """The agent's, held."""
        with named("replay"):
            replay = self.agent.replay(spec)
        _must(isinstance(replay, ReplaySpec), f"replay must return a ReplaySpec, not {_describe(replay)}.")
        return replay


@contextlib.contextmanager
def named(function: str) -> Iterator[None]:
    """Turns what a function of an agent raises into a sentence that names it; the promotion of ranks raises too.

    Raises:
      AgentFault: the function raised, which is the cause.
      UserError: it raised one.
    """
    try:
        with jax.numpy_rank_promotion("raise"), jax.debug_nans(is_debugging()):
            yield
    except (errors.UserError, errors.AgentFault, errors.EnvironmentFault):
        raise
    except Exception as error:
        raise errors.AgentFault(f"{function} {_told(error)}") from error


def is_debugging() -> bool:
    """Whether JAX compiles nothing, so that every number can be looked at."""
    return bool(jax.config.jax_disable_jit)  # type: ignore[attr-defined]


def same_form(before: Any, after: Any, sentence: str) -> None:
    """Checks that two trees have the same structure, shapes and dtypes.

    Raises:
      AgentFault: they do not; the message begins with the sentence.
    """
    structures: list[Any] = [jax.tree.structure(before), jax.tree.structure(after)]
    _must(structures[0] == structures[1], f"{sentence}: {structures[0]} and then {structures[1]}.")
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True):
        _must(_form(x) == _form(y), f"{sentence}: {jax.tree_util.keystr(path)} is {_form(x)} and then {_form(y)}.")


def _call(function: str, call: Any, *args: Any) -> Any:
    """Calls a function of an agent; it must draw from no generator that JAX does not know, and must be pure."""
    before = _generators()
    with named(function):
        returned = call(*args)
    if _generators() != before:  # Another thread may have drawn; then it is seldom so twice.
        before = _generators()
        with named(function):
            call(*args)
        _must(
            _generators() == before,
            f"{function} draws from NumPy's or Python's random numbers, once when it is compiled and never again: draw "
            "by jax.random, with a key from its state.",
        )
    elif is_debugging() and _is_plain((args, returned)):
        with named(function):
            again = call(*args)
        structures: list[Any] = [jax.tree.structure(returned), jax.tree.structure(again)]
        same = structures[0] == structures[1] and all(
            np.array_equal(x, y, equal_nan=jnp.issubdtype(jnp.result_type(x), jnp.inexact))
            for x, y in zip(jax.tree.leaves(returned), jax.tree.leaves(again), strict=True)
        )
        _must(
            same,
            f"{function} gives something else when it is called again with the same arguments: keep what changes, such "
            "as a counter or a generator of random numbers, in the state that it is given and returns.",
        )
    return returned


def _generators() -> tuple[Any, ...]:
    """The states of the generators of random numbers that every part of a process shares."""
    of_numpy: Any = np.random.get_state()
    return of_numpy[1].tobytes(), of_numpy[2:], random.getstate()


def _check_metrics(metrics: Any) -> None:
    is_dict = isinstance(metrics, dict)
    _must(is_dict, f"learner.update's metrics must be a dict of scalars by name, not {_describe(metrics)}.")
    for name, value in metrics.items():
        _must(np.shape(value) == (), f"learner.update's metric {name!r} must be [] float32, not {_form(value)}.")


def _check_action(action: Any, spec: ArraySpec) -> None:
    wanted = _form(jax.ShapeDtypeStruct(spec.shape, np.dtype(spec.dtype)))
    _must(
        len(jax.tree.leaves(action)) == 1 and _form(action) == wanted,
        f"actor.select_action must give {wanted}, not "
        f"{_form(action) if hasattr(action, 'dtype') else _describe(action)}.",
    )
    if is_debugging() and _is_plain(action):
        low, high = (-1, 1) if spec.num_values is None else (0, spec.num_values - 1)
        inside = np.all((np.asarray(action) >= low) & (np.asarray(action) <= high))
        _must(inside, f"actor.select_action leaves [{low}, {high}], with {np.asarray(action)}: clip what it returns.")


def _must(condition: Any, sentence: str) -> None:
    if not condition:
        raise errors.AgentFault(sentence)


def _form(x: Any) -> str:
    """`[64, 1] float32`."""
    shape, dtype = np.shape(x), x.dtype if hasattr(x, "dtype") else jnp.result_type(x)
    return f"{list(shape)} {dtype}"


def _describe(value: Any) -> str:
    """`a tuple of 2: Array, dict`."""
    if type(value) is tuple:
        return f"a tuple of {len(value)}: {', '.join(type(each).__name__ for each in value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _is_plain(tree: Any) -> bool:
    """Whether all arrays of a tree have numbers, as where nothing is traced."""
    return is_debugging() and not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def _told(error: Exception) -> str:
    """What happened in a function, as the rest of a sentence that begins with its name."""
    text = str(error)
    ranks = re.search(r"broadcast together for (\w+) on shapes (.*?) and with the config option", text)
    if ranks is not None:
        return (
            f"combines arrays of different ranks, {ranks[2]}, by {ranks[1]} (rank promotion): give them one rank, such "
            'as x[:, None], or put what is meant so under `jax.numpy_rank_promotion("allow")`.'
        )
    if isinstance(error, _NOT_CONCRETE):
        return (
            "needs a number while it is compiled that is known only when it runs, as NumPy, float() or an `if` do: use "
            f"jax.numpy, jnp.where or jax.lax.cond ({type(error).__name__})."
        )
    if isinstance(error, jax.errors.UnexpectedTracerError):
        return "uses an array that another call left behind: keep it in the state that it is given and returns."
    if isinstance(error, FloatingPointError):
        return f"computes a number that is not finite ({_first_line(text)})."
    if isinstance(error, RuntimeError) and "deleted" in text:
        return "uses an array whose buffer was donated to an update before: use the state that it is given, or a copy."
    return f"raises {type(error).__name__}: {_first_line(text)}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
