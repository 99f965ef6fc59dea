"""Our MPO in Acme's loop: `acme.EnvironmentLoop`, with Acme's agent, counter, logger and observer, in one process.

    python examples/acme_loop.py

prints a training episode every half second, then the mean return of an evaluation. The optimal policy earns 47.1 here,
a random one 12.6.
"""

import functools
import pathlib

import acme
import jax
import numpy as np
from acme.agents import agent as acme_agent
from acme.utils import counting, loggers, observers

from acme_agents import environments
from acme_agents.agents import mpo
from acme_agents.core.interfaces import REPLAY, ActorContext
from acme_agents.replay import chunks
from acme_agents.replay.device_replay import DeviceReplay
from acme_agents.replay.intake import RingIntake
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.replay.writer import ChunkWriter, make_id
from acme_agents.runtime.acme_interfaces import UpdatingActor
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

    # The actor sends chunks of 32 steps, and replay takes them in; between processes Reverb is the way, not memory.
    transport = MemoryTransport(steps, replay, pathlib.Path("never-written"))
    writer = ChunkWriter(transport, steps, replay.experience, writer_id=make_id())
    tolerance = float(MAX_UPDATES * replay.batch_size)
    intake = RingIntake(transport, steps, replay, tolerance=tolerance, on_new=lambda chunks: None)

    core = agent.learner(spec)
    learner = Learner(core, 0, DeviceReplay(core, replay, 0, {REPLAY: intake}))  # an `acme.core.Learner`
    make_actor = functools.partial(UpdatingActor, source=learner)  # makes an `acme.core.Actor`
    actor = make_actor(agent.actor(spec, ActorContext(evaluation=False)), jax.random.PRNGKey(1), writer=writer)

    # Acme's agent has the learner step after every 32 steps of the actor, and then the actor update its parameters.
    both = acme_agent.Agent(actor, learner, min_observations=0, observations_per_step=replay.experience.items_per_chunk)
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


if __name__ == "__main__":
    main()
