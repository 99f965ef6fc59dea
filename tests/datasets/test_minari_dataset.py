"""Datasets as others make them with Minari: their spaces become ours, and what is not whole is refused."""

import dataclasses
import json

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset import minari_storage

from acme_agents import datasets
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.environments import gym
from tests.datasets import toys

BOX = spaces.Box(-np.inf, np.inf, (2,), np.float64)
PENDULUM = EnvironmentSpec(ArraySpec((3,)), ArraySpec((1,)), action_bounds=((-2.0,), (2.0,)))
UNIT = spaces.Box(-1, 1, (1,), np.float32)


def _buffer(observations, actions, *, rewards=None, terminated=False, truncated=False, **changes):
    length = len(actions)
    buffer = {
        "observations": observations,
        "actions": actions,
        "rewards": np.arange(1.0, length + 1) if rewards is None else rewards,
        "terminations": np.arange(length) == (length - 1 if terminated else -1),
        "truncations": np.arange(length) == (length - 1 if truncated else -1),
        "infos": {"discount": np.full(length, 0.5)},  # another's info of that name is not the environment's discount
    }
    return EpisodeBuffer(**(buffer | changes))


def _simple(length=3, **options):
    return _buffer(np.arange(2.0 * length + 2).reshape(-1, 2), np.zeros((length, 1), np.float32), **options)


def _write(path, buffers, observation_space=BOX, action_space=UNIT, **metadata):
    path.mkdir()
    storage = minari_storage.MinariStorage.new(path / "data", observation_space, action_space)
    storage.update_metadata({"dataset_id": path.name, "minari_version": minari.__version__} | metadata)
    storage.update_episodes(buffers)
    return path


def test_floats_become_float32_and_endings_discounts(tmp_path):
    path = _write(tmp_path / "a", [_simple(terminated=True), _simple(truncated=True), _simple(2), _simple(1)])
    ended, cut, unsaid, short = datasets.load(path, toys.SPEC)
    np.testing.assert_array_equal(ended.observation, np.float32([[0, 1], [2, 3], [4, 5], [6, 7]]), strict=True)
    np.testing.assert_array_equal(ended.reward, np.float32([1, 2, 3]), strict=True)
    np.testing.assert_array_equal(ended.discount, np.float32([1, 1, 0]), strict=True)
    np.testing.assert_array_equal(cut.discount, [1, 1, 1])
    np.testing.assert_array_equal(unsaid.discount, [1, 1])
    np.testing.assert_array_equal(short.reward, [1])


def test_both_at_once_is_a_termination(tmp_path):
    path = _write(tmp_path / "a", [_simple(terminated=True, truncated=True)])
    np.testing.assert_array_equal(datasets.load(path, toys.SPEC)[0].discount, [1, 1, 0])


def test_actions_are_mapped_inversely_to_what_the_environment_does(tmp_path):
    space = spaces.Box(np.float32([-2, 0, 5]), np.float32([2, 10, 5]))
    _, to_space = gym._action(space)
    canonical = np.float32([[-1, -1, 0], [0.25, 0.5, 0], [1, 1, 0]])
    actions = np.stack([to_space(action) for action in canonical])
    np.testing.assert_array_equal(actions, [[-2, 0, 5], [0.5, 7.5, 5], [2, 10, 5]])
    path = _write(tmp_path / "a", [_buffer(np.zeros((4, 2)), actions)], action_space=space)
    spec = EnvironmentSpec(ArraySpec((2,)), ArraySpec((3,)), action_bounds=gym._bounds(space))
    (episode,) = datasets.load(path, spec)
    np.testing.assert_array_equal(episode.action, canonical, strict=True)


def test_pictures_have_the_layout_that_the_environments_have(tmp_path):
    space = spaces.Box(0, 255, (2, 9, 8), np.uint8)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 2, 9, 8), dtype=np.uint8)
    taken, convert = gym._observation(space)
    path = _write(tmp_path / "a", [_buffer(pictures, np.zeros((3, 1), np.float32))], observation_space=space)
    (episode,) = datasets.load(path, dataclasses.replace(toys.SPEC, observation=ArraySpec(taken.shape, "uint8")))
    np.testing.assert_array_equal(episode.observation, np.stack([convert(picture) for picture in pictures]))
    assert episode.observation.shape == (4, 9, 8, 2)


