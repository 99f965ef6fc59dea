"""The count of sequences, which stay in the server: each once, also where a learner died after its checkpoint."""

import pytest

from acme_agents.replay import tables
from acme_agents.replay.intake import TableIntake
from tests.replay import toys


def _write(replay, first, num):
    """Sequences, one an episode, by a writer of their own."""
    writer = replay.writer()
    for number in range(first, first + num):
        toys.write(writer, toys.episode(number, 5))
    writer.flush()
    writer.close()


def _intake(replay, counts=None):
    """A learner's intake as it starts, from what `save` returned, or without a checkpoint."""
    intake = TableIntake(replay.receiver(), replay.replay, tolerance=1e9, on_new=lambda new: None)
    if counts is not None:
        intake.restore(counts)
    assert intake.recover() == []
    return intake


def _priorities(replay):
    samples = replay.client.sample(tables.REPLAY, num_samples=3_000, emit_timesteps=False)
    return {int(sample.info.key): sample.info.priority for sample in samples}


@pytest.fixture
def replay():
    with toys.serve(toys.SEQUENCES) as replay:
        yield replay


def test_what_came_in_after_the_checkpoint_is_counted_once_and_priorities_stay(replay):
    _write(replay, 0, 12)
    killed = _intake(replay)
    killed.ingest()
    assert killed.rate.inserted == 12
    counts = killed.save()
    _write(replay, 12, 5)
    killed.ingest()
    assert killed.rate.inserted == 17
    _write(replay, 17, 3)  # The stream has these when it dies.
    replay.client.mutate_priorities(tables.REPLAY, {key: 1.0 + i for i, key in enumerate(sorted(_priorities(replay)))})
    before = _priorities(replay)

    resumed = _intake(replay, counts)
    assert resumed.rate.inserted == resumed.size == 17
    resumed.ingest()
    assert resumed.rate.inserted == replay.size(tables.REPLAY) == 20
    assert _priorities(replay) == before
    assert _intake(replay, resumed.save()).rate.inserted == 20


def test_a_learner_killed_before_its_first_checkpoint_does_not_wait_anew(replay):
    _write(replay, 0, 12)
    killed = _intake(replay)
    assert killed.ingest() == 0  # A batch of eight waits for min_size, 10, and four more at two samples each.
    _write(replay, 12, 4)
    killed.ingest()
    resumed = _intake(replay)
    assert (resumed.rate.inserted, resumed.ingest()) == (16, (16 - 10) * 2 // 8)


@pytest.mark.parametrize("num_after", [0, 2])
def test_a_server_that_went_back_to_its_checkpoint_counts_on_from_there(tmp_path, num_after):
    """As when the machine stops: both go back to the checkpoints that were written together."""
    with toys.serve(toys.SEQUENCES, directory=tmp_path) as replay:
        _write(replay, 0, 12)
        killed = _intake(replay)
        killed.ingest()
        _write(replay, 12, 1)  # waits in the stream
        replay.client.checkpoint()
        counts = killed.save()
        _write(replay, 13, 3)
        killed.ingest()
    with toys.serve(toys.SEQUENCES, directory=tmp_path) as replay:
        resumed = _intake(replay, counts)
        assert resumed.rate.inserted == 12
        _write(replay, 20, num_after)
        resumed.ingest()
        assert resumed.rate.inserted == replay.size(tables.REPLAY) == 13 + num_after
        assert _intake(replay, counts).rate.inserted == 13 + num_after  # as if it had died again


@pytest.mark.parametrize("started_after", [False, True])
def test_a_server_that_lost_everything_is_not_counted_backwards(replay, started_after):
    intake = TableIntake(replay.receiver(), replay.replay, tolerance=1e9, on_new=lambda new: None)
    intake.restore({"inserted": 40, "sampled": 16, "receiver": {"delivered": {}, "taken": 40}})
    if started_after:
        intake.recover()
    assert intake.rate.inserted == 40
    _write(replay, 0, 2)
    intake.ingest()
    assert (intake.rate.inserted, intake.save()["receiver"]["taken"]) == (42, 2)
