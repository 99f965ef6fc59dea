"""Checkpoints: the same bits back; damage, kills and full disks survived."""

import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import checkpoint
from tests.launch.running import ROUNDS

META = {"learner": {"delivered": {"12345678901234567": 1763671387123456789}}, "walltime": 0.1 + 0.2}


def _tree(value=0.0):
    return {
        "params": [jnp.full((3, 2), value, jnp.float32), jnp.array([1e-45, np.nan, -0.0, np.inf], jnp.float32)],
        "key": jax.random.PRNGKey(17),
        "steps": jnp.int32(2**31 - 1),
        "mask": jnp.array([True, False]),
        "bytes": jnp.arange(5, dtype=jnp.uint8),
    }


def _assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        assert (x.dtype, x.shape, np.asarray(x).tobytes()) == (y.dtype, y.shape, np.asarray(y).tobytes())


def _names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_checkpoint_brings_back_every_bit(tmp_path):
    path = checkpoint.save(tmp_path / "new", 7, _tree(0.3), META)
    assert path.name == "000000000007.npz"
    tree, meta = checkpoint.load(tmp_path / "new", _tree())
    _assert_same(tree, _tree(0.3))
    assert meta == META


def test_a_template_needs_only_shapes(tmp_path):
    checkpoint.save(tmp_path, 7, _tree(0.3), META)
    tree, _ = checkpoint.load(tmp_path, jax.eval_shape(_tree))
    _assert_same(tree, _tree(0.3))


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path):
    for step in (9, 10, 100):
        checkpoint.save(tmp_path, step, _tree(step), {"step": step})
    assert checkpoint.steps(tmp_path) == [10, 100]
    tree, meta = checkpoint.load(tmp_path, _tree())
    assert meta == {"step": 100}
    assert tree["params"][0][0, 0] == 100


def test_the_same_update_may_be_saved_again(tmp_path):
    checkpoint.save(tmp_path, 5, _tree(1), {"part": 1})
    checkpoint.save(tmp_path, 5, _tree(2), {"part": 2})
    assert checkpoint.steps(tmp_path) == [5]
    assert checkpoint.load(tmp_path, _tree())[1] == {"part": 2}


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load(tmp_path, _tree()) is None
    assert checkpoint.load(tmp_path / "missing", _tree()) is None


def test_wherever_the_newest_is_cut_off_the_one_before_is_loaded(tmp_path, caplog):
    checkpoint.save(tmp_path, 1, _tree(1), {"step": 1})
    path = checkpoint.save(tmp_path, 2, _tree(2), {"step": 2})
    whole = path.read_bytes()
    for size in {0, 1, *range(2, len(whole), 97), len(whole) - 1}:
        caplog.clear()
        path.write_bytes(whole[:size])
        tree, meta = checkpoint.load(tmp_path, _tree())
        assert (tree["params"][0][0, 0], meta) == (1, {"step": 1})
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert f"The checkpoint {path} is damaged" in record.getMessage()


@pytest.mark.long
def test_whichever_bit_of_the_newest_is_wrong_no_wrong_number_is_loaded(tmp_path, caplog):
    checkpoint.save(tmp_path, 1, _tree(1), {"step": 1})
    path = checkpoint.save(tmp_path, 2, _tree(2), {"step": 2})
    whole = path.read_bytes()
    num_fallbacks = 0
    for at in range(0, len(whole), 2):
        caplog.clear()
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at // 2 % 8
        path.write_bytes(damaged)
        tree, meta = checkpoint.load(tmp_path, _tree())
        value = meta["step"]  # Some bytes, as a file's date in the archive, say nothing.
        _assert_same(tree, _tree(value))
        assert len(caplog.records) == (value == 1)
        num_fallbacks += value == 1
    assert num_fallbacks > 0.3 * len(whole)


def test_where_all_are_damaged_it_says_so(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, _tree(step), {}).write_bytes(b"PK")
    with pytest.raises(checkpoint.CheckpointError, match=r"^every checkpoint in .* is damaged: begin again in another"):
        checkpoint.load(tmp_path, _tree())


@pytest.mark.parametrize(
    "change",
    [
        {"key": jnp.zeros(3, jnp.uint32)},
        {"steps": jnp.float32(0)},
        {"params": [jnp.zeros((3, 2))]},
        {"one_more": jnp.zeros(())},
    ],
)
def test_a_checkpoint_of_another_agent_is_refused(tmp_path, change):
    checkpoint.save(tmp_path, 1, _tree(), {})
    with pytest.raises(checkpoint.CheckpointError, match="is of another agent, environment or network: resume with"):
        checkpoint.load(tmp_path, {**_tree(), **change})


