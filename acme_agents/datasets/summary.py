"""What is in a dataset, whatever its environment: counts, returns and ranges; an episode or a block is in memory."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from acme_agents.core import types
from acme_agents.datasets import checks, loading, minari_dataset
from acme_agents.datasets import rows as rows_lib

_BLOCK = 1 << 21  # numbers that are float64 at once
BINS = 50  # of a histogram of continuous numbers
_MOST_VALUES = 512  # that a histogram of whole numbers shows one by one


class Field(NamedTuple):
    """One array of every row. What is said of its numbers is said of those that are finite.

    Attributes:
      name: `observation`, `observation['height']`, `action`, `reward`; `discount` where one is neither 0 nor 1.
      dtype: the file's.
      num_rows: how many there are; of observations one more for each episode whose final one is known.
      low: [*S] float64, NaN where no number is finite; likewise `high`, `mean` and `std`.
      num_nan: [*S] int64; likewise `num_infinite`.
    """

    name: str
    dtype: str
    num_rows: int
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    num_nan: np.ndarray
    num_infinite: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """[*S] bool: which numbers are the same in every row, of at least two."""
        return (self.low == self.high) & (self.num_nan + self.num_infinite == 0) & (self.num_rows > 1)


class Summary(NamedTuple):
    """A dataset's contents, as `--dataset` would learn from them.

    Attributes:
      format: "a Minari dataset".
      environment: our name for it, or None.
      canonical: whether actions are those that agents see, -1 and 1 standing for the environment's bounds.
      names: "PATH, episode 3", of each of E episodes.
      lengths: [E] int64, steps of each episode that holds any.
      returns: [E, K] float64, plain sums of the rewards, for K objectives.
      num_terminated: episodes that ended for good; the others were cut short.
      num_unsaid: of those that were cut short, how many nothing in the file says that of.
      num_without_final: of those that were cut short, how many lack their final observation, so that their last row is
        no step.
      num_repeated: of those that terminated, how many lack their final observation, for which the last one stands.
      num_single: episodes of one row that hold no step for that reason; they count nowhere else.
      fields: of observations, actions and rewards, in this order.
      bad: what is wrong with the episodes that could not be read; they count nowhere else.
      num_bytes: of all episodes' arrays in memory.
    """

    path: pathlib.Path
    format: str
    environment: str | None
    canonical: bool
    names: list[str]
    lengths: np.ndarray
    returns: np.ndarray
    num_terminated: int
    num_unsaid: int
    num_without_final: int
    num_repeated: int
    num_single: int
    fields: list[Field]
    bad: list[checks.DatasetError]
    num_bytes: int


def summarise(path: pathlib.Path | str) -> Summary:
    """Reads a dataset of any format that `load` reads, one episode or a block of them in memory at a time.

    Raises:
      DatasetError: there is no dataset of a known format, it is damaged, or no episode can be read.
    """
    path = pathlib.Path(path)
    reader, found = loading.find(path)
    moments: dict[str, _Moments] = {}
    names: list[str] = []
    lengths: list[int] = []
    returns: list[np.ndarray] = []
    bad: list[checks.DatasetError] = []
    num_terminated = num_unsaid = num_without_final = num_repeated = num_single = num_bytes = 0
    fractional = False
    for where, rows in episodes(reader, found, bad):
        steps = rows_lib.trajectory(rows)
        length = len(steps.reward)
        if not length:
            num_single += 1
            continue
        arrays = named(rows._replace(**steps._asdict()))
        moments = moments or {name: _Moments(array) for name, array in arrays.items()}
        try:
            if set(arrays) != set(moments):
                raise ValueError(f"the arrays {', '.join(arrays)}, and the first episode has {', '.join(moments)}.")
            for name, array in arrays.items():
                moments[name].check(name, array)
        except ValueError as error:
            bad.append(checks.DatasetError(f"{where} has {error}"))
            continue
        for name, array in arrays.items():
            moments[name].add(array)
        fractional |= bool(((steps.discount != 0) & (steps.discount != 1)).any())
        names.append(where)
        lengths.append(length)
        returns.append(steps.reward.reshape(length, -1).sum(axis=0, dtype=np.float64))
        num_terminated += rows.terminated
        num_unsaid += not rows.terminated and not rows.truncated
        num_without_final += not rows.terminated and rows.lacks_final
        num_repeated += rows.terminated and rows.lacks_final
        num_bytes += sum(array.nbytes for array in arrays.values())
    if not lengths:
        first = f"; the first of {len(bad)} that cannot be read: {bad[0]}" if bad else "."
        raise checks.DatasetError(f"{path} holds no episodes{first}")
    return Summary(
        path=path,
        format=reader.NAME,
        environment=reader.environment(found),
        canonical=reader.is_canonical(found),
        names=names,
        lengths=np.array(lengths),
        returns=np.stack(returns),
        num_terminated=num_terminated,
        num_unsaid=num_unsaid,
        num_without_final=num_without_final,
        num_repeated=num_repeated,
        num_single=num_single,
        fields=[each.field(name) for name, each in moments.items() if name != "discount" or fractional],
        bad=bad,
        num_bytes=num_bytes,
    )


def histograms(summary: Summary) -> list[tuple[np.ndarray, np.ndarray]]:
    """Counts every finite action once more, for what `summarise` said of them.

    Returns:
      For each number of an action its bins' edges, [B + 1] float64, and their counts, [B] int64: BINS of equal width,
      or one for each whole number between the least and the largest.
    """
    (field,) = (field for field in summary.fields if field.name == "action")
    whole = np.dtype(field.dtype).kind in "iub"
    bins = [edges(low, high, whole) for low, high in zip(field.low.ravel(), field.high.ravel())]
    counts = [np.zeros(len(each) - 1, np.int64) for each in bins]
    reader, found = loading.find(summary.path)
    for _, rows in episodes(reader, found, []):
        action = rows_lib.trajectory(rows).action
        if action.shape[1:] != field.low.shape:
            continue
        for each, edge, column in zip(counts, bins, action.reshape(len(action), len(bins)).T):
            each += np.histogram(column[np.isfinite(column)], edge)[0]
    return list(zip(bins, counts))


def episodes(
    reader: Any, found: Any, bad: list[checks.DatasetError], spec: types.EnvironmentSpec | None = None
) -> Iterator[tuple[str, rows_lib.Rows]]:
    """Yields each episode's name for messages and its rows; what is wrong with the others is added to `bad`."""
    for where, rows in reader.rows(found, spec):
        if isinstance(rows, checks.DatasetError):
            bad.append(checks.DatasetError(str(rows)))  # whose trace would hold the episode's arrays
            continue
        num = len(rows.reward) if rows.reward.ndim else 0
        observations = (num + 1,) if reader is minari_dataset else (num, num + 1)
        wrong = [
            f"{len(array)} {name}s for {num} rewards" if array.ndim else f"{name}s that are one number"
            for name, array in named(rows).items()
            if not array.ndim or len(array) not in (observations if name.startswith("observation") else (num,))
        ]
        if wrong:
            bad.append(checks.DatasetError(f"{where} has {wrong[0]}."))
        else:
            yield where, rows


