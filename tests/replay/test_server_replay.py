"""Updates on sequences that a real server draws: the agent's priorities arrive in its table, and wrong ones end it."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core.interfaces import LearnerCore, UpdateOutput
from acme_agents.replay import tables
from acme_agents.replay.intake import TableIntake
from acme_agents.replay.server_replay import ServerReplay
from tests.replay import toys

NUM_EPISODES = 12  # of one sequence each


@pytest.fixture
def replay():
    """A server with sequences that are known by their number, 0 to 11, the first that they observe."""
    with toys.serve(toys.SEQUENCES) as replay:
        writer = replay.writer(into=(tables.REPLAY,))
        for number in range(NUM_EPISODES):
            toys.write(writer, toys.episode(number, toys.SEQUENCES.experience.length - 1))
        writer.flush()
        writer.close()
        yield replay


def _updates(replay, priorities_of):
    """Updates of an agent that learns nothing: its state is a count, its priorities are what it is told."""

    def update(count, batch):
        numbers = batch.steps.observation[:, 0, 0]  # [B]
        return count + 1, UpdateOutput({"count": count + 1}, priorities_of(count + 1, numbers))

    core = LearnerCore(init=lambda key: jnp.float32(0), update=update, params=lambda count: count)
    intake = TableIntake(replay.receiver(), replay.replay, tolerance=1e9, on_new=lambda new: None)
    return ServerReplay(core, replay.replay, replay.steps, 0, replay.client, {tables.REPLAY: intake})


def _priorities(replay):
    """The table's priority of each sequence that some samples find."""
    samples = replay.client.sample(tables.REPLAY, num_samples=300, emit_timesteps=False)
    return {int(sample.data[0][0, 0, 0]): sample.info.priority for sample in samples}


def test_each_sequence_gets_the_priority_that_the_agent_gave_it(replay):
    updates = _updates(replay, lambda count, numbers: 2.0 + numbers)
    state, metrics, done = updates.update(jnp.float32(0), 0, 40)
    assert (float(state), float(metrics["count"]), done) == (40, 20.5, 40)  # the mean of 1 to 40
    deadline = time.monotonic() + 20
    while (found := _priorities(replay)) != {number: 2.0 + number for number in range(NUM_EPISODES)}:
        assert time.monotonic() < deadline, found
        updates.update(jnp.float32(0), 0, 1)  # The thread sends them when it draws.
    updates.close()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.nan, "priorities are no longer finite at update 103: lower its learning rate or clip its rewards"),
        (np.inf, "priorities are no longer finite at update 103"),
        (-1.0, r"gives a priority of -1\.0 at update 103"),
    ],
)
def test_a_priority_by_which_nothing_can_be_drawn_is_one_sentence(replay, wrong, sentence):
    updates = _updates(replay, lambda count, numbers: jnp.where(count == 3, wrong, 1.0 + numbers).at[1:].set(1.0))
    with pytest.raises(ValueError, match=sentence):
        updates.update(jnp.float32(0), 100, 10)
    updates.close()
