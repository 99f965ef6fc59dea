"""A Ray cluster of hosts with addresses of their own: a program is placed there, survives what befalls it, and goes."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from acme_agents.runtime import checkpoint
from tests.cluster import network
from tests.launch.running import nodes, rows, wait

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not network.allowed(), reason="this machine allows no network namespaces"),
]

_PORT = 6379
_ENVIRONMENT = {
    **os.environ,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_failure_threshold": "20",  # A host may be away for half a minute.
    "RAY_memory_monitor_refresh_ms": "0",
}
_COMMAND = (
    *("train", "mpo", "--env", "probe:reach", "--launcher", "ray", "--actors", "2", "--eval-every", "2000"),
    *("--eval-episodes", "5", "--checkpoint-seconds", "3", "--roles.actor.max-restarts", "20"),
    *(
        "--roles.learner.max-restarts",
        "20",
        "--roles.replay.max-restarts",
        "20",
        "--roles.evaluator.max-restarts",
        "20",
    ),
    *("--config.policy-layers", "64", "64", "--config.critic-layers", "64", "64", "--config.num-actions", "10"),
    *("--config.batch-size", "64", "--config.learning-rate", "1e-3", "--config.samples-per-insert", "32"),
    *("--config.discount", "0.9"),
)


class RayCluster:
    """Three hosts with a Ray node each; the first is the head."""

    def __init__(self, hosts: list[network.Host], directory: str):
        self.hosts = hosts
        self.address = f"{hosts[0].address}:{_PORT}"
        self._directory = directory

    def start(self, host: network.Host, cpus: int) -> None:
        at = ["--address", self.address]
        if host is self.hosts[0]:
            at = ["--head", "--port", str(_PORT), "--temp-dir", self._directory, "--include-dashboard", "false"]
        command = [str(pathlib.Path(sys.executable).parent / "ray"), "start", *at]
        options = ["--node-ip-address", host.address, "--num-cpus", str(cpus), "--disable-usage-stats"]
        with open(pathlib.Path(self._directory) / "start.log", "a") as log:
            started = host.popen([*command, *options], env=_ENVIRONMENT, stdout=log, stderr=log)
            assert started.wait(timeout=120) == 0

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """The command line on the head's host, to its end."""
        process = self.popen(subprocess.PIPE, *command)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def popen(self, out, *command: str) -> subprocess.Popen:
        """The command line on the head's host."""
        return self.hosts[0].popen(
            [sys.executable, "-m", "launch.main", *command], env=_ENVIRONMENT, stdout=out, stderr=out, text=True
        )

    def workers(self) -> list[str]:
        """Command lines of the workers' processes that run."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if "launch.work" in line and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(line)
        return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    directory = tempfile.mkdtemp(prefix="acme-ray-")
    try:
        with network.Network(3) as made:
            result = RayCluster(made.hosts, directory)
            for host in made.hosts:
                result.start(host, 3)
            yield result
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _where(cluster: RayCluster, run_dir: pathlib.Path, name: str) -> network.Host:
    address = nodes(run_dir)[name]["host"]
    return next(host for host in cluster.hosts if host.address == address)


def test_a_program_is_placed_on_several_hosts_and_learns(cluster: RayCluster, tmp_path: pathlib.Path) -> None:
    command = [*_COMMAND, "--steps", "12000", "--address", cluster.address, "--ports", "21000", "21099"]
    planned = cluster.run(*command, "--dry-run")
    assert planned.returncode == 0
    assert f"{cluster.hosts[0].address} (3 CPUs" in planned.stdout and "replay-0, learner-0" in planned.stdout
    assert not cluster.workers()

    run_dir, log = tmp_path / "run", tmp_path / "out"
    with log.open("w") as out, cluster.popen(out, *command, "--run-dir", str(run_dir)) as driver:
        wait(lambda: len(rows(run_dir, "learner", "learner_steps")), 240, "first updates")
        found = nodes(run_dir)
        assert set(found) == {"replay-0", "learner-0", "actor-0", "actor-1", "evaluator-0"}
        assert len({node["host"] for node in found.values()}) == 2  # Five workers, and three fit on a host.
        for server in ("replay-0", "learner-0"):
            host, port = found[server]["address"].split(":")
            assert host == found[server]["host"] and 21000 <= int(port) <= 21099
            with cluster.hosts[2].inside(), socket.create_connection((host, int(port)), timeout=30) as stranger:
                stranger.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100))  # what gRPC begins with
                stranger.settimeout(30)
                with contextlib.suppress(ConnectionResetError):
                    assert stranger.recv(1) == b""
        assert (run_dir / "token").stat().st_mode & 0o077 == 0
        assert driver.wait(timeout=300) == 0, log.read_text()
    # A random policy earns 12.6 and the best one 47.1.
    assert float(re.findall(r"final evaluation return ([\d.]+)", log.read_text())[0]) > 40.0
    assert rows(run_dir, "evaluator", "actor_steps")[-1] == 12_000
    assert {path.name for path in (run_dir / "logs").glob("*.log")} == {f"{name}.log" for name in found}
    assert not cluster.workers()
    assert cluster.run(*command, "--dry-run").stdout == planned.stdout  # Every place is given back.


def test_what_cannot_be_placed_is_named(cluster: RayCluster, tmp_path: pathlib.Path) -> None:
    command = [*_COMMAND, "--steps", "12000", "--address", cluster.address, "--roles.actor.cpus", "4"]
    for more in (["--place-seconds", "3", "--run-dir", str(tmp_path / "run")], ["--dry-run"]):
        ended = cluster.run(*command, *more)
        assert ended.returncode == 2
        said = next(line for line in ended.stderr.splitlines() if line.startswith("error:"))
        assert "has no room for actor-0 to actor-1 (actor needs 4 CPUs" in said and "Traceback" not in ended.stderr
    assert not cluster.workers()


def test_chaos(cluster: RayCluster, tmp_path: pathlib.Path) -> None:
    """Every role is killed again and again, a link is cut, the driver dies; and MPO learns all the same."""
    run_dir, log = tmp_path / "run", tmp_path / "out"
    command = [*_COMMAND, "--steps", "60000", "--address", cluster.address, "--run-dir", str(run_dir)]
    lost = []  # updates that each learner's death cost
    with log.open("a") as out, contextlib.ExitStack() as stack:
        driver = stack.enter_context(cluster.popen(out, *command))
        stack.callback(driver.kill)
        wait(lambda: checkpoint.steps(run_dir / "checkpoints"), 240, "a checkpoint")

        def kill(name: str) -> None:
            before, pid = rows(run_dir, "learner", "learner_steps"), nodes(run_dir)[name]["pid"]
            saved = checkpoint.steps(run_dir / "checkpoints")[-1]
            os.kill(pid, signal.SIGKILL)
            wait(lambda: nodes(run_dir)[name].get("pid", pid) != pid, 120, f"a restart of {name}")
            wait(lambda: checkpoint.steps(run_dir / "checkpoints")[-1] > saved, 120, f"updates after {name} was killed")
            if name == "learner-0" and len(before):
                lost.append(before[-1] - saved)

        for _ in range(2):
            for name in ("actor-0", "replay-0", "learner-0", "evaluator-0", "actor-1"):
                if driver.poll() is None:
                    kill(name)
        assert driver.poll() is None, log.read_text()

        host = _where(cluster, run_dir, "actor-1")
        saved = checkpoint.steps(run_dir / "checkpoints")[-1]
        if host is not cluster.hosts[0]:
            host.cut()
            time.sleep(15)
            host.mend()
        wait(lambda: checkpoint.steps(run_dir / "checkpoints")[-1] > saved, 120, "updates after a cut")

        driver.kill()
        driver.wait()
        driver = stack.enter_context(cluster.popen(out, "attach", str(run_dir)))
        stack.callback(driver.kill)
        kill("actor-0")
        assert driver.wait(timeout=600) == 0, log.read_text()
    said = log.read_text()
    assert float(re.findall(r"final evaluation return ([\d.]+)", said)[0]) > 40.0
    steps = rows(run_dir, "learner", "learner_steps")
    assert np.all(np.diff(steps) > 0)
    assert rows(run_dir, "actor", "actor_steps")[-1] <= 60_000
    assert max(lost) <= 2000, lost
    assert not cluster.workers()
    assert json.loads((run_dir / "config.json").read_text())["max_steps"] == 60_000
