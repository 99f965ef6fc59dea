"""The control suite: every task, the numbers of the canonicalisation, and what happens without a GL library."""

import os
import subprocess
import sys

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.environments import control


@pytest.mark.long
def test_every_task_of_the_suite_steps():
    names = [name for name in environments.names() if name.startswith("control:")]
    assert len(names) == 51
    for name in names:
        env = environments.make(name, seed=0)
        env.reset()
        step = env.step(np.zeros(env.action_spec().shape, np.float32))
        assert step.observation.dtype == np.float32 and np.isfinite(step.observation).all(), name
        assert step.observation.shape == env.observation_spec().shape == environments.spec(env).observation.shape, name
        assert 0 <= step.reward <= 1, name


def test_actions_are_clipped_then_mapped_to_the_bounds():
    env = environments.make("control:quadruped:walk", seed=0)
    env.reset()
    low, high = env.physics.model.actuator_ctrlrange.T
    assert (low[1], high[1]) == (-1.0, 1.1)  # Asymmetric, so that a forgotten offset shows.
    for action, control_value in ((1.0, 1.1), (-1.0, -1.0), (0.0, 0.05), (0.5, 0.575), (9.0, 1.1), (-9.0, -1.0)):
        env.step(np.full(12, action, np.float32))
        assert env.physics.data.ctrl[1] == pytest.approx(control_value, abs=1e-12)


def test_an_actuator_without_limits_takes_the_action_as_it_is():
    env = environments.make("control:lqr:lqr_6_2", seed=0)
    env.reset()
    env.step(np.array([0.25, -1.0], np.float32))
    np.testing.assert_array_equal(env.physics.data.ctrl, [0.25, -1.0])


@pytest.mark.parametrize("name", ["humanoid:walk", "manipulator:bring_ball"])  # Scalars, and a matrix.
def test_the_observation_is_dm_controls_concatenated_in_its_order(name):
    suite = control._suite()
    domain, task = name.split(":")
    theirs = suite.load(domain, task, {"random": 3})
    ours = environments.make(f"control:{name}", seed=3)
    action = np.full(ours.action_spec().shape, 0.5, np.float32)
    for expected, got in ((theirs.reset(), ours.reset()), (theirs.step(action), ours.step(action))):
        flat = np.concatenate([np.ravel(value) for value in expected.observation.values()])
        np.testing.assert_array_equal(got.observation, flat.astype(np.float32))
        assert got.reward == (None if expected.reward is None else np.float32(expected.reward))


@pytest.mark.parametrize(
    "name", ["control:point_mass:easy", "control:lqr:lqr_2_1"]
)  # The second has no limit of its own.
def test_time_is_up_after_1000_steps_with_discount_1(name):
    env = environments.make(name, seed=0)
    env.reset()
    action = np.ones(env.action_spec().shape, np.float32)
    steps = [env.step(action) for _ in range(1000)]
    assert not any(step.last() for step in steps[:-1])
    assert steps[-1].last() and steps[-1].discount == 1
    assert env.step(action).first()


def test_a_task_that_ends_for_good_has_discount_0():
    env = environments.make("control:lqr:lqr_2_1", seed=0)
    env.reset()
    with env.physics.reset_context():
        env.physics.data.qpos[:] = 0  # LQR ends where the state's norm is under 1e-6.
    step = env.step(np.zeros(1, np.float32))
    assert step.last() and step.discount == 0 and step.discount.dtype == np.float32


def _python(code, **environ):
    base = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**base, **environ}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_mujoco_gl_is_disabled_unless_it_is_set():
    code = (
        "import os, sys, environments; before = 'dm_control' in sys.modules;"
        "environments.make('probe:reach', 0); environments.make('gym:CartPole-v1', 0);"
        "print(before, 'dm_control' in sys.modules, 'jax' in sys.modules, os.environ.get('MUJOCO_GL'));"
        "environments.make('control:cartpole:swingup', 0); print(os.environ['MUJOCO_GL'])"
    )
    assert _python(code) == ["False False False None", "disable"]
    assert _python(code, MUJOCO_GL="off") == ["False False False off", "off"]


def test_importing_environments_imports_no_simulator():
    code = (
        "import sys, environments; print([m for m in ('gymnasium', 'dm_control', 'mujoco', 'jax') if m in sys.modules])"
    )
    assert _python(code) == ["[]"]


RENDER = """
from acme_agents import environments
from acme_agents.core import errors
for name in ("control:quadruped:escape", "gym:HalfCheetah-v5"):
    env = environments.make(name, 0, render=True)
    env.reset()
    env.step(env.action_spec().generate_value())
    try:
        frame = environments.render_frame(env)
        print(frame.ndim, frame.dtype, frame.std() > 5)
    except errors.UserError as error:
        print(error)
"""


def test_without_a_gl_library_rendering_says_what_to_install():
    sentence = "No GL library was found to render with: install libosmesa6 or libegl1 and set MUJOCO_GL=osmesa or egl."
    assert _python(RENDER, MUJOCO_GL="egl", MUJOCO_EGL_DEVICE_ID="99") == [sentence] * 2


@pytest.mark.long
def test_rendering_works_after_an_environment_that_does_not_render():
    printed = _python(
        "from acme_agents import environments; environments.make('control:cartpole:swingup', 0)\n" + RENDER
    )
    if printed[0].startswith("No GL library"):
        pytest.skip("no GL library on this machine")
    assert printed == ["3 uint8 True"] * 2


def test_rendering_must_be_asked_for():
    with pytest.raises(errors.UserError, match="make it with render=True"):
        environments.render_frame(environments.make("control:cartpole:swingup", seed=0))
