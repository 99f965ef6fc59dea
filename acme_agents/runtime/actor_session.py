"""An actor in a run, with its environments, writers and counts: the same in one process and in many."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import dm_env
import jax
import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext, ActorCore
from acme_agents.environments.batched import BatchedEnvironment
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import chunks
from acme_agents.replay.transport import Sender
from acme_agents.replay.writer import ChunkWriter, make_id
from acme_agents.runtime import evaluator, variables
from acme_agents.runtime.actor import Actor, BatchedActor
from acme_agents.runtime.coordinator import ActorOrders, ActorReport
from acme_agents.runtime.guard import BatchedGuard
from acme_agents.runtime.loop import BatchedLoop, EnvironmentLoop, Episode
from acme_agents.runtime.one_by_one import OneByOne


class ActorAccount:
    """Counts what one life of an actor has done and may do: its side of the reports to the coordinator. Thread-safe."""

    def __init__(self, index: int, num_environments: int = 1):
        """Initialises a new life of the actor of this index, which acts in `num_environments`."""
        self.index = index
        self.writer_ids = tuple(make_id() for _ in range(num_environments))
        self.steps = 0  # environment steps of this life
        self.start_step = 0  # environment steps of the run when this life began
        self.num_lives = 0  # of this actor, before this one
        self.closed = False  # whether all granted work is done
        self._name = f"actor/{index}"
        self._life = f"{self._name}/{os.urandom(6).hex()}"
        self._lock = threading.Lock()
        self._granted: float = 0  # steps of this life that may be done
        self._num_episodes = 0
        self._episodes: list[Episode] = []  # the newest, not yet acknowledged
        self._version: int | None = None  # of the parameters
        self._params: list[tuple[int, Any]] = []  # the newest and their version, not yet taken

    @property
    def place(self) -> tuple[int, int, int]:
        """What the seeds of this life are made from: index, environment steps of the run, number of earlier lives."""
        return self.index, self.start_step, self.num_lives

    @property
    def may_step(self) -> bool:
        """Whether the granted part of the budget allows another step."""
        return self.steps < self._granted

    def allowed(self, num_steps: int) -> int:
        """How many of `num_steps` the granted part of the budget allows."""
        return int(min(num_steps, self._granted - self.steps))

    def count(self, num_steps: int, episodes: list[Episode]) -> None:
        """Counts steps and the episodes that they ended."""
        self.steps += num_steps
        with self._lock:
            self._num_episodes += len(episodes)
            self._episodes += episodes

    def advance(self, steps: int, num_episodes: int, episodes: Sequence[Episode]) -> None:
        """Counts all up to `steps` of this life, and the episodes that this ended, of which the newest are reported."""
        self.steps = max(self.steps, steps)
        with self._lock:
            self._num_episodes += num_episodes
            self._episodes += episodes

    def report(self) -> ActorReport:
        """The report to the coordinator."""
        with self._lock:
            return ActorReport(
                self._name,
                self._life,
                self.steps,
                self._num_episodes,
                list(self._episodes),
                self.closed,
                self._version,
                self.writer_ids,
            )

    def take(self, report: ActorReport, orders: ActorOrders) -> None:
        """Takes the coordinator's answer to a report."""
        new = [(snapshot.version, variables.unpack(snapshot)) for snapshot in orders.snapshots]
        with self._lock:
            del self._episodes[: len(report.episodes)]
            for version, params in new:
                self._version, self._params = version, [(version, params)]
            self.start_step, self.num_lives = self.start_step or orders.run_steps, orders.num_lives
            self._granted = float("inf") if orders.allowance is None else report.steps + orders.allowance

    def new_params(self) -> list[tuple[int, Any]]:
        """The newest parameters behind their version, in a list that is empty if they were taken already."""
        with self._lock:
            params, self._params = self._params, []
        return params


