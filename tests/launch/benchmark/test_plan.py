"""What a benchmark runs: agents with settings, suites, and a directory that is there already."""

import dataclasses
import inspect
import os
import pathlib
import shlex
import sys

import pytest
import tyro

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.experiments import Experiment, registry
from acme_agents.launch import commands, parsing
from acme_agents.launch.benchmark import plan, scheduling, suites, validation
from tests.launch.benchmark import made


def _options(*tasks: str, **fields) -> commands.Benchmark:
    return commands.Benchmark(output=pathlib.Path("b"), tasks=tasks, **fields)


def test_an_agent_with_settings_is_configured_as_train_would() -> None:
    variant = plan.parse("dmpo=mpo:critic=categorical,policy-layers=64x32,fit_temperature=false")
    assert (variant.label, variant.agent) == ("dmpo", "mpo")
    assert variant.text == "dmpo=mpo:critic=categorical,policy_layers=64x32,fit_temperature=false"
    config = validation.config(variant)
    default = registry.load("mpo").Config()
    changed = {"critic": "categorical", "policy_layers": (64, 32), "fit_temperature": False}
    assert config == dataclasses.replace(default, **changed)
    assert plan.parse("mpo:critic=scalar").label == "mpo:critic=scalar"
    together = validation.config(plan.parse("ppo:unroll_length=33,batch_size=8,num_minibatches=4"))
    assert (together.unroll_length, together.batch_size, together.num_minibatches) == (33, 8, 4)  # 33 alone is refused.


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mpo:crtic=scalar", "the agent mpo has no setting 'crtic': did you mean 'critic'?"),
        ("mpo:critic=scaler", "critic does not take the value 'scaler'"),
        ("mpo:batch_size=many", "batch_size does not take the value 'many'"),
        ("ppo:unroll_length=33,num_minibatches=5", "unroll_length does not take the value '33'"),
        ("mpo:critic", "An agent is [LABEL=]AGENT[:FIELD=VALUE,...]"),
        ("=mpo", "An agent is [LABEL=]AGENT[:FIELD=VALUE,...]"),
        ("mppo", "Unknown agent 'mppo': did you mean 'mpo'?"),
    ],
)
def test_an_agent_that_cannot_be(text: str, sentence: str) -> None:
    with pytest.raises(errors.UserError) as raised:
        validation.config(plan.parse(text))
    assert sentence in str(raised.value)


def test_every_agent_and_task_gets_every_seed_the_first_ones_first() -> None:
    planned = plan.make(_options("probe:sign", "probe:reach", agents=("td3", "sac"), seeds=2, seed=5, steps=400), None)
    named = [(run.seed, run.task, run.variant.label) for run in planned.runs()]
    assert named[:4] == [(5, t, a) for t in ("probe:sign", "probe:reach") for a in ("td3", "sac")]
    assert [seed for seed, _, _ in named] == [5] * 4 + [6] * 4
    assert planned.eval_every == 20 and planned.eval_episodes == 10
    assert planned.runs()[0].name == "probe-sign--td3--seed-5"


def test_a_directory_that_is_there_is_added_to_and_not_changed(tmp_path: pathlib.Path) -> None:
    first = plan.make(_options("probe:sign", agents=("td3",), seeds=2, steps=400), None)
    first.write(tmp_path)
    before = plan.Plan.read(tmp_path)
    assert before == first and plan.Plan.read(tmp_path / "elsewhere") is None
    assert plan.make(_options(), before) == first  # --output alone
    more = plan.make(_options("probe:reach", agents=("sac", "td3"), seeds=3), before)
    assert more.tasks == ["probe:sign", "probe:reach"] and [v.label for v in more.agents] == ["td3", "sac"]
    assert more.seeds == [0, 1, 2] and more.steps == 400 and {*first.runs()} < {*more.runs()}
    with pytest.raises(errors.UserError, match="b is a benchmark with --steps 400, not 500"):
        plan.make(_options(steps=500), before)
    with pytest.raises(errors.UserError, match="Two agents are called td3"):
        plan.make(_options(agents=("td3=sac",)), before)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"suite": "controll", "agents": ("td3",)},
            "Unknown suite 'controll': did you mean 'control'? There are control,",
        ),
        ({"agents": ("td3",)}, "name a suite or give --tasks"),
        ({"suite": "control"}, "give --agents"),
        ({"suite": "control", "tasks": ("probe:sign",)}, "Give a suite or --tasks, not both"),
        ({"suite": "control", "agents": ("td3",), "seeds": 0}, "--seeds must be at least 1, not 0"),
        ({"suite": "control", "agents": ("td3",), "steps": -1}, "--steps must be at least 1, not -1"),
    ],
)
def test_a_command_that_cannot_be(fields: dict, sentence: str) -> None:
    with pytest.raises(errors.UserError) as raised:
        plan.make(commands.Benchmark(output=pathlib.Path("b"), **fields), None)
    assert sentence in str(raised.value)


