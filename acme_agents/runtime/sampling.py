"""Updates on sequences that the replay server draws by priority: one batch and one call into JAX for each."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import DATASET, LearnerCore, ReplaySpec, TrainingState, UpdateOutput
from acme_agents.core.types import Array, SampleInfo, Sequence, Step
from acme_agents.replay import chunks, priorities
from acme_agents.replay.demonstrations import Demonstrations
from acme_agents.replay.intake import Intake
from acme_agents.replay.sampler import SequenceSampler, to_sequences
from acme_agents.runtime import finite

_WAIT_SECONDS = 0.5  # for a batch; longer, and the server is away


class SampledUpdates:
    """Every update takes the next batch that was drawn ahead of it, and sends the new priorities back."""

    def __init__(
        self,
        core: LearnerCore,
        replay: ReplaySpec,
        steps: Step,
        seed: int,
        client: Any,
        *,
        intake: Intake | None = None,
        dataset: Demonstrations | None = None,
    ):
        """Initialises; nothing is drawn before the first update.

        Args:
          core: the agent's functions.
          replay: the agent's, its sources those that there are.
          steps: `chunks.step_spec` of the agent and the environment.
          seed: of which source is drawn from.
          client: `reverb.Client` of the replay server.
          intake: what actors see; None where nobody acts.
          dataset: what was recorded before; None for none.
        """
        self._replay, self._steps, self._seed, self._client = replay, steps, seed, client
        self._dataset = dataset
        self.intake = intake
        self.batch_size = replay.batch_size
        self.dataset_size = 0 if dataset is None else dataset.size

        def update(state: TrainingState, batch: Sequence, number: Array) -> tuple[TrainingState, UpdateOutput, Array]:
            state, output = core.update(state, batch)
            return state, output, finite.note(output.metrics, number)

        self._update: Callable[..., Any] = jax.jit(update, donate_argnums=0)
        self._sampler: SequenceSampler | None = None
        self._sampler_is_offline = False

    def do(
        self, state: TrainingState, first: int, number: int, *, offline: bool
    ) -> tuple[TrainingState, dict[str, Array], int]:
        """Does updates, as `learner.Updates` says.

        Raises:
          NotFinite: a metric, or the agent's new priorities, are not finite.
          UserError: a priority is negative.
        """
        sampler = self._sampler_for(first, offline)
        total: dict[str, Array] = {}
        not_finite: Array | None = None
        done = 0
        while done < number and sampler is not None:
            drawn = sampler.next(_WAIT_SECONDS)
            if drawn is None:
                if self._dataset is not None:
                    self._dataset.ensure()  # A server that was killed before its first checkpoint has lost it.
                break
            state, output, found = self._update(state, drawn.sequences, np.int32(first + done + 1))
            if output.priorities is not None:
                new = np.asarray(output.priorities)
                priorities.check(new, first + done + 1)
                sampler.prioritise(drawn, new)
            total = jax.tree.map(jnp.add, total, output.metrics) if total else output.metrics
            not_finite = found if not_finite is None else finite.merge(not_finite, found)
            done += 1
        if not_finite is not None:
            finite.check_metrics(not_finite, total)
        return state, {name: value / done for name, value in total.items()}, done

    def compile(self, state: TrainingState, *, offline: bool) -> None:
        """Compiles the update, by one whose result is dropped."""
        layout = chunks.layout(self._replay.experience)
        zeros = chunks.zeros(self._steps, self.batch_size, layout.num_rows)
        counts = np.full(self.batch_size, 2, np.int32)
        batch = chunks.Chunk(
            steps=zeros,
            num_steps=counts,
            num_starts=counts,
            episode_step=counts,
            previous_action=zeros.action[:, 0],
            previous_reward=zeros.reward[:, 0],
            writer=counts,
            time_ns=counts,
        )
        draw = SampleInfo(jnp.ones(self.batch_size), jnp.zeros(self.batch_size, jnp.int32))
        self._update(state, to_sequences(batch, draw), np.int32(1))

    def close(self) -> None:
        """Stops drawing."""
        if self._sampler is not None:
            self._sampler.close()

    def _sampler_for(self, first: int, offline: bool) -> SequenceSampler | None:
        """The sampler of the sources to draw from now; None while the dataset cannot be sent to the server."""
        if self._sampler is not None and self._sampler_is_offline == offline:
            return self._sampler
        if self._dataset is not None and not self._dataset.ensure():
            return None
        self.close()
        sources = {DATASET: 1.0} if offline else self._replay.sources
        replay = dataclasses.replace(self._replay, sources=sources)
        self._sampler = SequenceSampler(self._client, self._steps, replay, self._seed + first)
        self._sampler_is_offline = offline
        return self._sampler
