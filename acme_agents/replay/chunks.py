"""The unit in which experience travels: a chunk of consecutive steps of one environment.

A chunk can be understood without its neighbours; the kind of experience says how episodes are cut, and whether a chunk
goes on into the next one.
Between processes one chunk is one Reverb step of one item, so that a step costs microseconds to write, send and read.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext, Agent
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Key, Observation, Step


class Chunk(NamedTuple):
    """Consecutive steps of one environment, and who wrote them.

    Chunks of an episode overlap: only the first `num_starts` rows begin a transition here. The others begin one in the
    next chunk, or are a final observation. In a chunk that goes on into the next episode, `num_starts` counts the rows
    that have a transition.
    """

    steps: Step  # [T, ...], T = `Layout.num_rows`; rows from `num_steps` on are padding
    num_steps: Any  # [] int32, rows in use
    num_starts: Any  # [] int32, rows in use whose transition begins in this chunk
    episode_step: Any  # [] int32, steps of the episode before the first row
    previous_action: Any  # [*A], the action before the first row; zero if that row begins the episode
    previous_reward: Any  # [] or [K] float32, the reward of that action
    writer: Any  # [] int64, a random number that identifies the writer and its life
    version: Any  # [] int32, learner's updates behind the parameters that chose the chunk's first new action
    time_ns: Any  # [] int64, nanoseconds since the epoch; grows from each chunk of a writer to its next


def step_spec(agent: Agent, spec: EnvironmentSpec) -> Step:
    """The `ArraySpec` of every field of a step of this agent in this environment."""
    return Step(
        observation=spec.observation,
        action=spec.action,
        reward=spec.reward,
        discount=ArraySpec(()),
        last=ArraySpec((), "bool"),
        extras=_extras_spec(agent, spec),
    )


def _extras_spec(agent: Agent, spec: EnvironmentSpec) -> Any:
    """The `ArraySpec` pytree of the extras that the agent's actor returns; nothing is computed for it."""
    learner, actor = agent.learner(spec), agent.actor(spec, ActorContext(evaluation=False))

    def extras(key: Key, observation: Observation) -> Any:
        return actor.select_action(learner.params(learner.init(key)), observation, actor.init(key))[2]

    observation = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), spec.observation)
    shapes = jax.eval_shape(extras, jax.ShapeDtypeStruct((2,), "uint32"), observation)
    return jax.tree.map(lambda s: ArraySpec(s.shape, s.dtype.name), shapes)


def zeros(steps: Step, *leading: int) -> Step:
    """Zero arrays of shape [*leading, ...] for a step's spec."""
    return jax.tree.map(lambda s: np.zeros((*leading, *s.shape), s.dtype), steps)


def empty(steps: Step) -> Chunk:
    """A chunk without anything in it, for its pytree structure."""
    return Chunk(zeros(steps), **dict.fromkeys(Chunk._fields[1:], np.int64(0)))


def nbytes(spec: Any) -> int:
    """Bytes of the arrays of a spec: of one step, or of one item."""
    return sum(np.dtype(s.dtype).itemsize * int(np.prod(s.shape)) for s in jax.tree.leaves(spec))


def check(steps: Step, observation: Any) -> None:
    """Checks an observation against its spec.

    Raises:
      UserError: structure, shape or dtype differ, naming what was found and what was expected.
    """
    found_structure, expected_structure = map(str, map(jax.tree.structure, (observation, steps.observation)))
    if found_structure != expected_structure:
        raise errors.UserError(
            f"the observation's structure is {found_structure}, and the environment's spec says "
            f"{expected_structure}: make the environment's observations match its specs."
        )
    for found, expected in zip(jax.tree.leaves(observation), jax.tree.leaves(steps.observation), strict=True):
        found = np.asarray(found)
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise errors.UserError(
                f"an observation is {found.dtype} {list(found.shape)}, and the environment's spec says "
                f"{expected.dtype} {list(expected.shape)}: make the environment's observations match its specs."
            )
