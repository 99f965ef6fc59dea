"""A learner's checkpoint and the replay server's, when one of them cannot be written."""

import functools
import pathlib
import subprocess
import threading

import jax
import jax.numpy as jnp
import pytest
import reverb

from acme_agents.agents import mpo
from acme_agents.core import checkpoint, errors
from acme_agents.core.checkpoint import CheckpointError
from acme_agents.experiments import Experiment
from acme_agents.replay import tables
from acme_agents.runtime import replay_server, replays
from acme_agents.runtime.training_session import TrainingSession

_EXPERIMENT = Experiment(
    agent="mpo",
    environment="probe:sign",
    config=mpo.Config(policy_layers=(4,), critic_layers=(4,), max_replay_size=2000),
    eval_every=0,
)


def _server(run_dir: pathlib.Path) -> reverb.Server:
    make_tables = functools.partial(replay_server.make_tables, _EXPERIMENT)
    return tables.serve(make_tables, replay_server.replay_directory(run_dir))


def _session(run_dir: pathlib.Path, server: reverb.Server) -> TrainingSession:
    client = reverb.Client(f"localhost:{server.port}")
    return TrainingSession(_EXPERIMENT, run_dir, replays.between_processes(client, run_dir, threading.Event()))


def test_a_replay_server_that_is_away_does_not_keep_the_learner_from_saving(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = _server(tmp_path)
    run = _session(tmp_path, server)
    server.stop()
    run.save()
    run.close()
    assert checkpoint.steps(tmp_path / checkpoint.DIRECTORY) == [0]
    assert "The replay server is away" in caplog.text


def test_what_is_not_finite_is_neither_written_nor_published(tmp_path: pathlib.Path) -> None:
    server = _server(tmp_path)
    run = _session(tmp_path, server)
    run.save()
    before = run.coordinator._publisher.newest()
    learner = run.learner
    learner._state = jax.tree.map(lambda x: x * jnp.nan if x.ndim == 2 else x, learner._state)
    learner._steps = 40
    for give in (run.save, run.params, run.finish_training):
        with pytest.raises(errors.NotFinite, match=r"after update 40: .*; the newest checkpoint is of update 0\."):
            give()
    assert run.coordinator._publisher.newest() == before
    assert checkpoint.steps(tmp_path / checkpoint.DIRECTORY) == [0]
    run.close()
    server.stop()


def test_a_full_disk_is_one_sentence_and_leaves_both_checkpoints(tmp_path: pathlib.Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        server = _server(tmp_path)
        run = _session(tmp_path, server)
        run.save()
        filler = tmp_path / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * 2**20)
        with pytest.raises(CheckpointError, match=r"No space left on device.*intact: free some space.*--resume"):
            run.save()
        filler.unlink()
        server.stop()
        server = _server(tmp_path)  # It finds the checkpoint before.
        again = _session(tmp_path, server)
        again.save()
        again.close()
        run.close()
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
