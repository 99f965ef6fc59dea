"""RL Unplugged's TFRecord files, written here with TensorFlow in the format that its own readers parse."""

import dataclasses
import gzip

import numpy as np
import pytest
import tensorflow as tf

from acme_agents import datasets
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.datasets import rl_unplugged
from tests.datasets import toys

CARTPOLE = EnvironmentSpec(ArraySpec((5,)), ArraySpec((1,)))
SHARD = "train-{:05d}-of-{:05d}"


def _example(features):
    """Float lists, the rows one after another; int64 for integers."""

    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(value)))

    return tf.train.Example(features=tf.train.Features(feature={k: feature(v) for k, v in features.items()}))


def _write(path, examples, compression="GZIP"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for features in examples:
            writer.write(_example(features).SerializeToString())
    return path


def _rows(num, number=0):
    """Observations 10 r and 10 r + 1 ... of row r, and actions, step types; cartpole's sizes."""
    r = np.arange(num)
    return {
        "observation/velocity": 100 * number + 10 * r[:, None] + [3, 4],
        "observation/position": 100 * number + 10 * r[:, None] + [0, 1, 2],
        "action": 0.1 * r,
        "step_type": np.array([0, *[1] * (num - 2), 2]),
    }


def _whole(num=4, number=0, final_discount=1.0):
    """An episode of num rows: row t's reward t and discount came with its observation; row 0 has none."""
    reward, discount = np.arange(num, dtype=np.float32), np.ones(num)
    reward[0] = np.nan
    discount[-1] = final_discount
    return _rows(num, number) | {"reward": reward, "discount": discount, "episode_id": 7 + number, "timestamp": 1}


def _window(num=2, number=0, final_discount=1.0):
    """Row t's reward t + 1 is what its own action earned; the last row's belong to nothing."""
    reward, discount = np.arange(1, num + 1, dtype=np.float32), np.ones(num)
    reward[-1], discount[-2] = np.nan, final_discount
    return _rows(num, number) | {"reward": reward, "discount": discount, "episodic_reward": np.full(num, 55.0)}


def test_whole_episodes_have_their_rewards_a_row_later(tmp_path):
    path = _write(tmp_path / "train-00000-of-00001", [_whole(4), _whole(3, number=1, final_discount=0)])
    first, second = datasets.load(path, CARTPOLE)
    np.testing.assert_array_equal(first.observation[:2], [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]])
    assert first.observation.shape == (4, 5) and first.observation.dtype == np.float32
    np.testing.assert_allclose(first.action, [[0], [0.1], [0.2]])
    np.testing.assert_array_equal(first.reward, [1, 2, 3])
    np.testing.assert_array_equal(first.discount, [1, 1, 1])
    np.testing.assert_array_equal(second.observation[:, 0], [100, 110, 120])
    np.testing.assert_array_equal(second.reward, [1, 2])
    np.testing.assert_array_equal(second.discount, [1, 0])


@pytest.mark.parametrize("final_discount", [0, 1])
def test_windows_have_their_rewards_in_the_row_of_the_action(tmp_path, final_discount):
    path = _write(tmp_path / "train-00000-of-00001", [_window(2, final_discount=final_discount), _window(4)])
    sarsa, longer = datasets.load(path, CARTPOLE)
    np.testing.assert_array_equal(sarsa.observation, [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]])
    np.testing.assert_array_equal(sarsa.action, [[0]])
    np.testing.assert_array_equal(sarsa.reward, [1])
    np.testing.assert_array_equal(sarsa.discount, [final_discount])
    np.testing.assert_array_equal(longer.reward, [1, 2, 3])
    np.testing.assert_array_equal(longer.observation[:, 4], [4, 14, 24, 34])


def test_windows_are_not_chosen_by_return(tmp_path):
    path = _write(tmp_path / "train-00000-of-00001", [_window(), _window()])
    with pytest.raises(datasets.DatasetError, match=r"episode 0 is a window .* dm_control_suite_episodes\.$"):
        datasets.load(path, CARTPOLE, keep_good=0.5)
    path = _write(tmp_path / "episodes.tfrecord", [_whole(4), _whole(9)])
    assert len(datasets.load(path, CARTPOLE, keep_good=0)) == 1


@pytest.mark.parametrize("compression", ["GZIP", ""])
def test_a_directory_a_pattern_and_a_file(tmp_path, compression):
    folder = tmp_path / "cartpole_swingup"
    for shard in range(3):
        _write(folder / SHARD.format(shard, 3), [_whole(3, number=shard)], compression)
    (folder / "README").write_text("not a record")
    first = [episode.observation[0, 0] for episode in datasets.load(folder, CARTPOLE)]
    assert first == [0, 100, 200]
    assert [e.observation[0, 0] for e in datasets.load(folder / "train-0000[02]-*", CARTPOLE)] == [0, 200]
    assert [e.observation[0, 0] for e in datasets.load(folder / SHARD.format(1, 3), CARTPOLE)] == [100]
    for path in (folder, folder / "train-0000[02]-*", folder / SHARD.format(1, 3)):
        assert datasets.environment(path) == "control:cartpole:swingup"
    assert datasets.environment(_write(tmp_path / "some" / "a.tfrecord", [_whole()])) is None


