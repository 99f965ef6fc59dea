"""Writes episodes of a run's policy as a dataset: demonstrations, or data of known quality."""

import contextlib
import os
import pathlib
from typing import Any

import jax
import numpy as np

from acme_agents import datasets
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import Base, making
from acme_agents.launch.kept_episodes import KeptEpisodes
from acme_agents.runtime import seeding
from acme_agents.runtime.loop import EnvironmentLoop, Episode


def collect(
    run_dir: pathlib.Path,
    dataset: pathlib.Path,
    *,
    steps: int = 10_000,
    explore: bool = False,
    seed: int = 0,
    config: Any = None,
    base: Base | None = None,
) -> np.ndarray:
    """Writes whole episodes of the policy of a run's newest checkpoint, until there are `steps` steps.

    Args:
      run_dir: the run's directory.
      dataset: the directory to write, as a Minari dataset.
      steps: environment steps at least.
      explore: act as the run's actors do, rather than as its evaluator.
      seed: of the environment and the actor; the same one gives the same episodes.
      config: the agent's, if not as it was in the run.
      base: what a bonus goes around, if not as it was in the run.

    Returns:
      [episodes] float64, the returns of the first objective.

    Raises:
      UserError: no run, no checkpoint or no steps, or the dataset is there already.
    """
    if steps < 1:
        raise errors.UserError(f"--steps must be at least 1, not {steps}.")
    if dataset.exists():
        raise errors.UserError(f"{dataset} is there already: write the dataset to another path.")
    experiment, params = making.load_run(run_dir, seed=seed, config=config, base=base)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MUJOCO_GL", "disable")
    from acme_agents.runtime.actor import Actor  # Imports TensorFlow.

    spec = experiment.environment_spec()
    core = making.make_agent(experiment).actor(spec, ActorContext(evaluation=not explore))
    kept = KeptEpisodes()
    worker_seed = experiment.worker_seed("evaluator")
    actor = Actor(core, jax.random.PRNGKey(worker_seed), kept)
    actor.params = params
    episodes: list[Episode] = []
    with seeding.own_generators(worker_seed), contextlib.closing(experiment.make_environment("evaluator")) as made:
        loop = EnvironmentLoop(made, actor)
        while sum(episode.length for episode in episodes) < steps:
            episodes.append(loop.run_episode())
    datasets.save(
        dataset,
        kept.trajectories,
        spec,
        environment=experiment.environment,
        policy=f"{experiment.full_name}, {'exploring' if explore else 'evaluation'} policy",
        metadata={"experiment": experiment.to_json()},
    )
    return np.array([episode.episode_return for episode in episodes])
