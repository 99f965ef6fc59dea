"""Runs an experiment as one compiled program: environments, actors, replay and learner on the device.

The host calls the program for some thousand steps at a time; between the calls it logs, evaluates, writes checkpoints,
and stops when it is asked to. Several seeds run side by side, vmapped, each with a run directory of its own.
"""

import contextlib
import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext
from acme_agents.environments.pure import Pure
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import stream
from acme_agents.runtime import background, fused_loop, replays
from acme_agents.runtime.coordinator import Phase
from acme_agents.runtime.fused_loop import Program
from acme_agents.runtime.fused_session import FusedSession
from acme_agents.runtime.fused_state import Limits, Loop
from acme_agents.runtime.status import OnStatus, Status

_MAX_ROUNDS = 1024  # of a call: a call costs a millisecond beside what it computes
_MAX_UPDATES = 256  # after which a call ends: with slow updates it should not take much longer than a second


def run(
    experiments: Sequence[Experiment],
    run_dirs: Sequence[pathlib.Path],
    *,
    wandb: bool = False,
    stop: threading.Event,
    on_status: OnStatus,
) -> None:
    """Runs experiments that differ in their seeds to their end, or until `stop` is set; leaves checkpoints either way.

    Args:
      experiments: what to run; `check` has passed them.
      run_dirs: the directory of each; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      stop: set to end the runs early.
      on_status: called after every call and evaluation, with the status of the first run.
    """
    with contextlib.suppress(background.Stopped):
        _Run(experiments, run_dirs, wandb, stop, on_status).run()


def check(experiment: Experiment) -> Pure:
    """Checks that an experiment can run as one program; returns its environment.

    Raises:
      UserError: it cannot.
    """
    pure = environments.make_pure(experiment.environment, max_episode_steps=experiment.max_episode_steps)
    for is_so, what, advice in (
        (experiment.dataset is not None, "learns from no dataset", "leave --dataset out"),
        (experiment.num_actors > 1, "has one actor", "give it more environments with --environments-per-actor"),
        (experiment.record is not None, "records no dataset", "leave --record out"),
        (experiment.replay == "server", "has no replay server", "leave --replay server out"),
    ):
        if is_so:
            raise errors.UserError(f"--launcher fused {what}: {advice}, or choose another launcher.")
    replay, number = making.replay_spec(experiment, experiment.environment_spec()), experiment.environments_per_actor
    if replay.experience.once and replay.batch_size % number:
        raise errors.UserError(
            f"--launcher fused learns from batches of {replay.batch_size} unrolls, and {number} environments do not "
            "divide that: choose another --environments-per-actor, or another batch size."
        )
    return pure


