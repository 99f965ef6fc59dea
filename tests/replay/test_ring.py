"""The ring's transitions against a plain reading of the episodes; what it holds, and where."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from scipy import stats

from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import REPLAY
from acme_agents.core.types import ArraySpec, Trajectory
from acme_agents.replay import ring
from tests.replay import toys


@functools.partial(jax.jit, static_argnums=(2, 3))
def _jitted(state, key, size, experience):
    replay = dataclasses.replace(toys.REPLAY, batch_size=size, experience=experience)
    return ring.sample({REPLAY: state}, {}, key, replay)[0]


def _sample(held, size, experience, seed=0):
    return jax.tree.map(np.asarray, _jitted(held.state, jax.random.PRNGKey(seed), size, experience))


def _check(batch, expected):
    """Every transition of the batch is one of those expected, number by number; returns their names."""
    names = [tuple(o) for o in batch.observation]
    actions, rewards, discounts, next_observations = zip(*(expected[name] for name in names))
    np.testing.assert_array_equal(batch.action, np.stack(actions))
    np.testing.assert_allclose(batch.reward, rewards, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(batch.discount, discounts, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(batch.next_observation, np.stack(next_observations))
    return names


def _transitions(written, experience):
    expected = {}
    for e in written:
        expected |= toys.transitions(e, experience.n, experience.discount)
    return expected


@pytest.mark.parametrize("n", [1, 3, 5, 40])
def test_samples_are_the_n_step_transitions_of_the_episodes_and_all_of_them(n):
    spec = dataclasses.replace(toys.REPLAY, experience=Transitions(n, 0.9), max_size=3000)
    written = toys.episodes(30, 100)
    expected = _transitions(written, spec.experience)
    with toys.serve(spec) as replay:
        found = replay.cut(written)
    held = ring.Ring(toys.STEPS, spec)
    assert held.insert(found) == held.size == len(expected)
    batch = _sample(held, 30 * len(expected), spec.experience)
    assert set(_check(batch, expected)) == set(expected)


def test_a_truncation_bootstraps_from_the_final_observation_and_a_termination_does_not(replay):
    """Rewards 1, 2, discounts 1 and the last one's; n = 3, gamma = 0.9."""
    held = ring.Ring(toys.STEPS, toys.REPLAY)
    for number, final in enumerate([0.0, 1.0]):
        e = toys.episode(number, 2)._replace(
            rewards=np.array([1, 2], np.float32), discounts=np.array([1, final], np.float32)
        )
        held.insert(replay.cut([e]))
    batch = _sample(held, 64, toys.REPLAY.experience)
    by_name = {tuple(o): i for i, o in enumerate(batch.observation)}
    found = {
        name: (batch.reward[i], batch.discount[i], *batch.next_observation[i]) for name, i in sorted(by_name.items())
    }
    assert found == {
        (0, 0): (pytest.approx(1 + 0.9 * 2), 0, 0, 2),
        (0, 1): (2, 0, 0, 2),
        (1, 0): (pytest.approx(1 + 0.9 * 2), pytest.approx(0.81), 1, 2),
        (1, 1): (2, pytest.approx(0.9), 1, 2),
    }


def test_samples_are_uniform(replay):
    written = toys.episodes(12, 60)
    held = ring.Ring(toys.STEPS, toys.REPLAY)
    held.insert(replay.cut(written))
    assert 200 < held.size
    batch = _sample(held, 500 * held.size, toys.REPLAY.experience)
    _, counts = np.unique(batch.observation, axis=0, return_counts=True)
    assert len(counts) == held.size
    assert stats.chisquare(counts).pvalue > 1e-3


