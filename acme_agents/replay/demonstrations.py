"""A dataset's episodes as sequences in the replay server, drawn by their own priorities."""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import dm_env
import jax
import reverb

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Step, Trajectory
from acme_agents.replay import chunks, tables
from acme_agents.replay.reverb_transport import ReverbSender
from acme_agents.replay.sources import Dataset
from acme_agents.replay.writer import ChunkWriter, make_id

_RPC_TIMEOUT_S = 1


class Demonstrations(Dataset):
    """Keeps a dataset in the replay server; a server killed before its first checkpoint has lost it."""

    def __init__(
        self,
        client: reverb.Client,
        steps: Step,
        replay: ReplaySpec,
        trajectories: Sequence[Trajectory],
        stop: threading.Event,
    ):
        """Initialises with nothing sent.

        Args:
          client: of the replay server.
          steps: `chunks.step_spec` of the agent and the environment; extras, which a dataset does not have, are zero.
          replay: the agent's.
          trajectories: at least one; they fit the spec.
          stop: set to make a blocked `ready` return.
        """
        self._client, self._steps, self._replay = client, steps, replay
        self._trajectories = trajectories
        self._stop = stop
        cut = replay.experience.layout.cut
        self.size = self.capacity = sum(len(list(cut(len(trajectory.discount)))) for trajectory in trajectories)

    def ready(self) -> bool:
        """Sends the dataset unless the server holds all of it; returns whether it does now, False while it is away.

        If the server dies while the dataset is sent, this waits for it until `stop` is set.
        """
        while (held := self._held()) not in (None, self.size) and not self._stop.is_set():
            if held:  # The server was killed while the dataset was sent.
                self._client.reset(tables.DATASET)
            self._send()
        return held == self.size

    def _held(self) -> int | None:
        """Sequences that the server holds; None while it is away."""
        try:
            return self._client.server_info(timeout=_RPC_TIMEOUT_S)[tables.DATASET].current_size
        except reverb.errors.ReverbError:
            return None

    def _send(self) -> None:
        sender = ReverbSender(self._client, self._stop, into=(tables.DATASET,))
        writer = ChunkWriter(sender, self._steps, self._replay.experience, writer_id=make_id())
        extras = chunks.zeros(self._steps).extras
        for trajectory in self._trajectories:
            for action, timestep in _timesteps(trajectory):
                if action is None:
                    writer.observe_first(timestep)
                else:
                    writer.observe(action, timestep, extras)
        writer.flush()
        writer.close()
        if not self._stop.is_set():
            logging.info("Sent %s sequences of the dataset to the replay server.", f"{self.size:,}")


def _timesteps(trajectory: Trajectory) -> Iterator[tuple[Any, dm_env.TimeStep]]:
    """Pairs of an action and the time step after it; the first pair has no action (None)."""

    def observation(t: int) -> Any:
        return jax.tree.map(lambda x: x[t], trajectory.observation)

    yield None, dm_env.restart(observation(0))
    length = len(trajectory.discount)
    for t in range(length):
        step_type = dm_env.StepType.LAST if t == length - 1 else dm_env.StepType.MID
        reward, discount = trajectory.reward[t], trajectory.discount[t]
        yield trajectory.action[t], dm_env.TimeStep(step_type, reward, discount, observation(t + 1))
