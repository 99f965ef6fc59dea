"""A Launchpad program on this machine, for real: it learns, it stops when asked, it survives kill -9, it goes on."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from acme_agents import datasets
from acme_agents.agents import mpo
from acme_agents.core import checkpoint
from acme_agents.experiments import Experiment
from acme_agents.launch import main as cli
from acme_agents.launch import processes, run, supervisor
from acme_agents.runtime import loggers
from tests.environments import odd
from tests.launch.running import ROUNDS, attached, disturbed, max_restarts, nodes, record, rows, started, wait

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
        max_steps=8_000,
        eval_every=2_000,
        eval_episodes=10,
    )
    result = run(experiment, launcher="processes", run_dir=tmp_path / "run")
    # A random policy earns 12.6 and the best one 47.1.
    assert result.finished and result.evaluation_return is not None and result.evaluation_return > 40.0
    actor = loggers.read_csv(tmp_path / "run" / "actor.csv")
    assert actor["actor_steps"][-1] <= 8_000
    learner_steps = checkpoint.steps(tmp_path / "run" / "checkpoints")[-1]
    # What the actors' unfinished chunks at the end held is neither inserted nor sampled.
    inserted = 8_000 - 1_000
    assert learner_steps == pytest.approx(inserted * 32 / 64, abs=2 * 40 * 32 / 64)
    assert learner_steps <= inserted * 32 / 64
    assert not (tmp_path / "run" / "nodes.json").exists()


@pytest.mark.soak
@pytest.mark.timeout(900 * ROUNDS)
def test_it_survives_kill_9_of_every_worker_stops_on_every_signal_and_goes_on(
    tmp_path: pathlib.Path, record_property: Callable[[str, object], None]
) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, *_COMMAND, *max_restarts(4 + ROUNDS)) as process:
        wait(lambda: checkpoint.steps(run_dir / "checkpoints"), 180, "a checkpoint")
        for _ in range(ROUNDS):
            for victim in ("actor-1", "learner-0", "replay-0", "evaluator-0"):
                with disturbed(run_dir, victim, record_property):
                    _kill(run_dir, victim)
        _stop(run_dir, process, signal.SIGUSR1)
    for number, signum in enumerate([signal.SIGINT, signal.SIGTERM, signal.SIGUSR1] * ROUNDS):
        saved = checkpoint.steps(run_dir / "checkpoints")[-1]
        assert saved >= 200 * (number + 1)
        with started(run_dir, *_COMMAND, "--resume") as process:
            wait(lambda saved=saved: _learned(run_dir, saved + 200), 180, "updates after the resume")
            with disturbed(run_dir, f"stop by {signum.name}", record_property):
                _stop(run_dir, process, signum)
    for table, column in (("actor", "actor_steps"), ("learner", "walltime")):
        assert np.all(np.diff(rows(run_dir, table, column)) >= 0), column
    assert np.all(np.diff(rows(run_dir, "learner", "learner_steps")) > 0)


def _kill(run_dir: pathlib.Path, victim: str) -> None:
    """Kills a worker, and waits until it is there again and the run has gone on for long."""
    saved = checkpoint.steps(run_dir / "checkpoints")[-1]
    pid = nodes(run_dir)[victim]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait(lambda: nodes(run_dir)[victim]["pid"] != pid, 90, f"a restart of {victim}")
    wait(lambda: checkpoint.steps(run_dir / "checkpoints")[-1] > saved + 1500, 240, f"updates without {victim}")
    evaluations = len(rows(run_dir, "evaluator", "actor_steps"))
    wait(lambda: len(rows(run_dir, "evaluator", "actor_steps")) > evaluations, 120, f"an evaluation after {victim}")
    assert f"{victim} died (exit code -9)" in (run_dir.parent / "run.out").read_text()


def _stop(run_dir: pathlib.Path, process: subprocess.Popen, signum: int) -> None:
    """Asks a run to stop, which it does in order, and nothing of it is left."""
    found, ports = nodes(run_dir), record(run_dir)["place"]["ports"]
    assert {"replay-0", "learner-0", "actor-0", "actor-1", "evaluator-0"} == set(found)
    children = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signum)
    assert process.wait(timeout=60) == 0
    seconds = time.monotonic() - began
    out = (run_dir.parent / "run.out").read_text()
    assert "did not end in time" not in out
    if ROUNDS > 1:  # on a machine that does nothing else
        assert seconds < 10
    _gone, alive = psutil.wait_procs(children, timeout=3)
    assert not alive, alive
    assert set(ports) == {"replay", "learner"}
    for role, port in ports.items():
        with socket.socket() as probe:
            assert probe.connect_ex(("localhost", port)) != 0, f"{role} still listens"


def test_what_a_stop_may_take_is_less_than_ten_seconds() -> None:
    """Of its own: by then the launcher has killed what has not ended."""
    notices = supervisor._POLL_SECONDS + 1.0  # that it may wait for the learner's status
    assert notices + processes.Processes.stop_seconds + supervisor._EXIT_SECONDS < 10


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
                assert watcher.wait(timeout=60) == 0
            assert not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"]
        finally:
            for node in found.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(node["pid"], signal.SIGKILL)
    assert checkpoint.steps(run_dir / "checkpoints")[-1] >= 200
    assert not (run_dir / "nodes.json").exists()
    assert "actor-1 died" in (tmp_path / "run.out").read_text()


def test_a_recorded_run_ends_by_itself_though_its_learner_is_killed_and_then_its_launcher(
    tmp_path: pathlib.Path,
) -> None:
    run_dir, data = tmp_path / "run", tmp_path / "data"
    with started(run_dir, *_COMMAND, "--record", str(data), "--steps", "12000", "--checkpoint-seconds", "1") as process:
        wait(lambda: any((run_dir / "recording").glob("*.npz")), 180, "a first piece of the recording")
        pid = nodes(run_dir)["learner-0"]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait(lambda: nodes(run_dir)["learner-0"]["pid"] != pid, 90, "a restart")
        workers = [psutil.Process(node["pid"]) for node in nodes(run_dir).values()]
        process.kill()
        process.wait()
        wait(
            lambda: not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE], 300, "their end"
        )
    assert rows(run_dir, "evaluator", "actor_steps")[-1] == 12_000
    with attached(run_dir) as watcher:  # There is nothing left to do but to say so.
        assert watcher.wait(timeout=90) == 0
    assert "final evaluation return" in (tmp_path / "run.out").read_text()

    trajectories = datasets.load(data, Experiment("mpo", "probe:reach").environment_spec())
    starts = {tuple(trajectory.observation[0]) for trajectory in trajectories}
    assert len(starts) == len(trajectories)  # every episode begins somewhere else
    whole = sum(len(trajectory.reward) == 50 for trajectory in trajectories)
    assert len(trajectories) - whole <= 2  # what each actor had not ended
    # Dropped are at most the few chunks that came out of order while the learner was away.
    assert sum(len(trajectory.reward) for trajectory in trajectories) >= 12_000 - 500
    assert sum(len(trajectory.reward) for trajectory in trajectories) <= 12_000


def test_a_worker_that_keeps_dying_ends_the_run(tmp_path: pathlib.Path) -> None:
    (tmp_path / "dying_agent.py").write_text(
        "from acme_agents.agents import mpo\n"
        "Config = mpo.Config\n"
        "class Agent:\n"
        "    def __init__(self, config): self.agent = mpo.make(config)\n"
        "    def learner(self, spec): return self.agent.learner(spec)\n"
        "    def replay(self, spec): return self.agent.replay(spec)\n"
        "    def actor(self, spec, context):\n"
        "        core = self.agent.actor(spec, context)\n"
        "        def select_action(params, observation, state):\n"
        "            import multiprocessing\n"
        "            if multiprocessing.current_process().name == 'actor-0': raise ArithmeticError('of no use')\n"
        "            return core.select_action(params, observation, state)\n"
        "        return core._replace(select_action=select_action)\n"
        "make = Agent\n"
    )
    command = [sys.executable, "-m", "acme_agents.launch.main", *_COMMAND, "--run-dir", str(tmp_path / "run")]
    command = [*command, "--roles.actor.max-restarts", "1"]
    command[command.index("mpo")] = "dying_agent"
    root = str(pathlib.Path(__file__).parents[2])
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=150
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: actor.select_action raises ArithmeticError: of no use\n")
    assert f"  {tmp_path / 'dying_agent.py'}:11, in select_action\n" in ended.stderr
    assert re.search(r"actor-0 (has met this twice in a row|died \d times)", ended.stderr)


def test_a_nan_of_the_environment_ends_the_run_with_a_sentence_and_leaves_its_data(tmp_path: pathlib.Path) -> None:
    run_dir, data, environment = tmp_path / "run", tmp_path / "data", odd.name("NanReward")
    command = [*_COMMAND, "--run-dir", str(run_dir), "--record", str(data), "--eval-every", "0", "--actors", "1"]
    command[command.index("probe:reach")] = environment
    command += ["--checkpoint-seconds", "1000", "--roles.actor.max-restarts", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "acme_agents.launch.main", *command], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 1
    sentence = "the environment returned a reward that is nan, in step 10 of its episode 4."
    assert re.match(
        rf"error: {sentence}\nactor-0 died 2 times, .* the full trace is in .*actor-0\.log\.\n$", ended.stderr
    )
    assert f"actor-0 died (exit code 1); restart 1 of 1 in 1 s: {sentence}" in ended.stdout
    # Both lives: three episodes of 20 steps, and nine steps before the NaN, of which no chunk was full.
    episodes = datasets.load(data, Experiment("mpo", environment).environment_spec())
    assert [len(episode.reward) for episode in episodes] == [20] * 6
    counts = checkpoint.read_meta(run_dir / checkpoint.DIRECTORY)
    assert counts is not None and counts["learner"]["replay"]["replay"]["inserted"] == 2 * 60
    assert sum(steps for steps, _ in counts["coordinator"]["lives"].values()) == 2 * 69


def test_an_environment_that_breaks_its_spec_ends_the_run_with_a_sentence(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for launcher in ("in-process", "processes"):
        command = [*_COMMAND, "--run-dir", launcher]
        command[command.index("probe:reach")] = "gym:lying_env:Lying-v0"
        command[command.index("processes")] = launcher
        with pytest.raises(SystemExit) as ended:
            cli.main(command)
        said = capsys.readouterr().err
        assert ended.value.code == 2, said
        assert said.count("\n") == 1 and said.startswith("error: "), said
        assert "shape [4]" in said and "float32 [3]" in said
