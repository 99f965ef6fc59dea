"""A run's history is kept once, whatever dies: pieces with checkpoints, a dataset at the end."""

import threading

import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.agents import mpo
from acme_agents.experiments import Experiment
from acme_agents.runtime import in_process
from acme_agents.runtime.recording import DIRECTORY, Recorder
from tests.runtime import toys

LENGTH = 50  # of probe:reach's episodes: two chunks each


@pytest.fixture
def experiment(tmp_path):
    return Experiment("mpo", toys.ENVIRONMENT, record=str(tmp_path / "data"))


@pytest.fixture
def chunks():
    """Of five episodes, two each."""
    with toys.serve() as replay:
        toys.fill(replay, 5)
        chunks = replay.receiver().poll(100)
    assert len(chunks) == 10
    return chunks


def _loaded(experiment):
    return datasets.load(experiment.record, experiment.environment_spec())


def _assert_episodes(trajectories, chunks, lengths):
    assert [len(trajectory.reward) for trajectory in trajectories] == lengths
    for i, trajectory in enumerate(trajectories):
        np.testing.assert_array_equal(trajectory.reward[:32], chunks[2 * i].steps.reward[:32])
        np.testing.assert_array_equal(trajectory.observation[:33], chunks[2 * i].steps.observation[:33])


def test_everything_is_in_the_dataset_once(experiment, chunks, tmp_path):
    recorder = Recorder(experiment, tmp_path, experiment.record)
    for i in range(0, 10, 3):
        recorder.add(chunks[i : i + 3])
        recorder.save()
    recorder.close()
    _assert_episodes(_loaded(experiment), chunks, [LENGTH] * 5)
    assert all(trajectory.discount[-1] == 1 for trajectory in _loaded(experiment))
    assert datasets.environment(experiment.record) == toys.ENVIRONMENT


def test_a_run_that_goes_on_from_a_checkpoint_drops_what_came_after_it(experiment, chunks, tmp_path):
    killed = Recorder(experiment, tmp_path, experiment.record)
    killed.add(chunks[:3])
    assert killed.save() == 1
    killed.add(chunks[3:8])
    assert killed.save() == 2  # and the checkpoint that would have said so was not written

    resumed = Recorder(experiment, tmp_path, experiment.record)
    resumed.restore(1, chunks[:3])  # the third began an episode
    assert len(list((tmp_path / DIRECTORY).iterdir())) == 1
    resumed.add(chunks[3:])
    resumed.close()
    _assert_episodes(_loaded(experiment), chunks, [LENGTH] * 5)


def test_what_was_going_on_at_the_end_is_cut_short(experiment, chunks, tmp_path):
    recorder = Recorder(experiment, tmp_path, experiment.record)
    recorder.add(chunks[:9])
    recorder.save()
    recorder.close()
    _assert_episodes(_loaded(experiment), chunks, [LENGTH] * 4 + [32])


def test_bad_episodes_and_pieces_do_not_take_the_others_with_them(experiment, chunks, tmp_path, caplog):
    rewards = np.where(np.arange(len(chunks[2].steps.reward)) == 7, np.nan, chunks[2].steps.reward)
    bad = chunks[2]._replace(steps=chunks[2].steps._replace(reward=np.float32(rewards)))
    recorder = Recorder(experiment, tmp_path, experiment.record)
    for piece in (chunks[:2], [bad, chunks[3], *chunks[4:6]], chunks[6:8]):
        recorder.add(piece)
        recorder.save()
    recorder.add(chunks[8:])
    (tmp_path / DIRECTORY / "000002.npz").write_bytes(b"PK\x03\x04 cut off")
    recorder.close()
    _assert_episodes(_loaded(experiment), [*chunks[:2], *chunks[4:6], *chunks[8:]], [LENGTH] * 3)
    assert "000002.npz is damaged, and its episodes are left out" in caplog.text
    assert "1 of 4 episodes are bad and left out; the first: " in caplog.text


def test_a_run_that_fails_leaves_its_recording(chunks, tmp_path, monkeypatch):
    config = mpo.Config(policy_layers=(4,), critic_layers=(4,), critic="scalar")
    experiment = Experiment("mpo", toys.ENVIRONMENT, config=config, eval_every=0, record=str(tmp_path / "data"))

    def fail(turns):
        turns._session._recorder.add(chunks)
        raise ConnectionError("the simulator is gone")

    monkeypatch.setattr(in_process._ActingTurns, "_run", fail)
    (tmp_path / "run").mkdir()
    with pytest.raises(ConnectionError, match="the simulator is gone"):
        in_process.run(experiment, tmp_path / "run", stop=threading.Event(), on_status=lambda status: None)
    _assert_episodes(_loaded(experiment), chunks, [LENGTH] * 5)


def test_without_episodes_nothing_is_written(experiment, tmp_path):
    Recorder(experiment, tmp_path, experiment.record).close()
    assert not list(tmp_path.iterdir())


def test_nobody_acts_nothing_to_record():
    with pytest.raises(ValueError, match="nobody acts"):
        Experiment("mpo", toys.ENVIRONMENT, dataset="data", max_steps=0, max_updates=1, record="other")
