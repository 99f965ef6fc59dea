"""Small Gymnasium environments for the tests: a counter that observes and ends in every way there is."""

import gymnasium
import numpy as np
from gymnasium import spaces

PIXELS = spaces.Box(0, 255, (4, 5, 3), np.uint8)
NESTED = spaces.Dict(
    image=PIXELS,
    inner=spaces.Dict(place=spaces.Discrete(3, start=1), speed=spaces.Box(-1, 1, (2,), np.float64)),
)
BUTTON = spaces.Discrete(2)


class Counter(gymnasium.Env):
    """Counts steps to 3, then ends as told. It keeps the last action, and writes pixels into one array for ever."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self, observation_space=PIXELS, action_space=BUTTON, terminated=False, truncated=False, render_mode=None
    ):
        self.observation_space, self.action_space, self.render_mode = observation_space, action_space, render_mode
        self.ending = terminated, truncated
        self.pixels = np.zeros(PIXELS.shape, np.uint8)
        self.seeds, self.last_action, self.count = [], None, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.count = 0
        return self.observe(), {}

    def step(self, action):
        self.last_action = action
        self.count += 1
        terminated, truncated = self.ending if self.count == 3 else (False, False)
        return self.observe(), self.count, terminated, truncated, {}

    def observe(self):
        self.pixels[...] = 100 + self.count
        if isinstance(self.observation_space, spaces.Dict):
            return {"image": self.pixels, "inner": {"place": 1 + self.count % 3, "speed": np.array([0.1, 0.2])}}
        return self.pixels

    def render(self):
        return np.full((6, 7, 3), self.count, np.uint8)


def _register(environment_id: str, **kwargs) -> str:
    gymnasium.register(environment_id, entry_point=Counter, kwargs=kwargs)
    return f"gym:{environment_id}"


TRUNCATED = _register("toys/Truncated-v0", truncated=True)
TERMINATED = _register("toys/Terminated-v0", terminated=True)
BOTH = _register("toys/Both-v0", terminated=True, truncated=True)
DICT = _register("toys/Dict-v0", observation_space=NESTED, truncated=True)
SHIFTED = _register("toys/Shifted-v0", action_space=spaces.Discrete(3, start=5), truncated=True)
LOPSIDED = _register(
    "toys/Lopsided-v0", action_space=spaces.Box(np.float32([-1, 0]), np.float32([3, 10])), truncated=True
)
NAMES = [TRUNCATED, TERMINATED, BOTH, DICT, SHIFTED, LOPSIDED]

UNBOUNDED_ACTION = _register("toys/Unbounded-v0", action_space=spaces.Box(-np.inf, np.inf, (1,)))
MULTI_ACTION = _register("toys/Multi-v0", action_space=spaces.MultiDiscrete([2, 3]))
TUPLE_OBSERVATION = _register("toys/Tuple-v0", observation_space=spaces.Tuple([PIXELS, BUTTON]))
