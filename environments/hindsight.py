"""Three small tasks of credit assignment: `hindsight:shortcut-N`, `hindsight:delayed-effect-N`, and a bandit.

After figure 2 of *Hindsight Credit Assignment* (Harutyunyan et al. 2019, arXiv 1912.02503). **Reconstructed**: lengths,
rewards and chances are the paper's as far as they are known from accounts of it; it could not be read.

- There are two actions, and episodes end by themselves, for good. Observations are the state, one-hot.
- A reward is what is earned in a state, for the action that leaves it. So the states that pay at the end are states
  like others: the episode is over after one more action there, which changes nothing. So does the published code count,
  and it lets a method that asks which state earned a reward see that state.

`shortcut-N`: a row of N states; every step costs 1 and the last state pays 1. Action 0 leads to the last state at once,
1 to the next one, or with probability 0.1 to the last one too. The best return is 0, that of always action 1 in a row
of 5 is -2.439.

`delayed-effect-N`: the first action decides whether the episode ends in a state that pays 1 (action 0) or in one that
costs 1 (action 1), but N states in between, where actions do nothing, look the same for both. With
`delayed-effect-N-noise-X` each of those N earns a random number, normal with mean 0 and standard deviation X.

`ambiguous-bandit`: action 0 leads to a state that pays 2 in the mean, action 1 to one that pays 1; what is paid is
normal with standard deviation 1.5. With probability 0.1 an action leads to the other's state. `ambiguous-bandit-hidden`
shows both states alike. `-noise-X` and `-crossover-X` behind the name, in this order, set the deviation and the
probability: `ambiguous-bandit-hidden-noise-0.5-crossover-0.2`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming
from acme_agents.environments.pure import Pure, TimeStep

_LENGTHS = range(2, 201)
_MAX_NOISE = 100.0
_CROSSOVER = 0.1  # of the shortcut too
_NUMBER = r"\d+(?:\.\d+)?"
_FORMS = {  # Names with what may stand behind them.
    "shortcut": re.compile(r"shortcut-(?P<length>\d+)"),
    "delayed-effect": re.compile(rf"delayed-effect-(?P<length>\d+)(?:-noise-(?P<noise>{_NUMBER}))?"),
    "ambiguous-bandit": re.compile(
        rf"ambiguous-bandit(?P<hidden>-hidden)?(?:-noise-(?P<noise>{_NUMBER}))?(?:-crossover-(?P<crossover>{_NUMBER}))?"
    ),
}


def names() -> list[str]:
    """Returns the tasks of the paper's figures."""
    return [
        "shortcut-5",
        "delayed-effect-5",
        "delayed-effect-3-noise-2",
        "ambiguous-bandit",
        "ambiguous-bandit-hidden",
    ]


def problem(name: str) -> str | None:
    """Returns what is wrong with a task's name, or None."""
    for task, form in _FORMS.items():
        if not name.startswith(task):
            continue
        found = form.fullmatch(name) if name.isascii() else None
        if found is None:
            return f"{_SHAPES[task]}, and {name!r} is not one."
        given = found.groupdict()
        if given.get("length") is not None and int(given["length"]) not in _LENGTHS:
            return f"{_SHAPES[task]} with N from {_LENGTHS[0]} to {_LENGTHS[-1]}, and {given['length']!r} is no such N."
        if float(given.get("noise") or 0) > _MAX_NOISE:
            return f"the noise of a task is at most {_MAX_NOISE:g}, not {given['noise']}."
        if float(given.get("crossover") or 0) > 1:
            return f"the crossover is a probability, not {given['crossover']}."
        return None
    return f"there is no task {name!r}, {naming.suggest(name, names())}"


_SHAPES = {
    "shortcut": "a shortcut is hindsight:shortcut-N",
    "delayed-effect": "a delayed effect is hindsight:delayed-effect-N or hindsight:delayed-effect-N-noise-X",
    "ambiguous-bandit": "an ambiguous bandit is hindsight:ambiguous-bandit, then -hidden, -noise-X or -crossover-X or "
    "several in this order",
}