def test_after_wrapping_it_holds_exactly_the_newest_whole_chunks():
    spec = dataclasses.replace(toys.REPLAY, max_size=200)
    written = toys.episodes(90, 90)
    expected = _transitions(written, spec.experience)
    with toys.serve(spec) as replay:
        found = replay.cut(written)
    held = ring.Ring(toys.STEPS, spec)
    assert len(expected) > 15 * spec.max_size
    rows = held.state.rows.steps.last.shape[0]
    inserted, sizes, evicted_for_rows = [], iter([*range(1, 21)] * 2), 0
    while len(inserted) < len(found):
        new = found[len(inserted) :][: next(sizes)]
        assert held.insert(new) == sum(int(chunk.num_starts) for chunk in new)
        inserted += new
        newest, num_rows = [], 0  # going back as long as there is room
        for chunk in reversed(inserted):
            num_rows += int(chunk.num_steps)
            names = [tuple(o) for o in chunk.steps.observation[: chunk.num_starts]]
            if len(newest) + len(names) > spec.max_size or num_rows > rows:
                evicted_for_rows += num_rows > rows
                break
            newest += names
        assert held.size == len(newest) <= spec.max_size
        batch = _sample(held, 4000, spec.experience, seed=len(inserted))  # e^-20: the chance to miss one of 200
        assert set(_check(batch, expected)) == set(newest)


def test_full_chunks_fill_it_to_the_last_transition(replay):
    spec = dataclasses.replace(toys.REPLAY, max_size=320)
    held = ring.Ring(toys.STEPS, spec)
    held.insert(replay.cut([toys.episode(i, 160, final_discount=1.0) for i in range(3)]))
    assert held.size == 320


@pytest.mark.parametrize("batch", [1, 3, 8, 20])
def test_how_chunks_are_grouped_makes_no_difference(batch):
    spec = dataclasses.replace(toys.REPLAY, max_size=500)
    with toys.serve(spec) as replay:
        found = replay.cut(toys.episodes(40, 90))
    together, grouped = ring.Ring(toys.STEPS, spec), ring.Ring(toys.STEPS, spec)
    together.insert(found)
    for i in range(0, len(found), batch):
        grouped.insert(found[i : i + batch])
    assert together.size == grouped.size
    expected, got = (_sample(held, 256, spec.experience) for held in (together, grouped))
    jax.tree.map(np.testing.assert_array_equal, expected, got)


def test_no_row_of_a_chunk_that_comes_and_goes_in_one_insertion_is_written(replay, monkeypatch):
    """Two values for one place in one scatter would leave to the device which of them it keeps."""
    spec = dataclasses.replace(toys.REPLAY, max_size=64)
    places = []
    scatter = ring._scatter

    def record(state, steps, items, rows, starts, *rest):
        held = state.rows
        places.append((rows[rows < held.steps.last.shape[0]], starts[starts < held.item_rows.shape[0]]))
        return scatter(state, steps, items, rows, starts, *rest)

    monkeypatch.setattr(ring, "_scatter", record)
    held = ring.Ring(toys.STEPS, spec)
    held.insert(replay.cut([toys.episode(0, 320)]))
    for kind in range(2):
        assert all(len(np.unique(place[kind])) == place[kind].size for place in places)


def test_its_memory_is_what_num_bytes_says():
    steps = toys.STEPS._replace(observation={"picture": ArraySpec((4, 4), "uint8"), "x": ArraySpec((3,))})
    for spec in (toys.REPLAY, toys.SEQUENCES):
        held = ring.Ring(steps, spec)
        assert ring.num_bytes(steps, spec) == sum(x.nbytes for x in jax.tree.leaves(held.state.rows))


def test_insertion_happens_in_place(replay):
    held = ring.Ring(toys.STEPS, toys.REPLAY)
    before = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(held.state.rows)]
    held.insert(replay.cut([toys.episode(0, 100)]))
    assert [x.unsafe_buffer_pointer() for x in jax.tree.leaves(held.state.rows)] == before


