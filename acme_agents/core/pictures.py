"""Which arrays of numbers are pictures, and how they become [H, W, C] uint8, whatever layout they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_LEAST_SIDE = 8  # pixels; smaller arrays whose shape is ambiguous are not taken for pictures
_MOST_FRAMES = 16  # of a stack of pictures
_CHANNELS = (1, 2, 3, 4)  # of most pictures


class Canonical(NamedTuple):
    """What the arrays of a Box become.

    Attributes:
      shape: of one, canonical.
      dtype: "uint8" for pictures, "float32" for all else.
      convert: from an array [..., *S] of the Box's shape S to [..., *shape] of the dtype; the result is a copy. It
        raises ValueError where floats of a picture are NaN or do not lie in 0 .. 255.
      note: how it is interpreted, for the user: "pictures of 84 x 84 with 4 channels, given as [4, 84, 84]"; None
        if the numbers stay as they are.
    """

    shape: tuple[int, ...]
    dtype: str
    convert: Callable[[Any], np.ndarray]
    note: str | None = None


def canonical(shape: tuple[int, ...], dtype: Any, low: Any, high: Any) -> Canonical:
    """Finds what the arrays of a Box become.

    uint8 of rank 3 is a picture. So is what lies in 0 .. 255 (uint8, or floats, which are rounded) and has another
    layout: grey [H, W], stacks of up to 16 pictures [T, H, W, C] and [T, C, H, W], whose frames become channels, the
    oldest first. Channels may come first or last: they are the side that is smaller than both others, or that differs
    from two equal ones. Features of rank 3 in [0, 1], such as one-hot planes, are put in the same order. Other uint8
    numbers are divided by 255 where they may be as large as that.

    Args:
      shape: S, of one array.
      dtype: a NumPy dtype.
      low: the least value of each number.
      high: the largest.
    """
    is_uint8, rank = np.dtype(dtype) == np.uint8, len(shape)
    of_bytes = bool(np.all(np.equal(low, 0)) and np.all(np.equal(high, 255)))
    unit = bool(np.all(np.equal(low, 0)) and np.all(np.equal(high, 1)))
    axes = _axes(shape)
    if axes is None or not (of_bytes or (rank == 3 and (is_uint8 or unit))):
        if is_uint8 and of_bytes:
            note = f"{int(np.prod(shape))} numbers of 0 to 255, divided by 255"
            return Canonical(shape, "float32", lambda x: np.asarray(x, np.float32) / 255, note)
        return Canonical(shape, "float32", lambda x: np.array(x, np.float32))
    order, frames, channels = axes
    if not (of_bytes or unit):  # Of uint8 with other bounds only the rank is known.
        order, channels = (0, 1, 2), (2,)
    result = tuple(shape[axis] for axis in order)
    if channels:
        result = (*result[: -len(channels)], int(np.prod([shape[axis] for axis in channels])))
    else:
        result = (*result, 1)
    picture = is_uint8 or of_bytes
    to = np.uint8 if picture else np.float32

    def convert(found: Any) -> np.ndarray:
        found = np.asarray(found)
        leading = found.ndim - rank
        if found.dtype != to and picture:
            if not ((found >= 0) & (found <= 255)).all():  # As bytes they would be other numbers.
                raise ValueError(f"numbers from {found.min()} to {found.max()}")
            found = np.rint(found)
        moved = found.transpose(*range(leading), *(leading + axis for axis in order))
        return np.array(moved, to, order="C").reshape(*found.shape[:leading], *result)

    note = ""
    if picture:
        note = f"pictures of {result[0]} x {result[1]} with {result[2]} {'channels' if result[2] > 1 else 'channel'}"
        if order != tuple(range(rank)) or result != shape:
            note += f", given as {list(shape)}"
            note += f" with {frames} frames" if frames else ""
    return Canonical(result, np.dtype(to).name, convert, note or None)


def _axes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[int, ...]] | None:
    """Returns a picture's axes in the order height, width, frames, channels; its frames; and which axes are channels.

    None if the shape is not that of a picture; 0 frames if there is no axis of frames.
    """
    if len(shape) == 2 and min(shape) >= _LEAST_SIDE:
        return (0, 1), 0, ()
    if len(shape) == 3:
        return ((1, 2, 0), 0, (0,)) if _channels_first(shape) else ((0, 1, 2), 0, (2,))
    if len(shape) == 4 and shape[0] <= _MOST_FRAMES:
        first = _channels_first(shape[1:])
        sides = (2, 3) if first else (1, 2)
        channels = 1 if first else 3
        if min(shape[axis] for axis in sides) >= _LEAST_SIDE:
            return (*sides, 0, channels), shape[0], (0, channels)
    return None


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether three sides are a picture's with its channels first."""
    first, second, third = shape
    if third <= min(first, second) and (third != second or third in _CHANNELS):
        return False
    return first < min(second, third) or (second == third and first != second)
