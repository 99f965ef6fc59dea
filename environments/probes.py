"""Tiny tasks whose values are known, so that a test can ask for a number. After rejax's probe environments and bsuite.

Throughout, V is the value of the policy that the docstring names, gamma is the agent's discount, and a probe's last
observation is one that it also starts from, unless it says otherwise.
"""

from __future__ import annotations

import time
from typing import Any

import dm_env
import numpy as np

from acme_agents.core import errors
from acme_agents.environments import naming


class Probe(dm_env.Environment):
    """What all probes share: episodes, and the specs that most of them have.

    A probe says how an episode starts and goes on; `self.t` counts the steps taken in it, `self.rng` is seeded once.
    """

    action_values: int | None = None  # How many discrete actions; None for one continuous action, [1] float32.
    observation_size = 1
    length = 1  # In steps, the same for every episode.
    final_discount = 0.0  # 0: the episode ends for good; 1: it is cut short.

    def __init__(self, seed: int):
        self.reseed(seed)
        self.t = 0
        self._reset_next_step = True
        self._action_shape = self.action_spec().shape

    def reseed(self, seed: int) -> None:
        """Makes the episodes from the next reset on those of a new probe with this seed."""
        self.rng = np.random.default_rng(seed)

    def start(self) -> None:
        """Begins an episode."""

    def observe(self) -> Any:
        """Returns o_t, of the spec, in arrays of its own."""
        return np.ones(self.observation_size, np.float32)

    def advance(self, action: Any) -> Any:
        """Moves on by one step, which `self.t` counts already; returns its reward."""
        raise NotImplementedError

    def reset(self) -> dm_env.TimeStep:
        self.t = 0
        self._reset_next_step = False
        self.start()
        return dm_env.restart(self.observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        """Takes one step, or resets after a last one; raises UserError if the action has another shape."""
        if np.shape(action) != self._action_shape:
            raise errors.UserError(f"Expected an action of shape {self._action_shape}, got {np.shape(action)}.")
        if self._reset_next_step:
            return self.reset()
        self.t += 1
        reward = np.asarray(self.advance(action), np.float32)[()]
        self._reset_next_step = last = self.t == self.length
        step_type = dm_env.StepType.LAST if last else dm_env.StepType.MID
        return dm_env.TimeStep(step_type, reward, np.float32(self.final_discount if last else 1), self.observe())

    def observation_spec(self) -> Any:
        return dm_env.specs.Array((self.observation_size,), np.float32, name="observation")

    def action_spec(self) -> dm_env.specs.BoundedArray:
        if self.action_values:
            return dm_env.specs.DiscreteArray(self.action_values, np.int32, name="action")
        return dm_env.specs.BoundedArray((1,), np.float32, -1.0, 1.0, name="action")

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((), np.float32, name="reward")

    def discount_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((), np.float32, 0.0, 1.0, name="discount")


class Constant(Probe):
    """One step, reward 1, whatever the action. V = 1 for every policy."""

    def advance(self, action: Any) -> float:
        return 1.0


class Sign(Probe):
    """One step; the observation o is -1 or 1 with equal chance, the reward 1 - (a - o/2)^2.

    Optimal: a = o/2, V = 1 in both states. Uniformly random actions: V = 1 - (1/3 + 1/4) = 5/12. Any action that does
    not depend on o: at best a = 0, V = 3/4. Q(o, a) is the reward.
    """

    sign = 1.0

    def start(self) -> None:
        self.sign = float(self.rng.choice((-1.0, 1.0)))

    def observe(self) -> Any:
        return np.full(1, self.sign, np.float32)

    def advance(self, action: Any) -> float:
        return 1 - (_scalar(action) - self.sign / 2) ** 2


class Blank(Probe):
    """T steps that each pay 1 - (a - s/2)^2, and a last observation that tells nothing: all zeros. Here T = 1.

    The sign s is -1 or 1 with equal chance, drawn again in each step; o_t is s at the place t of T, and zero elsewhere.
    So an agent learns about a state only in that state, and an agent that improves its policy at the last one alone
    learns nothing. Optimal: a = s/2, V(t) = (1 - gamma^(T - t)) / (1 - gamma), a return of T. Uniformly random actions
    earn 5/12 of that, and actions that do not depend on o at best, by a = 0, 3/4.
    """

    sign = 1.0

    def start(self) -> None:
        self.sign = float(self.rng.choice((-1.0, 1.0)))

    def observe(self) -> np.ndarray:
        return self.sign * _one_hot(self.t, self.length)

    def advance(self, action: Any) -> float:
        reward = 1 - (_scalar(action) - self.sign / 2) ** 2
        self.start()
        return reward


class Blank3(Blank):
    """`Blank` of three steps, fewer than the n-step returns of the agents for continuous actions have."""

    observation_size = length = 3


class Blank8(Blank):
    """`Blank` of eight steps, more than those n-step returns have."""

    observation_size = length = 8


class Delayed(Probe):
    """Five steps, then reward 1, whatever the action; the observation is t, one-hot, and zero at the end.

    V(t) = gamma^(4 - t): 1 before the last step, gamma^4 before the first.
    """

    observation_size = length = 5

    def observe(self) -> np.ndarray:
        return _one_hot(self.t, self.length)

    def advance(self, action: Any) -> float:
        return float(self.t == self.length)


class Truncation(Probe):
    """Reward 1 in each of five steps, then cut short with discount 1; the observation is t modulo 5, one-hot.

    The cut is not an end: V = 1 / (1 - gamma) in every state, for every policy. An agent that takes it for an end
    finds the values of `Termination`, which differs only in the last discount.
    """

    observation_size = length = 5
    final_discount = 1.0

    def observe(self) -> np.ndarray:
        return _one_hot(self.t % self.length, self.length)

    def advance(self, action: Any) -> float:
        return 1.0


class Termination(Truncation):
    """`Truncation`, ended for good after the fifth step: V(t) = (1 - gamma^(5 - t)) / (1 - gamma)."""

    final_discount = 0.0


class Choice(Probe):
    """One step, three discrete actions; the observation is the state 0, 1 or 2, one-hot and equally likely.

    Q(s, a) = 1 if a = s, 1/2 if a = s + 1 modulo 3, else 0. Optimal: a = s, V = 1. Random: V = 1/2.
    """

    observation_size = action_values = 3
    state = 0

    def start(self) -> None:
        self.state = int(self.rng.integers(3))

    def observe(self) -> np.ndarray:
        return _one_hot(self.state, 3)

    def advance(self, action: Any) -> float:
        return (1.0, 0.5, 0.0)[(int(action) - self.state) % 3]


class Memory(Probe):
    """Five steps, two discrete actions; the first observation is the cue, -1 or 1, and the rest are 0.

    The last action earns 1 if it is the cue's, 0 for -1 and 1 for 1, and nothing else earns anything. With memory:
    V(t) = gamma^(4 - t). Without it, or at random: half of that. The second number observed is t / 5.
    """

    observation_size = action_values = 2
    length = 5
    cue = 0

    def start(self) -> None:
        self.cue = int(self.rng.integers(2))

    def observe(self) -> np.ndarray:
        return np.array([2 * self.cue - 1 if self.t == 0 else 0, self.t / self.length], np.float32)

    def advance(self, action: Any) -> float:
        return float(self.t == self.length and int(action) == self.cue)


class Tradeoff(Probe):
    """One step and two objectives at odds: the reward is [1 - (a - 1/2)^2, 1 - (a + 1/2)^2].

    The Pareto front is a in [-1/2, 1/2]. For weights w, 1 - w: a = w - 1/2, with V = [1 - (1 - w)^2, 1 - w^2].
    """

    def reward_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((2,), np.float32, name="reward")

    def advance(self, action: Any) -> np.ndarray:
        return 1 - (_scalar(action) - np.array([0.5, -0.5])) ** 2


class Concave(Tradeoff):
    """One step, two objectives and a front that bends inwards: [exp(-(x - 1)^2), exp(-(x + 1)^2)] with x = 3/2 a.

    The Pareto front is x in [-1, 1], from [1, e^-4] through [1/e, 1/e] in its middle, a = 0, to [e^-4, 1]. A sum with
    weights w, 1 - w is best at an end, whatever w: x in [0.95, 1] for w >= 1/2, in [-1, -0.95] for w <= 1/2. The
    smaller of the two objectives is best in the middle.
    """

    def advance(self, action: Any) -> np.ndarray:
        return np.exp(-((1.5 * _scalar(action) - np.array([1.0, -1.0])) ** 2))


class Reach(Probe):
    """A point in the square [-1, 1]^2 must come to its middle and stay; 50 steps, then cut short with discount 1.

    The observation is the position p, uniformly random at first; the action, [2], moves it by a/10; the reward is
    exp(-2 |p|), in (0, 1]. Optimal: a = clip(-10 p, -1, 1). Mean returns: 47.1 optimal, 12.6 for
    uniformly random actions, 12.8 for standing still.
    """

    observation_size = 2
    length = 50
    final_discount = 1.0
    position = np.zeros(2)

    def start(self) -> None:
        self.position = self.rng.uniform(-1, 1, 2)

    def observe(self) -> np.ndarray:
        return self.position.astype(np.float32)

    def advance(self, action: Any) -> float:
        self.position = np.clip(self.position + np.clip(action, -1, 1) / 10, -1, 1)
        return float(np.exp(-2 * np.hypot(*self.position)))

    def action_spec(self) -> dm_env.specs.BoundedArray:
        return dm_env.specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="action")

    def render(self) -> np.ndarray:
        """Returns [128, 128, 3] uint8: the point in white, the middle in green. It needs no GL library."""
        frame = np.zeros((128, 128, 3), np.uint8)
        for (x, y), colour in ((np.zeros(2), (0, 160, 0)), (self.position, (255, 255, 255))):
            column, row = int(60 + 60 * x), int(60 - 60 * y)
            frame[row : row + 8, column : column + 8] = colour
        return frame


