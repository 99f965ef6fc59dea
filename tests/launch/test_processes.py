"""A Launchpad program on this machine, for real: it learns, it stops when asked, it survives kill -9, it goes on."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from acme_agents import datasets, mpo
from acme_agents.experiments import Experiment
from acme_agents.runtime import checkpoint, loggers
from launch import run
from tests.launch.running import attached, nodes, record, rows, started, wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # Generous, as are the waits: other programs may be running.

_SMALL = ("--config.policy-layers", "32", "--config.critic-layers", "32", "--config.num-actions", "4")
_COMMAND = (
    *("train", "mpo", "--env", "probe:reach", "--launcher", "processes", "--actors", "2", "--eval-every", "1000"),
    *("--eval-episodes", "2", "--steps", "1000000", "--config.min-replay-size", "200", "--checkpoint-seconds", "2"),
    *("--config.batch-size", "16", "--config.samples-per-insert", "16", *_SMALL),
)


def _learned(run_dir: pathlib.Path, least: int) -> bool:
    return any(rows(run_dir, "learner", "learner_steps") >= least)


def test_learns_a_probe(tmp_path: pathlib.Path) -> None:
    config = mpo.Config(
        policy_layers=(64, 64),
        critic_layers=(64, 64),
        num_actions=10,
        batch_size=64,
        learning_rate=1e-3,
        samples_per_insert=32.0,
        discount=0.9,
    )
    experiment = Experiment(
        agent="mpo",
        environment="probe:reach",
        config=config,
        num_actors=2,
        max_steps=12_000,
        eval_every=2_000,
        eval_episodes=10,
    )
    result = run(experiment, launcher="processes", run_dir=tmp_path / "run")
    # A random policy earns 12.6 and the best one 47.1.
    assert result.finished and result.evaluation_return is not None and result.evaluation_return > 40.0
    actor = loggers.read_csv(tmp_path / "run" / "actor.csv")
    assert actor["actor_steps"][-1] <= 12_000
    learner_steps = checkpoint.steps(tmp_path / "run" / "checkpoints")[-1]
    # What the actors' unfinished chunks at the end held is neither inserted nor sampled.
    inserted = 12_000 - 1_000
    assert learner_steps == pytest.approx(inserted * 32 / 64, abs=2 * 40 * 32 / 64)
    assert learner_steps <= inserted * 32 / 64
    assert not (tmp_path / "run" / "nodes.json").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_stops_within_ten_seconds_and_goes_on(tmp_path: pathlib.Path, signum: int) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, *_COMMAND) as process:
        wait(lambda: _learned(run_dir, 200), 180, "first updates")
        found, ports = nodes(run_dir), record(run_dir)["place"]["ports"]
        children = psutil.Process(process.pid).children(recursive=True)
        assert {"replay-0", "learner-0", "actor-0", "actor-1", "evaluator-0"} == set(found)
        began = time.monotonic()
        process.send_signal(signum)
        assert process.wait(timeout=15) == 0
        assert time.monotonic() - began < 10
    _gone, alive = psutil.wait_procs(children, timeout=3)
    assert not alive, alive
    assert set(ports) == {"replay", "learner"}
    for role, port in ports.items():
        with socket.socket() as probe:
            assert probe.connect_ex(("localhost", port)) != 0, f"{role} still listens"
    saved = checkpoint.steps(run_dir / "checkpoints")[-1]
    assert saved >= 200

    with started(run_dir, *_COMMAND, "--resume") as process:
        wait(lambda: _learned(run_dir, saved + 200), 180, "updates after the resume")
        process.send_signal(signum)
        assert process.wait(timeout=15) == 0
    for table, column in (("actor", "actor_steps"), ("learner", "learner_steps"), ("learner", "walltime")):
        assert np.all(np.diff(rows(run_dir, table, column)) >= 0), column


@pytest.mark.parametrize("victim", ["actor-1", "learner-0", "replay-0", "evaluator-0"])
def test_survives_kill_9(tmp_path: pathlib.Path, victim: str) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, *_COMMAND) as process:
        wait(lambda: checkpoint.steps(run_dir / "checkpoints"), 180, "a checkpoint")
        saved = checkpoint.steps(run_dir / "checkpoints")[-1]
        pid = nodes(run_dir)[victim]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait(lambda: nodes(run_dir)[victim]["pid"] != pid, 60, "a restart")
        after = wait(lambda: [s for s in checkpoint.steps(run_dir / "checkpoints") if s > saved + 1500], 240, "updates")
        evaluations = len(rows(run_dir, "evaluator", "actor_steps"))
        wait(lambda: len(rows(run_dir, "evaluator", "actor_steps")) > evaluations, 120, "an evaluation")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    assert after
    assert np.all(np.diff(rows(run_dir, "actor", "actor_steps")) >= 0)
    assert np.all(np.diff(rows(run_dir, "learner", "learner_steps")) > 0)
    assert f"{victim} died (exit code -9)" in (tmp_path / "run.out").read_text()


def test_a_killed_launcher_disturbs_nobody_and_another_attaches(tmp_path: pathlib.Path) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, *_COMMAND, "--checkpoint-seconds", "1000") as process:
        wait(lambda: _learned(run_dir, 200), 180, "first updates")
        found = nodes(run_dir)
        process.kill()
        process.wait()
        try:
            before = rows(run_dir, "learner", "learner_steps")[-1]
            wait(lambda: _learned(run_dir, before + 400), 120, "updates without a launcher")
            with pytest.raises(ValueError, match="acme-agents attach"):
                run(Experiment.from_run_dir(run_dir), launcher="processes", run_dir=run_dir)
            os.kill(found["actor-1"]["pid"], signal.SIGKILL)
            with attached(run_dir) as watcher:
                wait(lambda: nodes(run_dir)["actor-1"]["pid"] != found["actor-1"]["pid"], 60, "a restart")
                after = nodes(run_dir)
                assert {name for name in found if after[name]["pid"] != found[name]["pid"]} == {"actor-1"}
                os.kill(found["learner-0"]["pid"], signal.SIGKILL)  # of one that the watcher did not start
                wait(lambda: nodes(run_dir)["learner-0"]["pid"] != found["learner-0"]["pid"], 60, "a restart")
                wait(lambda: not _learned(run_dir, 1), 120, "a learner that begins again")
                wait(lambda: _learned(run_dir, 200), 120, "updates of a learner that began again")
                workers = [psutil.Process(node["pid"]) for node in nodes(run_dir).values()]
                watcher.send_signal(signal.SIGTERM)
                assert watcher.wait(timeout=15) == 0
            assert not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"]
        finally:
            for node in found.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(node["pid"], signal.SIGKILL)
    assert checkpoint.steps(run_dir / "checkpoints")[-1] >= 200
    assert not (run_dir / "nodes.json").exists()
    assert "actor-1 died" in (tmp_path / "run.out").read_text()


def test_a_run_without_launcher_ends_by_itself(tmp_path: pathlib.Path) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, *_COMMAND, "--steps", "6000") as process:
        wait(lambda: _learned(run_dir, 200), 180, "first updates")
        workers = [psutil.Process(node["pid"]) for node in nodes(run_dir).values()]
        process.kill()
        process.wait()
        wait(
            lambda: not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE], 300, "their end"
        )
    assert rows(run_dir, "evaluator", "actor_steps")[-1] == 6000
    with attached(run_dir) as watcher:  # There is nothing left to do but to say so.
        assert watcher.wait(timeout=60) == 0
    assert "final evaluation return" in (tmp_path / "run.out").read_text()


def test_a_worker_that_keeps_dying_ends_the_run(tmp_path: pathlib.Path) -> None:
    (tmp_path / "dying_agent.py").write_text(
        "from acme_agents import mpo\n"
        "Config = mpo.Config\n"
        "class Agent:\n"
        "    def __init__(self, config): self.agent = mpo.make(config)\n"
        "    def learner(self, spec): return self.agent.learner(spec)\n"
        "    def replay(self, spec): return self.agent.replay(spec)\n"
        "    def actor(self, spec, *, evaluation):\n"
        "        core = self.agent.actor(spec, evaluation=evaluation)\n"
        "        def select_action(params, observation, state):\n"
        "            import multiprocessing\n"
        "            if multiprocessing.current_process().name == 'actor-0': raise ArithmeticError('of no use')\n"
        "            return core.select_action(params, observation, state)\n"
        "        return core._replace(select_action=select_action)\n"
        "make = Agent\n"
    )
    command = [sys.executable, "-m", "launch.main", *_COMMAND, "--run-dir", str(tmp_path / "run")]
    command[command.index("mpo")] = "dying_agent"
    root = str(pathlib.Path(__file__).parents[2])
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=150
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ArithmeticError: of no use\n")
    assert f"  {tmp_path / 'dying_agent.py'}:11, in select_action\n" in ended.stderr
    assert re.search(r"actor-0 (has met this twice in a row|died \d times)", ended.stderr)


def test_two_experiments_differ_only_in_launcher(tmp_path: pathlib.Path) -> None:
    """The same object runs on both, to the same number of updates."""
    config = mpo.Config(policy_layers=(16,), critic_layers=(16,), num_actions=2, batch_size=16, min_replay_size=50)
    experiment = Experiment(
        agent="mpo", environment="probe:sign", config=config, max_steps=None, max_updates=150, eval_every=100
    )
    for launcher in ("in-process", "processes"):
        result = run(experiment, launcher=launcher, run_dir=tmp_path / launcher)  # type: ignore[arg-type]
        assert result.finished
        assert checkpoint.steps(tmp_path / launcher / "checkpoints")[-1] == 150
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("in-process", "processes")]
    assert configs[0] == configs[1] == json.loads(json.dumps(dataclasses.asdict(experiment)))


def test_an_environment_that_breaks_its_spec_ends_the_run_with_a_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lying_env.py").write_text(
        "import gymnasium, numpy as np\n"
        "class Lying(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-1, 1, (3,))\n"
        "    def __init__(self, render_mode=None): pass\n"
        "    action_space = gymnasium.spaces.Box(-1, 1, (1,))\n"
        "    def reset(self, *, seed=None, options=None): return np.zeros(4, np.float32), {}\n"
        "    def step(self, action): return np.zeros(4, np.float32), 0.0, True, False, {}\n"
        "gymnasium.register(id='Lying-v0', entry_point=Lying, disable_env_checker=True)\n"
    )
    root = str(pathlib.Path(__file__).parents[2])
    for launcher in ("in-process", "processes"):
        command = [sys.executable, "-m", "launch.main", *_COMMAND, "--run-dir", launcher]
        command[command.index("probe:reach")] = "gym:lying_env:Lying-v0"
        command[command.index("processes")] = launcher
        ended = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("error: "), ended.stderr
        assert "shape [4]" in ended.stderr and "float32 [3]" in ended.stderr


def test_a_recording_has_every_episode_once_though_the_learner_is_killed(tmp_path: pathlib.Path) -> None:
    run_dir, data = tmp_path / "run", tmp_path / "data"
    with started(run_dir, *_COMMAND, "--record", str(data), "--steps", "12000", "--checkpoint-seconds", "1") as process:
        wait(lambda: any((run_dir / "recording").glob("*.npz")), 120, "a first piece of the recording")
        os.kill(nodes(run_dir)["learner-0"]["pid"], signal.SIGKILL)
        assert process.wait(timeout=180) == 0
    trajectories = datasets.load(data, Experiment("mpo", "probe:reach").environment_spec())
    starts = {tuple(trajectory.observation[0]) for trajectory in trajectories}
    assert len(starts) == len(trajectories)  # every episode begins somewhere else
    whole = sum(len(trajectory.reward) == 50 for trajectory in trajectories)
    assert len(trajectories) - whole <= 2  # what each actor had not ended
    # Dropped are at most the few chunks that came out of order while the learner was away.
    assert sum(len(trajectory.reward) for trajectory in trajectories) >= 12_000 - 500
    assert sum(len(trajectory.reward) for trajectory in trajectories) <= 12_000
