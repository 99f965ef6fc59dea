"""A queue of unrolls that is written to under jit: by N environments that step together, a row each in every round.

A round is what it is in `replay.stream`. After T rounds there is an unroll of each environment, and after as many as
make a batch the batch is learned from, once: it is what `queue_replay.QueueReplay` hands over in one process.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import Array, Observation, Step
from acme_agents.replay import queue_replay


class Rounds(NamedTuple):
    """The arrays on the device: G unrolls of each environment, one after the other."""

    rows: Step  # [G, T + 1, N, ...]
    number: Array  # [] int32, of the next round of this batch
    priorities: Any = ()  # Nothing is drawn.


def unrolls_each(replay: ReplaySpec, num_envs: int) -> int:
    """G, unrolls of each environment that make a batch."""
    return replay.batch_size // num_envs


def make(steps: Step, replay: ReplaySpec, num_envs: int) -> Rounds:
    """Rounds before the first one; N divides the batch size."""
    shape = unrolls_each(replay, num_envs), replay.experience.layout.num_rows, num_envs
    return Rounds(jax.tree.map(lambda s: jnp.zeros((*shape, *s.shape), s.dtype), steps), jnp.int32(0))


def write(
    rounds: Rounds, steps: Step, observation: Observation, is_final: Array, active: Array | bool = True
) -> tuple[Rounds, Array]:
    """Writes a round; returns also whether the batch is complete.

    Args:
      rounds: to write to.
      steps: [N, ...], a row of each environment.
      observation: [N, ...], what follows that row.
      is_final: [N] bool, whether that is an episode's final observation.
      active: [] bool; where it is False, nothing is written.
    """
    num_unrolls, num_rows = rounds.rows.last.shape[:2]
    length = num_rows - 1
    number, row = rounds.number // length, rounds.number % length
    behind = jax.tree.map(jnp.zeros_like, steps)._replace(observation=observation, last=is_final)

    def put(all_rows: Array, now: Array, later: Array) -> Array:
        both = jnp.stack([now, later]).astype(all_rows.dtype)[None]  # The later one is overwritten within an unroll.
        return jax.lax.dynamic_update_slice(all_rows, both, (number, row, *[0] * (all_rows.ndim - 2)))

    after = rounds.number + 1
    complete = after == num_unrolls * length
    # Rows that are written and not counted are overwritten.
    complete, after = complete & active, jnp.where(active, after, rounds.number)
    rows = jax.tree.map(put, rounds.rows, steps, behind)
    return Rounds(rows, jnp.where(complete, 0, after)), complete


def batch(rounds: Rounds, replay: ReplaySpec, version: Array) -> Any:
    """The complete batch, in the order in which the unrolls were complete; `version` [] int32 is its policy's."""
    rows = jax.tree.map(lambda x: jnp.swapaxes(x, 1, 2).reshape(-1, x.shape[1], *x.shape[3:]), rounds.rows)
    return queue_replay.to_batch(replay.experience, rows, jnp.full(replay.batch_size, version))
