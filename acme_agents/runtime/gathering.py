"""Updates on transitions that are gathered from stores where the learner computes: many in one call into JAX.

Except where observations are images or grids and the learner computes on the CPU: XLA's CPU backend is several times
slower at convolutions within a loop of its own, so there the loop is Python's.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import DATASET, REPLAY, LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, Key
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay import store
from acme_agents.replay.intake import Intake
from acme_agents.replay.priorities import Priorities
from acme_agents.replay.store import StoreState
from acme_agents.runtime import finite

Held = Mapping[str, StoreState]  # a store for each source
Metrics = dict[str, Array]


class GatheredUpdates:
    """Every update draws its batch by a key made from the seed and the update's number."""

    def __init__(
        self,
        core: LearnerCore,
        replay: ReplaySpec,
        seed: int,
        *,
        intake: Intake | None = None,
        dataset: StoreState | None = None,
    ):
        """Initialises.

        Args:
          core: the agent's functions.
          replay: the agent's, its sources those that there are.
          seed: of what is sampled.
          intake: what actors see; None where nobody acts.
          dataset: what was recorded before; None for none.
        """
        self._key = jax.random.split(jax.random.PRNGKey(seed))[1]
        self.intake = intake
        self.batch_size = replay.batch_size
        self.dataset_size = 0 if dataset is None else int(dataset.size)
        self._dataset = dataset
        self._dataset_priorities: Priorities | None = None
        if dataset is not None and replay.priority_exponent:
            self._dataset_priorities = store.equal_priorities(dataset, replay.priority_exponent)
        in_python = jax.default_backend() == "cpu" and any(map(_is_pictures, self._all_held().values()))
        offline = dataclasses.replace(replay, sources={DATASET: 1.0})
        self._update = {
            False: make_update(core, replay, in_python=in_python),
            True: make_update(core, offline, in_python=in_python),
        }
        self._sources = {False: list(replay.sources), True: [DATASET]}

    def do(self, state: TrainingState, first: int, number: int, *, offline: bool) -> tuple[TrainingState, Metrics, int]:
        """Does updates, as `learner.Updates` says.

        Raises:
          NotFinite: a metric, or the agent's new priorities, are not finite.
        """
        held, priorities = self._held(offline)
        state, priorities, metrics, not_finite = self._update[offline](
            state, priorities, held, self._key, np.int32(first), np.int32(number)
        )
        finite.check_metrics(not_finite, metrics)
        # One that is not finite stays the largest ever after, so that all of them need not be looked at.
        priorities_lib.check(np.array([tree.largest for tree in priorities.values()]), first + number)
        if DATASET in priorities:
            self._dataset_priorities = priorities[DATASET]
        if REPLAY in priorities:
            assert self.intake is not None
            assert self.intake.store is not None
            self.intake.store.priorities = priorities[REPLAY]
        return state, metrics, number

    def compile(self, state: TrainingState, *, offline: bool) -> None:
        """Compiles the update, by one whose result is dropped."""
        held, priorities = self._held(offline)
        held = {name: source._replace(size=jnp.maximum(source.size, 1)) for name, source in held.items()}
        priorities = jax.tree.map(jnp.copy, priorities)  # They are donated.
        self._update[offline](state, priorities, held, self._key, np.int32(0), np.int32(1))

    def close(self) -> None:
        """Does nothing: there is nothing to end."""

    def _held(self, offline: bool) -> tuple[Held, dict[str, Priorities]]:
        """The stores and, where there are any, the priorities of the sources drawn from."""
        held = self._all_held()
        priorities: dict[str, Any] = {DATASET: self._dataset_priorities}
        if self.intake is not None and self.intake.store is not None:
            priorities[REPLAY] = self.intake.store.priorities
        sources = self._sources[offline]
        return {name: held[name] for name in sources}, {
            name: priorities[name] for name in sources if priorities[name] is not None
        }

    def _all_held(self) -> dict[str, StoreState]:
        held = {DATASET: self._dataset}
        if self.intake is not None and self.intake.store is not None:
            held[REPLAY] = self.intake.store.state
        return {name: state for name, state in held.items() if state is not None}


def _is_pictures(state: StoreState) -> bool:
    """Whether an observation has height, width and channels, and passes convolutions."""
    return any(leaf.ndim == 4 for leaf in jax.tree.leaves(state.steps.observation))


def make_update(core: LearnerCore, replay: ReplaySpec, *, in_python: bool = False) -> Any:
    """Makes the function that does a number of updates on batches drawn from the stores.

    Args:
      core: the agent's functions.
      replay: the agent's.
      in_python: call into JAX for each update, rather than once for all.

    Returns:
      `(training_state, {source: priorities}, {source: store_state}, key, first_step, num_updates >= 1) ->
      (training_state, {source: priorities}, mean metrics, the updates that `finite.note` noted)`, without priorities
      where transitions are drawn uniformly; the training state and the priorities that go in are donated.
    """
    Carry = tuple[TrainingState, dict[str, Priorities]]
    Results = tuple[TrainingState, dict[str, Priorities], Metrics, Array]

    def one(carry: Carry, held: Held, key: Key, step: Array) -> tuple[Carry, Metrics]:
        state, priorities = carry
        batch, places = store.sample(held, priorities, jax.random.fold_in(key, step), replay)
        state, output = core.update(state, batch)
        if priorities and output.priorities is not None:
            assert batch.sample_info is not None
            priorities = store.reprioritise(priorities, batch.sample_info, places, output.priorities, replay)
        return (state, priorities), output.metrics

    @functools.partial(jax.jit, donate_argnums=0)
    def one_at_a_time(carry: Carry, held: Held, key: Key, step: Array) -> tuple[Carry, Metrics, Array]:
        carry, metrics = one(carry, held, key, step)
        return carry, metrics, finite.note(metrics, step + 1)

    def update_in_python(
        state: TrainingState, priorities: dict[str, Priorities], held: Held, key: Key, first_step: int, num_updates: int
    ) -> Results:
        carry, total, not_finite = one_at_a_time((state, priorities), held, key, np.int32(first_step))
        for i in range(1, num_updates):
            carry, metrics, found = one_at_a_time(carry, held, key, np.int32(first_step + i))
            total, not_finite = jax.tree.map(jnp.add, total, metrics), finite.merge(not_finite, found)
        return *carry, jax.tree.map(lambda x: x / num_updates, total), not_finite

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(
        state: TrainingState,
        priorities: dict[str, Priorities],
        held: Held,
        key: Key,
        first_step: Array,
        num_updates: Array,
    ) -> Results:
        carry = state, priorities
        shapes = jax.eval_shape(one, carry, held, key, first_step)[1]
        metrics = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        def body(i: Array, loop: tuple[Carry, Metrics, Array]) -> tuple[Carry, Metrics, Array]:
            carry, total, not_finite = loop
            carry, metrics = one(carry, held, key, first_step + i)
            not_finite = finite.merge(not_finite, finite.note(metrics, first_step + i + 1))
            return carry, jax.tree.map(jnp.add, total, metrics), not_finite

        start = carry, metrics, jnp.zeros(len(metrics), jnp.int32)
        (state, priorities), total, not_finite = jax.lax.fori_loop(0, num_updates, body, start)
        return state, priorities, jax.tree.map(lambda x: x / num_updates, total), not_finite

    return update_in_python if in_python else update
