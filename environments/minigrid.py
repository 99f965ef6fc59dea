"""What MiniGrid and BabyAI tasks observe: Chevalier-Boisvert et al. 2023, arXiv 2306.13831.

An observation is a dict of `image`, [W, H, 3] uint8, `direction`, one of 4, and `mission`, a text. The image is not
a picture: for each cell of the agent's view, [7, 7] for most tasks, it has the indices of an object, a colour and a
state, which mean nothing as quantities. So it becomes planes, one-hot for each of the three: `image` is [W, H, 20]
float32, of which 11 are objects, 6 colours and 3 states (open, closed, locked). `direction` becomes one-hot, [4]
float32, as every Discrete.

The mission is dropped, because no network here reads text. Where it is the same in every episode (DoorKey, MultiRoom,
KeyCorridor, Memory, ...) nothing is lost. Where it names one of several things (GoToDoor, Fetch, PutNear and most of
BabyAI), an agent can only guess.
"""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces
from minigrid import minigrid_env
from minigrid.core import constants

from acme_agents.core import errors

_COUNTS = tuple(map(len, (constants.OBJECT_TO_IDX, constants.COLOR_TO_IDX, constants.STATE_TO_IDX)))  # 11, 6, 3


def with_planes(environment: gymnasium.Env) -> gymnasium.Env:
    """Returns a task of MiniGrid's with the observations above, and any other environment as it is.

    A task whose registration changes its observations, for example to pixels, stays as it is too.
    """
    inner, theirs = environment.unwrapped, environment.observation_space
    if not isinstance(inner, minigrid_env.MiniGridEnv) or theirs != inner.observation_space:
        return environment
    assert isinstance(theirs, spaces.Dict) and isinstance(theirs["image"], spaces.Box)
    width, height, _ = theirs["image"].shape
    space = spaces.Dict(
        image=spaces.Box(0, 1, (width, height, sum(_COUNTS)), np.float32), direction=theirs["direction"]
    )
    return gymnasium.wrappers.TransformObservation(
        environment,
        lambda observation: {"image": planes(observation["image"]), "direction": observation["direction"]},
        space,
    )


def planes(image: np.ndarray) -> np.ndarray:
    """Makes indices one-hot.

    Args:
      image: [W, H, 3] integers: of objects, colours and states.

    Returns:
      [W, H, 11 + 6 + 3] float32, with three ones for each cell.

    Raises:
      UserError: if an index is out of range.
    """
    if (image >= _COUNTS).any():
        raise errors.UserError(
            f"Expected fewer than {_COUNTS} objects, colours and states, got {image.max(axis=(0, 1))}."
        )
    return np.concatenate([np.eye(count, dtype=np.float32)[image[..., i]] for i, count in enumerate(_COUNTS)], axis=-1)
