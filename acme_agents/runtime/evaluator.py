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
from acme_agents.runtime import background, seeding, variables
from acme_agents.runtime.actor import Actor
from acme_agents.runtime.coordinator import Coordinator, EvaluatorOrders
from acme_agents.runtime.loop import EnvironmentLoop, Episode
from acme_agents.runtime.status import OnStatus


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
        self._environments: list[Any] = []  # one, from the first evaluation on
        spec = experiment.environment_spec()
        core = making.make_agent(experiment).actor(spec, ActorContext(evaluation=True))
        key = jax.random.PRNGKey(experiment.worker_seed("evaluator"))
        self._actor = Actor(core, key)

    def evaluate(
        self,
        number: int,
        params: Any,
        stop: threading.Event = background.NEVER,
        *,
        num_episodes: int | None = None,
        on_step: Callable[[dm_env.Environment], None] = lambda _: None,
    ) -> list[Episode]:
        """Runs an evaluation's episodes.

        Args:
          number: of the evaluation; the seed of its episodes is made from it.
          params: the actor's.
          stop: ends it early.
          num_episodes: None for the experiment's number.
          on_step: called with the environment after every step.

        Returns:
          The episodes; an empty list if it was ended early.

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
                if stop.is_set():
                    return []
                episode = loop.step()
                on_step(environment)
                if episode is not None:
                    episodes.append(episode)
        return episodes

    def obey(
        self, orders: EvaluatorOrders, stop: threading.Event, report: Callable[[int, list[Episode]], None]
    ) -> None:
        """Runs the evaluation that is due, if any, and reports its number and episodes unless it was ended early."""
        for number, snapshot in orders.due:
            if episodes := self.evaluate(number, variables.unpack(snapshot), stop):
                report(number, episodes)

    def close(self) -> None:
        """Closes the environment."""
        while self._environments:
            close(self._environments.pop())

    def _seeded(self, seed: int) -> Any:
        """The environment, made on the first call; its random parts are the same for every evaluator."""
        if not self._environments:
            with seeding.own_generators(self._experiment.worker_seed("evaluator")):
                self._environments.append(self._experiment.make_environment("evaluator", render=self._render))
        (environment,) = self._environments
        environment.reseed(seed)
        return environment


class EvaluationsHere:
    """The evaluations of a run, in the process of its learner; nothing where the run has none."""

    def __init__(self, experiment: Experiment, coordinator: Coordinator):
        """Makes the evaluator."""
        self._evaluators = [Evaluator(experiment)] if experiment.eval_every else []
        self._coordinator = coordinator

    def run(self, stop: threading.Event, on_status: OnStatus) -> None:
        """Runs the evaluation that is due, if any."""
        orders = self._coordinator.evaluator_sync()
        for evaluator in self._evaluators if orders.due else ():
            on_status(self._coordinator.status()._replace(phase="evaluating"))
            evaluator.obey(orders, stop, self._coordinator.evaluation_report)

    def close(self) -> None:
        """Closes the environment."""
        for evaluator in self._evaluators:
            evaluator.close()


def close(environment: dm_env.Environment) -> None:
    """Closes an environment; if that raises, it only warns, because the results are already there."""
    try:
        environment.close()
    except Exception:
        logging.warning("Closing the environment failed.", exc_info=True)