def test_discrete_actions_count_from_0(tmp_path):
    space = spaces.Discrete(3, start=-1)
    path = _write(tmp_path / "a", [_buffer(np.zeros((4, 2)), np.array([-1, 0, 1]))], action_space=space)
    spec = EnvironmentSpec(ArraySpec((2,)), ArraySpec((), "int32", 3), action_bounds=gym._bounds(space))
    (episode,) = datasets.load(path, spec)
    np.testing.assert_array_equal(episode.action, np.int32([0, 1, 2]), strict=True)
    with pytest.raises(datasets.DatasetError, match=r"actions lie in \[-1, 1\], and the environment's lie in \[0, 2\]"):
        datasets.load(path, dataclasses.replace(spec, action_bounds=None))


def test_a_space_without_bounds_has_the_environments(tmp_path):
    space = spaces.Box(-np.inf, 0.4, (1,))
    path = _write(tmp_path / "a", [_buffer(np.zeros((3, 2)), np.float32([[0.3], [-0.4]]))], action_space=space)
    (episode,) = datasets.load(path, dataclasses.replace(toys.SPEC, action_bounds=((-0.4,), (0.4,))))
    np.testing.assert_allclose(episode.action, [[0.75], [-1]])


def test_ours_are_canonical_whatever_the_environments_bounds(tmp_path):
    spec = dataclasses.replace(toys.SPEC, action_bounds=((-0.4,), (0.4,)))
    episodes = toys.episodes(spec)
    datasets.save(tmp_path / "a", episodes, spec, environment="gym:Mine-v0", policy="random")
    toys.assert_same(datasets.load(tmp_path / "a", spec), episodes)


def test_numbers_may_have_gaps(tmp_path):
    path = _write(tmp_path / "a", [_simple(number) for number in (1, 2, 3, 12)])
    with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
        file.move("episode_3", "episode_11")
        del file["episode_1"]
    metadata = path / "data" / "metadata.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"total_episodes": 3, "total_steps": 16}))
    assert [len(episode.reward) for episode in datasets.load(path, toys.SPEC)] == [1, 3, 12]


def test_an_episode_without_its_final_observation_can_be_left_out(tmp_path, caplog):
    path = _write(tmp_path / "a", [_simple(1), _simple(2), _simple(3), _simple(4)])
    with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
        short = file["episode_1/observations"][:-1]
        del file["episode_1/observations"], file["episode_2/rewards"]
        file["episode_1/observations"] = short
    with pytest.raises(datasets.DatasetError, match=r"so 3 observations .*Of 4 episodes 2 are bad: --bad-ep"):
        datasets.load(path, toys.SPEC)
    assert [len(episode.reward) for episode in datasets.load(path, toys.SPEC, bad_episodes="skip")] == [1, 4]
    assert "2 of 4 episodes are bad and left out; the first: " in caplog.text


def test_observations_are_canonical_as_the_environments_are(tmp_path):
    space = spaces.Dict(
        {
            "box": spaces.Box(-1, 1, (2,), np.float64),
            "picture": spaces.Box(0, 255, (40, 33, 3), np.uint8),
            "place": spaces.Discrete(3, start=5),
            "flags": spaces.MultiBinary(4),
            "inner": spaces.Dict({"count": spaces.Box(0, 9, (1,), np.int64)}),
        }
    )
    space.seed(3)
    samples = [space.sample() for _ in range(3)]
    for sample in samples:
        sample["picture"][:] = sample["picture"][:1, :1]  # one colour, which JPEG keeps, nearly
    observations = {
        "box": np.stack([sample["box"] for sample in samples]),
        "picture": [sample["picture"] for sample in samples],
        "place": np.array([sample["place"] for sample in samples]),
        "flags": np.stack([sample["flags"] for sample in samples]),
        "inner": {"count": np.stack([sample["inner"]["count"] for sample in samples])},
    }
    path = _write(tmp_path / "a", [_buffer(observations, np.zeros((2, 1), np.float32))], observation_space=space)
    dm_spec, observe = gym._observation(space)

    def to_spec(value):
        if isinstance(value, dict):
            return {key: to_spec(item) for key, item in value.items()}
        return ArraySpec(value.shape, value.dtype.name)

    (episode,) = datasets.load(path, EnvironmentSpec(to_spec(dm_spec), ArraySpec((1,))))
    for t, sample in enumerate(samples):
        expected = observe(sample)
        for key in ("box", "place", "flags"):
            np.testing.assert_array_equal(episode.observation[key][t], expected[key], strict=True)
        np.testing.assert_array_equal(episode.observation["inner"]["count"][t], expected["inner"]["count"], strict=True)
        np.testing.assert_allclose(episode.observation["picture"][t], expected["picture"], atol=3)


