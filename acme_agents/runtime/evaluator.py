"""The evaluator: the deterministic policy, in environments of its own seeds."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import dm_env
import jax

from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.runtime import seeding
from acme_agents.runtime.actor import Actor
from acme_agents.runtime.loop import EnvironmentLoop, Episode


class Evaluator:
    """Runs the episodes of an evaluation, all in one environment, until it is closed.

    The same number and parameters give the same episodes, unless the evaluated policy is random: its keys continue
    from one evaluation to the next, and a new evaluator starts again from the first key. An evaluation leaves the
    state of Python's and NumPy's global generators unchanged.
    """

    def __init__(self, experiment: Experiment, *, render: bool = False):
        """Makes the actor; `render` says whether frames will be asked for."""
        self._experiment = experiment
        self._render = render
        self._environment: dm_env.Environment | None = None  # until the first evaluation
        spec = experiment.environment_spec()
        core = making.make_agent(experiment).actor(spec, ActorContext(evaluation=True))
        key = jax.random.PRNGKey(experiment.worker_seed("evaluator"))
        self._actor = Actor(core, key)

    def evaluate(
        self,
        number: int,
        params: Any,
        stop: threading.Event | None = None,
        *,
        num_episodes: int | None = None,
        on_step: Callable[[dm_env.Environment], None] | None = None,
    ) -> list[Episode] | None:
        """Runs an evaluation's episodes.

        Args:
          number: of the evaluation; the seed of its episodes is made from it.
          params: the actor's.
          stop: ends it early.
          num_episodes: None for the experiment's number.
          on_step: called with the environment after every step.

        Returns:
          The episodes; None if it was ended early.

        Raises:
          EnvironmentFault: the environment raised, or returned what is not finite or not of its specs.
          NotFinite: the policy chose an action that is not finite.
        """
        self._actor.params = params
        seed = self._experiment.worker_seed("evaluator", number)
        with seeding.own_generators(seed):
            environment = self._seeded(seed)
            loop = EnvironmentLoop(environment, self._actor, "the evaluator's environment")
            episodes: list[Episode] = []
            while len(episodes) < (num_episodes or self._experiment.eval_episodes):
                if stop is not None and stop.is_set():
                    return None
                episode = loop.step()
                if on_step is not None:
                    on_step(environment)
                if episode is not None:
                    episodes.append(episode)
        return episodes

    def close(self) -> None:
        """Closes the environment."""
        if self._environment is not None:
            close(self._environment)
            self._environment = None

    def _seeded(self, seed: int) -> Any:
        """The environment, made on the first call; its random parts are the same for every evaluator."""
        if self._environment is None:
            with seeding.own_generators(self._experiment.worker_seed("evaluator")):
                self._environment = self._experiment.make_environment("evaluator", render=self._render)
        self._environment.reseed(seed)
        return self._environment


def close(environment: dm_env.Environment) -> None:
    """Closes an environment; if that raises, it only warns, because the results are already there."""
    try:
        environment.close()
    except Exception:
        logging.warning("Closing the environment failed.", exc_info=True)
