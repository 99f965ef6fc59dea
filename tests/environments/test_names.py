"""Names: what there is, what an unknown one is told, and what an agent is told of an environment."""

import dm_env
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.core import errors, types
from acme_agents.environments import naming


def test_names():
    names = environments.names()
    assert len(names) == len(set(names)) == 195
    assert {"control:cheetah:run", "control:dog:fetch", "ale:Pong", "probe:reach", "probe:constant"} <= set(names)
    assert {"trackers:no-op", "noisy-tv:pixels", "maze:u", "jax:sparse-mountain-car"} <= set(names)
    for name in names:
        environments.check(name)


@pytest.mark.parametrize(
    ("name", "through", "expected"),
    [
        ("scaled:2:repeat:4:jax:cartpole", ("scaled", "repeat"), ([("scaled", "2"), ("repeat", "4")], "jax:cartpole")),
        ("scaled:2:repeat:4:jax:cartpole", ("scaled",), ([("scaled", "2")], "repeat:4:jax:cartpole")),
        ("energy:persistive:ale:Pong", naming.WRAPPERS, ([("energy", ""), ("persistive", "")], "ale:Pong")),
        ("repeat:4", naming.WRAPPERS, ([], "repeat:4")),
        ("jax:cartpole", naming.WRAPPERS, ([], "jax:cartpole")),
    ],
)
def test_wrappers_are_taken_off_a_name(name, through, expected):
    assert naming.unwrap(name, through) == expected


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
        ("gym:zz/Zzzzz-v5", "and if a package registers it, the package goes first: gym:my_env:Mine-v0."),
        (
            "gym:MiniGrid-DoorKy-8x8-v0",
            "Gymnasium has no id 'MiniGrid-DoorKy-8x8-v0', did you mean MiniGrid-DoorKey-8x8",
        ),
        ("gym:ALE/Pongg-v5", "Gymnasium has no id 'ALE/Pongg-v5', did you mean ALE/Pong-v5 or "),
        ("gym:no_such_module:X-v0", "importing 'no_such_module' failed with ModuleNotFoundError: No module named"),
        (
            "cartpole:swingup",
            "delayed:MILLISECONDS:NAME, persistive:NAME or energy:NAME, did you mean control:cartpole:swingup",
        ),
        ("contrl:cheetah:run", "did you mean control:cheetah:run"),
        ("enrgy:control:walker:walk", "energy:NAME, did you mean energy:control:walker:walk?"),
        ("scale:2:probe:reach", "energy:NAME, did you mean scaled:2:probe:reach?"),
        ("repeats:2:probe:reach", "energy:NAME, did you mean repeat:2:probe:reach?"),
        ("persistent:ale:Pong", "energy:NAME, did you mean persistive:ale:Pong?"),
        ("tracker:none", "or energy:NAME, did you mean trackers:none or "),
        ("mazes:u", "or energy:NAME, did you mean maze:u"),
        ("four-rooms", "or energy:NAME, did you mean maze:four-rooms"),
        ("hindsight:shortcut", "a shortcut is hindsight:shortcut-N, and 'shortcut' is not one."),
        ("hindsight:shortcut-1", "hindsight:shortcut-N with N from 2 to 200, and '1' is no such N."),
        ("hindsight:delayed-effect-3-noise-x", "or hindsight:delayed-effect-N-noise-X, and 'delayed-effect-3-noise-x'"),
        ("hindsight:delayed-effect-3-noise-101", "the noise of a task is at most 100, not 101."),
        ("hindsight:ambiguous-bandit-crossover-2", "the crossover is a probability, not 2."),
        ("hindsight:ambiguous-bandit-noise-1-hidden", "then -hidden, -noise-X or -crossover-X or several in this"),
        ("hindsight:ambigous-bandit", "there is no task 'ambigous-bandit', did you mean ambiguous-bandit"),
        ("shortcut-5", "or energy:NAME, did you mean hindsight:shortcut-5?"),
        ("energy:control:walker:wlk", "has no task 'wlk', did you mean walk?"),
        ("Pendulum-v1", "did you mean gym:Pendulum-v1"),
        ("ale:Pongg", "the Arcade Learning Environment has no game 'Pongg', did you mean Pong"),
        ("ale:montezuma", "no game 'montezuma', did you mean MontezumaRevenge?"),
        ("ale:", "the Arcade Learning Environment has no game '', acme-agents list has them all."),
        ("Freeway", "did you mean ale:Freeway"),
        ("deep-sea", "a deep sea is deep-sea:N or deep-sea:N:stochastic with N from 2 to 200, and '' is no such N."),
        ("deep-sea:1", "with N from 2 to 200, and '1' is no such N."),
        ("deep-sea:201", "with N from 2 to 200, and '201' is no such N."),
        ("deep-sea:-5", "with N from 2 to 200, and '-5' is no such N."),
        ("deep-sea:ten:stochastic", "with N from 2 to 200, and 'ten' is no such N."),
        ("deep-sea:10:noisy", "deep-sea:N or deep-sea:N:stochastic, and 'noisy' is no variant of it."),
        ("deep-sea:10:", "deep-sea:N or deep-sea:N:stochastic, and '' is no variant of it."),
        ("deepsea:10", "or energy:NAME, did you mean deep-sea:10?"),
        ("key-door:4", "a key and a door are key-door:N with N from 5 to 32, and '4' is no such N."),
        ("key-door:33", "with N from 5 to 32, and '33' is no such N."),
        ("key-door:8x8", "with N from 5 to 32, and '8x8' is no such N."),
        ("key-door:²", "with N from 5 to 32, and '²' is no such N."),
        ("key_door:8", "or energy:NAME, did you mean key-door:8 or key-to-door:8?"),
        ("feedback-bandit:loud", "feedback-bandit:NOISE with a noise of at least 0, and 'loud' is none."),
        ("key-to-door:-1", "key-to-door:SPREAD with a spread of at least 0, and '-1' is none."),
        ("key-to-door:inf", "with a spread of at least 0, and 'inf' is none."),
        ("credit:dept-8", "credit:depth-N, credit:sparsity-N, credit:breadth-N or credit:noise-X, or several of these"),
        ("credit:", "or several of these parts in this order, and '' is none."),
        ("credit:noise-1-depth-4", "or several of these parts in this order, and 'noise-1-depth-4' is none."),
        ("credit:-sparsity-2", "or several of these parts in this order, and '-sparsity-2' is none."),
        ("credit:depth-33", "the depth is from 1 to 32, not 33."),
        ("credit:depth-0", "the depth is from 1 to 32, not 0."),
        ("credit:sparsity-9", "the sparsity is from 1 to the depth, which is 8, not 9."),
        ("credit:breadth-12", "the breadth is 1, 2, 4, ... 64, not 12."),
        ("credit:depth-4-breadth-16", "a breadth of 16 needs 4 steps that decide nothing, not 3."),
        ("credit:noise-101", "the noise of a task is at most 100, not 101."),
        ("credit:depth-32-noise-1", "nothing both before and behind the decisions, not 'depth-32-noise-1'."),
        ("credit:depth-2-sparsity-2-noise-1", "behind the decisions, not 'depth-2-sparsity-2-noise-1'."),
        ("depth-8", "or energy:NAME, did you mean credit:depth-8?"),
        ("MiniGrid-Empty-5x5-v0", "did you mean gym:MiniGrid-Empty-5x5-v0 or "),
        ("xyzzy", "delayed:MILLISECONDS:NAME, persistive:NAME or energy:NAME."),
        ("", "delayed:MILLISECONDS:NAME, persistive:NAME or energy:NAME."),
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
        observation=types.ArraySpec((17,), "float32"),
        action=types.ArraySpec((6,), "float32"),
        action_bounds=((-1.0,) * 6, (1.0,) * 6),
    )
    assert environments.spec(environments.make("gym:CartPole-v1", seed=0)) == types.EnvironmentSpec(
        observation=types.ArraySpec((4,), "float32"),
        action=types.ArraySpec((), "int32", num_values=2),
        action_bounds=((0,), (1,)),
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
    with pytest.raises(errors.UserError, match="Constant has no picture to render"):
        environments.render_frame(environments.make("probe:constant", seed=0))