class _Run:
    """The seeds' sessions, and the loop that they share."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        run_dirs: Sequence[pathlib.Path],
        wandb: bool,
        stop: threading.Event,
        on_status: OnStatus,
    ):
        self._stop, self._on_status = stop, on_status
        self._experiment = first = experiments[0]
        self._num_envs = first.environments_per_actor
        self._steps, self._replay = specs = replays.specs(first)

        def show(seconds: float) -> None:
            on_status(Status("compiling", 0, first.max_steps, 0, first.max_updates, walltime=seconds))

        self._sessions = [
            FusedSession(experiment, run_dir, specs, wandb=wandb, stop=stop, on_wait=show)
            for experiment, run_dir in zip(experiments, run_dirs, strict=True)
        ]
        self._program = self._make_program()
        self._loop = self._make_loop()
        for i, session in enumerate(self._sessions):
            session.learner.state = None
            session.learner.training = lambda i=i: self._of(self._loop.training, i)
            session.learner.replay.stream = lambda i=i: self._of(self._loop.stream, i)

    def _make_program(self) -> Program:
        experiment, spec = self._experiment, self._experiment.environment_spec()
        agent = making.make_agent(experiment)
        return fused_loop.make(
            agent.learner(spec),
            lambda index: agent.actor(spec, ActorContext(False, index, self._num_envs)),
            check(experiment),
            self._steps,
            self._replay,
            num_envs=self._num_envs,
            num_seeds=len(self._sessions),
            max_rounds=max(32, _MAX_ROUNDS // self._num_envs),
            max_updates=_MAX_UPDATES,
            log_period=self._replay.log_period,
        )

    def _make_loop(self) -> Loop:
        """The loop before its first round, with what the checkpoints had."""
        loops = []
        for session in self._sessions:
            _, start, life = session.place
            seeds = [session.experiment.worker_seed("actor", i, start, life) for i in range(self._num_envs)]
            keys = jnp.stack([jax.random.PRNGKey(seed) for seed in seeds])
            loops.append((session.learner.state, (keys, keys, session.learner.sampling_key)))
        loop = jax.jit(self._program.init)(*self._stacked(loops))
        streams = [session.learner.replay.fill(self._steps, self._num_envs) for session in self._sessions]
        updates = self._stacked([jnp.int32(session.learner.steps) for session in self._sessions])
        return loop._replace(stream=self._stacked(streams), updates=updates)

    def _stacked(self, values: list[Any]) -> Any:
        """One array of all seeds' arrays; with one seed, its own arrays."""
        return jax.tree.map(lambda *x: jnp.stack(x), *values) if len(values) > 1 else values[0]

    def _of(self, arrays: Any, seed: int) -> Any:
        """One seed's part of what `_stacked` made."""
        return jax.tree.map(lambda x: x[seed], arrays) if len(self._sessions) > 1 else arrays

    def run(self) -> None:
        """Runs to the end, or until it is stopped; leaves checkpoints."""
        try:
            self._run()
        except Exception as error:
            for session in self._sessions:
                if isinstance(error, errors.EnvironmentFault):  # What was learned before is still valid.
                    session.save()
                session.close_after_failure()
            raise
        finally:
            for session in self._sessions:
                session.evaluations.close()

    def _run(self) -> None:
        call = self._compiled()
        while any(session.coordinator.phase is Phase.TRAINING for session in self._sessions):
            if self._stop.is_set():
                break
            self._call(call)
        for session in self._sessions:
            if self._stop.is_set():
                session.coordinator.stop()
            session.save()
            if session.coordinator.phase is Phase.EVALUATING:
                session.evaluations.run(self._stop, self._on_status)
                if self._stop.is_set():
                    session.coordinator.stop()
                session.save()
        self._show()
        for session in self._sessions:
            session.close()

    def _compiled(self) -> Any:
        """The compiled call; before it is compiled, does the updates that a stop has left owing, if there are any."""
        owed = [session.learner.replay.rate.owed() for session in self._sessions]
        jitted = jax.jit(self._program.call, donate_argnums=0)
        if max(owed) >= self._replay.batch_size and all(session.learner.replay.size for session in self._sessions):
            self._call(jax.jit(self._program.catch_up, donate_argnums=0))
        if any(session.coordinator.phase is Phase.TRAINING for session in self._sessions):
            self._first.coordinator.compiling = True
            show = lambda _: self._show()  # noqa: E731
            compiled = background.call(lambda: jitted.lower(self._loop, self._limits()).compile(), self._stop, show)
            self._first.coordinator.compiling = False
            return compiled
        return jitted

    @property
    def _first(self) -> FusedSession:
        return self._sessions[0]

    def _show(self) -> None:
        self._on_status(self._first.coordinator.status())

    def _limits(self) -> Limits:
        limits = self._stacked([session.limits() for session in self._sessions])
        return jax.tree.map(np.asarray, limits)

    def _call(self, function: Any) -> None:
        """Calls the program once; then each session takes its part of what was done."""
        owed = [np.float32(session.learner.replay.rate.owed()) for session in self._sessions]
        loop = self._loop._replace(owed=self._stacked([jnp.asarray(x) for x in owed]))
        loop, self._loop = self._loop, function(loop, self._limits())
        del loop
        seen = _small(self._loop)
        for i, session in enumerate(self._sessions):
            if session.coordinator.phase is not Phase.TRAINING:
                continue
            mine = self._of(seen, i)
            session.take(mine, self._program.names)
            session.end_turn(mine, self._num_envs, self._stop, self._on_status)
        self._show()


def _small(loop: Any) -> Any:
    """The arrays of a loop that the host looks at after each call, NumPy."""
    if isinstance(loop.stream, stream.Stream):
        no_rows: Any = ()
        largest = loop.stream.priorities._replace(weights=(), sums=()) if loop.stream.priorities else ()
        held: Any = loop.stream._replace(
            ring=loop.stream.ring._replace(rows=no_rows), priorities=largest, pieces=no_rows
        )
    else:
        held = loop.stream._replace(rows=())
    looked_at = loop._replace(
        keys=(),
        actors=loop.actors._replace(environment=(), observation=(), actor=()),
        stream=held,
        training=(),
    )
    return jax.tree.map(np.asarray, looked_at)
