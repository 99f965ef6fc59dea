"""What a user's mistake gets: one sentence that says what to do, exit code 2, and no stack trace."""

import fcntl
import pathlib
import shutil
import socket
from collections.abc import Callable

import pytest

from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment, registry
from acme_agents.launch import main as cli

_TRAIN = (
    *("train", "mpo", "--env", "probe:sign", "--config.policy-layers", "4", "--config.critic-layers", "4"),
    *("--config.critic", "scalar", "--config.num-actions", "2", "--config.batch-size", "8"),
)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that has to fail; returns what it said on standard error."""

    def run(*argv: str, code: int = 2) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        said = capsys.readouterr().err
        assert ended.value.code == code
        assert "Traceback" not in said
        return said

    return run


@pytest.fixture(scope="module")
def template_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    run_dir = tmp_path_factory.mktemp("template") / "run"
    budget = ("--config.min-replay-size", "50", "--updates", "3", "--eval-every", "0")
    cli.main((*_TRAIN, *budget, "--run-dir", str(run_dir)))
    return run_dir


@pytest.fixture
def finished_run(tmp_path: pathlib.Path, template_run: pathlib.Path) -> pathlib.Path:
    """A run directory whose run has a checkpoint."""
    return pathlib.Path(shutil.copytree(template_run, tmp_path / "run"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("fly",), "error: Unknown command 'fly': choose train, resume, attach, evaluate, collect,"),
        (
            ("train", "mp0", "--env", "probe:sign"),
            "error: Unknown agent 'mp0': did you mean 'mpo'? There are "
            f"{', '.join(registry.AGENTS)}, and any module that offers one; and the bonuses "
            f"{', '.join(registry.BONUSES)}, which go around an agent.\n",
        ),
        (("train", "a3c", "--env", "probe:sign"), "error: Unknown agent 'a3c': there are bc, cca, crr, d4pg,"),
        (("train", "json", "--env", "probe:sign"), "offers no agent: it has no Config and no make.\n"),
        (("train", "mpo", "--env", "control:cartpole:swing"), "did you mean swingup?\n"),
        (("train", "mpo", "--env", "gym:Pendulm-v1"), "Pendulum-v1"),
        (("train", "mpo", "--env", "probe:choice"), "error: MPO needs continuous actions"),
        ((*_TRAIN, "--config.batchsize", "10"), "--config.batch-size INT"),
        ((*_TRAIN, "--config.batch-size", "ten"), "invalid literal for int() with base 10"),
        ((*_TRAIN, "--config.batch-size", "0"), "batch_size must be at least 1, not 0."),
        ((*_TRAIN, "--config.discount", "1.5"), "discount must lie in [0, 1], not 1.5."),
        ((*_TRAIN, "--config.max-replay-size", "99"), "training would never begin.\n"),
        ((*_TRAIN, "--config.critic", "quantile"), "('mixture', 'categorical', 'scalar')"),
        ((*_TRAIN, "--config.max-replay-size", "1" + "0" * 12), "GiB are free: keep fewer, at most about"),
        ((*_TRAIN, "--steps", "0"), "error: The budget of environment steps must be at least 1, not 0.\n"),
        ((*_TRAIN, "--resume"), "error: There is nothing to resume without a run directory: give --run-dir.\n"),
        ((*_TRAIN, "--steps", "1000"), "ends before training begins, which waits for 1,000 transitions"),
        ((*_TRAIN, "--seed", "-1"), "error: The seed must be at least 0, not -1.\n"),
        (("train", "mpo", "--env", "probe:tradeoff"), "MPO needs one reward, and this environment has a vector of 2"),
        (("train", "crr", "--updates", "5"), "error: Name an environment: --env ENVIRONMENT"),
        (
            ("train", "crr", "--dataset", "nowhere", "--updates", "5"),
            "error: there is no dataset nowhere: give the path",
        ),
        ((*_TRAIN, "--dataset", "nowhere"), "The run would never end: without environment steps it needs --updates."),
        ((*_TRAIN, "--offline-updates", "9"), "There is nothing to do offline updates on: give --dataset."),
        ((*_TRAIN, "--dataset", "a", "--steps", "9", "--dataset-share", "1"), "share must lie in [0, 1), not 1.0."),
        (
            (*_TRAIN, "--teacher", "nowhere"),
            "error: The teacher has no weight: give --config.teacher-action-weight or "
            "--config.teacher-gradient-weight, or leave --teacher out.\n",
        ),
        (("collect", "nowhere", "--dataset", "x"), "error: nowhere is not a run directory: it has no config.json.\n"),
        (("demonstrate", "deep-see:5", "--dataset", "x"), "Unknown environment 'deep-see:5'"),
        (
            ("demonstrate", "probe:choice", "--dataset", "x"),
            "error: probe:choice has no scripted expert, as deep-sea:N and key-door:N have: train an agent there, and "
            "collect episodes of its policy.\n",
        ),
        (("demonstrate", "deep-sea:5", "--dataset", "."), "error: . is there already: write the dataset to another"),
        (("demonstrate", "deep-sea:5", "--dataset", "x", "--episodes", "0"), "--episodes must be at least 1, not 0.\n"),
        (
            ("demonstrate", "deep-sea:5", "--dataset", "x", "--random-actions", "1.5"),
            "--random-actions must lie in [0, 1], not 1.5.\n",
        ),
        (
            ("train", "rnd", "--env", "probe:choice"),
            "error: rnd is a bonus, which goes around an agent: name",
        ),
        (("train", "rnd", "--base.agent", "dqm", "--env", "probe:choice"), "Unknown agent 'dqm': did you mean 'dqn'?"),
        ((*_TRAIN, "--base.agent", "ppo"), "error: The agent mpo goes around no other: leave --base out, or train a"),
        (("train", "rnd", "--base.agent", "dqn", "--base.config.n-step", "0"), "n_step must be at least 1, not 0."),
        (("evaluate", "nowhere"), "error: nowhere is not a run directory: it has no config.json.\n"),
        (("list", "agents"), "error: list takes no arguments, not agents.\n"),
    ],
)
def test_one_sentence(fails: Callable[..., str], arguments: tuple[str, ...], sentence: str) -> None:
    said = fails(*arguments)
    # tyro frames what it says; the words are the same without the frame.
    assert " ".join(sentence.split()) in " ".join(said.replace("│", " ").split())


def test_a_bug_in_the_users_code_is_shown_with_its_place(
    fails: Callable[..., str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent_with_a_bug.py").write_text(
        "import dataclasses\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Config:\n"
        "    rate: float = 1.0\n"
        "def make(config):\n"
        "    raise ValueError('simulator crashed')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    said = fails("train", "agent_with_a_bug", "--env", "probe:sign", code=1)
    error, frame, source, log = said.splitlines()
    assert error == "error: ValueError: simulator crashed"
    assert frame == f"  {tmp_path / 'agent_with_a_bug.py'}:6, in make"
    assert source == "    raise ValueError('simulator crashed')"
    trace = pathlib.Path(log.removeprefix("The full trace is in ").removesuffix("."))
    assert "Traceback" in trace.read_text()
    trace.unlink()


def test_a_package_that_the_users_module_misses_is_not_an_unknown_agent(
    fails: Callable[..., str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_agents").mkdir()
    (tmp_path / "my_agents" / "__init__.py").write_text("import no_such_package\n")
    (tmp_path / "my_agents" / "one.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    said = fails("train", "my_agents.one", "--env", "probe:sign", code=1)
    assert said.startswith("error: ModuleNotFoundError: No module named 'no_such_package'\n")
    assert "my_agents/__init__.py:1, in <module>" in said


@pytest.mark.long
def test_a_run_directory_is_not_overwritten(fails: Callable[..., str], finished_run: pathlib.Path) -> None:
    before = (finished_run / "config.json").read_bytes()
    said = fails(*_TRAIN, "--run-dir", str(finished_run))
    assert (
        said == f"error: {finished_run} holds a run already: continue it with `acme-agents resume {finished_run}`, or "
        "choose another --run-dir.\n"
    )
    assert (finished_run / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--env", "probe:reach", "is a run with environment 'probe:sign', not 'probe:reach'"),
        ("--seed", "1", "is a run with seed 0, not 1"),
        ("--config.n-step", "2", "is a run with n_step 4, not 2"),
        ("--config.critic-layers", "256", "is a run with critic_layers (4,), not (256,)"),
        ("--updates", "2", "has done 3 updates already, and the budget is 2: give it more."),
    ],
)
def test_a_resume_of_another_run(
    fails: Callable[..., str], finished_run: pathlib.Path, option: str, value: str, sentence: str
) -> None:
    before = (finished_run / "config.json").read_bytes()
    said = fails(*_TRAIN, option, value, "--resume", "--run-dir", str(finished_run))
    assert said.startswith(f"error: {finished_run} {sentence}")
    assert (finished_run / "config.json").read_bytes() == before


def test_a_resume_needs_no_configuration(finished_run: pathlib.Path) -> None:
    arguments = ("--updates", "5", "--resume", "--run-dir", str(finished_run))
    cli.main(("train", "mpo", "--env", "probe:sign", *arguments))
    assert checkpoint.steps(finished_run / "checkpoints")[-1] == 5
    experiment = Experiment.from_run_dir(finished_run)
    assert experiment.config.policy_layers == (4,) and experiment.eval_every == 0 and experiment.max_steps is None


def test_a_run_without_checkpoint(fails: Callable[..., str], finished_run: pathlib.Path) -> None:
    for file in (finished_run / "checkpoints").glob("*.npz"):
        file.unlink()
    assert "has no checkpoint to resume from" in fails(*_TRAIN, "--resume", "--run-dir", str(finished_run))
    assert "has no checkpoint yet" in fails("evaluate", str(finished_run))


def test_a_damaged_checkpoint(fails: Callable[..., str], finished_run: pathlib.Path) -> None:
    for file in (finished_run / "checkpoints").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    said = fails(*_TRAIN, "--resume", "--run-dir", str(finished_run), "--updates", "5")
    assert "is damaged" in said


def test_a_run_directory_in_use(fails: Callable[..., str], finished_run: pathlib.Path) -> None:
    with (finished_run / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = fails(*_TRAIN, "--resume", "--run-dir", str(finished_run))
    assert said == f"error: {finished_run} is in use by another process: wait for it, or choose another --run-dir.\n"


def test_taken_ports(fails: Callable[..., str], tmp_path: pathlib.Path) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = fails(*_TRAIN, "--launcher", "processes", "--ports", port, port, "--run-dir", str(tmp_path / "run"))
    assert f"error: Of the ports {port} to {port} fewer than 2 are free" in said and "--ports" in said


def test_nothing_to_attach_to(fails: Callable[..., str], finished_run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said = fails("attach", str(finished_run))
    assert said == f"error: Nothing runs in {finished_run}: continue it with `acme-agents resume {finished_run}`.\n"
    assert "is not a run directory" in fails("attach", str(tmp_path))


def test_list_names_agents_and_environments(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(("list",))
    said = capsys.readouterr().out
    assert "  mpo " in said and "  control:humanoid:run\n" in said and "  probe:reach\n" in said


def test_evaluate_reports_the_returns(finished_run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for _ in range(2):
        cli.main(("evaluate", str(finished_run), "--episodes", "3"))
    first, second = capsys.readouterr().out.splitlines()
    assert first == second and first.startswith("episode return ") and first.endswith("over 3 episodes")


def test_help_names_every_field_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(("train", "mpo", "--help"))
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert ended.value.code == 0
    assert "--config.samples-per-insert FLOAT" in said and "Adam's, of the dual variables, per update" in said
