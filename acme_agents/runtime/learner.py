"""An agent's `LearnerCore` as an `acme.core.Learner`, fed from a replay server, a dataset or both."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import acme
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import DATASET, REPLAY, LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, Key, Params
from acme_agents.replay import store
from acme_agents.replay.intake import Intake
from acme_agents.replay.store import StoreState

Held = Mapping[str, StoreState]  # a store for each source

MAX_UPDATES = 16  # updates that one call into JAX does at most


class LearnerState(NamedTuple):
    """A learner's checkpoint: the training state, and what ties it to the replay server."""

    training: TrainingState
    counts: dict[str, Any]  # JSON-serialisable


class Learner(acme.core.Learner):
    """Does the updates that its sources allow: offline ones as they are asked for, online ones as experience comes in.

    Every update draws its batch by a key made from the seed and the update's number, so an interrupted learner goes on
    exactly as it would have.
    """

    def __init__(
        self,
        core: LearnerCore,
        replay: ReplaySpec,
        seed: int,
        *,
        intake: Intake | None = None,
        dataset: StoreState | None = None,
        offline_updates: float = 0,
    ):
        """Initialises an untrained learner.

        Args:
          core: the agent's functions.
          replay: the agent's, its sources those that there are.
          seed: of the training state and of what is sampled.
          intake: what actors see; None where nobody acts.
          dataset: what was recorded before; None for none.
          offline_updates: the first so many updates draw from the dataset alone, whatever the sources' shares; infinite
            where nobody acts.
        """
        self._core = core
        self._replay = replay
        init_key, self._sample_key = jax.random.split(jax.random.PRNGKey(seed))
        self._state = jax.jit(self._core.init)(init_key)
        self._steps = 0
        self.intake = intake
        self._dataset = dataset
        self._dataset_size = 0 if dataset is None else int(dataset.size)
        self._offline_updates = offline_updates
        self._metrics: dict[str, Array] = {}
        self._update_online = make_update(core, replay)
        self._update_offline = make_update(core, _only(DATASET, replay))

    @property
    def steps(self) -> int:
        """Updates done."""
        return self._steps

    @property
    def replay_size(self) -> int:
        """Transitions to draw from now."""
        return self._dataset_size + (0 if self.intake is None else self.intake.size)

    @property
    def replay_capacity(self) -> int:
        """Transitions that there can be to draw from."""
        return self._dataset_size + (0 if self.intake is None else self.intake.capacity)

    @property
    def samples_per_insert(self) -> float | None:
        """The ratio measured so far; None where there is none."""
        return None if self.intake is None else self.intake.rate.samples_per_insert()

    @property
    def is_offline(self) -> bool:
        """Whether the next update draws from the dataset alone."""
        return self._steps < self._offline_updates

    def step(self, max_updates: int | None = None) -> int:
        """Does at most `MAX_UPDATES` updates, after it has taken in what they wait for.

        Args:
          max_updates: fewer than that; None for no further limit.

        Returns:
          How many updates were done; 0 when there is nothing to do.
        """
        offline = self.is_offline
        if offline:
            allowed = self._offline_updates - self._steps
        else:
            assert self.intake is not None
            allowed = self.intake.take_in()
        num_updates = int(min(allowed, MAX_UPDATES, math.inf if max_updates is None else max_updates))
        if not num_updates:
            return 0
        update = self._update_offline if offline else self._update_online
        self._state, self._metrics = update(
            self._state, self._held(), self._sample_key, np.int32(self._steps), np.int32(num_updates)
        )
        jax.block_until_ready(self._metrics)
        self._steps += num_updates
        if not offline:
            assert self.intake is not None
            self.intake.rate.sampled += num_updates * self._replay.batch_size
        return num_updates

    def compile(self) -> None:
        """Compiles the update now rather than when the first is done, by one whose result is dropped."""
        state = jax.tree.map(jnp.copy, self._state)
        held = {name: source._replace(size=jnp.maximum(source.size, 1)) for name, source in self._held().items()}
        update = self._update_offline if self.is_offline else self._update_online
        update(state, held, self._sample_key, np.int32(0), np.int32(1))

    def metrics(self) -> dict[str, float]:
        """The metrics of the newest updates, each averaged over one call into JAX."""
        return {name: float(value) for name, value in self._metrics.items()}

    def params(self) -> Params:
        """What actors need, as it is now; the next step overwrites it."""
        return self._core.params(self._state)

    def get_variables(self, names: Sequence[str]) -> list[Params]:
        """Acme's name for `params`: a copy for each name."""
        return [jax.tree.map(np.asarray, self.params()) for _ in names]

    def save(self) -> LearnerState:
        """What `restore` continues from; its arrays are copies."""
        counts = {"learner_steps": self._steps, "intake": None if self.intake is None else self.intake.save()}
        return LearnerState(jax.tree.map(np.asarray, self._state), counts)

    def restore(self, state: LearnerState) -> None:
        """Continues from a checkpoint."""
        self._state = jax.tree.map(jnp.array, state.training)
        self._steps = state.counts["learner_steps"]
        if self.intake is not None and state.counts["intake"] is not None:
            self.intake.restore(state.counts["intake"])

    def _held(self) -> Held:
        held = {REPLAY: self.intake.state if self.intake is not None else None, DATASET: self._dataset}
        return {name: state for name, state in held.items() if state is not None}


def _only(source: str, replay: ReplaySpec) -> ReplaySpec:
    return dataclasses.replace(replay, sources={source: 1.0})


def make_update(core: LearnerCore, replay: ReplaySpec) -> Any:
    """Makes the jitted function that does a number of updates on batches drawn from the store.

    Returns:
      `(training_state, {source: store_state}, key, first_step, num_updates >= 1) -> (training_state, mean metrics)`;
      the training state that goes in is donated.
    """

    def one(state: TrainingState, held: Held, key: Key, step: Array) -> tuple[TrainingState, dict[str, Array]]:
        batch = store.sample(held, jax.random.fold_in(key, step), replay)
        state, output = core.update(state, batch)
        return state, output.metrics

    @functools.partial(jax.jit, donate_argnums=0)
    def update(
        state: TrainingState, held: Held, key: Key, first_step: Array, num_updates: Array
    ) -> tuple[TrainingState, dict[str, Array]]:
        metrics = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(one, state, held, key, first_step)[1]
        )

        def body(i: Array, carry: tuple[TrainingState, dict[str, Array]]) -> tuple[TrainingState, dict[str, Array]]:
            state, total = carry
            state, metrics = one(state, held, key, first_step + i)
            return state, jax.tree.map(jnp.add, total, metrics)

        state, total = jax.lax.fori_loop(0, num_updates, body, (state, metrics))
        return state, jax.tree.map(lambda x: x / num_updates, total)

    return update