class Slow(Reach):
    """`Reach` at 5 ms a step, like a slow simulator; for measuring how actors scale, as they sleep in parallel."""

    def advance(self, action: Any) -> float:
        time.sleep(0.005)
        return super().advance(action)


class Pixels(Sign):
    """`Sign` as a picture, [16, 16, 3] uint8: the left half is white for -1, the right half for 1. Values as there."""

    def observation_spec(self) -> dm_env.specs.Array:
        return dm_env.specs.Array((16, 16, 3), np.uint8, name="observation")

    def observe(self) -> np.ndarray:
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[:, slice(8, 16) if self.sign > 0 else slice(0, 8)] = 255
        return picture

    def render(self) -> np.ndarray:
        """Returns the observation."""
        return self.observe()


class Dict(Sign):
    """`Sign` in a dict: {"noise": [3] standard normal, "state": {"sign": [1]}}, float32. Values as there."""

    def observation_spec(self) -> dict[str, Any]:
        return {"noise": dm_env.specs.Array((3,), np.float32), "state": {"sign": super().observation_spec()}}

    def observe(self) -> dict[str, Any]:
        noise = self.rng.standard_normal(3, np.float32)
        return {"noise": noise, "state": {"sign": super().observe()}}


_PROBES: dict[str, type[Probe]] = {
    probe.__name__.lower(): probe
    for probe in (
        Constant, Sign, Blank, Blank3, Blank8, Delayed, Truncation, Termination, Choice, Memory, Tradeoff, Concave,
        Reach, Slow, Pixels, Dict,
    )
}  # fmt: skip


def names() -> list[str]:
    """Returns every probe's name: its class's, in lower case."""
    return list(_PROBES)


def problem(name: str) -> str | None:
    """Returns what is wrong with a probe's name, or None."""
    if name in _PROBES:
        return None
    return f"there is no probe {name!r}, {naming.suggest(name, _PROBES)}"


def make(name: str, seed: int, *, render: bool = False) -> Probe:
    """Makes a probe. `render` makes no difference: those that have a picture always have it."""
    del render
    return _PROBES[name](seed)


def _scalar(action: Any) -> float:
    """Returns the one number in an action of shape [1], clipped to [-1, 1]."""
    return float(np.clip(action[0], -1, 1))


def _one_hot(index: int, size: int) -> np.ndarray:
    """Returns [size] float32 with a 1 at the index, or nowhere if the index is past the end."""
    return (np.arange(size) == index).astype(np.float32)
