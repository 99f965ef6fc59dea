"""Memory, known beforehand. One step of 84 x 84 x 4 pixels is 28,224 + 4 + 4 + 4 + 1 = 28,237 bytes."""

import dataclasses
import types

import pytest

from acme_agents.core.types import ArraySpec
from acme_agents.replay import chunks, ring, sizes
from tests.replay import toys

STEPS = toys.STEPS._replace(observation=ArraySpec((84, 84, 4), "uint8"))
REPLAY = dataclasses.replace(toys.REPLAY, max_size=1_000_000)  # n = 3, so 35 rows for 32 transitions
IN_STORE = (1_093_750 + 35) * 28_237 + 4_000_000
IN_SERVER = (39_062 + 16 + 1) * 35 * 28_237  # 1.25 million / 32 chunks, and those that wait in the stream


@pytest.fixture
def free(monkeypatch):
    """A function that sets how many bytes are free."""

    def set_to(num_bytes):
        monkeypatch.setattr(sizes.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=num_bytes))

    return set_to


def test_what_is_counted():
    assert chunks.nbytes(STEPS) == 28_237
    assert REPLAY.experience.layout.num_rows == 35
    assert sizes.num_chunks(REPLAY) == 39_079
    assert ring.num_bytes(STEPS, REPLAY) == IN_STORE


def test_a_replay_that_fits_is_announced(free):
    free(IN_STORE + IN_SERVER)
    expected = "replay of 1,000,000 transitions: 28.8 GiB in the learner, at most 36.0 GiB in the replay server"
    assert sizes.check_memory(STEPS, REPLAY, in_process=False) == expected


def test_a_replay_that_does_not_fit_is_refused_with_the_size_that_would(free):
    free(16 * 2**30)
    with pytest.raises(ValueError) as error:
        sizes.check_memory(STEPS, REPLAY, in_process=False)
    fits = 1_000_000 * 16 * 2**30 // (IN_STORE + IN_SERVER)
    assert str(error.value) == (
        "A replay of 1,000,000 transitions needs 64.7 GiB of memory, and 16.0 GiB are free: keep fewer, at most "
        f"about {fits:,} (--config.max-replay-size)."
    )
    much = dataclasses.replace(REPLAY, max_size=int(0.99 * fits))
    sizes.check_memory(STEPS, much, in_process=False)  # That much does fit.
    twice = dataclasses.replace(REPLAY, max_size=int(1.8 * fits))
    assert sizes.check_memory(STEPS, twice, in_process=True).endswith(" GiB in the learner")  # There is no server.


def test_one_byte_too_few_is_too_few(free):
    free(IN_STORE + IN_SERVER - 1)
    with pytest.raises(ValueError, match="keep fewer"):
        sizes.check_memory(STEPS, REPLAY, in_process=False)


def test_a_dataset_that_does_not_fit_is_refused_by_its_name(free):
    free(2 * 10 * 28_237)
    sizes.check_dataset("The dataset demos", STEPS, REPLAY, 10)
    with pytest.raises(ValueError, match=r"The dataset demos takes 0\.6 MiB of memory to learn from"):
        sizes.check_dataset("The dataset demos", STEPS, REPLAY, 11)