@pytest.mark.parametrize("n", [1, 3])
def test_a_dataset_gives_the_transitions_of_its_episodes(n):
    experience = Transitions(n, 0.9)
    written = toys.episodes(20, 70)
    trajectories = [Trajectory(e.observations, e.actions, e.rewards, e.discounts) for e in written]
    state = ring.from_trajectories(toys.STEPS, trajectories, experience)
    expected = _transitions(written, experience)
    assert int(state.size) == len(expected)
    batch = jax.tree.map(np.asarray, _jitted(state, jax.random.PRNGKey(0), 30 * len(expected), experience))
    assert set(_check(batch, expected)) == set(expected)
    for i in range(200):
        number, t = map(int, batch.next_observation[i])
        length = len(written[number].rewards)
        assert batch.next_last[i] == (t == length)
        action = [0.0] if t == length else written[number].actions[t]
        np.testing.assert_array_equal(batch.next_action[i], action)


def test_room_for_more_is_not_drawn_from():
    e = toys.episode(0, 5)
    trajectory = Trajectory(e.observations, e.actions, e.rewards, e.discounts)
    state = ring.from_trajectories(toys.STEPS, [trajectory], toys.REPLAY.experience)
    roomy = ring.padded(state)
    assert roomy.rows.item_rows.shape == (8,) and roomy.rows.steps.reward.shape[0] == 8  # 5 items of 6 rows
    assert [ring.padded_size(number) for number in (1, 2, 3, 8, 9)] == [1, 2, 4, 8, 16]
    key, experience = jax.random.PRNGKey(0), toys.REPLAY.experience
    jax.tree.map(
        np.testing.assert_array_equal, _jitted(state, key, 64, experience), _jitted(roomy, key, 64, experience)
    )
    priorities = ring.equal_priorities(roomy, 0.5)
    assert np.asarray(priorities.weights).ravel()[:8].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


def test_each_transition_of_a_batch_is_drawn_from_a_source_by_its_share():
    def held(number):
        e = toys.episode(number, 10)
        return ring.from_trajectories(
            toys.STEPS, [Trajectory(e.observations, e.actions, e.rewards, e.discounts)], toys.REPLAY.experience
        )

    sources = {"dataset": 0.02, "replay": 0.98}
    replay = dataclasses.replace(toys.REPLAY, batch_size=8, sources=sources)  # less than one in a batch
    states = {"dataset": held(1), "replay": held(0)}
    draw = jax.jit(lambda key: ring.sample(states, {}, key, replay)[0])
    batches = [jax.tree.map(np.asarray, draw(jax.random.PRNGKey(seed))) for seed in range(2000)]
    counts = np.array([int(np.sum(batch.observation[:, 0] == 1)) for batch in batches])
    # Every element by itself: how many batches have none, one, and more from the dataset is binomial.
    chances = [stats.binom.pmf(0, 8, 0.02), stats.binom.pmf(1, 8, 0.02), stats.binom.sf(1, 8, 0.02)]
    observed = [np.sum(counts == 0), np.sum(counts == 1), np.sum(counts > 1)]
    assert stats.chisquare(observed, 2000 * np.array(chances)).pvalue > 1e-3
    for batch in batches[:50]:  # Every field is of the same transition.
        for i, (number, t) in enumerate(batch.observation.astype(int)):
            np.testing.assert_array_equal(batch.action[i], toys.episode(number, 10).actions[t])
            assert batch.next_observation[i, 0] == number


# --- By priority.


def _prioritised(**fields):
    return dataclasses.replace(toys.REPLAY, **({"priority_exponent": 0.5, "batch_size": 64} | fields))


def _draw(held, spec, seed=0):
    batch, places = ring.sample({"replay": held.state}, {"replay": held.priorities}, jax.random.PRNGKey(seed), spec)
    return jax.tree.map(np.asarray, batch), np.asarray(places)


@pytest.mark.long
def test_transitions_are_drawn_by_their_priority_and_know_with_which_probability(replay):
    spec = _prioritised(batch_size=512)
    held = ring.Ring(toys.STEPS, spec)
    held.insert(replay.cut([toys.episode(0, 10)]))
    given = np.arange(1.0, 11.0)  # of the transition that begins at t, t + 1
    batch, places = _draw(held, spec)
    np.testing.assert_allclose(batch.sample_info.probability, 0.1)
    priorities = {"replay": held.priorities}
    new = given[batch.observation[:, 1].astype(int)].astype(np.float32)
    held.priorities = ring.reprioritise(priorities, batch.sample_info, places, new, spec)["replay"]
    expected = given**0.5 / np.sum(given**0.5)
    drawn = [_draw(held, spec, seed)[0] for seed in range(1, 41)]
    found = np.concatenate([batch.observation[:, 1] for batch in drawn]).astype(int)
    assert stats.chisquare(np.bincount(found), expected * len(found)).pvalue > 1e-3
    np.testing.assert_allclose(np.concatenate([b.sample_info.probability for b in drawn]), expected[found], rtol=1e-5)


