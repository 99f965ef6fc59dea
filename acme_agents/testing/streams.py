"""Episodes whose best actions and values are known, and the batches that replay makes of them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.experience import of_trajectories
from acme_agents.core.interfaces import ReplaySpec
from acme_agents.core.types import ArraySpec, EnvironmentSpec, SampleInfo, Step, Trajectory

BLANK = -1  # the state whose observation is all zeros


class Episodes(NamedTuple):
    """E episodes of L steps each."""

    state: Any  # [E, L + 1] int: numbers of states, the final one included
    action: Any  # [E, L, *A]
    reward: Any  # [E, L] float32; an environment with K objectives pays it in each
    discount: Any  # [E, L] float32, the environment's: its last is 0 after a termination, 1 after a time limit


def observations(spec: EnvironmentSpec, states: np.ndarray, num_states: int) -> Any:
    """What an agent sees of states 0 .. num_states - 1 or `BLANK`: [...] int to [..., *O].

    The first number of every leaf rises evenly from -1 (of state 0) to 1, the others are -1 or 1 at random, so that
    neither neighbours nor far ones are alike; pixels have 55 and 255 for -1 and 1.
    """
    rng = np.random.default_rng(0)

    def leaf(spec: ArraySpec) -> np.ndarray:
        table = rng.choice([-1.0, 1.0], (num_states, int(np.prod(spec.shape, dtype=int))))
        table[:, 0] = np.linspace(-1.0, 1.0, num_states)
        if spec.num_values is not None:
            table = rng.integers(1, spec.num_values, table.shape)
        elif not np.issubdtype(spec.dtype, np.floating):
            table = 155.0 + 100.0 * table
        table = np.concatenate([table, np.zeros((1, table.shape[1]))]).astype(spec.dtype)
        return table[states].reshape(*states.shape, *spec.shape)

    return jax.tree.map(leaf, spec.observation)


def actions(spec: EnvironmentSpec, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniformly random actions: [*shape, *A]."""
    if spec.action.num_values is not None:
        return rng.integers(0, spec.action.num_values, (*shape, *spec.action.shape)).astype(spec.action.dtype)
    return rng.uniform(-1.0, 1.0, (*shape, *spec.action.shape)).astype(spec.action.dtype)


def best_actions(spec: EnvironmentSpec, states: np.ndarray) -> np.ndarray:
    """-1/2 in every dimension for even states and 1/2 for odd ones; the first and the last action where discrete."""
    odd = states % 2
    if spec.action.num_values is not None:
        return (odd * (spec.action.num_values - 1)).astype(spec.action.dtype)
    each = (odd - 0.5).reshape(*states.shape, *(1,) * len(spec.action.shape))
    return np.broadcast_to(each, (*states.shape, *spec.action.shape)).astype(spec.action.dtype)


def payoffs(spec: EnvironmentSpec, states: np.ndarray, action: np.ndarray) -> np.ndarray:
    """`1 - mean_d (a_d - a*_d)^2`, or where actions are discrete 1 for the best and 0 for the others: [...] float32."""
    best = best_actions(spec, states)
    if spec.action.num_values is not None:
        return (action == best).astype(np.float32)
    error = np.square(action - best).reshape(*states.shape, -1)
    return (1.0 - np.mean(error, axis=-1)).astype(np.float32)


def states_on_the_way(length: int, size: int) -> np.ndarray:
    """States 0 .. L - 1 of each of E episodes, [E, L]; of episodes of one step, 0 or 1."""
    return np.tile(np.arange(length), (size, 1)) if length > 1 else np.arange(size)[:, None] % 2


Act = Callable[[np.ndarray], Any]  # from numbers of states [E, L] to actions [E, L, *A]


def at_random(spec: EnvironmentSpec, rng: np.random.Generator) -> Act:
    """Acts uniformly at random."""
    return lambda states: actions(spec, rng, states.shape)


def as_an_expert(spec: EnvironmentSpec, rng: np.random.Generator) -> Act:
    """Takes the best actions, with a little noise where they are continuous."""

    def act(states: np.ndarray) -> np.ndarray:
        action = best_actions(spec, states)
        if spec.action.num_values is not None:
            return action
        return (action + 0.1 * rng.normal(size=action.shape)).astype(spec.action.dtype)

    return act


def choices(spec: EnvironmentSpec, act: Act, length: int, size: int) -> Episodes:
    """Episodes of `length` states, each of which has its own best action; the end shows nothing.

    Episodes of one step have one of two states, 0 and 1; those of L > 1 steps pass through states 0 .. L - 1. An action
    earns its `payoffs`, and changes nothing else.

    Args:
      spec: the environment's.
      act: chooses the actions.
      length: L.
      size: E.
    """
    state = states_on_the_way(length, size)
    action = act(state)
    discount = np.ones(state.shape, np.float32)
    discount[:, -1] = 0.0
    final = np.full((size, 1), BLANK)
    return Episodes(np.concatenate([state, final], axis=1), action, payoffs(spec, state, action), discount)


