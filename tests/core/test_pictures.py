"""Pictures in every usual layout become [H, W, C], and what is no picture stays what it is."""

import numpy as np
import pytest

from acme_agents.core import pictures


def _canonical(shape, dtype="uint8", low=0, high=255):
    return pictures.canonical(shape, np.dtype(dtype), np.full(shape, low), np.full(shape, high))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((84, 84, 4), (84, 84, 4)),
        ((4, 84, 84), (84, 84, 4)),
        ((84, 84), (84, 84, 1)),
        ((1, 84, 84), (84, 84, 1)),
        ((84, 84, 1), (84, 84, 1)),
        ((210, 160, 3), (210, 160, 3)),
        ((3, 210, 160), (210, 160, 3)),
        ((20, 7, 7), (7, 7, 20)),  # the side that differs from two equal ones
        ((7, 7, 20), (7, 7, 20)),
        ((12, 64, 64), (64, 64, 12)),
        ((4, 5, 3), (4, 5, 3)),
        ((3, 3, 3), (3, 3, 3)),
        ((4, 84, 84, 3), (84, 84, 12)),  # frames of pictures
        ((4, 3, 84, 84), (84, 84, 12)),
        ((4, 84, 84, 1), (84, 84, 4)),
    ],
)
def test_layouts(shape, expected):
    found = _canonical(shape)
    assert (found.shape, found.dtype) == (expected, "uint8")
    assert found.note.startswith(f"pictures of {expected[0]} x {expected[1]} with {expected[2]} channel")
    assert ("given as" in found.note) == (shape != expected)
    for leading in ((), (6,), (2, 3)):
        converted = found.convert(np.zeros((*leading, *shape), np.uint8))
        assert (converted.shape, converted.dtype) == ((*leading, *expected), np.uint8)


def test_every_pixel_is_where_it_belongs():
    frames = np.arange(2 * 9 * 8 * 3, dtype=np.uint32).reshape(2, 9, 8, 3).astype(np.uint8)  # [T, H, W, C]
    expected = np.concatenate([frames[0], frames[1]], axis=-1)  # the oldest first
    np.testing.assert_array_equal(_canonical((2, 9, 8, 3)).convert(frames), expected)
    np.testing.assert_array_equal(_canonical((2, 3, 9, 8)).convert(frames.transpose(0, 3, 1, 2)), expected)
    np.testing.assert_array_equal(_canonical((3, 9, 8)).convert(frames[0].transpose(2, 0, 1)), frames[0])
    np.testing.assert_array_equal(_canonical((9, 8)).convert(frames[0, ..., 0]), frames[0, ..., :1])


@pytest.mark.parametrize("shape", [(84, 84, 4), (4, 84, 84), (1, 84, 84), (84, 84)])
def test_what_is_converted_is_a_copy(shape):
    picture = np.zeros(shape, np.uint8)
    converted = _canonical(shape).convert(picture)
    picture[...] = 1
    assert not converted.any() and converted.flags.c_contiguous


def test_pictures_of_floats_up_to_255_are_rounded_to_bytes():
    found = _canonical((9, 8, 3), "float32")
    assert (found.shape, found.dtype) == ((9, 8, 3), "uint8")
    np.testing.assert_array_equal(found.convert(np.full((9, 8, 3), 254.6)), np.full((9, 8, 3), 255))


@pytest.mark.parametrize(
    ("shape", "dtype", "low", "high"),
    [
        ((3,), "float32", -1, 1),
        ((), "float64", -1, 1),
        ((3, 3, 6), "float32", -np.inf, np.inf),
        ((7, 7, 20), "float32", 0, 1),
        ((10, 20), "float32", 0, 1),
        ((5,), "uint8", 0, 1),
        ((8, 8), "uint8", 0, 12),
    ],
)
def test_other_numbers_are_taken_as_they_are(shape, dtype, low, high):
    found = _canonical(shape, dtype, low, high)
    assert found[:2] == (shape, "float32") and found.note is None
    np.testing.assert_array_equal(found.convert(np.ones(shape, dtype)), np.ones(shape, np.float32))


def test_one_hot_planes_have_their_channels_last_too():
    planes = np.zeros((2, 6, 7), np.float32)
    planes[1, 2, 3] = 1
    found = _canonical(planes.shape, "float32", 0, 1)
    converted = found.convert(planes)
    assert found[:2] == ((6, 7, 2), "float32") and converted[2, 3].tolist() == [0, 1] and converted.sum() == 1


def test_bytes_that_are_no_picture_are_divided_by_255():
    found = _canonical((128,))
    assert found[:2] == ((128,), "float32") and found.note == "128 numbers of 0 to 255, divided by 255"
    np.testing.assert_allclose(found.convert(np.full((2, 128), 51, np.uint8)), np.full((2, 128), 0.2), rtol=1e-6)


def test_bytes_of_rank_three_with_other_bounds_stay_as_they_are():
    found = _canonical((3, 7, 7), high=10)
    assert found[:2] == ((3, 7, 7), "uint8")
