"""Actor, replay server and learner in this process, taking turns: the same agent code, the same numbers each time."""

import os
import pathlib
import threading
from collections.abc import Callable

import jax
import jax.numpy as jnp
import reverb

from acme_agents.experiments import program, workers
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import tables
from acme_agents.runtime import variables
from acme_agents.runtime.coordinator import ActorReport, Phase
from acme_agents.runtime.loop import EnvironmentLoop, Episode
from acme_agents.runtime.status import Status

_NAME = "actor/0"


def run(
    experiment: Experiment,
    run_dir: pathlib.Path,
    *,
    wandb: bool = False,
    stop: threading.Event,
    on_status: Callable[[Status], None],
) -> None:
    """Runs an experiment to its end, or until `stop` is set; leaves a checkpoint in both cases.

    The actor acts until it has written a chunk; the learner then does every update that the chunk allows, and the actor
    goes on with the new parameters. Nothing depends on time, so equal seeds give equal metrics.

    Args:
      experiment: what to run; its number of actors is taken as one.
      run_dir: its directory; a checkpoint in it is continued.
      wandb: whether to log to W&B.
      stop: set to end the run early.
      on_status: called after every chunk and evaluation.
    """
    environment = experiment.make_environment("actor")
    server = reverb.Server(
        program.make_tables(experiment), checkpointer=tables.make_checkpointer(program.replay_directory(run_dir))
    )
    client = reverb.Client(f"localhost:{server.port}")
    learner_run = workers.LearnerRun(experiment, run_dir, client, wandb=wandb)
    coordinator = learner_run.coordinator
    start = coordinator.actor_steps
    if start:
        environment = experiment.make_environment("actor", 0, start)
    actor, writer = workers.make_actor(experiment, environment, client, 0, start, stop)
    evaluator = workers.Evaluator(experiment) if experiment.eval_every else None
    loop = EnvironmentLoop(environment, actor)
    life = os.urandom(6).hex()
    steps = num_episodes = 0
    granted: float = 0

    def sync(episodes: list[Episode], *, closed: bool = False) -> None:
        nonlocal granted
        report = ActorReport(_NAME, life, steps, num_episodes, episodes, closed, learner_run.learner.steps)
        orders = coordinator.actor_sync(report)
        granted = float("inf") if orders.allowance is None else steps + orders.allowance

    def learn() -> None:
        writer.flush()
        while learner_run.step():
            if stop.is_set():
                break
        actor.params = jax.tree.map(jnp.copy, learner_run.learner.params())

    def evaluate() -> None:
        orders = coordinator.evaluator_sync()
        if evaluator is not None and orders.evaluation is not None and orders.snapshot is not None:
            on_status(coordinator.status()._replace(phase="evaluating"))
            episodes = evaluator.evaluate(orders.evaluation, variables.unpack(orders.snapshot), stop)
            if episodes is not None:
                coordinator.evaluation_report(orders.evaluation, episodes)
        on_status(coordinator.status())

    sync([])
    learn()
    num_chunks = 0
    while coordinator.phase is Phase.TRAINING:
        if stop.is_set():
            coordinator.stop()
        elif learner_run.is_over():
            learner_run.finish_training()
        elif steps >= granted:
            learn()
            sync([], closed=True)
        else:
            episode = loop.step()
            steps += 1
            if episode is not None:
                num_episodes += 1
                sync([episode])
            if writer.num_chunks != num_chunks or steps >= granted:
                num_chunks = writer.num_chunks
                sync([])
                learn()
                evaluate()
    learner_run.save()
    if coordinator.phase is Phase.EVALUATING:
        evaluate()
        if stop.is_set():
            coordinator.stop()
        learner_run.save()
    on_status(coordinator.status())
    learner_run.close()
    writer.close()
    server.stop()
