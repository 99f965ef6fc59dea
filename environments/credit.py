"""One task of credit assignment with four knobs, each of which makes it hard in one way: `credit:depth-16`.

After the challenges of *A Survey of Temporal Credit Assignment in Deep Reinforcement Learning* (Pignatelli et al. 2023,
arXiv 2312.01072, section 5); the task is ours. docs/credit.md has what each knob is in the survey's terms, and what
agents make of it.

- An episode has 32 steps and two actions, whatever the knobs say, and ends for good. Nothing is paid but at its end: 1
  if every decision was right, and otherwise 0. The best return is 1, that of a uniformly random policy 2^-SPARSITY.
- A decision: one of eight cues is shown, uniformly random, and the action must be the cue's number modulo 2. At all
  other steps actions decide nothing.
- The observation, [168] float32, is the state: the cue where there is one, one-hot in 8; which of 64 rooms one is in,
  of the right ones if all decisions so far were right and of the wrong ones otherwise, one-hot in 128; and the step,
  one-hot in 32. Nothing that matters is hidden, so that nothing need be remembered.

A name has at least one of these parts, in this order; what is not named is as in the task that they all start from,
`credit:depth-8`, which is `credit:sparsity-1`, `credit:breadth-1` and `credit:noise-0` too:

`depth-N`     the reward comes with the N-th transition after the first decision was shown, 1 <= N <= 32; 1 is at once.
`sparsity-N`  there are N decisions, evenly spread from the first to the end, 1 <= N <= the depth, all of which must be
              right: of the sequences of decisions one in 2^N is.
`breadth-N`   the first log2 N actions behind the first decision that decide nothing choose one of N ways to the end,
              each through rooms of its own; N is 1, 2, 4, ... 64. All of them end alike.
`noise-X`     the steps behind the first decision that decide nothing earn luck, normal with mean 0 and together with
              standard deviation X. The episode's first step has paid for it: the luck of an episode sums to 0, so that
              its return tells of the decisions alone and a mean needs few episodes, while the return from the decision
              on, which agents learn from, has all of the luck.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments.pure import Pure, TimeStep

HORIZON = 32  # steps of an episode
BEST = 1.0  # the return of the best policy, whatever the knobs say
NUM_CUES = 8
MAX_BREADTH = 64
_MAX_NOISE = 100.0
_NUM_ACTIONS = 2
_FORM = re.compile(
    r"(?:depth-(?P<depth>\d+))?(?:(?:^|(?<=\d)-)sparsity-(?P<sparsity>\d+))?(?:(?:^|(?<=\d)-)breadth-(?P<breadth>\d+))?"
    r"(?:(?:^|(?<=\d)-)noise-(?P<noise>\d+(?:\.\d+)?))?"
)


class Task(NamedTuple):
    """The four knobs; the defaults are the task that the others start from."""

    depth: int = 8
    sparsity: int = 1
    breadth: int = 1
    noise: float = 0.0

    @property
    def uniform(self) -> float:
        """The return of a uniformly random policy."""
        return float(_NUM_ACTIONS**-self.sparsity)


def names() -> list[str]:
    """Returns the first and the last task of each knob that `acme-agents diagnose-credit` has by default."""
    return ["depth-1", "depth-8", "depth-32", "sparsity-8", "breadth-64", "noise-4"]


def problem(name: str) -> str | None:
    """Returns what is wrong with a task's name, or None."""
    task = parse(name)
    if task is None:
        return (
            "a task of credit is credit:depth-N, credit:sparsity-N, credit:breadth-N or credit:noise-X, or several of "
            f"these parts in this order, and {name!r} is none."
        )
    idle = task.depth - task.sparsity  # steps behind the first decision that decide nothing
    if not 1 <= task.depth <= HORIZON:
        return f"the depth is from 1 to {HORIZON}, not {task.depth}."
    if not 1 <= task.sparsity <= task.depth:
        return f"the sparsity is from 1 to the depth, which is {task.depth}, not {task.sparsity}."
    if task.breadth not in _powers_of_two(MAX_BREADTH):
        return f"the breadth is 1, 2, 4, ... {MAX_BREADTH}, not {task.breadth}."
    if task.breadth.bit_length() - 1 > idle:
        return (
            f"a breadth of {task.breadth} needs {task.breadth.bit_length() - 1} steps that decide nothing, not {idle}."
        )
    if task.noise > _MAX_NOISE:
        return f"the noise of a task is at most {_MAX_NOISE:g}, not {task.noise:g}."
    if task.noise and (not idle or task.depth == HORIZON):
        return f"noise needs steps that decide nothing both before and behind the decisions, not {name!r}."
    return None


