"""Records a run's whole history: in pieces beside its checkpoints, and as a dataset when it ends."""

import itertools
import pathlib
import zipfile
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from absl import logging

from acme_agents import datasets
from acme_agents.core import checkpoint
from acme_agents.core.types import Trajectory
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import episodes
from acme_agents.replay.chunks import Chunk
from acme_agents.replay.episodes import EpisodeAssembler

DIRECTORY = "recording"  # within a run directory


def make(experiment: Experiment, run_dir: pathlib.Path) -> "Recorder | NoRecorder":
    """The recorder of a new run, or one that keeps nothing if the experiment is not recorded."""
    return NoRecorder() if experiment.record is None else Recorder(experiment, run_dir, experiment.record)


class NoRecorder:
    """Keeps nothing."""

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Takes chunks, and forgets them."""

    def restore(self, num_pieces: int, chunks: Sequence[Chunk]) -> None:
        """Continues nothing."""

    def save(self) -> int:
        """Zero: there are no pieces."""
        return 0

    def close(self) -> None:
        """Writes nothing."""


class Recorder:
    """Keeps every episode that reaches the learner.

    A piece is written with each checkpoint, which counts the pieces. A learner that continues from that checkpoint
    drops later pieces, because their episodes come again. So no episode is kept twice.
    """

    def __init__(self, experiment: Experiment, run_dir: pathlib.Path, record: str):
        """Initialises the recorder of a new run; `record` is the path of the dataset."""
        self._record = record
        self._experiment = experiment
        self._spec = experiment.environment_spec()
        self._structure = jax.tree.structure(self._spec.observation)
        self._directory = run_dir / DIRECTORY
        self._assembler = EpisodeAssembler()
        self._new: list[Trajectory] = []  # not yet in a piece
        self._num_pieces = 0

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Takes chunks that are new to the learner."""
        self._new += filter(None, map(self._assembler.add, _parts(chunks)))

    def restore(self, num_pieces: int, chunks: Sequence[Chunk]) -> None:
        """Continues a run.

        Args:
          num_pieces: what `save` returned when the checkpoint was written.
          chunks: known from before the checkpoint; with them unfinished episodes continue.
        """
        self._num_pieces = num_pieces
        for path in self._pieces()[num_pieces:]:
            path.unlink()
        for part in _parts(chunks):
            self._assembler.add(part)  # The episodes that it completes are in a piece already.

    def save(self) -> int:
        """Writes the new episodes as a piece; returns the number of pieces.

        Raises:
          CheckpointError: the disk did not take it; nothing is lost while the run goes on.
        """
        if self._new:
            path = self._directory / f"{self._num_pieces:06d}.npz"
            try:
                checkpoint.write_arrays(path, _to_arrays(self._new))
            except OSError as error:
                raise checkpoint.CheckpointError(
                    f"cannot write the recording {path}: {error.strerror or error}; the newest checkpoint is intact: "
                    "free some space, then continue with --resume."
                ) from error
            self._new.clear()
            self._num_pieces += 1
        return self._num_pieces

    def close(self) -> None:
        """Writes the dataset, with unfinished episodes as if cut short; writes none if there are no episodes.

        Bad episodes and pieces are left out with a warning.

        Raises:
          DatasetError: none is left, or the disk did not take it; the pieces stay where they are.
        """
        trajectories = list(self._assembler.unfinished())
        if self._num_pieces or self._new or trajectories:
            datasets.save(
                self._record,
                itertools.chain(*map(self._read, self._pieces()), self._new, trajectories),
                self._spec,
                environment=self._experiment.environment,
                policy=f"{self._experiment.full_name}, whole history of a training run",
                metadata={"experiment": self._experiment.to_json()},
                overwrite=True,  # of this run's own, before it was continued
                skip_bad=True,  # An environment that sends NaN ends a run, and must not take its history with it.
            )

    def _pieces(self) -> list[pathlib.Path]:
        return sorted(self._directory.glob("*.npz"))

    def _read(self, path: pathlib.Path) -> Iterator[Trajectory]:
        try:
            yield from list(self._read_whole(path))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logging.warning("%s is damaged, and its episodes are left out of the recording: %s", path, error)

    def _read_whole(self, path: pathlib.Path) -> Iterator[Trajectory]:
        with np.load(path, allow_pickle=False) as arrays:
            lengths = arrays["lengths"]
            ends = np.cumsum(lengths)
            action, reward, discount = (np.split(arrays[name], ends[:-1]) for name in ("action", "reward", "discount"))
            leaves = [
                np.split(arrays[f"observation{i}"], np.cumsum(lengths + 1)[:-1])
                for i in range(len(jax.tree.leaves(self._spec.observation)))
            ]
        for i in range(len(lengths)):
            observation = jax.tree.unflatten(self._structure, [leaf[i] for leaf in leaves])
            yield Trajectory(observation, action[i], reward[i], discount[i])


def _parts(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    return itertools.chain.from_iterable(map(episodes.parts, chunks))


def _to_arrays(trajectories: Sequence[Trajectory]) -> dict[str, np.ndarray]:
    leaves = zip(*(jax.tree.leaves(trajectory.observation) for trajectory in trajectories))
    return {
        "lengths": np.array([len(trajectory.discount) for trajectory in trajectories]),
        "action": np.concatenate([trajectory.action for trajectory in trajectories]),
        "reward": np.concatenate([trajectory.reward for trajectory in trajectories]),
        "discount": np.concatenate([trajectory.discount for trajectory in trajectories]),
    } | {f"observation{i}": np.concatenate(leaf) for i, leaf in enumerate(leaves)}
