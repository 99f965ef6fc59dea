"""Videos are as fast as what they show."""

import pathlib
from collections.abc import Callable
from typing import Any

import imageio.v3
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.launch import evaluate


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("control:cartpole:swingup", 100),  # dm_control's control timestep, 0.01 s
        ("scaled:2:control:humanoid:walk", 40),
        ("gym:Pendulum-v1", 30),  # Gymnasium's metadata
        ("gym:HalfCheetah-v5", 20),
        ("ale:Pong", 15),  # four of the console's sixty frames
        ("probe:reach", None),
    ],
)
def test_environments_know_their_time(name: str, rate: int | None) -> None:
    environment = environments.make(name, 0)
    assert environments.frames_per_second(environment) == (None if rate is None else pytest.approx(rate))
    environment.close()


class _Filmed:
    """An environment that lasts 30 steps, each of its pictures another grey."""

    def __init__(self, rate: float | None):
        self.frames_per_second = rate
        self._step = 0

    def render(self) -> np.ndarray:
        self._step += 1
        return np.full((16, 16, 3), 8 * self._step, np.uint8)

    def evaluate(self, number: int, params: Any, *, num_episodes: int, on_step: Callable[[Any], None]) -> list[Any]:
        for _ in range(30):
            on_step(self)
        return []


@pytest.mark.parametrize(("rate", "seconds"), [(100.0, 0.3), (40.0, 0.75), (None, 3.0)])
def test_a_video_lasts_as_long_as_what_it_shows(tmp_path: pathlib.Path, rate: float | None, seconds: float) -> None:
    path = tmp_path / "videos" / "film.mp4"
    evaluate._film(_Filmed(rate), None, 1, path)
    assert imageio.v3.immeta(path)["duration"] == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(("rate", "num_frames", "milliseconds"), [(100.0, 15, 20), (25.0, 30, 40), (None, 30, 100)])
def test_a_gif_is_no_faster_than_browsers_show_it(
    tmp_path: pathlib.Path, rate: float | None, num_frames: int, milliseconds: int
) -> None:
    path = tmp_path / "film.GIF"
    evaluate._film(_Filmed(rate), None, 1, path)
    assert imageio.v3.imread(path, index=None).shape[0] == num_frames
    assert imageio.v3.immeta(path)["duration"] == milliseconds


def test_a_video_that_cannot_be_written() -> None:
    with pytest.raises(errors.UserError, match=r"Cannot write /proc/x/a.mp4 \(No such file or directory\): give anoth"):
        evaluate._film(_Filmed(None), None, 1, pathlib.Path("/proc/x/a.mp4"))