class ActorSession:
    """An actor in its environments, each of which has a writer of its own for its steps."""

    def __init__(self, experiment: Experiment, account: ActorAccount, sender: Sender):
        """Makes environments, actor and writers, for a life whose first report the coordinator has answered.

        Each of many environments counts as an actor: it has the seed and, for exploration, the index that an actor of
        its own would have.

        Args:
          experiment: what to run.
          account: of this life; counts the steps.
          sender: takes the chunks of all writers.
        """
        self._account = account
        self._num_environments = num_environments = experiment.environments_per_actor
        index, *since = account.place
        indices = range(index * num_environments, (index + 1) * num_environments)
        seeds = [experiment.worker_seed("actor", i, *since) for i in indices]
        # One is a `dm_env.Environment`, several are a `BatchedEnvironment`.
        self._environment: Any = (
            experiment.make_environment("actor", *account.place)
            if num_environments == 1
            else _make_batch(experiment, account.place, indices, seeds)
        )
        try:
            agent, spec = making.make_agent(experiment), environments.spec(self._environment)
            steps, experience = chunks.step_spec(agent, spec), agent.replay(spec).experience
            self._writers = [ChunkWriter(sender, steps, experience, writer_id=each) for each in account.writer_ids]

            def make_core(index: Any) -> ActorCore:
                return agent.actor(spec, ActorContext(False, index, experiment.num_actors * num_environments))

            keys = [jax.random.PRNGKey(seed) for seed in seeds]
            self.actor: Actor | BatchedActor
            if num_environments == 1:
                self.actor = Actor(make_core(index), keys[0], self._writers[0])
                self._step = _steps_of_one(EnvironmentLoop(self._environment, self.actor))
            else:
                self.actor = BatchedActor(make_core, indices, np.stack(keys), self._writers)
                self._step = BatchedLoop(self._environment, self.actor).step
        except BaseException:
            self.close()
            raise

    def act_with(self, version: int, params: Any) -> None:
        """Acts with these parameters from now on; `version` is how many learner's updates are behind them."""
        self.actor.params = params
        for writer in self._writers:
            writer.version = version

    @property
    def num_chunks(self) -> int:
        """Chunks written so far."""
        return sum(writer.num_chunks for writer in self._writers)

    def step(self) -> list[Episode]:
        """Takes a step in each environment, as far as the budget allows, and counts them; returns the episodes ended.

        Raises:
          EnvironmentFault: an environment raised, or returned what is not finite or not of its specs.
          NotFinite: the policy chose an action that is not finite.
        """
        num_steps, episodes = self._step(self._account.allowed(self._num_environments))
        self._account.count(num_steps, episodes)
        return episodes

    def flush(self) -> None:
        """Blocks until everything written has arrived."""
        self._writers[0].flush()  # They have one sender.

    def close(self) -> None:
        """Closes the environments."""
        evaluator.close(self._environment)


def _steps_of_one(loop: EnvironmentLoop) -> Callable[[int], tuple[int, list[Episode]]]:
    """The steps of a loop of one environment, in the form of `BatchedLoop.step`."""

    def step(num_active: int) -> tuple[int, list[Episode]]:
        episode = loop.step()
        return 1, [] if episode is None else [episode]

    return step


def _make_batch(
    experiment: Experiment, place: tuple[int, int, int], indices: Sequence[int], seeds: Sequence[int]
) -> BatchedEnvironment:
    """An actor's environments: stepped as one call if their family offers that, else one by one."""
    names = [f"environment {i} of actor {place[0]} (seed {seed})" for i, seed in enumerate(seeds)]
    native = environments.make_batch(experiment.environment, seeds, max_episode_steps=experiment.max_episode_steps)
    if native is not None:
        return BatchedGuard(native, names)
    made: list[dm_env.Environment] = []
    try:
        for i in indices:
            made.append(experiment.make_environment("actor", i, *place[1:]))
    except BaseException as error:
        for each in made:
            evaluator.close(each)
        if isinstance(error, errors.EnvironmentFault):  # It says what failed; this adds which.
            raise errors.EnvironmentFault(
                f"{names[len(made)]}: {error}", permanent=error.permanent
            ) from error.__cause__
        raise
    return OneByOne(made, names)