def test_a_directory_without_all_its_files_is_refused_and_a_pattern_is_not(tmp_path):
    for shard in (0, 2):
        _write(tmp_path / SHARD.format(shard, 3), [_whole(3, number=shard)])
    message = (
        r"has 2 of 3 files, and train-00001-of-00003 is not there: get the others, or give the pattern .*/train-\*"
    )
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load(tmp_path, CARTPOLE)
    assert len(datasets.load(tmp_path / "train-*", CARTPOLE)) == 2


# (domain, task, the features of the official reader's table)
TASKS = [
    ("fish", "swim", {"target": 3, "velocity": 13, "upright": 1, "joint_angles": 7}),
    (
        "humanoid",
        "run",
        {
            "velocity": 27,
            "com_velocity": 3,
            "torso_vertical": 3,
            "extremities": 12,
            "head_height": 1,
            "joint_angles": 21,
        },
    ),
    (
        "manipulator",
        "insert_ball",
        {"arm_pos": 16, "arm_vel": 8, "touch": 5, "hand_pos": 4, "object_pos": 4, "object_vel": 3, "target_pos": 4},
    ),
    (
        "manipulator",
        "insert_peg",
        {"arm_pos": 16, "arm_vel": 8, "touch": 5, "hand_pos": 4, "object_pos": 4, "object_vel": 3, "target_pos": 4},
    ),
    ("cartpole", "swingup", {"position": 3, "velocity": 2}),
    ("walker", "walk", {"orientations": 14, "velocity": 9, "height": 1}),
    ("walker", "stand", {"orientations": 14, "velocity": 9, "height": 1}),
    ("cheetah", "run", {"position": 8, "velocity": 9}),
    ("finger", "turn_hard", {"position": 4, "velocity": 3, "touch": 2, "target_position": 2, "dist_to_target": 1}),
]


@pytest.mark.parametrize(("domain", "task", "sizes"), TASKS, ids=[f"{domain}_{task}" for domain, task, _ in TASKS])
def test_observations_are_those_of_our_environment(tmp_path, domain, task, sizes):
    """dm_control's own observations, written as RL Unplugged has them, come back as `environments` gives them."""
    from acme_agents import environments

    env = environments.make(f"control:{domain}:{task}", 0)
    flat, raw = [], []
    observe = env._environment.task.get_observation
    env._environment.task.get_observation = lambda physics: raw.append(observe(physics)) or raw[-1]
    step = env.reset()
    rng = np.random.default_rng(0)
    for _ in range(4):
        flat.append(step.observation)
        step = env.step(rng.uniform(-1, 1, env.action_spec().shape))
    spec = environments.spec(env)
    rows = {f"observation/{key}": np.stack([np.ravel(one[key]) for one in raw[:4]]) for key in sizes}
    assert {key.partition("/")[2]: value.shape[1] for key, value in rows.items()} == sizes == rl_unplugged_sizes(raw[0])
    others = {"action": np.zeros((4, *spec.action.shape)), "reward": np.zeros(4), "discount": np.ones(4)}
    folder = tmp_path / f"{domain}_{task}"
    _write(folder / "train-00000-of-00001", [rows | others | {"episode_id": 1}])
    (episode,) = datasets.load(folder, spec)
    np.testing.assert_array_equal(episode.observation, np.stack(flat))
    assert datasets.environment(folder) == f"control:{domain}:{task}"


def rl_unplugged_sizes(observation):
    return {key: np.size(value) for key, value in observation.items()}


def test_a_dict_takes_the_arrays_by_name_and_in_its_shapes(tmp_path):
    observation = {"arm_pos": ArraySpec((8, 2)), "height": ArraySpec(()), "touch": ArraySpec((5,))}
    rows = {
        "observation/arm_pos": np.arange(48.0).reshape(3, 16),
        "observation/height": np.arange(3.0),
        "observation/touch": np.zeros((3, 5)),
        "action": np.zeros(3),
        "reward": np.zeros(3),
        "discount": np.ones(3),
        "episode_id": 1,
    }
    path = _write(tmp_path / "a.tfrecord", [rows])
    (episode,) = datasets.load(path, EnvironmentSpec(observation, ArraySpec((1,))))
    np.testing.assert_array_equal(episode.observation["arm_pos"], np.arange(48.0).reshape(3, 8, 2))
    np.testing.assert_array_equal(episode.observation["height"], [0, 1, 2])


