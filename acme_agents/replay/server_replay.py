"""Batches that the replay server draws ahead of time, for experience that does not fit beside the learner.

Each update takes one batch and is one call into JAX.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import reverb

from acme_agents.core import finite
from acme_agents.core.interfaces import LearnerCore, ReplaySpec, TrainingState, UpdateOutput
from acme_agents.core.types import Array, SampleInfo, Step
from acme_agents.replay import chunks, priorities
from acme_agents.replay.replay import Metrics
from acme_agents.replay.sampler import ChunkSampler, to_batch
from acme_agents.replay.sources import FromSources, Source

_WAIT_SECONDS = 0.5  # for a batch; after that the server counts as away


class ServerSource(Source, Protocol):
    """A table that is drawn from: `intake.TableIntake` for the actors' steps, or `demonstrations.Demonstrations`."""

    def ready(self) -> bool:
        """Fills the table on the server if that is needed; False while the server is away."""


class ServerReplay(FromSources[ServerSource]):
    """Takes a batch drawn ahead of time for each update, and sends the new priorities back."""

    def __init__(
        self,
        core: LearnerCore,
        replay: ReplaySpec,
        steps: Step,
        seed: int,
        client: reverb.Client,
        sources: Mapping[str, ServerSource],
    ):
        """Initialises; nothing is drawn before the first update.

        Args:
          core: the agent's functions.
          replay: the agent's, its sources those of `sources`; an item must be a chunk.
          steps: `chunks.step_spec` of the agent and the environment.
          seed: of the choice of sources.
          client: of the replay server.
          sources: tables to draw from, by name.
        """
        super().__init__(sources)
        self._replay, self._steps, self._seed, self._client = replay, steps, seed, client

        def update(state: TrainingState, batch: Any, number: Array) -> tuple[TrainingState, UpdateOutput, Array]:
            state, output = core.update(state, batch)
            return state, output, finite.note(output.metrics, number)

        self._update = jax.jit(update, donate_argnums=0)
        self._is_compiled = False
        self._samplers: list[ChunkSampler] = []  # one, once every source is ready

    @property
    def is_compiled(self) -> bool:
        """Whether the update is compiled."""
        return self._is_compiled

    def update(self, state: TrainingState, first: int, number: int) -> tuple[TrainingState, Metrics, int]:
        """Does updates, as `Replay.update` says."""
        total: Metrics = {}
        not_finite: Any = 0
        done = 0
        for sampler in self._drawing(first):
            while done < number:
                drawn = sampler.next(_WAIT_SECONDS)
                if drawn is None:
                    self._are_ready()  # A server that was killed before its first checkpoint has lost a dataset.
                    break
                state, output, found = self._update(state, drawn.batch, np.int32(first + done + 1))
                self._is_compiled = True
                if output.priorities is not None:
                    new = np.asarray(output.priorities)
                    priorities.check(new, first + done + 1)
                    sampler.prioritise(drawn, new)
                total = jax.tree.map(jnp.add, total, output.metrics) if done else output.metrics
                not_finite = finite.merge(not_finite, found) if done else found
                done += 1
        if done:
            finite.check_metrics(not_finite, total)
            for source in self._sources.values():
                source.count(done * self._replay.batch_size)
        return state, {name: value / done for name, value in total.items()}, done

    def compile(self, state: TrainingState) -> None:
        """Compiles the update by doing one and dropping its result."""
        size = self._replay.batch_size
        zeros = chunks.zeros(self._steps, size, self._replay.experience.layout.num_rows)
        counts = np.full(size, 2, np.int32)
        batch = chunks.Chunk(
            steps=zeros,
            num_steps=counts,
            num_starts=counts,
            episode_step=counts,
            previous_action=zeros.action[:, 0],
            previous_reward=zeros.reward[:, 0],
            writer=counts,
            version=counts,
            time_ns=counts,
        )
        info = SampleInfo(jnp.ones(size), jnp.zeros(size, jnp.int32))
        self._update(state, to_batch(batch, info), np.int32(1))
        self._is_compiled = True

    def close(self) -> None:
        """Stops drawing."""
        for sampler in self._samplers:
            sampler.close()

    def _are_ready(self) -> bool:
        return all(source.ready() for source in self._sources.values())

    def _drawing(self, first: int) -> list[ChunkSampler]:
        """The sampler, which begins to draw; none while a source is not ready."""
        if not self._samplers and self._are_ready():
            self._samplers = [ChunkSampler(self._client, self._steps, self._replay, self._seed + first)]
        return self._samplers
