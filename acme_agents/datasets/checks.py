"""Checks an episode before anything learns from it: it must fit the environment's spec, be finite and in range."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from acme_agents.core import errors, pictures, types

_ROUNDING = 1e-4  # how far outside [-1, 1] an action may lie: rounding, not another scale


class DatasetError(errors.UserError):
    """A dataset that cannot be read, used or written; its message is one sentence for the user."""


class OutOfBoundsError(DatasetError):
    """A continuous action outside its bounds, which could be clipped."""


@contextlib.contextmanager
def reading(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever a library raises for a damaged file into an error that says that the file is damaged."""
    try:
        yield
    except (DatasetError, MemoryError):
        raise
    except (ImportError, PermissionError) as error:  # the first Minari's, for formats whose libraries are extras
        raise DatasetError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # One wrong bit can make a library raise nearly anything.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise DatasetError(f"{path} is damaged or incomplete ({what}).") from error


class Actions:
    """Maps the actions of a dataset from their own bounds to canonical ones.

    Attributes:
      num_clipped: number of actions so far that were clipped, by more than rounding.
    """

    def __init__(
        self,
        spec: types.ArraySpec,
        bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        *,
        clip: bool = False,
    ):
        """Initialises the inverse of an environment's mapping.

        Args:
          spec: of the canonical action.
          bounds: lowest and highest of the dataset's actions, as `EnvironmentSpec.action_bounds`; None: they are
            canonical.
          clip: whether continuous actions out of bounds are clipped and counted; otherwise they are refused.
        """
        self._spec = spec
        self._clip = clip
        self.num_clipped = 0
        self._first = int(bounds[0][0]) if bounds and spec.num_values is not None else 0
        if bounds is None or spec.num_values is not None:
            bounds = (-1.0,) * int(np.prod(spec.shape)), (1.0,) * int(np.prod(spec.shape))
        self._low, self._high = (np.array(bound, np.float64).reshape(spec.shape) for bound in bounds)
        scale, self._offset = (self._high - self._low) / 2, (self._high + self._low) / 2
        self._scale = np.where(scale == 0, 1, scale)  # Of a dimension with one value that value becomes 0.

    def canonical(self, found: Any, length: int, where: str) -> np.ndarray:
        """Returns the canonical actions, [length, *A], of an episode's."""
        if self._spec.num_values is not None:
            return _fit(_counted(np.asarray(found), self._first), self._spec, length, where, "actions", self._first)
        native = _fit(found, self._spec, length, where, "actions")
        action = (native - self._offset) / self._scale
        outside = np.abs(action) > 1 + _ROUNDING
        if outside.any() and not self._clip:
            place = tuple(np.argwhere(outside)[0][1:])
            what = f"outside [{self._low[place]:g}, {self._high[place]:g}]"
            _refuse(outside, native, where, "actions", what, OutOfBoundsError)
        self.num_clipped += int(outside.reshape(length, -1).any(axis=1).sum())
        return np.clip(action, -1, 1).astype(np.float32)

    def native(self, action: np.ndarray) -> np.ndarray:
        """Returns the dataset's own actions, [T, *A], of canonical ones: float32, or int32 if they are discrete."""
        if self._spec.num_values is not None:
            return (action + self._first).astype(np.int32)
        return (action * self._scale + self._offset).astype(np.float32)


def canonical(
    episode: types.Trajectory, spec: types.EnvironmentSpec, where: str, actions: Actions | None = None
) -> types.Trajectory:
    """Returns the episode in the spec's dtypes, its actions canonical.

    Args:
      episode: T steps, in any dtypes that convert to the spec's: every integer or float to float32, integers to int32;
        uint8 is pixels, and stays so.
      spec: the environment's.
      where: what a message calls the episode: "data.hdf5, episode 3".
      actions: makes its actions canonical; None if they are canonical already, except for rounding, which is clipped.

    Raises:
      DatasetError: it has no steps; its structure, shapes or dtypes are not the spec's; a number is NaN or infinite; an
        action or a discount is out of range, by more than rounding; or it goes on after a discount of 0.
    """
    length = np.shape(episode.reward)[0] if np.ndim(episode.reward) else 0
    if not length:
        raise DatasetError(f"{where} has no steps.")
    action = (actions or Actions(spec.action)).canonical(episode.action, length, where)
    discount = _fit(episode.discount, types.ArraySpec(()), length, where, "discounts")
    _refuse((discount < 0) | (discount > 1), discount, where, "discounts", "outside [0, 1]")
    _refuse(discount[:-1] == 0, discount, where, "discounts", "an ending before the last step")
    return types.Trajectory(
        observation=_fit_tree(episode.observation, spec.observation, length + 1, where, "observations"),
        action=action,
        reward=_fit(episode.reward, spec.reward, length, where, "rewards"),
        discount=discount,
    )


