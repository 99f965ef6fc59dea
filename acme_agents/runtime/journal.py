"""Writes the rows of a run's tables, and keeps the figures for its status."""

import collections
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from acme_agents.runtime.evaluations import Evaluation
from acme_agents.runtime.loggers import RunLogger
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.step_ledger import StepLedger

_RECENT_EPISODES = 10  # over which the status's return is averaged


class Journal:
    """Writes a row for each episode, evaluation and report of the learner, with the run's counts. Not thread-safe.

    `save` saves the newest returns, the wall time, and where each table ends; `restore` drops the rows after that.

    Attributes:
      learner_steps: learner updates so far.
      replay_size: steps that the replay holds.
      samples_per_insert: measured by the learner; None before the first sample.
      evaluation_return: mean of the newest evaluation's episodes; None before the first.
    """

    def __init__(self, ledger: StepLedger, logger: RunLogger):
        """Initialises the journal of a new run.

        Args:
          ledger: the run's environment steps.
          logger: where the rows are written.
        """
        self.learner_steps = 0
        self.replay_size = 0
        self.samples_per_insert: float | None = None
        self.evaluation_return: float | None = None
        self._ledger = ledger
        self._logger = logger
        self._returns: collections.deque[float] = collections.deque(maxlen=_RECENT_EPISODES)
        self._started_at = time.monotonic()
        self._walltime_before = 0.0

    def counts(self) -> dict[str, float]:
        """The progress of the run: the columns that every row begins with."""
        return {
            "actor_steps": self._ledger.total.steps,
            "learner_steps": self.learner_steps,
            "walltime": round(self.walltime, 3),
        }

    @property
    def walltime(self) -> float:
        """Seconds that the run has taken, including the time before a resume."""
        return self._walltime_before + time.monotonic() - self._started_at

    @property
    def episode_return(self) -> float | None:
        """Mean of the newest training episodes; None before the first."""
        return float(np.mean(self._returns)) if self._returns else None

    def add_episodes(self, episodes: Sequence[Episode]) -> None:
        """Writes a row for each of these training episodes."""
        for episode in episodes:
            self._returns.append(episode.episode_return)
            self._write(
                "actor", {"episode_return": episode.episode_return, "episode_length": episode.length}, [episode]
            )

    def add_evaluation(self, evaluation: Evaluation, episodes: Sequence[Episode]) -> None:
        """Writes the row of an evaluation, with the counts of when it was ordered."""
        returns = np.array([episode.episode_return for episode in episodes])
        self.evaluation_return = float(returns.mean())
        row = {
            **evaluation.counts,
            "episode_return": self.evaluation_return,
            "episode_return_std": float(returns.std()),
            "episode_return_min": float(returns.min()),
            "episode_return_max": float(returns.max()),
            "episode_length": float(np.mean([episode.length for episode in episodes])),
            "episodes": len(episodes),
        }
        self._write("evaluator", row, episodes)

    def add_updates(self, **metrics: float) -> None:
        """Writes a row of the learner's metrics."""
        self._write("learner", {"samples_per_insert": self.samples_per_insert or 0.0, **metrics})

    def save(self) -> dict[str, Any]:
        """The journal's contents, JSON-serialisable, for a checkpoint."""
        return {
            "returns": list(self._returns),
            "evaluation_return": self.evaluation_return,
            "walltime": self.walltime,
            "log_offsets": self._logger.offsets(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        self._returns.extend(saved["returns"])
        self.evaluation_return = saved["evaluation_return"]
        self._walltime_before = saved["walltime"]
        self._started_at = time.monotonic()
        self._logger.restore(saved["log_offsets"])

    def _write(self, table: str, row: dict[str, float], episodes: Sequence[Episode] = ()) -> None:
        """Writes a row, with the mean return of `episodes` by each objective but the first in a column of its own."""
        others = np.mean([episode.other_returns for episode in episodes], axis=0).tolist() if episodes else []
        columns = {f"episode_return_{i}": value for i, value in enumerate(others, start=1)}
        self._logger.write(table, {**self.counts(), **row, **columns})
