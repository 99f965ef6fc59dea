"""`acme-agents new`: a folder whose agent is the one that it is like, under another name."""

import dataclasses
import importlib
import re
import sys

import jax
import pytest

from acme_agents.core import checkpoint
from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import registry
from acme_agents.launch import main
from acme_agents.testing import conformance, subjects

SPECS = {"td3": conformance.CONTINUOUS, "dqn": conformance.DISCRETE, "ppo": conformance.CONTINUOUS}
FILES = {"__init__.py", "acting.py", "config.py", "learning.py", "losses.py", "networks.py"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("my_"):
            del sys.modules[name]


def program(agent, spec):
    """What the agent's update and its actor compute."""
    subject = subjects.Subject(agent, spec)
    batch = subject.form_of_batch()
    key = jax.random.PRNGKey(0)
    state = jax.eval_shape(subject.learner.init, key)
    params = jax.eval_shape(subject.learner.params, state)
    actor = agent.actor(spec, ActorContext(evaluation=False))
    observation = jax.tree.map(lambda x: x[0], subject.observation)
    jaxprs = (
        jax.make_jaxpr(subject.learner.update)(state, batch),
        jax.make_jaxpr(actor.select_action)(params, observation, jax.eval_shape(actor.init, key)),
    )
    return [re.sub(r"0x[0-9a-f]+", "", str(each)) for each in jaxprs]


@pytest.mark.parametrize("like", SPECS)
def test_the_new_agent_computes_what_the_one_does_that_it_is_like(like, here, capsys):
    main.main(["new", f"my_{like}_too", "--like", like])
    folder = here / f"my_{like}_too"
    assert f"acme-agents train my_{like}_too --env " in capsys.readouterr().out
    assert {each.name for each in folder.iterdir()} == FILES | {"README.md", f"test_{folder.name}.py", "test_losses.py"}
    ours, new = registry.load(like), importlib.import_module(folder.name)
    assert new.Config is not ours.Config
    small = [conformance.small(module.Config()) for module in (new, ours)]
    assert dataclasses.asdict(small[0]) == dataclasses.asdict(small[1])
    agents = [module.make(config) for module, config in zip((new, ours), small)]
    assert type(agents[0]).__name__ == f"My{like.capitalize()}Too"
    assert program(agents[0], SPECS[like]) == program(agents[1], SPECS[like])
    for file in FILES:  # No file reaches into the agent that it was copied from.
        assert f"agents.{like}" not in (folder / file).read_text()


@pytest.mark.parametrize("like", SPECS)
def test_the_new_tests_of_the_losses_hold(like, here):
    main.main(["new", "my_own", "--like", like])
    module = importlib.import_module("my_own.test_losses")
    tests = [getattr(module, name) for name in dir(module) if name.startswith("test_")]
    assert len(tests) >= 2
    for test in tests:
        test()


@pytest.mark.slow
def test_the_new_agent_trains_in_one_process_fused_and_in_many(here, repository, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(repository))  # The workers find the agent in the working directory.
    main.main(["new", "my_own"])
    options = ["--env", "jax:cartpole", "--updates", "40", "--eval-every", "0", "--config.min-replay-size", "200"]
    for launcher in ("in-process", "fused", "processes"):
        main.main(["train", "my_own", *options, "--launcher", launcher, "--run-dir", launcher])
        assert checkpoint.steps(here / launcher / "checkpoints")[-1] == 40


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my-agent", r"'my-agent' cannot be the name of a Python module"),
        ("class", r"'class' cannot be the name of a Python module"),
        ("../my_agent", r"'../my_agent' cannot be the name of a Python module"),
        ("fma_pg", r"fma_pg is an agent or a bonus of this package"),
        ("rnd", r"rnd is an agent or a bonus of this package"),
        ("json", r"json is a module that Python has already"),
        ("config", r"Config is the name of something within dqn"),
        ("my_folder", r"my_folder exists"),
    ],
)
def test_a_name_that_will_not_do_is_told_in_a_sentence(name, sentence, here, capsys):
    (here / "my_folder").mkdir()
    with pytest.raises(SystemExit) as ended:
        main.main(["new", name])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and re.match(rf"error: {sentence}.*: choose .*\.$", line), line
    assert [each.name for each in here.iterdir()] == ["my_folder"]
