"""MiniGrid: planes, not pixels, and no mission."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from minigrid import envs, wrappers
from minigrid.core import constants

from acme_agents import environments
from acme_agents.environments import minigrid

DOOR_KEY = "gym:MiniGrid-DoorKey-8x8-v0"


def _raw(env):
    return env._environment.unwrapped.gen_obs()


def test_the_planes_of_a_closed_yellow_door_and_a_cell_that_is_not_seen():
    image = np.array([[[4, 4, 1], [0, 0, 0]]], np.uint8)  # [1, 2, 3]
    expected = np.zeros((1, 2, 20), np.float32)
    expected[0, 0, [4, 11 + 4, 17 + 1]] = 1
    expected[0, 1, [0, 11, 17]] = 1
    planes = minigrid.planes(image)
    np.testing.assert_array_equal(planes, expected)
    assert planes.dtype == np.float32
    assert (constants.IDX_TO_OBJECT[4], constants.IDX_TO_COLOR[4]) == ("door", "yellow")
    with pytest.raises(ValueError, match=r"fewer than \(11, 6, 3\) objects, colours and states, got \[10  0  3\]"):
        minigrid.planes(np.array([[[10, 0, 3]]], np.uint8))  # The agent from above, which looks up.


@pytest.mark.parametrize("name", [DOOR_KEY, "gym:BabyAI-GoToObj-v0", "gym:MiniGrid-MemoryS7-v0"])
def test_observations_are_planes_that_decode_to_the_image_and_the_direction(name):
    env = environments.make(name, seed=0)
    spec = environments.spec(env)
    assert set(spec.observation) == {"image", "direction"}  # No mission.
    assert (spec.observation["image"].shape, spec.observation["image"].dtype) == ((7, 7, 20), "float32")
    assert (spec.observation["direction"].shape, spec.observation["direction"].dtype) == ((4,), "float32")
    assert spec.action.num_values == 7

    rng, step, objects, directions = np.random.default_rng(0), env.reset(), set(), set()
    for _ in range(100):
        assert set(step.observation) == {"image", "direction"}
        image, direction = step.observation["image"], step.observation["direction"]
        decoded = [part.argmax(axis=-1) for part in np.split(image, [11, 17], axis=-1)]
        raw = _raw(env)
        np.testing.assert_array_equal(np.stack(decoded, axis=-1), raw["image"])
        assert image.sum() == 7 * 7 * 3 and image.max() == 1
        np.testing.assert_array_equal(direction, np.eye(4)[raw["direction"]])
        objects |= set(raw["image"][..., 0].ravel().tolist())
        directions.add(int(raw["direction"]))
        step = env.step(rng.integers(3))
    assert len(objects) >= 4 and directions == {0, 1, 2, 3}


@pytest.mark.parametrize("name", [DOOR_KEY, "gym:BabyAI-GoToLocal-v0", "gym:ALE/Pong-v5"])
def test_no_module_need_be_named(name):
    code = f"from acme_agents import environments; print(environments.make({name!r}, 0).action_spec().num_values)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "6\n" if "Pong" in name else "7\n"), done.stderr


def test_the_seed_decides_every_episode():
    def grids(seed):
        env = environments.make(DOOR_KEY, seed)
        return [env.reset() and env._environment.unwrapped.grid.encode().tolist() for _ in range(2)]

    assert grids(7) == grids(7)
    assert grids(7) != grids(8) and grids(7)[0] != grids(7)[1]


def test_time_is_up_with_discount_1():
    env = environments.make("gym:MiniGrid-DoorKey-5x5-v0", seed=0)  # 10 * 5^2 steps.
    env.reset()
    steps = [env.step(0) for _ in range(250)]
    assert [step.last() for step in steps].index(True) == 249 and steps[-1].discount == 1


def test_the_picture():
    env = environments.make(DOOR_KEY, seed=0, render=True)
    env.reset()
    assert environments.render_frame(env).shape == (256, 256, 3)


def test_a_registration_that_observes_pixels_is_not_made_planes():
    def picture(**kwargs):
        return wrappers.RGBImgPartialObsWrapper(envs.EmptyEnv(size=5, **kwargs))

    gymnasium.register(
        "toys/MiniGridPicture-v0", entry_point=lambda **kwargs: wrappers.ImgObsWrapper(picture(**kwargs))
    )
    observation = environments.make("gym:toys/MiniGridPicture-v0", seed=0).reset().observation
    assert observation.shape == (56, 56, 3) and observation.dtype == np.uint8
    gymnasium.register("toys/MiniGridMission-v0", entry_point=picture)  # A dict, with the mission in it.
    with pytest.raises(ValueError, match=r"^Observations must be Box, Discrete, .* this space is MissionSpace\("):
        environments.make("gym:toys/MiniGridMission-v0", seed=0)
