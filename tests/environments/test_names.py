"""Names: what there is, what an unknown one is told, and what an agent is told of an environment."""

import dm_env
import numpy as np
import pytest

import environments
from acme_agents.core import types


def test_names():
    names = environments.names()
    assert len(names) == len(set(names)) == 64
    assert {"control:cheetah:run", "control:dog:fetch", "probe:reach", "probe:constant"} <= set(names)
    for name in names:
        environments.check(name)


@pytest.mark.parametrize("name", ["gym:CartPole-v1", "gym:HalfCheetah-v5", "gym:tests.environments.toys:toys/Both-v0"])
def test_gym_names_are_known(name):
    environments.check(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("control:cartpol:swingup", "the dm_control suite has no domain 'cartpol', did you mean cartpole?"),
        ("control:cartpole:swing", "the dm_control domain 'cartpole' has no task 'swing', did you mean swingup?"),
        ("control:cheetah", "the dm_control domain 'cheetah' has no task '', the known ones are run."),
        ("probe:reech", "there is no probe 'reech', did you mean reach?"),
        ("gym:Pendulm-v1", "Gymnasium has no id 'Pendulm-v1', did you mean Pendulum-v1 or "),
        ("gym:Pendulum-v0", "Gymnasium has no id 'Pendulum-v0', did you mean Pendulum-v1 or "),
        ("gym:ALE/Zzzzz-v5", "and if a package registers it, the package goes first: gym:ale_py:ALE/Pong-v5."),
        ("gym:no_such_module:X-v0", "importing 'no_such_module' failed with ModuleNotFoundError: No module named"),
        (
            "cartpole:swingup",
            "probe:NAME, scaled:FACTOR:NAME or energy:NAME, did you mean control:cartpole:swingup",
        ),
        ("contrl:cheetah:run", "did you mean control:cheetah:run"),
        ("enrgy:control:walker:walk", "energy:NAME, did you mean energy:control:walker:walk?"),
        ("scale:2:probe:reach", "energy:NAME, did you mean scaled:2:probe:reach?"),
        ("energy:control:walker:wlk", "has no task 'wlk', did you mean walk?"),
        ("Pendulum-v1", "did you mean gym:Pendulum-v1"),
        ("xyzzy", "a name is control:DOMAIN:TASK, gym:ID, probe:NAME, scaled:FACTOR:NAME or energy:NAME."),
        ("", "a name is control:DOMAIN:TASK, gym:ID, probe:NAME, scaled:FACTOR:NAME or energy:NAME."),
    ],
)
def test_an_unknown_name_is_told_in_one_sentence(name, sentence):
    for function in (environments.check, lambda n: environments.make(n, seed=0)):
        with pytest.raises(ValueError) as raised:
            function(name)
        message = str(raised.value)
        assert message.startswith(f"Unknown environment {name!r}: ")
        assert sentence in message
        assert "\n" not in message and message[-1] in ".?"


def test_spec():
    assert environments.spec(environments.make("control:cheetah:run", seed=0)) == types.EnvironmentSpec(
        observation=types.ArraySpec((17,), "float32"), action=types.ArraySpec((6,), "float32")
    )
    assert environments.spec(environments.make("gym:CartPole-v1", seed=0)) == types.EnvironmentSpec(
        observation=types.ArraySpec((4,), "float32"), action=types.ArraySpec((), "int32", num_values=2)
    )
    assert environments.spec(environments.make("probe:pixels", seed=0)).observation == types.ArraySpec(
        (16, 16, 3), "uint8"
    )


def test_spec_refuses_actions_that_are_not_canonical():
    env = environments.make("probe:reach", seed=0)
    env.action_spec = lambda: dm_env.specs.BoundedArray((2,), np.float32, -1.0, 2.0)
    with pytest.raises(ValueError, match=r"Continuous actions must lie in \[-1, 1\]"):
        environments.spec(env)


def test_an_environment_without_a_picture():
    with pytest.raises(RuntimeError, match="Constant has no picture to render"):
        environments.render_frame(environments.make("probe:constant", seed=0))
