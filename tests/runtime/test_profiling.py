"""`--profile` shows where the time of a process goes, and does no harm where it cannot."""

import contextlib
import gzip
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from acme_agents.core import errors
from acme_agents.runtime import profiling

_COMMAND = (
    *("train", "mpo", "--env", "probe:reach", "--eval-every", "0", "--config.critic", "scalar"),
    *("--config.policy-layers", "4", "--config.critic-layers", "4", "--config.min-replay-size", "100"),
    *("--config.num-actions", "4", "--config.batch-size", "16", "--config.samples-per-insert", "16"),
)


@pytest.mark.slow
def test_a_run_is_profiled_once_it_learns_and_goes_on(tmp_path: pathlib.Path) -> None:
    run_dir = tmp_path / "run"
    command = [sys.executable, "-m", "acme_agents.launch.main", *_COMMAND, "--run-dir", str(run_dir), "--profile", "1"]
    flame_graph = run_dir / "profile" / "in-process.svg"
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while running.poll() is None and not (
            flame_graph.exists() and flame_graph.read_text().rstrip().endswith("</svg>")
        ):
            time.sleep(0.2)
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=200)
    finally:
        running.kill()
    assert running.returncode == 0 and "stopped; continue with" in said
    for function in ("update", "select_action"):  # of the learner and of the actor, seen in some samples
        assert re.search(rf"<title>{function} \(acme_agents/\S+:\d+\) \([1-9]", flame_graph.read_text()), function
    (trace,) = (run_dir / "profile" / "in-process").rglob("perfetto_trace.json.gz")
    programs = gzip.decompress(trace.read_bytes())
    assert b"PjitFunction(act)" in programs and b"PjitFunction(update)" in programs


def test_a_run_that_ends_before_it_learns_says_so(tmp_path, caplog):
    with profiling.profiled(tmp_path, "actor-0", 1.0):
        pass
    assert caplog.messages == ["Nothing was profiled: the run ended before learner.csv had a row."]
    assert not (tmp_path / "profile").exists()


def test_a_sampler_that_fails_harms_nothing(tmp_path, caplog, monkeypatch):
    failing = tmp_path / "py-spy"
    failing.write_text("#!/bin/sh\necho reason >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(profiling, "_sampler", lambda: str(failing))
    monkeypatch.setattr(profiling, "_traced", contextlib.nullcontext)
    with caplog.at_level(logging.WARNING), profiling.profiled(tmp_path, "learner-0", 0.2):
        (tmp_path / "learner.csv").touch()
        os.utime(tmp_path / "learner.csv", (time.time() + 10,) * 2)
        time.sleep(1.0)
    assert "py-spy could not sample this process: reason" in caplog.messages


def test_without_py_spy_a_run_does_not_begin(monkeypatch):
    monkeypatch.setattr(profiling, "_sampler", lambda: None)
    with pytest.raises(errors.UserError, match="--profile needs py-spy, which is not installed: pip install"):
        profiling.check()
