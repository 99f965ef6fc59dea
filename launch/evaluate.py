"""Evaluates the policy of a run, and films it."""

import contextlib
import math
import os
import pathlib
from typing import Any

import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.experiments import Base, making

_VIDEO_SUFFIXES = (".mp4", ".gif")
_FRAMES_PER_SECOND = 10.0  # of an environment that has no time of its own
_MAX_GIF_FRAMES_PER_SECOND = 50.0  # what browsers show; they slow down what is faster to 10


def evaluate(
    run_dir: pathlib.Path,
    *,
    episodes: int = 10,
    seed: int = 0,
    video: pathlib.Path | None = None,
    config: Any = None,
    base: Base | None = None,
) -> np.ndarray:
    """Runs the deterministic policy of a run's newest checkpoint.

    Args:
      run_dir: the run's directory.
      episodes: how many to run.
      seed: of the environment and the actor; the same one gives the same episodes.
      video: .mp4 or .gif file to film all episodes to, at the speed of the environment's own time.
      config: the agent's, if not as it was in the run.
      base: what a bonus goes around, if not as it was in the run.

    Returns:
      [objectives, episodes] float64, the episode returns.

    Raises:
      UserError: no run, no checkpoint or no episodes; a video of another format, or nothing that can render it.
    """
    if episodes < 1:
        raise errors.UserError(f"--episodes must be at least 1, not {episodes}.")
    if video is not None and video.suffix.lower() not in _VIDEO_SUFFIXES:
        raise errors.UserError(
            f"A video is written as {' or '.join(_VIDEO_SUFFIXES)}, not {video.suffix or 'a bare name'}."
        )
    experiment, params = making.load_run(run_dir, seed=seed, config=config, base=base)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from acme_agents.runtime.evaluator import Evaluator  # Imports TensorFlow.

    evaluator = Evaluator(experiment, render=video is not None)
    with contextlib.closing(evaluator):
        if video is None:
            finished = evaluator.evaluate(0, params, num_episodes=episodes)
        else:
            finished = _film(evaluator, params, episodes, video)
    return np.array([(episode.episode_return, *episode.other_returns) for episode in finished]).T


def _film(evaluator: Any, params: Any, episodes: int, video: pathlib.Path) -> Any:
    import imageio.v3

    frames: list[np.ndarray] = []
    rate = _FRAMES_PER_SECOND

    def shoot(environment: Any) -> None:
        nonlocal rate
        rate = environments.frames_per_second(environment) or _FRAMES_PER_SECOND
        frames.append(environments.render_frame(environment))

    finished = evaluator.evaluate(0, params, num_episodes=episodes, on_step=shoot)
    stride = math.ceil(rate / _MAX_GIF_FRAMES_PER_SECOND) if video.suffix.lower() == ".gif" else 1
    try:
        video.parent.mkdir(parents=True, exist_ok=True)
        imageio.v3.imwrite(video, np.stack(frames[::stride]), fps=rate / stride)
    except OSError as error:
        raise errors.UserError(f"Cannot write {video} ({error.strerror or error}): give another --video.") from error
    return finished
