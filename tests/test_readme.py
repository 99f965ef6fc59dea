"""What the READMEs and docs/ say is true: links, commands, trees, tables, and the agent that they write."""

import csv
import dataclasses
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import tyro

from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment, registry
from acme_agents.launch import main, run_dir
from acme_agents.launch.options import Options

FOLDERS = {name: module.replace(".", "/") for name, module in (registry.AGENTS | registry.BONUSES).items()}
AGENT_READMES = [f"{folder}/README.md" for folder in FOLDERS.values()]
DOCS = sorted(f"docs/{path.name}" for path in (pathlib.Path(__file__).parents[1] / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", *DOCS, *AGENT_READMES)
RANDOM_RETURN, OPTIMAL_RETURN = 12.6, 47.1  # of probe:reach, from its docstring
RANDOM_BALANCE = 23  # of a random policy on jax:cartpole, measured
# The update is that of tests/launch/test_processes.py, which is compiled once.
SMALL = "--config.policy-layers 32 --config.critic-layers 32 --config.num-actions 4 --config.batch-size 16"


def text(repository, document):
    return (repository / document).read_text()


def marked_block(readme, mark):
    """The code block that follows the comment `<!-- MARK: ...`."""
    (block,) = re.findall(rf"<!-- {mark}:.*?-->\n```\w+\n(.*?)```", readme, re.DOTALL)
    return block


def commands(repository):
    """Every command line that a document shows in a block, its comment left out."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"^```\w*\n(.*?)^```$", text(repository, document), re.DOTALL | re.MULTILINE):
            found += [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("acme-agents ")]
    return found


def test_links_lead_somewhere(repository):
    broken = []
    for document in DOCUMENTS:
        folder = (repository / document).parent
        content = text(repository, document)
        headings = re.findall(r"^#+ (.*)$", content, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        for link in re.findall(r"\]\(([^)\s]+)\)", content):
            path, _, anchor = link.partition("#")
            if link.startswith("https://"):
                continue
            if (path and not (folder / path).exists()) or (not path and anchor not in anchors):
                broken.append(f"{document}: {link}")
    assert not broken


def test_commands_that_are_shown_parse(repository, tmp_path, monkeypatch):
    (tmp_path / "my_agent.py").write_text(marked_block(text(repository, "README.md"), "agent"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    reach = Experiment("mpo", "probe:reach")
    for name in ("reach", "cheetah", "cycles"):  # the runs that they continue
        with run_dir.opened(tmp_path / "runs" / name, reach, "in-process", Options(), resume=False):
            pass
    shown = commands(repository)
    assert len(shown) >= 10
    parsed = []

    def stop_after_parsing(*args, **kwargs):
        parsed.append(real_cli(*args, **kwargs))
        raise Parsed

    real_cli = tyro.cli
    monkeypatch.setattr(tyro, "cli", stop_after_parsing)
    for command in shown:
        program, *arguments = shlex.split(command)
        assert program == "acme-agents"
        if arguments == ["list"]:
            main.main(arguments)
            parsed.append(None)
        else:
            with pytest.raises(Parsed):
                main.main(arguments)
    assert len(parsed) == len(shown)


class Parsed(BaseException):
    """Raised in place of running a command; no Exception, of which the command line would print a report."""


def test_a_wrong_command_does_not_parse(monkeypatch):
    """The test above would see it."""
    with pytest.raises(SystemExit):
        main.main(shlex.split("train mpo --env probe:reach --no-such-flag 1"))


@pytest.mark.parametrize("name", FOLDERS)
def test_table_of_defaults_is_the_configuration(repository, name):
    table = text(repository, f"{FOLDERS[name]}/README.md").partition("<!-- defaults:")[2]
    shown = {}
    for fields, defaults in re.findall(r"^\| (`.*?) \| (`.*?) \|", table.partition("\n\n")[0], re.MULTILINE):
        names, values = re.findall(r"`(.*?)`", fields), re.findall(r"`(.*?)`", defaults)
        shown |= dict(zip(names, values, strict=True))
    config = dataclasses.asdict(registry.load(name).Config())
    actual = {name: " ".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in config.items()}
    assert shown == actual


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """A function that trains in `tmp_path`, where an agent's file is found, and returns what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def train(options):
        main.main(("train", *shlex.split(options)))
        return capsys.readouterr().out

    return train


@pytest.mark.parametrize("document", ["README.md", "docs/agents.md"])
def test_every_agent_and_bonus_is_in_the_tables(repository, document):
    linked = re.findall(r"^\|.*$", text(repository, document), re.MULTILINE)
    linked = re.findall(r"\[`([\w-]+)`\]\((?:\.\./)?(\S+?)/README\.md\)", "\n".join(linked))
    assert sorted(linked) == sorted(FOLDERS.items())


@pytest.mark.slow
def test_bonus_of_the_docs_pays(repository, tmp_path, train):
    (tmp_path / "my_bonus.py").write_text(marked_block(text(repository, "docs/writing-agents.md"), "bonus"))
    train("my_bonus --base.agent dqn --env jax:cartpole --updates 200 --base.config.min-replay-size 100 --run-dir run")
    with (tmp_path / "run/learner.csv").open() as table:
        (*_, last) = csv.DictReader(table)
    assert 10 < float(last["bonus_cells"]) < 1000
    assert 0.0 < float(last["intrinsic_reward"]) < 1.0


def final_return(printed):
    return float(re.findall(r"final evaluation return ([\d.]+)", printed)[0])


@pytest.mark.slow
def test_agent_of_the_readme_learns(repository, tmp_path, train):
    (tmp_path / "my_agent.py").write_text(marked_block(text(repository, "README.md"), "agent"))
    printed = train("my_agent --env jax:cartpole --steps 8000 --eval-every 8000 --run-dir run")
    assert final_return(printed) > 3 * RANDOM_BALANCE


@pytest.mark.slow
def test_the_example_learns_with_the_critic_that_it_names(repository, tmp_path, train):
    example = text(repository, "examples/actor_critic.py")
    agent, replaced = re.subn(r"^HEAD = .*#.*(values\.mixture\(.*?\)).*$", r"HEAD = \1", example, flags=re.MULTILINE)
    assert replaced == 1
    (tmp_path / "my_other_agent.py").write_text(agent)
    printed = train("my_other_agent --env probe:reach --steps 5000 --eval-every 5000 --run-dir run")
    assert final_return(printed) > RANDOM_RETURN + 0.6 * (OPTIMAL_RETURN - RANDOM_RETURN)


@pytest.mark.slow
def test_script_of_the_docs_runs(repository, tmp_path):
    (tmp_path / "script.py").write_text(marked_block(text(repository, "docs/usage.md"), "script"))
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs/reach-categorical True" in done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["in-process", "processes"])
def test_run_directory_is_as_the_docs_draw_it(repository, tmp_path, launcher, train):
    tree = marked_block(text(repository, "docs/usage.md"), "run directory").splitlines()
    assert tree[0].startswith("runs/mpo-probe-reach-")
    drawn = {line.split()[1] for line in tree[1:]}
    options = f"--launcher {launcher} {SMALL} --config.min-replay-size 100 --record data"
    train(f"mpo --env probe:reach --updates 250 --eval-every 500 {options}")
    (run_dir,) = pathlib.Path(tmp_path / "runs").iterdir()
    assert re.fullmatch(r"mpo-probe-reach-\d{8}-\d{6}", run_dir.name)
    written = {path.name + "/" * path.is_dir() for path in run_dir.iterdir()}
    assert written == drawn - {"nodes.json", "token", "profile/"}  # while processes run, on a cluster, where asked for
    logs = {path.name for path in (run_dir / "logs").iterdir()}
    roles = {"replay", "learner", "actor", "evaluator"}
    assert logs == ({"in-process.log"} if launcher == "in-process" else {f"{role}-0.log" for role in roles})
    assert checkpoint.steps(run_dir / checkpoint.DIRECTORY)[-1] == 250  # the budget, to the last