def ends(spec: EnvironmentSpec, act: Act, size: int) -> list[Episodes]:
    """Episodes of one step that end in state 2, which is worth 1; the action decides how: by a time limit or for good.

    From state 0 or 1, an action on the best action's side earns nothing and is cut short: it is worth gamma. The others
    earn 0.4 and end for good. An agent that treats a time limit as an end, or bootstraps from every end, prefers the
    others.
    """
    state = np.arange(size)[:, None] % 2
    action, best = act(state), best_actions(spec, state)
    if spec.action.num_values is not None:
        right = action == best
    else:
        right = np.mean((action * best).reshape(*state.shape, -1), axis=-1) > 0.0
    first = Episodes(
        state=np.concatenate([state, np.full((size, 1), 2)], axis=1),
        action=action,
        reward=np.where(right, 0.0, 0.4).astype(np.float32),
        discount=right.astype(np.float32),
    )
    one = np.ones((size, 1), np.float32)
    paid = Episodes(np.tile([2, BLANK], (size, 1)), act(np.full((size, 1), 2)), one, 0.0 * one)
    return [first, paid]


def salary(act: Act, length: int, size: int) -> Episodes:
    """A reward of one at every step, in a state that never changes, cut short: worth 1 / (1 - gamma) everywhere."""
    one = np.ones((size, length), np.float32)
    return Episodes(np.zeros((size, length + 1), int), act(np.zeros((size, length), int)), one, one)


def anything(spec: EnvironmentSpec, rng: np.random.Generator, length: int, size: int, num_states: int) -> Episodes:
    """Random states, actions and rewards; every other episode ends for good."""
    discount = np.ones((size, length), np.float32)
    discount[::2, -1] = 0.0
    return Episodes(
        state=rng.integers(0, num_states, (size, length + 1)),
        action=actions(spec, rng, (size, length)),
        reward=rng.normal(size=(size, length)).astype(np.float32),
        discount=discount,
    )


def items(
    spec: EnvironmentSpec, replay: ReplaySpec, episodes: list[Episodes], num_states: int, extras: Any = ()
) -> Any:
    """Every item that replay would hold of the episodes, as one large batch without `sample_info`.

    Args:
      spec: the environment's.
      replay: the agent's.
      episodes: one after the other.
      num_states: how many states there are.
      extras: [N, ...] of the N steps of all episodes; none if left out.

    Returns:
      a batch as `replay` says, of all items.
    """
    steps = Step(spec.observation, spec.action, spec.reward, ArraySpec(()), ArraySpec((), "bool"))
    trajectories = [
        Trajectory(observations(spec, state, num_states), action, _rewards(spec, reward), discount)
        for each in episodes
        for state, action, reward, discount in zip(*each)
    ]
    rows = of_trajectories(steps, trajectories, replay.experience)
    if jax.tree.leaves(extras):
        steps_rows = np.cumsum(~rows.steps.last) - 1  # of each row the step that it is, or the one before
        rows = rows._replace(steps=rows.steps._replace(extras=jax.tree.map(lambda x: x[steps_rows], extras)))
    all_items = replay.experience.gather(jax.tree.map(jnp.asarray, rows), jnp.arange(len(rows.item_rows)))
    return jax.tree.map(np.asarray, all_items)


def batches(all_items: Any, replay: ReplaySpec, rng: np.random.Generator, *, uniform: bool = True) -> Iterator[Any]:
    """Batches of the replay's size for ever, drawn from all items with replacement, or consecutive ones.

    Args:
      all_items: of `items`.
      replay: the agent's.
      rng: generator of the random parts.
      uniform: whether `sample_info` gives all items the same probability; otherwise probabilities and sources are
        random.
    """
    size, number = replay.batch_size, jax.tree.leaves(all_items)[0].shape[0]
    while True:
        if replay.experience.once:
            first = rng.integers(0, max(1, number - size + 1))
            yield jax.tree.map(lambda x, first=first: x[(first + np.arange(size)) % number], all_items)
            continue
        drawn = rng.integers(0, number, size)
        probability: Any = np.full(size, 1.0 / number) if uniform else rng.uniform(1e-3, 1.0, size)
        source: Any = np.zeros(size) if uniform else rng.integers(0, len(replay.sources), size)
        info = SampleInfo(probability.astype(np.float32), source.astype(np.int32))
        yield jax.tree.map(lambda x, drawn=drawn: x[drawn], all_items)._replace(sample_info=info)


def _rewards(spec: EnvironmentSpec, reward: np.ndarray) -> Any:
    """[...] to [..., *R]: the same in every objective."""
    expanded = reward.reshape(*reward.shape, *(1,) * len(spec.reward.shape))
    return np.broadcast_to(expanded, (*reward.shape, *spec.reward.shape)).astype(np.float32)
