"""Slurm on hosts of network namespaces: a controller and a daemon per host, of Debian's slurm-wlm, for one test.

Nothing of a Slurm that the machine may have is used or touched: configuration, state and munge's key and socket are in
a directory of their own.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tests.cluster.network import Host
from tests.launch.running import wait

_SCRATCH = "/run/acme-scratch"  # every host's own disk is mounted here
_SECONDS = 60.0  # that Slurm may take to start

# `cred_expire` is how long Slurm waits before it starts a job again; `config_overrides` lets a host have more CPUs than
# the machine.
_PATH = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"  # as if .venv were activated
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={controller}({address})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire=10
SlurmctldPidFile={directory}/slurmctld.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdPidFile={directory}/slurmd-%n.pid
SlurmdLogFile={directory}/slurmd-%n.log
SlurmdSpoolDir={directory}/spool-%n
StateSaveLocation={directory}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=30
KillWait=20
MinJobAge=3600
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def installed() -> bool:
    """Whether this machine has Slurm's programs."""
    return all(shutil.which(name, path=_PATH) for name in ("munged", "slurmctld", "slurmd", "sbatch"))


class Slurm:
    """A cluster of `hosts`; ended and removed at the end of the `with`."""

    def __init__(self, hosts: Sequence[Host], cpus: int, directory: pathlib.Path):
        """Describes it; `with` starts it.

        Args:
          hosts: the first has the controller too.
          cpus: of each, as Slurm is told.
          directory: for everything it writes.
        """
        self._hosts = hosts
        self._directory = directory
        self.names = {host: f"node{i}" for i, host in enumerate(hosts)}
        nodes = [f"NodeName={name} NodeAddr={host.address} CPUs={cpus}" for host, name in self.names.items()]
        self._configuration = _CONFIGURATION.format(
            controller=self.names[hosts[0]], address=hosts[0].address, directory=directory, nodes="\n".join(nodes)
        )
        self._environment = {
            **os.environ,
            "SLURM_CONF": str(directory / "slurm.conf"),
            "PATH": _PATH,
            "TMPDIR": _SCRATCH,
        }
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> "Slurm":
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            (self._directory / "state").mkdir(parents=True)
            (self._directory / "slurm.conf").write_text(self._configuration)
            key = self._directory / "munge.key"
            key.write_bytes(os.urandom(128))
            key.chmod(0o400)
            files = [
                f"--{kind}={self._directory}/munge.{kind}" for kind in ("socket", "pid-file", "seed-file", "log-file")
            ]
            self._start(self._hosts[0], "munged", "--foreground", "--force", f"--key-file={key}", *files)
            wait((self._directory / "munge.socket").exists, _SECONDS, "munge")
            self._start(self._hosts[0], "slurmctld", "-D")
            for host in self._hosts:
                self._start(host, "slurmd", "-D")
            idle = ("sinfo", "--noheader", "--format=%D", "--states=idle")
            wait(lambda: self.run(*idle).strip() == str(len(self._hosts)), _SECONDS, "idle nodes")
            stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    def run(self, *command: str, cwd: pathlib.Path | None = None) -> str:
        """What one of Slurm's commands prints, given on the controller's host."""
        with self._hosts[0].inside():
            ended = subprocess.run(
                command, cwd=cwd, env=self._environment, check=True, capture_output=True, text=True, timeout=60
            )
        return ended.stdout

    def job(self, number: str) -> dict[str, str]:
        """What Slurm says of a job, by its names: JobState, ExitCode, Restarts ..."""
        words = self.run("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def scratch(self, host: Host) -> pathlib.Path:
        """What TMPDIR is on a host, as seen from here."""
        return self._directory / f"scratch-{self.names[host]}"

    def _start(self, host: Host, *command: str) -> None:
        """Starts a daemon on a host, which is called by its name there, and has a TMPDIR of its own."""
        script = 'hostname "$1"; mkdir -p "$2" "$TMPDIR"; mount --bind "$2" "$TMPDIR"; shift 2; exec "$@"'
        own = (self.names[host], str(self.scratch(host)))
        self._processes.append(
            host.popen(
                ["unshare", "--uts", "--mount", "sh", "-c", script, "sh", *own, *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=(self._directory / f"{command[0]}.out").open("a"),
                stderr=subprocess.STDOUT,
            )
        )

    def _end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(30)