@pytest.mark.slow
def test_new_transitions_are_drawn_like_the_best_so_far_and_evicted_ones_never(replay):
    """Room for 100, episodes of 40 in chunks of 32 and 8: what is left of the fourth on is always what is newest."""
    spec = _prioritised(max_size=100)
    held = ring.Ring(toys.STEPS, spec)
    for number in range(8):
        held.insert(replay.cut([toys.episode(number, 40)]))
        names = [(int(n), int(t)) for n, t in np.asarray(held.state.rows.steps.observation)[_live(held)]]
        assert len(names) == held.size
        weights = np.asarray(held.priorities.weights).reshape(-1)
        assert np.count_nonzero(weights) == held.size
        seen = set()
        for seed in range(40):
            batch, places = _draw(held, spec, seed)
            seen |= {(int(n), int(t)) for n, t in batch.observation}
            new = np.full(64, 4.0 if number == 3 else 1.0, np.float32)
            held.priorities = ring.reprioritise({"replay": held.priorities}, batch.sample_info, places, new, spec)[
                "replay"
            ]
        assert seen == set(names)
        assert float(held.priorities.largest) == (4.0 if number >= 3 else 1.0)
        if number == 4:  # Its own came in at the largest priority so far.
            assert np.sum(weights == 2.0) >= 40


def _live(held):
    size, oldest = int(held.state.size), int(held.state.oldest)
    places = (oldest + np.arange(size)) % len(held.state.rows.item_rows)
    return np.asarray(held.state.rows.item_rows)[places]


def test_many_chunks_at_once_leave_the_same_priorities(replay):
    spec = _prioritised(max_size=100)
    chunks = replay.cut(toys.episodes(12, 60))
    together, grouped = ring.Ring(toys.STEPS, spec), ring.Ring(toys.STEPS, spec)
    together.insert(chunks)
    for chunk in chunks:
        grouped.insert([chunk])
    np.testing.assert_array_equal(together.priorities.weights, grouped.priorities.weights)
    np.testing.assert_allclose(together.priorities.sums, grouped.priorities.sums)
    assert np.count_nonzero(together.priorities.weights) == together.size


def test_each_source_keeps_priorities_of_its_own(replay):
    spec = _prioritised(sources={"dataset": 0.5, "replay": 0.5})
    held = ring.Ring(toys.STEPS, spec)
    held.insert(replay.cut([toys.episode(0, 4)]))
    e = toys.episode(1, 2)
    dataset = ring.from_trajectories(
        toys.STEPS, [Trajectory(e.observations, e.actions, e.rewards, e.discounts)], toys.REPLAY.experience
    )
    states = {"dataset": dataset, "replay": held.state}
    priorities = {"dataset": ring.equal_priorities(dataset, 0.5), "replay": held.priorities}
    batch, places = ring.sample(states, priorities, jax.random.PRNGKey(0), spec)
    np.testing.assert_array_equal(batch.sample_info.source, np.where(batch.observation[:, 0] == 1, 0, 1))
    np.testing.assert_allclose(batch.sample_info.probability, np.where(batch.sample_info.source == 0, 1 / 2, 1 / 4))
    changed = ring.reprioritise(
        priorities, batch.sample_info, places, np.where(batch.sample_info.source == 0, 9.0, 4.0), spec
    )
    assert np.asarray(changed["dataset"].weights)[0, :3].tolist() == [3, 3, 0]
    assert np.asarray(changed["replay"].weights)[0, :5].tolist() == [2, 2, 2, 2, 0]