def _assert_survives_a_full_disk(directory, save_large):
    checkpoint.save(directory, 20, _tree(20), {"step": 20})
    error = save_large()
    assert f"cannot write the checkpoint {directory / '000000000040.npz'}: " in error
    assert error.endswith("; the one at update 20 is intact: free some space, then continue with --resume.")
    assert _names(directory) == ["000000000020.npz"]
    tree, meta = checkpoint.load(directory, _tree())
    _assert_same(tree, _tree(20))
    assert meta == {"step": 20}


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")

    def save_large():
        with pytest.raises(checkpoint.CheckpointError) as caught:
            checkpoint.save(tmp_path, 40, {"large": np.ones(10**5)}, {})
        assert "No space left on device" in str(caught.value)
        return str(caught.value)

    try:
        _assert_survives_a_full_disk(tmp_path, save_large)
        with pytest.raises(checkpoint.CheckpointError, match="; there is none before it: free some space"):
            checkpoint.save(tmp_path / "other", 40, {"large": np.ones(10**5)}, {})
        checkpoint.save(tmp_path, 60, _tree(60), {})  # There is room for a small one.
        assert checkpoint.steps(tmp_path) == [20, 60]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _run(code, *args, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        cwd=pathlib.Path(__file__).parents[2], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs,
    )  # fmt: skip


def test_a_file_that_may_not_grow_leaves_the_checkpoint_before(tmp_path):
    """The same without root: the process's files are limited to 64 KiB."""
    code = """
        import pathlib, resource, sys
        import numpy as np
        from acme_agents.core import checkpoint

        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
        try:
            checkpoint.save(pathlib.Path(sys.argv[1]), 40, {"large": np.ones(10**5)}, {})
        except checkpoint.CheckpointError as error:
            print(error, end="")
    """

    def save_large():
        out, err = _run(code, tmp_path).communicate(timeout=60)
        assert err == ""  # nothing that the interpreter had to say of half-closed files
        return out

    _assert_survives_a_full_disk(tmp_path, save_large)


def test_the_first_checkpoint_after_each_multiple_is_kept_for_good(tmp_path):
    for step in (40, 90, 110, 160, 230, 310, 360, 390, 420, 450):
        checkpoint.save(tmp_path, step, _tree(step), {}, keep=3, keep_every=100)
    assert checkpoint.steps(tmp_path) == [110, 230, 310, 390, 420, 450]
    checkpoint.save(tmp_path, 460, _tree(460), {}, keep=2, keep_every=100)
    assert checkpoint.steps(tmp_path) == [110, 230, 310, 420, 450, 460]


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(300 * ROUNDS)
def test_a_kill_at_any_moment_leaves_a_checkpoint_to_load(tmp_path, record_property):
    code = """
        import pathlib, sys
        import numpy as np
        from acme_agents.core import checkpoint

        step = int(sys.argv[2])
        while True:
            step += 1
            checkpoint.save(pathlib.Path(sys.argv[1]), step, {"x": np.full(500_000, step)}, {"step": step})
            print(step, flush=True)
    """
    template = {"x": np.zeros(500_000, int)}
    rng = np.random.default_rng(0)
    newest, num_inside, num_kills = 0, 0, 0
    while num_kills < 6 * ROUNDS or (not num_inside and num_kills < 40):
        num_kills += 1
        process = _run(code, tmp_path, newest)
        for _ in range(3):
            newest = int(process.stdout.readline())
        try:
            process.wait(timeout=float(rng.uniform(0, 0.02)))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        num_inside += any(name.endswith(".partial") for name in _names(tmp_path))
        tree, meta = checkpoint.load(tmp_path, template)
        assert meta["step"] >= newest
        np.testing.assert_array_equal(tree["x"], meta["step"])
        newest = meta["step"]
    record_property("kills", num_kills)
    record_property("kills_inside_a_write", num_inside)
    assert num_inside  # A kill came in the middle of writing.
    assert len(checkpoint.steps(tmp_path)) <= 3
    checkpoint.save(tmp_path, newest + 50, {"x": np.zeros(3)}, {})
    assert _names(tmp_path) == [f"{newest:012d}.npz", f"{newest + 50:012d}.npz"]  # What the killed left is gone.


def test_an_unwritable_directory_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(checkpoint.CheckpointError, match="there is none before it"):
        checkpoint.save(tmp_path / "file" / "checkpoints", 1, _tree(), {})
    assert os.listdir(tmp_path) == ["file"]
