"""`--config-file`: what a run's config.json has, or a part of it, are flags."""

import json
import pathlib

import pytest

from acme_agents.agents import mpo
from acme_agents.core import errors
from acme_agents.experiments import Base, Experiment
from acme_agents.exploration import rnd
from acme_agents.launch import config_file, parsing
from acme_agents.launch import main as cli
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.options import Options, Role, Roles

_CONFIG = mpo.Config(critic="scalar", policy_layers=(4, 5), learning_rate=1e-5, fit_temperature=False)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list:
    """The agents and options that `train` would have run."""
    found: list = []
    monkeypatch.setattr(cli, "_run", lambda agent, train: found.append((parsing.to_experiment(agent, train), train)))
    return found


def _flags(train) -> Options:
    return Options(**{name: getattr(train, name) for name in Options.__dataclass_fields__})


def test_the_config_of_a_run_begins_the_same_experiment(tmp_path: pathlib.Path, begun: list) -> None:
    base = Base("mpo", _CONFIG)
    experiment = Experiment(
        "rnd", "probe:reach", config=rnd.Config(), base=base, seed=3, num_actors=2, max_steps=70_000
    )
    options = Options(ports=(21_000, 21_999), roles=Roles(actor=Role(cpus=0.5)), compilation_cache="off")
    with run_dir_lib.opened(tmp_path / "run", experiment, "processes", options, resume=False):
        pass
    cli.main(["train", "rnd", "--config-file", str(tmp_path / "run" / "config.json"), "--seed", "4"])
    ((found, train),) = begun
    assert found == Experiment(**{name: getattr(experiment, name) for name in vars(experiment)} | {"seed": 4})
    assert (train.launcher, _flags(train)) == ("processes", options)


def test_yaml_with_some_fields(tmp_path: pathlib.Path, begun: list) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "environment: probe:reach\nmax_steps: 5000\neval_every: 0\nclip_actions: true\nteacher: null\n"
        "config:\n  learning_rate: 1e-5\n  policy_layers: [4, 5]\n  critic: scalar\n  fit_temperature: false\n"
    )
    cli.main(["train", "mpo", "--config-file", str(file), "--config.policy-layers", "6"])
    ((found, train),) = begun
    config = mpo.Config(critic="scalar", policy_layers=(6,), learning_rate=1e-5, fit_temperature=False)
    assert found == Experiment(
        "mpo", "probe:reach", config=config, max_steps=5000, eval_every=0, clip_actions=True, seed=0
    )
    assert train.launcher == "in-process"


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("none.json", None, "cannot be read (No such file or directory)"),
        ("a.json", "{", "cannot be read: Expecting property name"),
        ("a.yaml", "a: [", "cannot be read: while parsing"),
        ("a.yaml", "- 1", "must have a value for each name"),
        ("a.json", json.dumps({"agent": "dqn"}), "is of the agent dqn, not mpo"),
    ],
)
def test_one_sentence(tmp_path: pathlib.Path, name: str, text: str | None, sentence: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(errors.UserError) as raised:
        config_file.flags(path, "mpo")
    assert str(raised.value).startswith(f"--config-file {path}") and sentence in str(raised.value)


def test_an_unknown_field_is_told_by_its_flag(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"environment": "probe:reach", "config": {"learning_rat": 1}}))
    with pytest.raises(SystemExit) as raised:
        cli.main(["train", "mpo", "--config-file", str(tmp_path / "a.json")])
    assert raised.value.code == 2 and "--config.learning-rat" in capsys.readouterr().err
