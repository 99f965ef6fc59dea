"""launch/slurm.sh under a real Slurm, on hosts with addresses of their own."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest

from acme_agents.core import checkpoint
from tests.cluster import network, slurm
from tests.launch.running import ROUNDS, disturbed, nodes, rows, wait

_SCRIPT = pathlib.Path(__file__).parents[2] / "launch/slurm.sh"
_RUN = (
    *("train", "mpo", "--env", "probe:reach", "--actors", "1", "--eval-every", "2000", "--eval-episodes", "2"),
    *("--config.policy-layers", "32", "--config.critic-layers", "32", "--config.num-actions", "4"),
    *("--config.batch-size", "16", "--config.samples-per-insert", "16", "--config.min-replay-size", "200"),
)


def _on_slurm(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs a Slurm."""
    for mark in (
        pytest.mark.cluster,
        pytest.mark.slow,
        pytest.mark.timeout(900 + 300 * ROUNDS),
        pytest.mark.skipif(not network.allowed(), reason="this machine allows no network namespaces"),
        pytest.mark.skipif(not slurm.installed(), reason="there is no Slurm here (Debian: slurm-wlm)"),
    ):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    with (
        network.Network(2) as made,
        slurm.Slurm(made.hosts, 3, tmp_path_factory.mktemp("slurm") / "files") as cluster,
    ):
        yield cluster


def _submit(cluster: slurm.Slurm, directory: pathlib.Path, *arguments: str) -> str:
    """The number of a job on both nodes, given from `directory`."""
    options = ["--parsable", "--nodes=2", "--cpus-per-task=2", "--output=out"]
    return cluster.run("sbatch", *options, str(_SCRIPT), *arguments, cwd=directory).strip()


def _begins(cluster: slurm.Slurm, job: str, run_dir: pathlib.Path) -> None:
    """Waits until a job's run learns."""

    def learns() -> bool:
        assert cluster.job(job)["JobState"] in ("PENDING", "RUNNING"), (run_dir.parent / "out").read_text()
        return len(rows(run_dir, "learner", "learner_steps")) > 0

    wait(learns, 240, "first updates")


def _left_of(job: str, directory: pathlib.Path) -> list[str]:
    """Command lines of what is left of a job that was given from `directory`."""
    processes = psutil.process_iter(["cmdline", "status"])
    lines = [" ".join(p.info["cmdline"] or []) for p in processes if p.info["status"] != psutil.STATUS_ZOMBIE]
    return [line for line in lines if f"/acme-agents-{job}/" in line or f"acme_agents.launch.work {directory}" in line]


@pytest.fixture
def bystander(cluster: slurm.Slurm, tmp_path: pathlib.Path) -> Iterator[psutil.Process]:
    """The head of somebody else's Ray cluster on the first node."""
    host = next(iter(cluster.names))
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--include-dashboard",
        "false",
    ]
    options = ["--node-ip-address", host.address, "--port", "6389", "--num-cpus", "1", "--disable-usage-stats"]
    with (tmp_path / "bystander").open("w") as out:
        process = host.popen([*command, *options], stdout=out, stderr=out)
    try:
        wait(lambda: "started" in (tmp_path / "bystander").read_text(), 60, "another Ray cluster")
        raylets = [child for child in psutil.Process(process.pid).children() if "raylet" in child.name()]
        yield raylets[0]
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.soak
@_on_slurm
def test_a_job_whose_time_is_over_is_queued_again_and_goes_on(
    cluster: slurm.Slurm,
    bystander: psutil.Process,
    tmp_path: pathlib.Path,
    record_property: Callable[[str, object], None],
) -> None:
    run_dir, out = tmp_path / "run", tmp_path / "out"
    steps = str(4000 * ROUNDS)
    job = _submit(cluster, tmp_path, *_RUN, "--steps", steps, "--run-dir", "run", "--checkpoint-seconds", "1000")
    _begins(cluster, job, run_dir)
    assert {node["host"] for node in nodes(run_dir).values()} == {host.address for host in cluster.names}

    saved = 0
    for number in range(1, ROUNDS + 1):
        wait(lambda saved=saved: any(rows(run_dir, "learner", "learner_steps") > saved), 240, "further updates")
        with disturbed(run_dir, "job queued again", record_property):
            cluster.run("scancel", "--batch", "--signal=USR1", job)
            wait(lambda number=number: cluster.job(job)["Restarts"] == str(number), 90, "a restart")
        saved = checkpoint.steps(run_dir / "checkpoints")[-1]
        assert saved >= 200 and "stopped; continue with" in out.read_text()
    wait(lambda: cluster.job(job)["JobState"] == "COMPLETED", 300, "the end of the job")

    said = out.read_text()
    assert "final evaluation return" in said
    assert not [line for line in said.splitlines() if line.startswith("error")]  # Slurm may have one for the requeue.
    assert rows(run_dir, "evaluator", "actor_steps")[-1] == int(steps)
    updates = rows(run_dir, "learner", "learner_steps")
    assert updates[-1] > saved and np.all(np.diff(updates) > 0)
    wait(lambda: not _left_of(job, tmp_path), 30, "an end of all processes")
    wait(lambda: not any(any(cluster.scratch(host).iterdir()) for host in cluster.names), 30, "empty scratch folders")
    assert not list(tmp_path.glob("*ray.log"))
    assert bystander.is_running()


@_on_slurm
def test_a_job_that_is_cancelled_leaves_a_checkpoint_and_no_process(
    cluster: slurm.Slurm, tmp_path: pathlib.Path
) -> None:
    run_dir = tmp_path / "run"
    job = _submit(cluster, tmp_path, *_RUN, "--run-dir", "run", "--checkpoint-seconds", "1000")
    _begins(cluster, job, run_dir)
    cluster.run("scancel", job)
    wait(lambda: cluster.job(job)["JobState"] == "CANCELLED", 90, "the end of the job")
    wait(lambda: not _left_of(job, tmp_path), 30, "an end of all processes")
    assert checkpoint.steps(run_dir / "checkpoints")[-1] >= 200
    wait(lambda: not any(any(cluster.scratch(host).iterdir()) for host in cluster.names), 30, "empty scratch folders")


@pytest.mark.parametrize(
    "job, arguments, says",
    [
        ({}, ["train", "mpo"], "this is a batch script: sbatch"),
        ({"SLURM_JOB_ID": "1"}, [], "give it what acme-agents is to do"),
        ({"SLURM_JOB_ID": "1"}, ["train", "mpo", "--env", "probe:reach"], "give --run-dir"),
    ],
)
def test_mistakes_get_a_sentence(job: dict[str, str], arguments: list[str], says: str) -> None:
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("SLURM")}, **job}
    ended = subprocess.run(["bash", str(_SCRIPT), *arguments], env=environment, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("error: ") and says in ended.stderr and ended.stderr.count("\n") == 1