def make_pure(name: str) -> Pure:
    """Makes the functions of a task."""
    task, form = next((task, form) for task, form in _FORMS.items() if name.startswith(task))
    found = form.fullmatch(name)
    assert found is not None, "`problem` knows the name."
    given = {key: value for key, value in found.groupdict().items() if value is not None}
    if task == "shortcut":
        return shortcut(int(given["length"]))
    if task == "delayed-effect":
        return delayed_effect(int(given["length"]), noise=float(given.get("noise", 0)))
    return ambiguous_bandit(
        hidden="hidden" in given,
        noise=float(given.get("noise", 1.5)),
        crossover=float(given.get("crossover", _CROSSOVER)),
    )


class State(NamedTuple):
    """Where the agent is."""

    place: Array  # [] int32
    good: Array  # [] bool, whether the delayed effect will be the good one; False elsewhere
    key: Key


def shortcut(length: int, *, crossover: float = _CROSSOVER) -> Pure:
    """A row of `length` states with a way round it; the end pays 1 and every step before costs 1."""
    last = length - 1

    def leave(state: State, action: Action, key: Key) -> tuple[State, Array]:
        jumps = (action == 0) | jax.random.bernoulli(key, crossover)
        place = jnp.where(jumps, last, jnp.minimum(state.place + 1, last))
        return state._replace(place=place), jnp.where(state.place == last, 1.0, -1.0)

    return _make(length, lambda place: place == last, leave)


def delayed_effect(length: int, *, noise: float = 0.0) -> Pure:
    """A choice, `length` states that look alike after either, and only then what it leads to: 1 or -1.

    States: 0 is the start, 1 .. `length` the middle, `length` + 1 the good end and `length` + 2 the bad one.
    """

    def leave(state: State, action: Action, key: Key) -> tuple[State, Array]:
        good = jnp.where(state.place == 0, action == 0, state.good)
        place = jnp.minimum(state.place + 1, length + 1) + ((state.place >= length) & ~good)
        in_the_middle = (state.place > 0) & (state.place <= length)
        middle = jnp.where(in_the_middle, noise * jax.random.normal(key), 0.0)
        return state._replace(place=place, good=good), jnp.where(
            state.place > length, jnp.where(state.good, 1.0, -1.0), middle
        )

    return _make(length + 3, lambda place: place > length, leave)


def ambiguous_bandit(*, hidden: bool = False, noise: float = 1.5, crossover: float = _CROSSOVER) -> Pure:
    """Two actions, each of which now and then leads to the other's state; the states pay 2 and 1 in the mean.

    States: 0 is the start, 1 pays 2 and 2 pays 1; hidden, both are shown as 1.
    """

    def leave(state: State, action: Action, key: Key) -> tuple[State, Array]:
        crosses = jax.random.bernoulli(key, crossover)
        place = jnp.where((action == 0) ^ crosses, 1, 2)
        paid = jnp.where(state.place == 1, 2.0, 1.0) + noise * jax.random.normal(key)
        return state._replace(place=place), jnp.where(state.place == 0, 0.0, paid)

    return _make(3, lambda place: place > 0, leave, (lambda place: jnp.minimum(place, 1)) if hidden else None)


def _make(
    size: int,
    is_end: Callable[[Array], Array],
    leave: Callable[[State, Action, Key], tuple[State, Array]],
    shown: Callable[[Array], Array] | None = None,
) -> Pure:
    """A task of `size` states whose episodes begin in state 0 and are over when a state at their end is left.

    Args:
      size: S.
      is_end: from a state to whether the episode is over once it is left.
      leave: `(state, action, key) -> (state, reward)`.
      shown: from a state to the one that is shown; None shows each as it is.
    """

    def observe(place: Array) -> Array:
        return jax.nn.one_hot(place if shown is None else shown(place), size)

    def init(key: Key) -> tuple[State, Array]:
        start = jnp.int32(0)
        return State(start, jnp.bool_(False), key), observe(start)

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        over = is_end(state.place)
        key, leaving = jax.random.split(state.key)
        after, reward = leave(state, action, leaving)
        after = after._replace(place=jnp.where(over, state.place, after.place).astype(jnp.int32), key=key)
        timestep = TimeStep(reward.astype(jnp.float32), 1.0 - over.astype(jnp.float32), over, observe(after.place))
        return after, timestep

    spec = EnvironmentSpec(ArraySpec((size,)), ArraySpec((), "int32", 2), action_bounds=((0,), (1,)))
    return Pure(spec, init, step)
