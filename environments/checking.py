"""What every environment must do: checks of one by its name, each of which raises a sentence that names the method.

Those of `CANONICAL` are of what `environments.make` gives, which is what agents see. Those of `gym_checking` are of a
Gymnasium environment as it is, before it is made canonical: there some mistakes can no longer be seen.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import dm_env
import numpy as np

from acme_agents import environments
from acme_agents.core import errors

_STEPS = 400  # at most, of random actions
_EPISODES = 20  # after which no more steps are needed


class Fault(AssertionError):
    """What an environment does wrong, in a sentence."""


class Note(AssertionError):
    """What may be meant so, and often is not."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """An environment to check.

    Attributes:
      name: as `environments.make` takes it.
      steps: at most, that each check takes.
      max_episode_steps: as `environments.make` takes it.
    """

    name: str
    steps: int = _STEPS
    max_episode_steps: int | None = None

    def make(self, seed: int = 0) -> dm_env.Environment:
        """A new one, which nobody has reset."""
        return environments.make(self.name, seed, max_episode_steps=self.max_episode_steps)

    def act(self, env: dm_env.Environment, seed: int = 0) -> Iterator[tuple[np.ndarray | None, dm_env.TimeStep]]:
        """Episodes of random actions: each action, None at a reset, with the time step that it led to."""
        draw, episodes = actions(env, seed), 0
        yield None, env.reset()
        for _ in range(self.steps):
            action = next(draw)
            timestep = env.step(action)
            yield action, timestep
            if timestep.last():
                episodes += 1
                if episodes == _EPISODES:
                    return
                yield None, env.reset()

    @functools.cached_property
    def played(self) -> list[tuple[np.ndarray | None, dm_env.TimeStep]]:
        """`act` of seed 0, once."""
        env = self.make()
        try:
            return list(self.act(env))
        finally:
            env.close()


def actions(env: dm_env.Environment, seed: int) -> Iterator[np.ndarray]:
    """Actions for ever: the lowest, the highest, then random ones."""
    spec, rng = env.action_spec(), np.random.default_rng(seed)
    if isinstance(spec, dm_env.specs.DiscreteArray):
        yield from (np.asarray(action, spec.dtype) for action in (0, spec.num_values - 1))
        while True:
            yield np.asarray(rng.integers(spec.num_values), spec.dtype)
    yield from (np.full(spec.shape, action, spec.dtype) for action in (-1, 1))
    while True:
        yield rng.uniform(-1.0, 1.0, spec.shape).astype(spec.dtype)


def specs_are_canonical(subject: Subject) -> None:
    """Actions are float32 in [-1, 1] or int32 from 0, observations float32 or uint8, rewards float32."""
    env = subject.make()
    try:
        try:
            spec = environments.spec(env)
        except errors.UserError as error:
            raise Fault(f"action_spec: {error}") from error
        action = spec.action
        wanted = "float32" if action.num_values is None else "int32"
        _must(action.dtype == wanted, f"action_spec has the dtype {action.dtype}, not {wanted}.")
        for name, leaf in leaves(env.observation_spec(), "observation"):
            taken = leaf.dtype == np.float32 or (leaf.dtype == np.uint8 and len(leaf.shape) == 3)
            _must(taken, f"observation_spec has {name} of {leaf.dtype} {list(leaf.shape)}: float32, or pictures uint8.")
        reward = env.reward_spec()
        _must(reward.dtype == np.float32, f"reward_spec has the dtype {reward.dtype}, not float32.")
        discount = env.discount_spec()
        _must((discount.minimum, discount.maximum) == (0, 1), f"discount_spec must lie in [0, 1], not {discount}.")
    finally:
        env.close()


def episodes_begin_and_end_in_order(subject: Subject) -> None:
    """`reset` gives a FIRST without reward or discount; steps are MID until the LAST; a step after it begins anew."""
    env = subject.make()
    try:
        ended = False
        for action, timestep in subject.act(env):
            if action is None:
                _must(timestep.first(), f"reset returns a step of type {timestep.step_type!r}, not a FIRST.")
                nothing = timestep.reward is None and timestep.discount is None
                _must(nothing, "reset returns a reward or a discount: of an episode's first time step both are None.")
            else:
                _must(not timestep.first(), "step returns a FIRST in the middle of an episode.")
                if timestep.last():
                    ended = True
                    after = env.step(action)
                    _must(after.first(), f"step after an episode's end returns {after.step_type!r}: it must reset.")
        _must(env.reset().first(), "reset in the middle of an episode does not begin another.")
        if not ended:
            raise Note(f"no episode ended within {subject.steps} random steps, so that nothing is known of its end.")
    finally:
        env.close()


def time_steps_fit_the_specs(subject: Subject) -> None:
    """Every observation, reward and discount has its spec's shape and dtype, is finite and within its bounds."""
    env = subject.make()
    try:
        observation, reward, discount = env.observation_spec(), env.reward_spec(), env.discount_spec()
    finally:
        env.close()
    for number, (action, timestep) in enumerate(subject.played):
        method = "reset" if action is None else "step"
        where = f"in time step {number}"
        found = dict(leaves(timestep.observation, "observation"))
        wanted = dict(leaves(observation, "observation"))
        _must(
            found.keys() == wanted.keys(),
            f"{method} returns {', '.join(found)}, and observation_spec has {', '.join(wanted)}, {where}.",
        )
        for name, spec in wanted.items():
            _fits(found[name], spec, f"{method} returns an {name}", "observation_spec", where)
        if action is not None:
            _fits(timestep.reward, reward, "step returns a reward", "reward_spec", where)
            _fits(timestep.discount, discount, "step returns a discount", "discount_spec", where)


