"""What surrounds a process and is often taken for granted: each trouble is put right, or ends in one true sentence."""

import io
import multiprocessing
import os
import pathlib
import pwd
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
from collections.abc import Callable
from multiprocessing import util

import pytest

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.launch import main as cli
from acme_agents.launch import node_files, processes, run, surroundings
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.options import Options
from acme_agents.runtime import loggers, loopback
from acme_agents.runtime.nodes import Node

_TRAIN = ("train", "mpo", "--env", "probe:sign", "--config.policy-layers", "4", "--config.critic-layers", "4")


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that has to fail with exit code 2; returns what it said on standard error."""

    def call(*argv: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 2
        return capsys.readouterr().err

    return call


def test_what_is_local_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    import reverb

    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    loopback.without_proxy()
    loopback.without_proxy()
    assert os.environ[loopback._NO_GRPC_PROXY] == "example.org,localhost,127.0.0.1,::1"
    assert os.environ[loopback._NO_PROXY] == "example.org"  # which others read
    table = reverb.Table("table", reverb.selectors.Fifo(), reverb.selectors.Fifo(), 1, reverb.rate_limiters.MinSize(1))
    server = reverb.Server([table], port=None)
    try:
        for host in ("localhost", "127.0.0.1"):
            assert list(reverb.Client(f"{host}:{server.port}").server_info(timeout=10)) == ["table"]
    finally:
        server.stop()


def test_closed_streams_lead_nowhere(tmp_path: pathlib.Path, repository: pathlib.Path) -> None:
    """Rather than into the next file that is opened."""
    script = (
        "import os, sys; from acme_agents.launch import surroundings; surroundings.prepare(); "
        "file = open('file', 'w'); "
        "print('out'); print('error', file=sys.stderr); os.write(1, b'native'); os.write(2, b'native'); "
        "file.write(f'{file.fileno()}'); sys.stdin.read()"
    )
    command = f'{sys.executable} -c "{script}" <&- >&- 2>&-'
    environment = os.environ | {"PYTHONPATH": str(repository)}
    assert subprocess.run(command, shell=True, cwd=tmp_path, env=environment).returncode == 0
    assert int((tmp_path / "file").read_text()) >= 3


def test_a_command_whose_reader_has_gone_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for command in (["list"], ["train", "mpo", "--help"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as out, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            with pytest.raises(SystemExit) as ended:
                cli.main(command)
        assert ended.value.code == 141
    assert capfd.readouterr().err == ""


def test_another_pipe_that_breaks_is_an_error() -> None:
    with pytest.raises(BrokenPipeError), surroundings.reader_may_go():
        raise BrokenPipeError


def test_what_the_encoding_lacks_is_printed_as_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    surroundings.prepare()
    print("ünï run")
    out.flush()
    assert out.buffer.getvalue() == b"\\xfcn\\xef run\n"  # type: ignore[attr-defined]


def test_who_has_no_home_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    with pytest.raises(RuntimeError):
        pathlib.Path.home()  # as Matplotlib asks for it
    surroundings.prepare()
    home = pathlib.Path.home()
    assert home.is_dir() and not list(home.iterdir())
    home.rmdir()


def test_a_deleted_working_directory(
    fails: Callable[..., str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    sentence = "The working directory has been deleted: change to one that exists."
    assert fails(*_TRAIN) == f"error: {sentence}\n"
    with pytest.raises(errors.UserError, match=sentence):
        run(Experiment("mpo", "probe:sign"), run_dir=tmp_path / "run")


@pytest.mark.long
def test_python_without_assertions_is_refused(tmp_path: pathlib.Path, repository: pathlib.Path) -> None:
    """Haiku names parameters otherwise under -O, so that checkpoints could not be read."""
    with run_dir_lib.opened(tmp_path / "run", Experiment("mpo", "probe:sign"), "in-process", Options(), resume=False):
        pass
    command = [sys.executable, "-O", "-m", cli.__name__, "evaluate", "run"]
    environment = os.environ | {"PYTHONPATH": str(repository)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: Haiku, which makes the networks, relies on assertions, which `python -O` leaves out: run without -O "
        "and PYTHONOPTIMIZE.\n"
    )


@pytest.mark.parametrize("options", [(), ("--launcher", "ray"), ("--launcher", "processes", "--address", "h:1")])
def test_a_dry_run_without_a_cluster(fails: Callable[..., str], options: tuple[str, ...]) -> None:
    assert fails(*_TRAIN, "--dry-run", *options) == (
        "error: --dry-run says where the workers would be placed on a Ray cluster: give --launcher ray and --address "
        "HOST:PORT.\n"
    )


class TestRunDirectory:
    def test_runs_that_start_in_one_second_have_their_own(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(time, "strftime", lambda form: "20250101-120000")
        experiment = Experiment("mpo", "scaled:2:probe:sign")
        made = [run_dir_lib.make_default(experiment) for _ in range(3)]
        name = "runs/mpo-scaled-2-probe-sign-20250101-120000"
        assert list(map(str, made)) == [name, f"{name}-2", f"{name}-3"]
        assert all(path.is_dir() for path in made)

    @pytest.mark.parametrize("name", ["/proc/run", "file/run", "dangling", "x" * 300, "file"])
    def test_one_that_cannot_be_used(
        self, fails: Callable[..., str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        pathlib.Path("file").touch()
        pathlib.Path("dangling").symlink_to("/nowhere")
        said = fails(*_TRAIN, "--run-dir", name)
        reason = {"dangling": "is a link to /nowhere, which is not there", "file": "is a file"}.get(name, "be used (")
        assert name in said and reason in said and said.count("\n") == 1 and "choose another --run-dir" in said
        assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]

    def test_one_whose_run_has_no_checkpoint(self, fails: Callable[..., str], tmp_path: pathlib.Path) -> None:
        path, experiment = tmp_path / "run", Experiment("mpo", "probe:sign")
        with run_dir_lib.opened(path, experiment, "in-process", Options(), resume=False):
            pass
        said = f"error: {path} holds a run already, which has no checkpoint to resume from: choose another --run-dir.\n"
        assert fails(*_TRAIN, "--run-dir", str(path)) == said

    @pytest.mark.parametrize(
        ("config", "reason"),
        [(b"[]", "it names no agent"), (b'{"agent": 3}', "it names no agent"), (b"\xff", "codec can't decode")],
    )
    def test_one_whose_configuration_is_none(
        self, fails: Callable[..., str], tmp_path: pathlib.Path, config: bytes, reason: str
    ) -> None:
        (tmp_path / "config.json").write_bytes(config)
        for command in ("resume", "attach", "evaluate"):
            said = fails(command, str(tmp_path))
            assert said.startswith(f"error: {tmp_path / 'config.json'} cannot be read (") and reason in said

    def test_a_recording_that_could_not_be_written_is_refused_at_the_start(
        self, fails: Callable[..., str], tmp_path: pathlib.Path
    ) -> None:
        said = fails(*_TRAIN, "--run-dir", str(tmp_path / "run"), "--record", "/proc/nowhere/data")
        assert said.startswith("error: Nothing can be written to /proc/nowhere/data (No such file or directory): ")
        assert not (tmp_path / "run").exists()


class TestWorkers:
    def test_a_long_temporary_directory(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        long = tmp_path / ("x" * (107 - len(str(tmp_path))))
        long.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        monkeypatch.setattr(multiprocessing.current_process(), "_config", {})
        with monkeypatch.context() as patch:
            patch.setattr(processes, "_SHORT_DIRECTORIES", ())
            with pytest.raises(errors.UserError, match="has too long a path for a socket"):
                processes._keep_sockets_short()
        processes._keep_sockets_short()
        made = util.get_temp_dir()
        assert not made.startswith(str(long)) and len(made) < 50 and tempfile.gettempdir() == str(long)

    @pytest.mark.parametrize("path", ["<stdin>", "/dev/fd/63", None])
    def test_a_script_that_is_not_a_file(self, monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
        """As `python < script.py` and `python <(...)`; without a script, as at a prompt, there is nothing to import."""
        main = types.ModuleType("__main__")
        if path is not None:
            main.__file__ = path
        monkeypatch.setitem(sys.modules, "__main__", main)
        if path is None:
            processes._check_script()
            return
        with pytest.raises(errors.UserError, match=f"{path} is not a file that it could read"):
            processes._check_script()

    @pytest.mark.slow
    def test_a_script_without_its_guard(self, tmp_path: pathlib.Path, repository: pathlib.Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            "from acme_agents.experiments import Experiment\n"
            "from acme_agents.launch import run\n"
            "run(Experiment('mpo', 'probe:sign'), launcher='processes', run_dir='run')\n"
        )
        ended = subprocess.run(
            [sys.executable, str(script)],
            **{"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(repository)}},
            **{"capture_output": True, "text": True, "timeout": 60},
        )
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1].endswith(
            f"UserError: Every worker imports {script} and would run the experiment again: have it do so under "
            "`if __name__ == '__main__':` only."
        )
        assert ended.stderr.count("Traceback") == 1 and "restart" not in ended.stdout
        assert os.listdir(tmp_path / "run" / "logs") == []

    def test_only_a_worker_that_is_importing_the_script_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        codes: list[int] = []
        monkeypatch.setattr(os, "_exit", codes.append)
        process = multiprocessing.current_process()
        for name, inheriting in (("MainProcess", False), ("SpawnPoolWorker-1", True), ("actor-1", False)):
            monkeypatch.setattr(process, "_name", name)
            monkeypatch.setattr(process, "_inheriting", inheriting, raising=False)
            processes.refuse_in_a_worker()
        assert codes == []
        monkeypatch.setattr(process, "_inheriting", True)
        processes.refuse_in_a_worker()
        assert codes == [processes._UNGUARDED]

    def test_a_worker_that_could_not_begin_is_no_reason_for_another(self, tmp_path: pathlib.Path) -> None:
        place = processes.Processes(Experiment("mpo", "probe:sign"), tmp_path, {"replay": 1, "learner": 2}, Options())
        learner, log = Node("learner"), tmp_path / "logs" / "learner-0.log"
        log.parent.mkdir()

        def ended(code: int | None, started_at: float) -> None:
            child = types.SimpleNamespace(exit_code=lambda: code, started_at=started_at)
            place._children[learner] = child  # type: ignore[assignment]
            place.check()

        with pytest.raises(errors.UserError, match="would run the experiment again"):
            ended(processes._UNGUARDED, time.time())
        now = time.time()
        ended(None, now)
        ended(-9, now)  # It was killed.
        with pytest.raises(errors.UserError, match="learner-0 ended with exit code 1 before it could begin"):
            ended(1, now)
        os.close(node_files.begin_log(tmp_path, learner))
        ended(1, now)  # It says why in its log.
        with pytest.raises(errors.UserError, match="before it could begin"):
            ended(1, time.time() + 1)  # That log is of an earlier life.


@pytest.mark.slow
def test_tensorboard_shows_a_run(tmp_path: pathlib.Path) -> None:
    logger = loggers.RunLogger(tmp_path / "runs" / "run")
    for step in (10, 20):
        row = {"actor_steps": step, "learner_steps": 2 * step, "walltime": 0.5 * step, "episode_return": 1.5 * step}
        logger.write("evaluator", row)
    logger.close()
    tensorboard = pathlib.Path(sys.executable).with_name("tensorboard")
    command = [str(tensorboard), "--logdir", str(tmp_path / "runs"), "--port", "0", "--load_fast", "false"]
    with (tmp_path / "out").open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    get = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    try:
        scalars, deadline = "", time.monotonic() + 90
        while not scalars.count("15.0") and time.monotonic() < deadline and server.poll() is None:
            time.sleep(0.5)
            for word in (tmp_path / "out").read_text().split():
                if word.startswith("http://localhost:") and "Serving" not in word:
                    query = "data/plugin/scalars/scalars?run=run/tensorboard&tag=evaluator/episode_return"
                    try:
                        scalars = get(word + query, timeout=5).read().decode()
                    except OSError:  # It has not read the run yet.
                        continue
        assert "10, 15.0" in scalars and "20, 30.0" in scalars, (tmp_path / "out").read_text() + scalars
    finally:
        server.terminate()
        server.wait(20)