def test_one_collected_by_minari_from_gymnasium(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(gymnasium.make("Pendulum-v1", max_episode_steps=5))
    env.reset(seed=0)
    env.action_space.seed(0)
    actions, observations, truncated = [], [], False
    while not truncated:
        actions.append(env.action_space.sample())
        observation, _, _, truncated, _ = env.step(actions[-1])
        observations.append(observation)
    env.create_dataset("pendulum-v0", author="A", author_email="B", code_permalink="C", algorithm_name="D")
    env.close()
    (episode,) = datasets.load(tmp_path / "pendulum-v0", PENDULUM)
    np.testing.assert_array_equal(episode.action, np.stack(actions) / 2)
    np.testing.assert_array_equal(episode.observation[1:], np.stack(observations))
    np.testing.assert_array_equal(episode.discount, np.ones(5))
    assert datasets.environment(tmp_path / "pendulum-v0") == "gym:Pendulum-v1"


def test_an_environment_that_our_name_cannot_say_is_not_said(tmp_path):
    made = gymnasium.spec("Pendulum-v1")
    for name, changes in {"plain": {}, "kwargs": {"kwargs": {"g": 9.0}}}.items():
        path = _write(tmp_path / name, [_simple()], env_spec=dataclasses.replace(made, **changes).to_json())
        assert datasets.environment(path) == {"plain": "gym:Pendulum-v1", "kwargs": None}[name]
    assert datasets.environment(_write(tmp_path / "none", [_simple()])) is None


@pytest.mark.parametrize("key", ["terminations", "truncations"])
def test_an_episode_that_goes_on_after_its_end_is_refused(tmp_path, key):
    path = _write(tmp_path / "a", [_simple(), _simple(4, **{key: np.array([False, True, False, True])})])
    with pytest.raises(datasets.DatasetError, match=r"a/data, episode 1 goes on after step 1, which ended it\. Of 2 "):
        datasets.load(path, toys.SPEC)


@pytest.mark.parametrize(
    ("buffer", "options", "message"),
    [
        (_simple(), {"action_space": spaces.MultiDiscrete([2, 2])}, "only Discrete and Boxes of floats"),
        (
            _simple(),
            {"action_space": spaces.Box(-2, 2, (1,))},
            r"a/data says that its actions lie in \[-2, 2\], and the environment's lie in \[-1, 1\]: name the env",
        ),
        (
            _simple(),
            {"observation_space": spaces.MultiDiscrete([2, 2])},
            "and only Box, Discrete, MultiBinary and Dict",
        ),
        (_simple(rewards=np.zeros((3, 2))), {}, r"rewards of float64 \[2\], .* says float32 numbers"),
        (_simple(rewards=np.zeros(2)), {}, "2 rewards, so 2 actions were expected, and it has 3"),
        (
            _buffer(np.zeros((4, 2)), np.full((3, 1), 1.5)),
            {},
            r"episode 0 has actions that are outside \[-1, 1\]: actions\[0, 0\]",
        ),
        (_buffer(np.full((4, 2), 1e39), np.zeros((3, 1))), {}, "observations that are NaN or infinite"),
        (_buffer(np.zeros((3, 2)), np.zeros((3, 1))), {}, "3 rewards, so 4 observations were expected, and it has 3"),
    ],
)
def test_what_is_refused(tmp_path, buffer, options, message):
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load(_write(tmp_path / "a", [buffer], **options), toys.SPEC)


def test_without_its_metadata_or_its_file_it_is_incomplete(tmp_path):
    path = _write(tmp_path / "a", [_simple()])
    (path / "data" / "metadata.json").rename(tmp_path / "metadata.json")
    for read in (lambda: datasets.load(path, toys.SPEC), lambda: datasets.environment(path)):
        with pytest.raises(datasets.DatasetError, match=r"a/data is incomplete: it has no metadata\.json"):
            read()
    (tmp_path / "metadata.json").rename(path / "data" / "metadata.json")
    (path / "data" / "main_data.hdf5").unlink()
    with pytest.raises(datasets.DatasetError, match=r"damaged or incomplete .*No data found"):
        datasets.load(path, toys.SPEC)


def test_wherever_a_file_is_cut_off_nothing_is_read(tmp_path):
    path = _write(tmp_path / "a", [_simple(), _simple()])
    for name, step in (("main_data.hdf5", 1009), ("metadata.json", 11)):
        file = path / "data" / name
        whole = file.read_bytes()
        for size in {*range(0, len(whole), step), len(whole) - 1}:
            file.write_bytes(whole[:size])
            with pytest.raises(datasets.DatasetError, match="damaged or incomplete"):
                datasets.load(path, toys.SPEC)
        file.write_bytes(whole)
    assert len(datasets.load(path, toys.SPEC)) == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("total_episodes", 1, "its metadata counts 1 episodes, its file has 2"),
        ("total_episodes", 3, "its metadata counts 3 episodes, its file has 2"),
        ("total_steps", 5, "its metadata counts 5 steps, its episodes have 6"),
    ],
)
def test_what_was_not_counted_was_not_finished(tmp_path, key, value, message):
    path = _write(tmp_path / "a", [_simple(), _simple()])
    file = path / "data" / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load(path, toys.SPEC)


