"""Our MPO in Acme's loop: `acme.EnvironmentLoop`, with Acme's agent, counter, logger and observer, in one process.

    python examples/acme_loop.py

prints a training episode every half second, then the mean return of an evaluation. The optimal policy earns 47.1 here,
a random one 12.6.
"""

import functools

import acme
import jax
import numpy as np
import reverb
from acme.agents import agent as acme_agent
from acme.utils import counting, loggers, observers

from acme_agents import environments
from acme_agents.agents import mpo
from acme_agents.core.interfaces import ActorContext
from acme_agents.replay import chunks, tables
from acme_agents.replay.intake import Intake
from acme_agents.replay.writer import ChunkWriter
from acme_agents.runtime import loopback
from acme_agents.runtime.acme_interfaces import UpdatingActor
from acme_agents.runtime.gathering import GatheredUpdates
from acme_agents.runtime.learner import MAX_UPDATES, Learner

CONFIG = mpo.Config(
    critic="scalar",
    policy_layers=(64,),
    critic_layers=(64,),
    discount=0.9,
    learning_rate=3e-3,
    target_update_period=25,
    batch_size=64,
    min_replay_size=500,
    samples_per_insert=32.0,
)
NUM_STEPS = 4_000  # of the environment


def main() -> None:
    environment = environments.make("probe:reach", seed=0)
    agent, spec = mpo.make(CONFIG), environments.spec(environment)
    steps, replay = chunks.step_spec(agent, spec), agent.replay(spec)

    # Replay is a Reverb server: the actor writes chunks of 32 steps to it, and the learner takes them in.
    server = reverb.Server(tables.make_tables(replay))
    loopback.only_this_machine()
    client = reverb.Client(f"localhost:{server.port}")
    writer = ChunkWriter(client, steps, replay)
    intake = Intake(steps, replay, client, tolerance=float(MAX_UPDATES * replay.batch_size))

    core = agent.learner(spec)
    learner = Learner(core, 0, GatheredUpdates(core, replay, 0, intake=intake))  # an `acme.core.Learner`
    make_actor = functools.partial(UpdatingActor, source=learner)  # makes an `acme.core.Actor`
    actor = make_actor(agent.actor(spec, ActorContext(evaluation=False)), jax.random.PRNGKey(1), writer=writer)

    # Acme's agent has the learner step after every 32 steps of the actor, and then the actor update its parameters.
    both = acme_agent.Agent(actor, learner, min_observations=0, observations_per_step=chunks.PERIOD)
    counter = counting.Counter()
    acme.EnvironmentLoop(
        environment,
        both,
        counter=counting.Counter(counter, prefix="actor", time_delta=0),
        logger=loggers.TerminalLogger("actor", print_fn=print, time_delta=0.5),
        observers=[observers.ActionNormObserver()],
    ).run(num_steps=NUM_STEPS)

    evaluated = loggers.InMemoryLogger()
    acme.EnvironmentLoop(
        environments.make("probe:reach", seed=1),
        make_actor(agent.actor(spec, ActorContext(evaluation=True)), jax.random.PRNGKey(2)),
        counter=counting.Counter(counter, prefix="evaluator", time_delta=0),
        logger=evaluated,
    ).run(num_episodes=20)
    mean = np.mean([row["episode_return"] for row in evaluated.data])
    print(f"{learner.steps} updates, {counter.get_counts()['actor_steps']} steps: evaluation return {mean:.1f}")

    writer.close()
    server.stop()


if __name__ == "__main__":
    main()
