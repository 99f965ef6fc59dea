"""Writes episodes of an environment's scripted expert as a dataset: demonstrations, as good or as bad as asked for."""

import contextlib
import pathlib
from typing import Any

import dm_env
import numpy as np

from acme_agents import datasets, environments
from acme_agents.core import errors
from acme_agents.launch.kept_episodes import KeptEpisodes
from acme_agents.runtime import seeding
from acme_agents.runtime.loop import EnvironmentLoop


def demonstrate(
    environment: str,
    dataset: pathlib.Path,
    *,
    episodes: int = 50,
    random_actions: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Writes episodes in which an environment's scripted expert acts, and now and then chance.

    Args:
      environment: the environment's name; it has an `expert_action() -> np.int32`, the best action now.
      dataset: the directory to write, as a Minari dataset.
      episodes: how many.
      random_actions: chance of each action to be a uniformly random one instead of the expert's.
      seed: of the environment and of the random actions; the same one gives the same episodes.

    Returns:
      [episodes] float64, their returns.

    Raises:
      UserError: no such environment, no expert, no episodes or no such chance, or the dataset is there already.
    """
    if episodes < 1:
        raise errors.UserError(f"--episodes must be at least 1, not {episodes}.")
    if not 0 <= random_actions <= 1:
        raise errors.UserError(f"--random-actions must lie in [0, 1], not {random_actions}.")
    if dataset.exists():
        raise errors.UserError(f"{dataset} is there already: write the dataset to another path.")
    environment_seed, action_seed = map(int, np.random.SeedSequence(seed).generate_state(2))
    kept = KeptEpisodes()
    generators = seeding.own_generators(environment_seed)
    with generators, contextlib.closing(environments.make(environment, environment_seed)) as made:
        if not hasattr(made, "expert_action"):
            raise errors.UserError(
                f"{environment} has no scripted expert, as deep-sea:N and key-door:N have: train an agent there, and "
                "collect episodes of its policy."
            )
        loop = EnvironmentLoop(made, _Expert(made, random_actions, action_seed, kept))
        returns = [loop.run_episode().episode_return for _ in range(episodes)]
        spec = environments.spec(made)
    datasets.save(
        dataset,
        kept.trajectories,
        spec,
        environment=environment,
        policy=f"scripted expert, {random_actions:.0%} random actions",
        metadata={"random_actions": random_actions, "seed": seed},
    )
    return np.array(returns)


class _Expert:
    """Acts as the environment's expert does, or at random, and records it."""

    def __init__(self, environment: Any, random_actions: float, seed: int, kept: KeptEpisodes):
        self._environment = environment
        self._num_actions = environment.action_spec().num_values
        self._random_actions = random_actions
        self._rng = np.random.default_rng(seed)
        self._recorder = kept

    def select_action(self, observation: Any) -> np.int32:
        del observation  # The expert knows the environment's state.
        if self._rng.random() < self._random_actions:
            return np.int32(self._rng.integers(self._num_actions))
        return self._environment.expert_action()

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        self._recorder.observe_first(timestep)

    def observe(self, action: Any, timestep: dm_env.TimeStep) -> None:
        self._recorder.observe(action, timestep)

    def update(self) -> None:
        """The expert learns nothing, so there is nothing to update."""
