"""Atari 2600 games of the Arcade Learning Environment, as Machado et al. (2018, arXiv 1709.06009) have them played.

`ale:GAME` is Gymnasium's `ALE/GAME-v5` with Gymnasium's own preprocessing:

- An action lasts 4 frames, and an observation is the brighter of the last two of them, pixel by pixel.
- Sticky actions: in each frame the last frame's action is repeated with probability 0.25, whatever was chosen.
- The game's own actions alone, and the loss of a life ends nothing. The end of the game gives discount 0; 108,000
  frames, half an hour, are cut short with discount 1.
- An episode begins with 1 to 30 frames, uniformly drawn, in which nothing is done. Machado et al. need none of these
  beside sticky actions; this is what `gymnasium.wrappers.AtariPreprocessing` does.
- Observations: [84, 84, 4] uint8, the newest four grey pictures, the oldest first; before there are four, the first is
  repeated.
- Rewards are the game's score, unclipped: an agent that wants them clipped does so itself.
"""

from __future__ import annotations

import difflib

import ale_py
import gymnasium
from gymnasium import wrappers

from acme_agents.environments import gym, rendering

_FRAMES_PER_ACTION = 4
_FRAMES_PER_SECOND = 60  # Of the console.
_MAX_FRAMES = 108_000  # Of an episode.
_NOOP_FRAMES = 30
_STICKINESS = 0.25
_STACK = 4


def names() -> list[str]:
    """Returns the name of every game, such as `Pong`."""
    return [name.removeprefix("ALE/").removesuffix("-v5") for name in gymnasium.registry if name.startswith("ALE/")]


def problem(name: str) -> str | None:
    """Returns what is wrong with a game's name, or None."""
    known = names()
    if name in known:
        return None
    close = difflib.get_close_matches(name, known)
    hint = f"did you mean {' or '.join(close)}?" if close else "acme-agents list has them all."
    return f"the Arcade Learning Environment has no game {name!r}, {hint}"


def make(name: str, seed: int, *, render: bool = False) -> gym.Gym:
    """Makes a game; its first reset is seeded with `seed`. With `render` its picture is the last frame, in colour."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # Otherwise the first game of a process prints a banner.
    game = gymnasium.make(
        f"ALE/{name}-v5",
        obs_type="grayscale",  # The preprocessing fetches the screen itself; this is the cheapest not to look at.
        frameskip=1,  # It also skips frames itself.
        repeat_action_probability=_STICKINESS,
        full_action_space=False,
        max_num_frames_per_episode=_MAX_FRAMES,
        render_mode="rgb_array" if render else None,
        disable_env_checker=True,
    )
    grey = wrappers.AtariPreprocessing(
        game, noop_max=_NOOP_FRAMES, frame_skip=_FRAMES_PER_ACTION, screen_size=84, terminal_on_life_loss=False
    )
    stacked = wrappers.FrameStackObservation(grey, _STACK)  # [4, 84, 84]
    stacked.metadata = {**stacked.metadata, "render_fps": _FRAMES_PER_SECOND / _FRAMES_PER_ACTION}
    return gym.Gym(stacked, seed, unrenderable=None if render else rendering.NOT_ASKED)