def named(rows: rows_lib.Rows) -> dict[str, np.ndarray]:
    """Returns the arrays of an episode by their names."""
    observations = jax.tree_util.tree_flatten_with_path(rows.observation)[0]
    arrays = {f"observation{jax.tree_util.keystr(key)}": np.asarray(array) for key, array in observations}
    return arrays | {"action": rows.action, "reward": rows.reward, "discount": rows.discount}


class _Moments:
    """Count, mean, variance and range of each number of an array, over blocks of rows (Chan et al. 1983)."""

    def __init__(self, first: np.ndarray):
        self._shape, self._dtype = first.shape[1:], first.dtype
        self._num_rows = 0
        self._count, self._nan, self._infinite = (np.zeros(self._shape, np.int64) for _ in range(3))
        self._mean, self._square = np.zeros(self._shape), np.zeros(self._shape)
        self._low, self._high = np.full(self._shape, np.inf), np.full(self._shape, -np.inf)

    def check(self, name: str, array: np.ndarray) -> None:
        """Raises ValueError for what are no numbers, or of another shape than the first episode's."""
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} of {array.dtype}, which is no kind of number.")
        if array.shape[1:] != self._shape:
            raise ValueError(f"{name} of shape {list(array.shape[1:])}, and the first episode has {list(self._shape)}.")

    def add(self, array: np.ndarray) -> None:
        num = max(_BLOCK // max(int(np.prod(self._shape)), 1), 1)
        for start in range(0, len(array), num):
            self._add(array[start : start + num].astype(np.float64))

    def _add(self, block: np.ndarray) -> None:
        finite = np.isfinite(block)
        count = finite.sum(axis=0)
        self._nan += np.isnan(block).sum(axis=0)
        self._infinite += np.isinf(block).sum(axis=0)
        self._low = np.minimum(self._low, np.min(block, axis=0, where=finite, initial=np.inf))
        self._high = np.maximum(self._high, np.max(block, axis=0, where=finite, initial=-np.inf))
        mean = np.sum(block, axis=0, where=finite) / np.maximum(count, 1)
        with np.errstate(over="ignore", invalid="ignore"):  # of what is infinite and not counted
            square = np.sum((block - mean) ** 2, axis=0, where=finite)
        total = np.maximum(self._count + count, 1)
        apart = mean - self._mean
        self._square = self._square + square + apart**2 * self._count * count / total
        self._mean = self._mean + apart * count / total
        self._count = self._count + count
        self._num_rows += len(block)

    def field(self, name: str) -> Field:
        known = self._count > 0
        values = (self._low, self._high, self._mean, np.sqrt(self._square / np.maximum(self._count, 1)))
        low, high, mean, std = (np.where(known, value, np.nan) for value in values)
        return Field(name, self._dtype.name, self._num_rows, low, high, mean, std, self._nan, self._infinite)


def edges(low: float, high: float, whole: bool, num: int = BINS) -> np.ndarray:
    """Returns the edges of the bins for numbers from `low` to `high`, which are NaN where there are none.

    That is `num` of equal width, or of `whole` numbers one for each, if they are not too many.
    """
    if not np.isfinite(low):
        return np.array([0.0, 1.0])
    if whole and high - low < _MOST_VALUES:
        return np.arange(low, high + 2) - 0.5
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, num + 1)
