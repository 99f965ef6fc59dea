"""Tiny agents, a server for them, and data."""

import dataclasses
import weakref

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.agents import mpo
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorCore, LearnerCore, ReplaySpec, UpdateOutput
from acme_agents.core.types import EnvironmentSpec
from acme_agents.replay import chunks, tables
from acme_agents.replay.device_replay import DeviceReplay
from acme_agents.replay.intake import RingIntake
from acme_agents.runtime.learner import MAX_UPDATES, Learner
from tests.replay import toys

ENVIRONMENT = "probe:reach"  # episodes of 50 steps: two chunks each
REPLAY = ReplaySpec(Transitions(3, 0.99), batch_size=8, min_size=100, max_size=1000, samples_per_insert=2.0)


@dataclasses.dataclass(frozen=True)
class Linear:
    """Linear TD(0) with momentum and noise, which compiles in no time; its state has floats, integers and a key."""

    def learner(self, spec):
        def init(key):
            weights = jax.random.normal(key, spec.observation.shape)
            return {"weights": weights, "momentum": jnp.zeros_like(weights), "count": jnp.int32(0), "key": key}

        def update(state, batch):
            key, noise_key = jax.random.split(state["key"])
            error = batch.reward + batch.discount * (batch.next_observation @ state["weights"])
            error -= batch.observation @ state["weights"]
            momentum = 0.9 * state["momentum"] + jnp.mean(error[:, None] * batch.observation, axis=0)
            weights = state["weights"] + 0.05 * momentum + 1e-3 * jax.random.normal(noise_key, momentum.shape)
            state = {"weights": weights, "momentum": momentum, "count": state["count"] + 1, "key": key}
            return state, UpdateOutput({"error": jnp.mean(jnp.abs(error)), "batch": jnp.mean(batch.observation)})

        return LearnerCore(init, update, lambda state: {"weights": state["weights"]})

    def actor(self, spec, context):
        def select_action(params, observation, state):
            return jnp.tanh(params["weights"] * observation), state, ()

        return ActorCore(lambda key: (), select_action)

    def replay(self, spec):
        return REPLAY


LINEAR = Linear()
MPO = mpo.make(
    mpo.Config(
        policy_layers=(16,),
        critic_layers=(16,),
        num_actions=4,
        n_step=REPLAY.experience.n,
        batch_size=REPLAY.batch_size,
        min_replay_size=REPLAY.min_size,
        max_replay_size=REPLAY.max_size,
        samples_per_insert=REPLAY.samples_per_insert,
        target_update_period=7,
    )
)
SPEC: EnvironmentSpec = environments.spec(environments.make(ENVIRONMENT, 0))


def serve(**kwargs):
    """A replay server for both agents."""
    return toys.serve(REPLAY, chunks.step_spec(LINEAR, SPEC), **kwargs)


def learner(replay: toys.Replay, seed: int = 0, agent=LINEAR) -> Learner:
    tolerance = float(MAX_UPDATES * REPLAY.batch_size)
    receiver, steps = replay.receiver(), chunks.step_spec(agent, SPEC)
    source = RingIntake(receiver, steps, REPLAY, tolerance=tolerance, on_new=lambda new: None)
    core = agent.learner(SPEC)
    result = Learner(core, seed, DeviceReplay(core, REPLAY, seed, {tables.REPLAY: source}))
    _INTAKES[result] = source
    return result


_INTAKES: weakref.WeakKeyDictionary[Learner, RingIntake] = weakref.WeakKeyDictionary()


def intake(learner: Learner) -> RingIntake:
    """What a learner's replay takes in."""
    return _INTAKES[learner]


def write_random(writer, num_episodes: int, seed: int = 0):
    """Writes random episodes, the same for the same seed; yields after each step."""
    environment, rng = environments.make(ENVIRONMENT, seed), np.random.default_rng(seed)
    for _ in range(num_episodes):
        timestep = environment.reset()
        writer.observe_first(timestep)
        while not timestep.last():
            action = rng.uniform(-1, 1, 2).astype(np.float32)
            timestep = environment.step(action)
            writer.observe(action, timestep)
            yield
    writer.flush()


def fill(replay: toys.Replay, num_episodes: int, seed: int = 0) -> None:
    """Writes random episodes; at most eight, which fill the stream."""
    writer = replay.writer()
    for _ in write_random(writer, num_episodes, seed):
        pass
    writer.close()
