"""An actor in a run, with its environment, writer and counts: the same in one process and in many."""

import os
import threading
from collections.abc import Sequence
from typing import Any

import dm_env
import jax

from acme_agents import environments
from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import chunks
from acme_agents.replay.transport import Sender
from acme_agents.replay.writer import ChunkWriter, make_id
from acme_agents.runtime import variables
from acme_agents.runtime.actor import Actor
from acme_agents.runtime.coordinator import ActorOrders, ActorReport
from acme_agents.runtime.loop import EnvironmentLoop, Episode


class ActorAccount:
    """Counts what one life of an actor has done and may do: its side of the reports to the coordinator. Thread-safe."""

    def __init__(self, index: int):
        """Initialises a new life of the actor of this index."""
        self.index = index
        self.writer_id = make_id()
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

    def count(self, episodes: list[Episode]) -> None:
        """Counts one step and the episodes that it ended."""
        self.steps += 1
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
                self.writer_id,
            )

    def take(self, report: ActorReport, orders: ActorOrders) -> None:
        """Takes the coordinator's answer to a report."""
        new = [] if orders.snapshot is None else [(orders.snapshot.version, variables.unpack(orders.snapshot))]
        with self._lock:
            del self._episodes[: len(report.episodes)]
            if orders.snapshot is not None:
                self._version, self._params = orders.snapshot.version, new
            self.start_step, self.num_lives = self.start_step or orders.run_steps, orders.num_lives
            self._granted = float("inf") if orders.allowance is None else report.steps + orders.allowance

    def new_params(self) -> list[tuple[int, Any]]:
        """The newest parameters behind their version, in a list that is empty if they were taken already."""
        with self._lock:
            params, self._params = self._params, []
        return params


class ActorSession:
    """An actor in its environment, and the writer of its steps."""

    def __init__(self, experiment: Experiment, environment: dm_env.Environment, account: ActorAccount, sender: Sender):
        """Makes actor and writer, for a life whose first report the coordinator has answered.

        Args:
          experiment: what to run.
          environment: the actor acts in it.
          account: of this life; counts the steps.
          sender: takes the chunks.
        """
        self._account = account
        agent, spec = making.make_agent(experiment), environments.spec(environment)
        core = agent.actor(spec, ActorContext(False, account.index, experiment.num_actors))
        steps, experience = chunks.step_spec(agent, spec), agent.replay(spec).experience
        self._writer = ChunkWriter(sender, steps, experience, writer_id=account.writer_id)
        key = jax.random.PRNGKey(experiment.worker_seed("actor", *account.place))
        self.actor = Actor(core, key, self._writer)
        self._loop = EnvironmentLoop(environment, self.actor)

    def act_with(self, version: int, params: Any) -> None:
        """Acts with these parameters from now on; `version` is how many learner's updates are behind them."""
        self.actor.params, self._writer.version = params, version

    @property
    def num_chunks(self) -> int:
        """Chunks written so far."""
        return self._writer.num_chunks

    def step(self) -> list[Episode]:
        """Takes one environment step and counts it; returns the episode that it ended, if it ended one.

        Raises:
          EnvironmentFault: the environment raised, or returned what is not finite or not of its specs.
          NotFinite: the policy chose an action that is not finite.
        """
        episode = self._loop.step()
        episodes = [] if episode is None else [episode]
        self._account.count(episodes)
        return episodes

    def flush(self) -> None:
        """Blocks until everything written has arrived."""
        self._writer.flush()