def discounts_tell_an_end_from_a_time_limit(subject: Subject) -> None:
    """The discount is 0 only at an end for good: an episode that goes on has none, one that is cut short has 1."""
    lengths, discounts, length = [], [], 0
    for number, (action, timestep) in enumerate(subject.played):
        if action is None:
            length = 0
            continue
        length += 1
        going_on = timestep.last() or timestep.discount != 0
        _must(going_on, f"step returns a discount of 0 in time step {number}, and the episode goes on.")
        if timestep.last():
            lengths.append(length)
            discounts.append(float(timestep.discount))
    if len(lengths) > 2 and len(set(lengths)) == 1 and lengths[0] > 1 and not any(discounts):
        raise Note(
            f"every episode of random actions ended for good at its step {lengths[0]}, with discount 0: if that is a "
            "time limit, it must be told as one (discount 1; in Gymnasium `truncated`)."
        )


def the_seed_decides(subject: Subject) -> None:
    """Equal seeds and actions give equal episodes, whatever was drawn elsewhere; `reseed` begins as a new one does."""
    plays = []
    for elsewhere in (1, 2):
        with _elsewhere(elsewhere):
            env = subject.make(7)
            try:
                plays.append(list(subject.act(env)))
            finally:
                env.close()
    _same(plays[0], plays[1], "another environment of the same seed")
    env = subject.make(8)
    try:
        for _ in zip(range(5), subject.act(env)):
            pass
        if hasattr(env, "reseed"):
            env.reseed(7)
            _same(plays[0], list(subject.act(env)), "`reseed` with the same seed")
    finally:
        env.close()


def episodes_differ(subject: Subject) -> None:
    """An episode of a seed does not begin as the one before it, unless nothing is random."""
    starts = {}
    for seed in (7, 8):
        env = subject.make(seed)
        try:
            starts[seed] = [[leaf for _, leaf in leaves(env.reset().observation, "")] for _ in range(3)]
        finally:
            env.close()

    def equal(a: Any, b: Any) -> bool:
        return all(np.array_equal(x, y) for x, y in zip(a, b))

    is_random = not equal(starts[7][0], starts[8][0])
    if is_random and any(equal(a, b) for first, *rest in starts.values() for a, b in ((first, rest[0]), rest)):
        raise Fault("reset begins the same episode again: seed the generator once, not in each reset.")


