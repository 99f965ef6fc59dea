"""The learner on a real server: its rate, and that the same data and seed give the same bits, killed or not."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import checkpoint
from acme_agents.replay import device_replay
from acme_agents.runtime.learner import MAX_UPDATES, LearnerState
from tests.runtime import toys

NOTHING = {"delivered": {}, "taken": 0}
BATCH, MIN_SIZE, RATIO = toys.REPLAY.batch_size, toys.REPLAY.min_size, toys.REPLAY.samples_per_insert


@pytest.fixture
def replay():
    with toys.serve() as replay:
        yield replay


def _train(learner, until, stride=MAX_UPDATES):
    while learner.steps < until:
        assert learner.step(max_updates=min(stride, until - learner.steps))


def _assert_same(state, other):
    jax.tree.map(
        np.testing.assert_array_equal, jax.tree.map(_bits, state.training), jax.tree.map(_bits, other.training)
    )


def _bits(x):
    return np.frombuffer(np.asarray(x).tobytes(), np.uint8)


def _differ(state, other):
    return any(map(np.any, jax.tree.leaves(jax.tree.map(lambda x, y: x != y, state.training, other.training))))


def test_variables_are_a_copy_for_each_name(replay):
    learner = toys.learner(replay)
    first, second = learner.get_variables(["policy", "policy"])
    jax.tree.map(np.testing.assert_array_equal, first, learner.params())
    assert jax.tree.leaves(first)[0] is not jax.tree.leaves(second)[0]


def test_without_data_there_is_nothing_to_do(replay):
    learner = toys.learner(replay)
    assert (learner.step(), learner.steps, learner.replay.size, learner.metrics()) == (0, 0, 0, {})


def test_the_ratio_is_held_after_every_step(replay):
    learner, writer = toys.learner(replay), replay.writer()
    num_updates = 0
    for i, _ in enumerate(toys.write_random(writer, 12)):
        if i % 10 == 0:
            writer.flush()
            num_updates += learner.step()
            rate = toys.intake(learner).rate
            assert rate.sampled <= max(0, RATIO * (rate.inserted - MIN_SIZE))
            assert rate.sampled == num_updates * BATCH
    while done := learner.step():
        num_updates += done
    writer.close()
    assert learner.replay.size == toys.intake(learner).rate.inserted == 600
    assert toys.intake(learner).rate.sampled == learner.steps * BATCH == num_updates * BATCH == 2 * 500
    assert toys.intake(learner).rate.samples_per_insert() == RATIO


def test_one_step_does_few_updates_and_no_more_than_it_is_told(replay):
    toys.fill(replay, 8)
    learner = toys.learner(replay)
    assert [learner.step(max_updates=3), learner.step(max_updates=0), learner.step()] == [3, 0, MAX_UPDATES]
    metrics = learner.metrics()
    assert metrics
    assert all(np.isfinite(value) for value in metrics.values())


def test_nothing_comes_in_while_the_updates_lag(replay):
    toys.fill(replay, 8)
    learner = toys.learner(replay)
    learner.step(max_updates=1)
    toys.fill(replay, 2, seed=1)
    lag = MAX_UPDATES * BATCH + RATIO * toys.REPLAY.experience.items_per_chunk  # the tolerance and a chunk
    while toys.intake(learner).rate.inserted < 500:
        before = toys.intake(learner).rate.inserted
        waits = RATIO * (before - MIN_SIZE) - toys.intake(learner).rate.sampled >= MAX_UPDATES * BATCH
        learner.step(max_updates=1)
        assert RATIO * (toys.intake(learner).rate.inserted - MIN_SIZE) - toys.intake(learner).rate.sampled <= lag
        assert not (waits and toys.intake(learner).rate.inserted > before)


def test_the_seed_decides_every_bit(replay):
    toys.fill(replay, 6)
    states = []
    for seed in (3, 3, 4):
        learner = toys.learner(replay, seed)
        toys.intake(learner).recover()
        _train(learner, 12)
        states.append(learner.save())
    _assert_same(states[0], states[1])
    assert _differ(states[0], states[2])


def test_how_updates_are_grouped_and_compiling_first_make_no_difference(replay):
    toys.fill(replay, 3)
    plain, other = toys.learner(replay), toys.learner(replay)
    before = other.save()
    other.compile()
    _assert_same(before, other.save())
    for learner in (plain, other):
        toys.intake(learner).recover()
        for _ in range(6):  # All of it comes in before the first update.
            learner.step(max_updates=0)
    assert toys.intake(plain).rate.inserted == toys.intake(other).rate.inserted == 150
    _train(plain, 12)
    _train(other, 12, stride=5)
    _assert_same(plain.save(), other.save())
    assert _differ(plain.save(), before)


def test_every_update_has_a_batch_of_its_own(replay):
    toys.fill(replay, 6)
    learner = toys.learner(replay)
    toys.intake(learner).recover()
    drawn = []
    for _ in range(5):
        learner.step(max_updates=1)
        drawn.append(learner.metrics()["batch"])
    assert len(set(drawn)) == 5


def test_what_is_saved_stays_as_it_was(replay):
    toys.fill(replay, 6)
    learner = toys.learner(replay)
    toys.intake(learner).recover()
    _train(learner, 2)
    state = learner.save()
    copy = LearnerState(jax.tree.map(np.array, state.training), dict(state.counts))
    _train(learner, 8)
    _assert_same(state, copy)
    assert state.counts == copy.counts
    assert _differ(state, learner.save())


def test_a_learner_whose_store_was_lost_waits_for_data(replay):
    """The checkpoint says that updates are owed, and the replay server, begun anew, has nothing to learn from."""
    learner = toys.learner(replay)
    counts = {"learner_steps": 5, "replay": {"replay": {"inserted": 200, "sampled": 40, "receiver": NOTHING}}}
    learner.restore(LearnerState(learner.save().training, counts))
    before = learner.save()
    toys.intake(learner).recover()
    assert learner.step() == 0
    _assert_same(before, learner.save())
    toys.fill(replay, 1)
    assert learner.step() > 0


@pytest.mark.slow
def test_killed_and_resumed_it_gets_where_it_would_have_got_bit_for_bit(replay, tmp_path, repository):
    toys.fill(replay, 6)
    port = replay.address.rpartition(":")[2]
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.victim", port, str(tmp_path)],
        cwd=repository, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while (steps := int(victim.stdout.readline())) < 26:
            pass
    finally:
        victim.kill()
    assert victim.wait() == -9
    assert steps == 26
    assert checkpoint.steps(tmp_path) == [20]

    resumed = toys.learner(replay, agent=toys.MPO)
    training, counts = checkpoint.load(tmp_path, resumed.save().training)
    resumed.restore(LearnerState(training, counts))
    assert (resumed.steps, toys.intake(resumed).rate.inserted, toys.intake(resumed).rate.sampled) == (
        20,
        250,
        20 * BATCH,
    )
    toys.intake(resumed).recover()
    assert (resumed.replay.size, toys.intake(resumed).rate.inserted) == (250, 250)  # Fifty more wait for their turn.
    _train(resumed, 40, stride=2)

    with toys.serve() as same_data:
        toys.fill(same_data, 6)
        uninterrupted = toys.learner(same_data, agent=toys.MPO)
        _train(uninterrupted, 40, stride=2)
    _assert_same(resumed.save(), uninterrupted.save())
    assert resumed.steps == uninterrupted.steps
    for name in ("inserted", "sampled"):
        assert resumed.save().counts["replay"]["replay"][name] == uninterrupted.save().counts["replay"]["replay"][name]
    assert _differ(LearnerState(training, counts), resumed.save())


def test_what_came_after_the_checkpoint_is_counted_once_when_resumed(replay):
    toys.fill(replay, 4)
    learner = toys.learner(replay)
    _train(learner, 10)
    state = learner.save()
    _train(learner, 24)  # all that 200 insertions allow but one
    toys.fill(replay, 3, seed=1)
    while learner.step():
        pass
    assert toys.intake(learner).rate.inserted == 350
    resumed = toys.learner(replay)
    resumed.restore(state)
    toys.intake(resumed).recover()
    assert (
        toys.intake(resumed).rate.inserted == resumed.replay.size == state.counts["replay"]["replay"]["inserted"] < 350
    )
    while resumed.step():
        pass
    assert toys.intake(resumed).rate.inserted == resumed.replay.size == 350
    assert toys.intake(resumed).rate.sampled == RATIO * (350 - MIN_SIZE) - (RATIO * (350 - MIN_SIZE)) % BATCH


def test_parameters_can_be_copied_before_the_next_step_overwrites_them(replay):
    toys.fill(replay, 6)
    learner = toys.learner(replay)
    toys.intake(learner).recover()
    copy = jax.tree.map(jnp.copy, learner.params())
    expected = learner.get_variables(["policy"])[0]
    _train(learner, 4)
    jax.tree.map(np.testing.assert_array_equal, copy, expected)


def test_a_loop_in_python_does_the_same_updates(replay):
    """As where observations are pictures, and the loop within JAX would be slow."""
    toys.fill(replay, 6)
    states, metrics = [], []
    for in_python in (False, True):
        learner = toys.learner(replay)
        toys.intake(learner).recover()
        learner.step(max_updates=0)
        update = device_replay.make_update(toys.LINEAR.learner(toys.SPEC), toys.REPLAY, in_python=in_python)
        key, held = jax.random.PRNGKey(1), {"replay": toys.intake(learner).state}
        state, _, found, _ = update(learner.save().training, {}, held, key, np.int32(3), np.int32(5))
        states.append(state)
        metrics.append(found)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *states)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *metrics)
    assert int(states[0]["count"]) == 5