def parse(name: str) -> Task | None:
    """The knobs of a task's name; None if it is no such name."""
    found = _FORM.fullmatch(name) if name and name.isascii() else None
    if found is None:
        return None
    depth, sparsity, breadth, noise = found.groups()
    base = Task()
    return Task(
        base.depth if depth is None else int(depth),
        base.sparsity if sparsity is None else int(sparsity),
        base.breadth if breadth is None else int(breadth),
        base.noise if noise is None else float(noise),
    )


def make_pure(name: str) -> Pure:
    """Makes the functions of a task."""
    task = parse(name)
    assert task is not None, "`problem` knows the name."
    return chain(task)


class State(NamedTuple):
    """What changes within an episode, and what is drawn at its start."""

    t: Array  # [] int32, steps taken
    good: Array  # [] bool, whether all decisions so far were right
    room: Array  # [] int32, 0 to 63
    cues: Array  # [32] int32, 0 to 7; those of decisions are shown
    luck: Array  # [32] float32, what each step earns by chance


def chain(task: Task) -> Pure:
    """Makes the functions of a task."""
    first = HORIZON - task.depth
    decides = np.zeros(HORIZON + 1, bool)  # Behind the last step there is nothing to decide.
    decides[first + np.arange(task.sparsity) * task.depth // task.sparsity] = True
    idle = ~decides[:HORIZON] & (np.arange(HORIZON) > first)
    forks = idle & (np.cumsum(idle) < task.breadth.bit_length())

    def observe(state: State) -> Array:
        cue = jnp.where(jnp.array(decides)[state.t], state.cues[state.t], -1)  # One-hot of -1 is 0 everywhere.
        room = state.room + jnp.where(state.good, 0, MAX_BREADTH)
        sizes = ((cue, NUM_CUES), (room, 2 * MAX_BREADTH), (state.t, HORIZON))
        return jnp.concatenate([jax.nn.one_hot(index, size) for index, size in sizes])

    def init(key: Key) -> tuple[State, Array]:
        cue_key, luck_key = jax.random.split(key)
        luck = task.noise / np.sqrt(max(1, idle.sum())) * idle * jax.random.normal(luck_key, (HORIZON,))
        luck = luck.at[0].add(-jnp.sum(luck))
        cues = jax.random.randint(cue_key, (HORIZON,), 0, NUM_CUES)
        state = State(jnp.int32(0), jnp.bool_(True), jnp.int32(0), cues, luck.astype(jnp.float32))
        return state, observe(state)

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        right = action == state.cues[state.t] % _NUM_ACTIONS
        good = state.good & (right | ~jnp.array(decides)[state.t])
        room = jnp.where(jnp.array(forks)[state.t], _NUM_ACTIONS * state.room + action, state.room).astype(jnp.int32)
        last = state.t == HORIZON - 1
        reward = state.luck[state.t] + (last & good)
        after = state._replace(t=state.t + 1, good=good, room=room)
        return after, TimeStep(reward, 1.0 - last.astype(jnp.float32), last, observe(after))

    size = NUM_CUES + 2 * MAX_BREADTH + HORIZON
    actions = ArraySpec((), "int32", _NUM_ACTIONS)
    return Pure(EnvironmentSpec(ArraySpec((size,)), actions, action_bounds=((0,), (_NUM_ACTIONS - 1,))), init, step)


def _powers_of_two(largest: int) -> list[int]:
    return [2**i for i in range(largest.bit_length())]
