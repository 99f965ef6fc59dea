"""Batches gathered where the learner computes: many updates in one call into JAX.

The exception is a learner on the CPU whose observations are images or grids. XLA's CPU backend is several times slower
at convolutions inside its own loops, so there the loop is in Python.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import computing, contract, finite
from acme_agents.core.interfaces import LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, Key, Step, Trajectory
from acme_agents.replay import priorities as priorities_lib
from acme_agents.replay import ring
from acme_agents.replay.priorities import Priorities
from acme_agents.replay.replay import Metrics
from acme_agents.replay.ring import RingState
from acme_agents.replay.sources import Dataset, FromSources, Source

Held = Mapping[str, RingState]  # a ring for each source


class DeviceSource(Source, Protocol):
    """A ring that is drawn from: `intake.RingIntake` for the actors' steps, or `FixedRing` for a dataset.

    Attributes:
      state: the ring.
      priorities: of the items, replaced by updates; an empty tuple if items are drawn uniformly.
    """

    @property
    def state(self) -> RingState: ...

    priorities: Any


class FixedRing(Dataset):
    """A ring that holds every item of a dataset and never changes."""

    def __init__(
        self,
        steps: Step,
        replay: ReplaySpec,
        trajectories: Sequence[Trajectory],
        num_devices: int = 1,
        *,
        padded: bool = False,
    ):
        """Puts the episodes on the learner's device, or on each of its devices.

        Args:
          steps: `chunks.step_spec` of the agent and the environment.
          replay: the agent's.
          trajectories: at least one; they fit the spec.
          num_devices: of the learner.
          padded: whether a larger dataset may follow in another run; see `ring.padded`.
        """
        state = ring.from_trajectories(steps, trajectories, replay.experience)
        state = ring.padded(state) if padded else state
        self.state: RingState = computing.replicate(state, num_devices)
        self.size = self.capacity = int(self.state.size)
        exponent = replay.priority_exponent
        priorities = ring.equal_priorities(state, exponent) if exponent else ()
        self.priorities: Any = computing.replicate(priorities, num_devices)


class DeviceReplay(FromSources[DeviceSource]):
    """Draws the batch of each update with a key made from the seed and the update's number."""

    def __init__(
        self,
        core: LearnerCore,
        replay: ReplaySpec,
        seed: int,
        sources: Mapping[str, DeviceSource],
        num_devices: int = 1,
    ):
        """Initialises.

        Args:
          core: the agent's functions.
          replay: the agent's, its sources those of `sources`.
          seed: of the sampling.
          sources: to draw from, by name.
          num_devices: of the learner, as the sources were given it too.
        """
        super().__init__(sources)
        self._key = computing.replicate(jax.random.split(jax.random.PRNGKey(seed))[1], num_devices)
        self._batch_size = replay.batch_size
        in_python = jax.default_backend() == "cpu" and any(_is_pictures(source.state) for source in sources.values())
        self._update = make_update(core, replay, in_python=in_python)
        self._is_compiled = False

    @property
    def is_compiled(self) -> bool:
        """Whether the update is compiled."""
        return self._is_compiled

    def update(self, state: TrainingState, first: int, number: int) -> tuple[TrainingState, Metrics, int]:
        """Does updates, as `Replay.update` says."""
        state, priorities, metrics, not_finite = self._update(
            state, self._priorities(), self._held(), self._key, np.int32(first), np.int32(number)
        )
        self._is_compiled = True
        finite.check_metrics(not_finite, metrics)
        # A priority that is not finite remains the largest, so checking the largest suffices.
        priorities_lib.check(np.array([tree.largest for tree in priorities.values()]), first + number)
        for name, source in self._sources.items():
            source.priorities = priorities.get(name, ())
            source.count(number * self._batch_size)
        return state, metrics, number

    def compile(self, state: TrainingState) -> None:
        """Compiles the update by doing one and dropping its result; where nothing is compiled, does nothing."""
        self._is_compiled = True
        if contract.is_debugging():
            return
        held = {name: state._replace(size=jnp.maximum(state.size, 1)) for name, state in self._held().items()}
        priorities = jax.tree.map(jnp.copy, self._priorities())  # They are donated.
        self._update(state, priorities, held, self._key, np.int32(0), np.int32(1))

    def close(self) -> None:
        """Holds nothing to close."""

    def _held(self) -> dict[str, RingState]:
        return {name: source.state for name, source in self._sources.items()}

    def _priorities(self) -> dict[str, Priorities]:
        """The priorities of the sources that are drawn from by priority."""
        return {name: source.priorities for name, source in self._sources.items() if source.priorities}


def _is_pictures(state: RingState) -> bool:
    """Whether an observation has height, width and channels, and passes convolutions."""
    return any(leaf.ndim == 4 for leaf in jax.tree.leaves(state.rows.steps.observation))


Carry = tuple[TrainingState, dict[str, Priorities]]


def make_one(core: LearnerCore, replay: ReplaySpec, stride: int = 1) -> Callable[..., tuple[Carry, Metrics]]:
    """Makes the pure function that does one update on a batch drawn from the rings.

    Args:
      core: the agent's functions.
      replay: the agent's.
      stride: from one row of an episode to its next.

    Returns:
      `((training_state, {source: priorities}), {source: ring}, key, step) -> ((training_state, priorities), metrics)`.
    """

    def one(carry: Carry, held: Held, key: Key, step: Array) -> tuple[Carry, Metrics]:
        state, priorities = carry
        batch, places = ring.sample(held, priorities, jax.random.fold_in(key, step), replay, stride)
        state, output = core.update(state, batch)
        if priorities and output.priorities is not None:
            priorities = ring.reprioritise(priorities, batch.sample_info, places, output.priorities, replay)
        return (state, priorities), output.metrics

    return one


def make_update(core: LearnerCore, replay: ReplaySpec, *, in_python: bool = False) -> Any:
    """Makes the function that does a number of updates on batches drawn from the rings.

    Args:
      core: the agent's functions.
      replay: the agent's.
      in_python: call into JAX for each update, rather than once for all.

    Returns:
      `(training_state, {source: priorities}, {source: ring}, key, first_step, num_updates >= 1) ->
      (training_state, {source: priorities}, mean metrics, the updates that `finite.note` noted)`, without priorities
      where items are drawn uniformly; the training state and the priorities that go in are donated.
    """
    one = make_one(core, replay)
    Results = tuple[TrainingState, dict[str, Priorities], Metrics, Array]

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