def _fit_tree(found: Any, spec: Any, length: int, where: str, name: str) -> Any:
    """Returns a dict of the spec's arrays, or one array."""
    if isinstance(found, Mapping) and isinstance(spec, Mapping) and set(found) == set(spec):
        return {key: _fit_tree(found[key], spec[key], length, where, f"{name}[{key!r}]") for key in spec}
    if isinstance(found, Mapping) or isinstance(spec, Mapping):
        raise DatasetError(_misfit(found, spec, where, name))
    return _fit(found, spec, length, where, name)


def _fit(found: Any, spec: types.ArraySpec, length: int, where: str, name: str, first: int = 0) -> np.ndarray:
    """Returns `found` as [length, *spec.shape] of the spec's dtype; in messages discrete values begin at `first`."""
    found = np.asarray(found)
    if found.ndim == 0 or found.shape[1:] != spec.shape or not _converts(found.dtype, spec.dtype):
        raise DatasetError(_misfit(found, spec, where, name))
    if len(found) != length:
        steps = length - 1 if name.startswith("observations") else length
        raise DatasetError(f"{where} has {steps} rewards, so {length} {name} were expected, and it has {len(found)}.")
    if spec.num_values is not None:
        outside = (found < 0) | (found >= spec.num_values)
        _refuse(outside, found + first, where, name, f"not {first} to {first + spec.num_values - 1}")
    with np.errstate(over="ignore"):  # What is too large for float32 is infinite, and refused next.
        array = found.astype(spec.dtype, copy=False)
    _refuse(~np.isfinite(array), array, where, name, "NaN or infinite")
    return array


def _counted(found: np.ndarray, first: int) -> np.ndarray:
    """Returns discrete values counted from 0 instead of `first`; whole numbers may be stored as floats or bools."""
    whole = found.dtype.kind in "iub" or (found.dtype.kind == "f" and bool(np.all(found == np.floor(found))))
    fits = whole and bool(np.all(np.abs(found, dtype=np.float64) < 2**31))
    return found.astype(np.int64) - first if fits else found


def squeeze(found: np.ndarray, spec: types.ArraySpec) -> np.ndarray:
    """Returns numbers [N, 1] as [N] where that is what the spec says, and floats [N] as [N, 1]."""
    if found.ndim == 2 and found.shape[1] == 1 and spec.shape == ():
        return found[:, 0]
    return found[:, None] if found.ndim == 1 and found.dtype.kind == "f" and spec.shape == (1,) else found


def picture(found: np.ndarray, spec: Any) -> np.ndarray:
    """Returns pictures [N, *S] uint8 in the spec's layout if that is what `pictures.canonical` makes of S.

    Such are pictures with channels first, as d3rlpy and Gymnasium's stacks of frames have them.
    """
    is_picture = isinstance(spec, types.ArraySpec) and spec.dtype == found.dtype == np.uint8
    if not is_picture or found.shape[1:] == spec.shape:
        return found
    taken = pictures.canonical(found.shape[1:], found.dtype, 0, 255)
    return taken.convert(found) if taken.shape == spec.shape else found


def _converts(found: np.dtype, to: str) -> bool:
    if found == to:
        return True
    return (to == "float32" and found.kind in "fiub" and found != np.uint8) or (to == "int32" and found.kind in "iu")


def _refuse(
    wrong: np.ndarray, array: np.ndarray, where: str, name: str, what: str, error: type[DatasetError] = DatasetError
) -> None:
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        raise error(f"{where} has {name} that are {what}: {name}{place} is {array[tuple(place)]}.")


def _misfit(found: Any, spec: Any, where: str, name: str) -> str:
    return f"{where} has {name} of {_describe(found)}, and the environment's spec says {_describe(spec)}."


def _describe(value: Any) -> str:
    """`float32 [3]`, without the dimension of time; `{"x": float32 [3]}`; `float32 numbers`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_describe(item)}" for key, item in value.items()) + "}"
    shape = list(value.shape) if isinstance(value, types.ArraySpec) else list(np.shape(value)[1:])
    dtype = value.dtype if isinstance(value, types.ArraySpec) else np.asarray(value).dtype
    return f"{dtype} {shape}" if shape else f"{dtype} numbers"
