"""Checks of what an agent learns from episodes whose best actions and values are known."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from acme_agents.core.types import Params
from acme_agents.testing import expect, streams, subjects

_UPDATES_BETWEEN_LOOKS = 50
_NUM_BATCHES = 16  # that training cycles through

MakeEpisodes = Callable[[streams.Act, int], list[streams.Episodes]]  # from who acts and about how many rows


def learns_a_bandit_with_a_blank_end(subject: subjects.Subject) -> None:
    """Learns the best actions of two states from episodes of one step, to 0.95 of the best return.

    The final observation is blank.

    From uniform behaviour, `1 - (a - o / 2)^2` of a continuous action and 1 or 0 of a discrete one.
    """
    _learn_choices(subject, 1, "an episode of one step, whose state is never bootstrapped from")


def learns_every_state_of_an_episode(subject: subjects.Subject) -> None:
    """Learns the best action of every state, each its own, in episodes longer than an item."""
    _learn_choices(subject, subject.replay.experience.reach + 1, "some states of an episode")


def time_limits_are_not_ends(subject: subjects.Subject) -> None:
    """Prefers a time limit in a good state to a little more reward at an end for good."""
    states = np.arange(subjects.NUM_ACTORS)[:, None] % 2

    def share(params: Params) -> float:
        action, best = _greedy(subject, params, states, 4)[:, 0], streams.best_actions(subject.spec, states[:, 0])
        if subject.spec.action.num_values is not None:
            return float(np.mean(action == best))
        return float(np.mean(np.mean((action * best).reshape(subjects.NUM_ACTORS, -1), axis=-1) > 0.05))

    found = _train(subject, lambda act, size: streams.ends(subject.spec, act, size // 4), 1024, 4, share, 1.0)
    expect.that(
        found == 1.0,
        "learner.update takes time limits for ends, or ends for time limits: gamma times the next state's value after "
        f"the one is better than 0.4 and nothing more after the other, and it is chosen in {found:.0%} of the states.",
    )


def learns_the_value_of_a_salary(subject: subjects.Subject) -> None:
    """A reward of one at each step, only ever cut short, is worth 1 / (1 - gamma), to 5%."""
    assert subject.value is not None
    experience = subject.replay.experience
    gamma = getattr(experience, "discount", subject.discount)
    assert gamma is not None, "an agent of sequences needs the subject's `discount`"
    length = experience.reach + 1
    expected = 1.0 / (1.0 - gamma)
    state, values = subject.init(), []
    data = _Data(
        subject, lambda act, size: [streams.salary(act, length, -(-size // (length + 1)))], 64 * (length + 1), 2
    )
    for i in range(subject.max_updates):
        state, output = subject.update_and_donate(state, data.batch(i, state))
        values.append(float(subject.value(output.metrics)))
        recent = values[-_UPDATES_BETWEEN_LOOKS:]
        if len(values) > len(recent) and max(abs(value / expected - 1.0) for value in recent) < 0.05:
            break
    start = np.mean(values[:5])
    expect.that(
        abs(start / expected - 1.0) > 0.1,
        f"learner.update's value is {start:.3g} before anything was learnt, and {expected:.3g} would be no sign of it.",
    )
    end = np.mean(recent)
    expect.that(
        abs(end / expected - 1.0) < 0.05,
        f"learner.update values a reward of one at each step at {end:.3g} after {len(values)} updates, not at "
        f"{expected:.3g}.",
    )


def _learn_choices(subject: subjects.Subject, length: int, what: str) -> None:
    num_states = max(2, length)
    states = streams.states_on_the_way(length, subjects.NUM_ACTORS)

    def worst(params: Params) -> float:
        paid = streams.payoffs(subject.spec, states, _greedy(subject, params, states, num_states))
        return float(np.min(np.mean(paid, axis=0) if length > 1 else paid))

    def episodes(act: streams.Act, size: int) -> list[streams.Episodes]:
        return [streams.choices(subject.spec, act, length, -(-size // (length + 1)))]

    found = _train(subject, episodes, 512 * (length + 1), num_states, worst, 0.95)
    expect.that(
        found >= 0.95,
        f"learner.update does not learn the best action at {what}: after {subject.max_updates} updates the "
        f"evaluation's actions earn {found:.3f} of 1 at the worst state.",
    )


def _train(
    subject: subjects.Subject,
    make_episodes: MakeEpisodes,
    size: int,
    num_states: int,
    look: Callable[[Params], float],
    enough: float,
) -> float:
    """Trains until two measurements in a row are at least `enough`, or the updates are used up; returns the last."""
    state, data, good, found = subject.init(), _Data(subject, make_episodes, size, num_states), 0, -np.inf
    for i in range(1, subject.max_updates + 1):
        state, _ = subject.update_and_donate(state, data.batch(i, state))
        if i % _UPDATES_BETWEEN_LOOKS == 0:
            found = look(subject.params(state))
            good = good + 1 if found >= enough else 0
            if good == 2:
                break
    return found


class _Data:
    """The batches of each update: some that are repeated for ever, or what the newest policy does.

    An agent that learns from each item once is given the second, of as many rows as a batch has.
    """

    def __init__(self, subject: subjects.Subject, make_episodes: MakeEpisodes, size: int, num_states: int):
        self._subject, self._make_episodes, self._num_states = subject, make_episodes, num_states
        self._rng = np.random.default_rng(4)
        replay = subject.replay
        if not replay.experience.once:
            behave = streams.as_an_expert if subject.imitates else streams.at_random
            episodes = make_episodes(behave(subject.spec, np.random.default_rng(1)), size)
            drawn = streams.batches(streams.items(subject.spec, replay, episodes, num_states), replay, self._rng)
            self._repeated = [subject.with_extras(next(drawn)) for _ in range(_NUM_BATCHES)]

    def batch(self, number: int, state: Any) -> Any:
        """The batch of an update, given the state before it."""
        replay = self._subject.replay
        return self._new_batch(state) if replay.experience.once else self._repeated[number % _NUM_BATCHES]

    def _new_batch(self, state: Any) -> Any:
        subject, replay = self._subject, self._subject.replay
        params, kept = subject.params(state), []

        def act(states: np.ndarray) -> np.ndarray:
            observation = streams.observations(subject.spec, states.reshape(-1), self._num_states)
            action, extras = subject.act_once(params, observation, int(self._rng.integers(2**31)))
            kept.append(extras)
            return np.asarray(action).reshape(*states.shape, *action.shape[1:])

        episodes = self._make_episodes(act, replay.batch_size * replay.experience.reach)
        extras = jax.tree.map(lambda *x: np.concatenate(x), *kept)
        all_items = streams.items(subject.spec, replay, episodes, self._num_states, extras)
        return jax.tree.map(lambda x: x[: replay.batch_size], all_items)


def _greedy(subject: subjects.Subject, params: Params, states: np.ndarray, num_states: int) -> np.ndarray:
    """The evaluation's actions along eight episodes through the states [8, L]: [8, L, *A]."""
    actor_state = subject.begin(evaluation=True)
    actions = []
    for step in range(states.shape[1]):
        observation = streams.observations(subject.spec, states[:, step], num_states)
        action, actor_state, _ = subject.act(params, observation, actor_state, evaluation=True)
        actions.append(np.asarray(action))
        actor_state = subject.observe(actor_state, 0.0, evaluation=True)
    return np.stack(actions, axis=1)