def nothing_is_overwritten(subject: Subject) -> None:
    """An observation that was returned stays as it is, and an action that was given too."""
    env = subject.make()
    try:
        draw, timestep = actions(env, 0), env.reset()
        for _ in range(min(20, subject.steps)):
            kept = [(name, leaf, np.copy(leaf)) for name, leaf in leaves(timestep.observation, "observation")]
            action = next(draw)
            given = np.copy(action)
            timestep = env.step(action)
            _must(np.array_equal(action, given), f"step changes the action that it is given, from {given} to {action}.")
            for name, leaf, before in kept:
                _must(np.array_equal(leaf, before), f"step overwrites the {name} that was returned before: copy it.")
    finally:
        env.close()


CANONICAL: tuple[Callable[[Subject], None], ...] = (
    specs_are_canonical,
    episodes_begin_and_end_in_order,
    time_steps_fit_the_specs,
    discounts_tell_an_end_from_a_time_limit,
    the_seed_decides,
    episodes_differ,
    nothing_is_overwritten,
)


def checks(name: str) -> tuple[Callable[[Subject], None], ...]:
    """The checks of an environment, by its name: of Gymnasium's, those of what it is by itself come first."""
    if not name.startswith("gym:"):
        return CANONICAL
    from acme_agents.environments import gym_checking  # Here, because it imports gymnasium.

    return (*gym_checking.CHECKS, *CANONICAL)


def leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The arrays or specs of an observation, with the name that a sentence calls each."""
    if isinstance(tree, dict):
        for key, part in tree.items():
            yield from leaves(part, f"{name}[{key!r}]")
    else:
        yield name, tree


def _fits(value: Any, spec: dm_env.specs.Array, what: str, whose: str, where: str) -> None:
    array = np.asarray(value)
    form = array.shape == tuple(spec.shape) and array.dtype == spec.dtype
    _must(
        form,
        f"{what} of {array.dtype} {list(array.shape)}, and {whose} says {spec.dtype} {list(spec.shape)}, {where}.",
    )
    if array.dtype.kind == "f":
        odd = array[~np.isfinite(array)]
        _must(not odd.size, f"{what} with {odd.ravel()[:1]} in it, {where}.")
    if isinstance(spec, dm_env.specs.BoundedArray):
        inside = np.all((array >= spec.minimum) & (array <= spec.maximum))
        _must(inside, f"{what} from {array.min()} to {array.max()}, out of {whose}'s bounds, {where}.")


def _same(expected: list[Any], found: list[Any], what: str) -> None:
    """Checks that two plays are the same."""
    for number, ((_, a), (_, b)) in enumerate(zip(expected, found)):
        parts = {"step type": (a.step_type, b.step_type), "reward": (a.reward, b.reward)}
        others = dict(leaves(b.observation, "observation"))
        parts |= {name: (leaf, others[name]) for name, leaf in leaves(a.observation, "observation")}
        for name, (x, y) in parts.items():
            method = "reset" if a.first() else "step"
            _must(
                np.array_equal(x, y),
                f"{method} returns another {name} in time step {number} of {what}: draw everything random from a "
                "generator of the environment's own that the seed makes (Gymnasium's `self.np_random`).",
            )
    _must(len(expected) == len(found), f"step ends the episode at another step of {what}.")


class _elsewhere:
    """Sets the generators that a process shares to other numbers for a while."""

    def __init__(self, seed: int):
        self._seed = seed

    def __enter__(self) -> None:
        import random

        self._kept = np.random.get_state(), random.getstate()
        np.random.seed(self._seed)
        random.seed(self._seed)

    def __exit__(self, *_: object) -> None:
        import random

        np.random.set_state(self._kept[0])
        random.setstate(self._kept[1])


def _must(condition: Any, sentence: str) -> None:
    if not condition:
        raise Fault(sentence)