def test_no_episodes_are_refused(tmp_path):
    path = _write(tmp_path / "a", [])
    with pytest.raises(datasets.DatasetError, match="a holds no episodes"):
        datasets.load(path, toys.SPEC)


@pytest.mark.parametrize("named", [True, False])
def test_the_ids_of_minaris_own_datasets_are_found_where_minari_finds_them(tmp_path, monkeypatch, named):
    root = tmp_path / "mine" if named else tmp_path / ".minari" / "datasets"
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if named:
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    (root / "toys").mkdir(parents=True)
    _write(root / "toys" / "walk-v1", [_simple(5)])
    assert [len(episode.rewards) for episode in minari.load_dataset("toys/walk-v1")] == [5]
    assert [len(episode.reward) for episode in datasets.load("toys/walk-v1", toys.SPEC)] == [5]
    assert datasets.summarise("toys/walk-v1").lengths.tolist() == [5]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toys").mkdir()
    _write(tmp_path / "toys" / "walk-v1", [_simple(3)])
    assert datasets.summarise("toys/walk-v1").lengths.tolist() == [3]  # what is here comes first
    with pytest.raises(
        datasets.DatasetError, match=rf"no dataset toys/run-v1: .* id of one that Minari has in {root}\."
    ):
        datasets.load("toys/run-v1", toys.SPEC)


def test_a_recorded_directory_is_loaded_by_minari_as_the_documentation_says(tmp_path, monkeypatch):
    datasets.save(tmp_path / "data" / "cartpole-v0", toys.episodes(), toys.SPEC, environment="probe:a", policy="random")
    monkeypatch.chdir(tmp_path)
    assert minari.MinariDataset("data/cartpole-v0/data").total_steps == 10
    monkeypatch.setenv("MINARI_DATASETS_PATH", "data")
    assert minari.load_dataset("cartpole-v0").total_steps == 10
    monkeypatch.delenv("MINARI_DATASETS_PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="not found locally"):
        minari.load_dataset("cartpole-v0")