def test_runs_that_would_share_a_directory_are_refused() -> None:
    with pytest.raises(errors.UserError, match="would share a directory"):
        made.make_plan({"all": ["a:b", "a-b"]}, ["td3"])
    long = plan.Run("probe:sign", plan.parse("td3:" + ",".join(["batch_size=8"] * 40)), 0)
    other = plan.Run("probe:sign", plan.parse("td3:" + ",".join(["batch_size=8"] * 41)), 0)
    assert long.name != other.name and len(long.name) < 200


@pytest.mark.parametrize(
    ("task", "agent", "sentence"),
    [
        (
            "probe:sine",
            "td3:min_replay_size=100",
            "td3:min_replay_size=100 on probe:sine: Unknown environment 'probe:s",
        ),
        ("probe:choice", "td3:min_replay_size=100", "td3:min_replay_size=100 on probe:choice: TD3 needs continuous"),
        ("probe:sign", "td3:min_replay_size=5000", "The budget of 1,000 environment steps ends before training begins"),
    ],
)
def test_what_does_not_suit_is_found_before_anything_starts(task: str, agent: str, sentence: str) -> None:
    planned = made.make_plan({"all": [task, "probe:reach"]}, ["sac:min_replay_size=100", agent], seeds=[0])
    problem = validation.find_problem(planned, planned.runs()[::-1], sys.path)
    assert problem is not None and sentence in problem
    assert validation.find_problem(planned, planned.runs()[2:3], sys.path) is None


def test_a_run_is_what_train_would_run() -> None:
    """The flags that a run is started with describe the experiment that was checked."""
    planned = made.make_plan({"all": ["probe:reach"]}, ["dmpo=mpo:critic=categorical,policy_layers=8x4"], seeds=[3])
    (run,) = planned.runs()
    began, (command, agent, *flags) = scheduling._command(planned, pathlib.Path("nowhere"), run, ())
    assert (began, command, agent) == ("started", "train", "mpo")
    typed = parsing.with_config(commands.Train, registry.load("mpo").Config())
    assert parsing.to_experiment("mpo", tyro.cli(typed, args=flags)) == validation.make_experiment(planned, run)
    assert isinstance(validation.make_experiment(planned, run), Experiment)


def test_the_suites_are_of_tasks_that_there_are() -> None:
    from dm_control import suite as dm_suite

    os.environ.setdefault("MUJOCO_GL", "disable")
    for name in suites.names():
        for tasks in suites.get(name).groups.values():
            for task in tasks:
                environments.check(task)
                assert suites.bounds(task) is not None
    tagged = {f"control:{domain}:{task}" for domain, task in dm_suite.BENCHMARKING}
    control = [task for tasks in suites.get("control").groups.values() for task in tasks]
    assert len(control) == 28 and {*control} == tagged
    assert suites.get("control-small").groups["all"] == [
        "control:cartpole:swingup",
        "control:finger:spin",
        "control:reacher:easy",
        "control:walker:walk",
    ]


def test_the_help_and_the_docs_name_every_suite(repository: pathlib.Path) -> None:
    docs = (repository / "docs" / "benchmark.md").read_text()
    help_text = inspect.getsource(commands.Benchmark)
    for name in suites.names():
        assert f"| `{name}` |" in docs and f"{suites.get(name).steps:,}" in docs and name in help_text


def test_the_command_of_a_plan_makes_it_again() -> None:
    planned = plan.make(_options(suite="control-small", agents=("td3", "dmpo=mpo:critic=scalar")), None)
    words = shlex.split(planned.command())
    assert words[:3] == ["acme-agents", "benchmark", "control-small"] and "--tasks" not in words
    assert plan.make(tyro.cli(commands.Benchmark, args=words[2:]), None) == planned
    more = plan.make(_options("probe:sign"), planned)
    assert [each for each in shlex.split(more.command()) if ":" in each][:5] == more.tasks


def test_published_scores_are_of_tasks_and_agents_that_there_are() -> None:
    sources = suites._read("published.json")
    assert {source["ours"] for source in sources} <= {None, *registry.AGENTS}
    for task in {task for source in sources for task in source["scores"]}:
        environments.check(task)


def test_a_published_score_stands_beside_as_many_environment_steps() -> None:
    found = {(p.agent, p.repeat): (p.mean, p.deviation) for p in suites.published("control:walker:walk", 100_000)}
    assert found["MPO", None] == (299, 84) and found["SAC", 1] == (847, 122)
    assert suites.published("control:walker:walk", 100_001) == []
    repeated = suites.published("repeat:2:control:walker:walk", 50_000)
    assert repeated == suites.published("control:walker:walk", 100_000)
    assert suites.action_repeat("delayed:1:repeat:2:repeat:3:control:walker:walk") == 6
    assert suites.action_repeat("repeat:2:control:walker:walk") == 2 and suites.action_repeat("probe:sign") == 1
    assert suites.published("scaled:2:control:walker:walk", 100_000) == []
    assert suites.bounds("repeat:4:control:walker:walk") == suites.bounds("control:walker:walk")
    assert suites.bounds("scaled:2:control:walker:walk") is None
