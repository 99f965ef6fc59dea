"""An agent's `LearnerCore` as an `acme.core.Learner`, fed from a replay server through a store of its own."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import acme
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import REPLAY, Agent, LearnerCore, ReplaySpec, TrainingState
from acme_agents.core.types import Array, EnvironmentSpec, Key, Params
from acme_agents.replay import chunks, store
from acme_agents.replay.rate import RateControl
from acme_agents.replay.store import StoreState
from acme_agents.replay.stream import ChunkStream

Held = Mapping[str, StoreState]  # a store for each source

MAX_UPDATES = 16  # updates that one call into JAX does at most


class LearnerState(NamedTuple):
    """A learner's checkpoint: the training state, and what ties it to the replay server."""

    training: TrainingState
    counts: dict[str, Any]  # JSON-serialisable


class Learner(acme.core.Learner):
    """Takes in chunks, and does the updates that the samples-per-insert ratio allows.

    Every update draws its batch by a key made from the seed and the update's number, so an interrupted learner goes on
    exactly as it would have.
    """

    def __init__(self, agent: Agent, spec: EnvironmentSpec, client: Any, seed: int):
        """Initialises an untrained learner and allocates its store.

        Args:
          agent: the agent.
          spec: the environment's.
          client: `reverb.Client` of the replay server.
          seed: of the training state and of what is sampled.
        """
        self._core = agent.learner(spec)
        self._replay = agent.replay(spec)
        init_key, self._sample_key = jax.random.split(jax.random.PRNGKey(seed))
        self._state = jax.jit(self._core.init)(init_key)
        self._steps = 0
        steps = chunks.step_spec(agent, spec)
        self._store = store.Store(steps, self._replay)
        self._client = client
        self._structure = chunks.Chunk(chunks.zeros(steps), *[np.int64(0)] * 4)
        self._stream = ChunkStream(client, self._structure)
        self._rate = RateControl(self._replay, tolerance=float(MAX_UPDATES * self._replay.batch_size))
        self._update = make_update(self._core, self._replay)
        self._metrics: dict[str, Array] = {}

    @property
    def steps(self) -> int:
        """Updates done."""
        return self._steps

    @property
    def rate(self) -> RateControl:
        """The counts of what was inserted and sampled."""
        return self._rate

    @property
    def replay_size(self) -> int:
        """Transitions in the store."""
        return self._store.size

    def step(self, max_updates: int | None = None) -> int:
        """Takes in what waits, as far as it may come in, and does at most `MAX_UPDATES` updates.

        Args:
          max_updates: fewer than that; None for no further limit.

        Returns:
          How many updates were done; 0 when there is nothing to do.
        """
        self._take_in()
        num_updates = min(
            self._rate.updates_allowed(), MAX_UPDATES, MAX_UPDATES if max_updates is None else max_updates
        )
        if not self._store.size:  # Updates may be owed after a resume on a replay server that has nothing.
            num_updates = 0
        if num_updates:
            self._state, self._metrics = self._update(
                self._state, self._held(), self._sample_key, np.int32(self._steps), np.int32(num_updates)
            )
            jax.block_until_ready(self._metrics)
            self._steps += num_updates
            self._rate.sampled += num_updates * self._replay.batch_size
        return num_updates

    def compile(self) -> None:
        """Compiles the update now rather than when the first is done, by one whose result is dropped."""
        state = jax.tree.map(jnp.copy, self._state)
        held = {name: source._replace(size=jnp.int32(1)) for name, source in self._held().items()}
        self._update(state, held, self._sample_key, np.int32(0), np.int32(1))

    def collect(self) -> None:
        """Fills the store with what it held, from the replay server's durable table: once, before the first step.

        What is new to the learner there comes in with the steps that follow, as the ratio allows.
        """
        self._store.insert(self._stream.collect())  # They were counted when they first came.

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
        counts = {
            "learner_steps": self._steps,
            "inserted": self._rate.inserted,
            "sampled": self._rate.sampled,
            "delivered": {str(writer): time for writer, time in self._stream.delivered().items()},
        }
        return LearnerState(jax.tree.map(np.asarray, self._state), counts)

    def restore(self, state: LearnerState) -> None:
        """Continues from a checkpoint; `collect` then brings back the store."""
        self._state = jax.tree.map(jnp.array, state.training)
        counts = state.counts
        self._steps = counts["learner_steps"]
        self._rate.inserted, self._rate.sampled = counts["inserted"], counts["sampled"]
        delivered = {int(writer): time for writer, time in counts["delivered"].items()}
        self._stream = ChunkStream(self._client, self._structure, delivered)

    def _held(self) -> dict[str, StoreState]:
        """What batches are drawn from."""
        return {REPLAY: self._store.state}

    def _take_in(self) -> None:
        """Inserts what waits and may come in, until it allows an update."""
        while (room := self._rate.room()) or not self._store.size:
            new = self._stream.poll(1 + int(room / chunks.PERIOD))
            self._rate.inserted += self._store.insert(new)
            if not new or self._rate.updates_allowed():
                return


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
