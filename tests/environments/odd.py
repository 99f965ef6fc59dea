"""Small Gymnasium environments that are odd in one way each, after other people's troubles.

`gym:tests.environments.odd:NAME` makes one in any process; `LOG` says what those of this process did.
"""

import collections
import random

import gymnasium
import numpy as np
from gymnasium import spaces

PREFIX = "gym:tests.environments.odd:"
LOG: collections.Counter = collections.Counter()  # "made", "closed", and "open" at most at a time
BAD_STEP = 70  # of an environment's life, at which those go wrong that do


class Odd(gymnasium.Env):
    """Twenty steps of random observations; the reward is best without any action. Its constructor takes no mode."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    length = 20

    def __init__(self):
        self.num_steps = self.t = 0
        LOG["made"] += 1
        LOG["open"] = max(LOG["open"], LOG["made"] - LOG["closed"])

    def observe(self):
        return self.np_random.normal(size=3).astype(np.float32)

    def reward(self, action):
        return float(-np.sum(np.square(action)))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        assert np.isfinite(action).all()
        self.t += 1
        self.num_steps += 1
        return self.observe(), self.reward(action), False, self.t >= self.length, {}

    def close(self):
        LOG["closed"] += 1

    @property
    def is_bad(self):
        return self.num_steps == BAD_STEP


class NanObservation(Odd):
    def observe(self):
        observation = super().observe()
        if self.is_bad:
            observation[1] = np.nan
        return observation


class NanReward(Odd):
    def reward(self, action):
        return np.float64("nan") if self.is_bad else super().reward(action)


class Raises(Odd):
    def step(self, action):
        if self.num_steps == BAD_STEP - 1:
            raise ConnectionResetError(104, "Connection reset by peer")
        return super().step(action)


class RaisesOften(Odd):
    """Raises in one step of a hundred, by its own numbers."""

    def step(self, action):
        if self.np_random.random() < 0.01:
            raise ValueError("unlucky")
        return super().step(action)


class FailsOnceMade(Odd):
    """Its constructor raises where another was made in this process before."""

    def __init__(self):
        if LOG["made"]:
            raise OSError("no licence left")
        super().__init__()


class GlobalRandom(Odd):
    """Draws from NumPy's and Python's global generators, also when it is made, and from its own."""

    def __init__(self):
        super().__init__()
        self.offset = random.random()

    def observe(self):
        numbers = np.random.normal(), self.np_random.normal(), self.offset + random.random()
        return np.array(numbers, np.float32)


class SpaceRandom(Odd):
    """Draws from its spaces."""

    observation_space = spaces.Dict(x=spaces.Box(-1, 1, (2,), np.float64), n=spaces.MultiBinary(4))

    def observe(self):
        return self.observation_space.sample()


class FourValues(Odd):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class ObservationAlone(Odd):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32)  # Two numbers, which are no observation and info.


class NoInfo(Odd):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], None

    def step(self, action):
        return (*super().step(action)[:4], None)


class Rewards(Odd):
    """Its reward is what it is told to be."""

    given = None

    def reward(self, action):
        return self.given


class Observes(Odd):
    """Its observation is what it is told to be, within a space that it is given."""

    def __init__(self, space, given):
        super().__init__()
        self.observation_space, self.given = space, given

    def observe(self):
        return self.given


class Broken(Odd):
    def __init__(self):
        raise OSError(111, "Connection refused")


class NeedsArgument(Odd):
    def __init__(self, level):
        super().__init__()


class TupleSpace(Odd):
    observation_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))


class Endless(Odd):
    """Two actions, and nothing ever ends."""

    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(2)
    length = 10**9

    def observe(self):
        return self.t % 3

    def reward(self, action):
        return -1


class CountsItself(Odd):
    max_steps = 20


for _name, _class in list(globals().items()):
    if isinstance(_class, type) and issubclass(_class, Odd):
        gymnasium.register(f"odd/{_name}-v0", entry_point=_class)
gymnasium.register("odd/FourValuesLimited-v0", entry_point=FourValues, max_episode_steps=10)
gymnasium.register("odd/Limited-v0", entry_point=Odd, max_episode_steps=10)


def name(environment: str) -> str:
    """The full name of one of these."""
    return f"{PREFIX}odd/{environment}-v0"