def test_actions_are_clipped_as_the_task_clips_them(tmp_path):
    path = _write(tmp_path / "a.tfrecord", [_whole(4) | {"action": np.array([-3, 0.5, 1.25, 9])}])
    np.testing.assert_array_equal(datasets.load(path, CARTPOLE)[0].action, [[-1], [0.5], [1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": None}, r"a\.tfrecord, episode 1 is not of RL Unplugged's .*: it has no action\. "),
        ({"observation/velocity": None, "observation/position": None}, r"it has no observation/\.\.\.\. "),
        ({"observation/touch": np.zeros((4, 2))}, "position, touch, velocity, which are of none of RL Unplugged's"),
        ({"reward": np.zeros(5)}, "has 5 numbers of reward for 4 discounts"),
        ({"discount": np.zeros(0)}, "numbers of action for 0 discounts|has 4 numbers of"),
        (
            {"reward": np.array([0, 1, np.inf, 0])},
            r"episode 1 has rewards that are NaN or infinite: rewards\[1\] is inf",
        ),
        ({"action": np.array([0, np.inf, 0, 0])}, r"episode 1 has actions that are NaN or infinite: .*\[1, 0\] is inf"),
        ({"observation/position": b"pixels"}, "observation/position of other than floats"),
        ({"observation/position": np.zeros((4, 4))}, r"observations of float32 \[6\], and .* float32 \[5\]"),
        ({"action": np.zeros((4, 2))}, r"actions of float32 \[2\], and the environment's spec says float32 \[1\]"),
        ({"discount": np.array([1, 1, 1.5, 1])}, r"discounts that are outside \[0, 1\]: discounts\[1\] is 1.5"),
        ({"discount": np.array([1, 1, 0, 1])}, r"discounts that are an ending before the last step: discounts\[1\]"),
    ],
)
def test_what_is_refused(tmp_path, changes, message):
    changed = {key: value for key, value in (_whole(4) | changes).items() if value is not None}
    path = _write(tmp_path / "a.tfrecord", [_whole(4), changed])
    with pytest.raises(datasets.DatasetError, match=message):
        datasets.load(path, CARTPOLE)


def test_one_row_is_no_step(tmp_path):
    path = _write(tmp_path / "a.tfrecord", [_whole(2) | {k: v[:1] for k, v in _whole(2).items() if np.ndim(v)}])
    with pytest.raises(datasets.DatasetError, match=r"a\.tfrecord, episode 0 has no steps"):
        datasets.load(path, CARTPOLE)


def test_vector_rewards(tmp_path):
    spec = dataclasses.replace(CARTPOLE, reward=ArraySpec((2,)))
    path = _write(tmp_path / "a.tfrecord", [_whole(3) | {"reward": np.arange(6.0)}])
    np.testing.assert_array_equal(datasets.load(path, spec)[0].reward, [[2, 3], [4, 5]])


@pytest.mark.parametrize("compression", ["GZIP", ""])
def test_wherever_a_file_is_cut_off_nothing_is_read(tmp_path, compression):
    """TensorFlow alone reads the records before the cut, or none, and says nothing, at many of these places."""
    path = _write(tmp_path / "a.tfrecord", [_whole(4, number=number) for number in range(3)], compression)
    whole = path.read_bytes()
    if compression:
        boundaries = set()
    else:  # A file without compression that ends with a record is whole, for all that can be known.
        boundaries = {len(whole) // 3, 2 * len(whole) // 3}
    for size in sorted({*range(len(whole))} - boundaries):
        path.write_bytes(whole[:size])
        with pytest.raises(datasets.DatasetError, match=r"a\.tfrecord is damaged or incomplete \("):
            datasets.load(path, CARTPOLE)


@pytest.mark.parametrize("compression", ["GZIP", ""])
def test_whichever_bit_is_wrong_no_wrong_number_is_read(tmp_path, compression):
    path = _write(tmp_path / "a.tfrecord", [_whole(4), _whole(3)], compression)
    expected = datasets.load(path, CARTPOLE)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            found = datasets.load(path, CARTPOLE)
        except datasets.DatasetError:
            continue
        toys.assert_same(found, expected)  # some bits of GZIP's header say nothing


def test_what_is_not_a_record_is_damaged(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(gzip.compress(b"x" * 100))
    with pytest.raises(datasets.DatasetError, match="damaged or incomplete"):
        datasets.load(path, CARTPOLE)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff not an example")
    with pytest.raises(datasets.DatasetError, match=r"damaged or incomplete .*DecodeError"):
        datasets.load(path, CARTPOLE)


def test_a_file_of_no_records_is_no_episodes(tmp_path):
    path = _write(tmp_path / "a.tfrecord", [])
    with pytest.raises(datasets.DatasetError, match="holds no episodes"):
        datasets.load(path, CARTPOLE)


def test_the_orders_are_told_apart_by_their_names():
    assert len({frozenset(order) for order in rl_unplugged._ORDERS}) == len(rl_unplugged._ORDERS)


def test_its_files_are_summarised_and_converted_without_an_environment(tmp_path):
    path = tmp_path / "cartpole_swingup" / "train-00000-of-00001"
    _write(path, [_whole(4), _whole(3, number=1, final_discount=0)])
    summary = datasets.summarise(path)
    assert summary.lengths.tolist() == [3, 2] and summary.returns.ravel().tolist() == [6, 3]
    assert (summary.num_terminated, summary.environment) == (1, "control:cartpole:swingup")
    assert summary.fields[0].high.tolist() == [120, 121, 122, 123, 124]
    assert datasets.convert(summary, tmp_path / "a.hdf5", "d4rl", environment=summary.environment) == []
    toys.assert_same(datasets.load(tmp_path / "a.hdf5", CARTPOLE), datasets.load(path, CARTPOLE))
