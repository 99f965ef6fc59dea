"""Many environments in one actor: each is what an actor of its own would have, and nothing passes between them."""

import dataclasses
import threading

import dm_env
import jax
import numpy as np
import pytest

from acme_agents import environments
from acme_agents.agents import dqn, mpo, r2d2
from acme_agents.core import errors
from acme_agents.experiments import Experiment, making
from acme_agents.runtime import in_process, loggers
from acme_agents.runtime.actor_session import ActorAccount, ActorSession
from acme_agents.runtime.coordinator import ActorOrders
from acme_agents.runtime.guard import BatchedGuard
from tests.environments import odd

_R2D2 = r2d2.Config(
    torso_layers=(8,), lstm_size=4, head_layers=(8,), num_epsilons=6, epsilon_max=0.9, epsilon_min=0.1,
    burn_in_length=4, trace_length=8, sequence_period=6,
)  # fmt: skip
_DQN = dqn.Config(torso_layers=(8,), head_layers=(8,))
_MPO = mpo.Config(critic="scalar", policy_layers=(8,), critic_layers=(8,))


class Sent(list):
    """A sender that keeps what it is sent."""

    send = list.append

    def flush(self):
        pass


def _session(experiment, index=0, allowance=None):
    """A session with parameters of seed 0, its account and what it sends."""
    account, sent = ActorAccount(index, experiment.environments_per_actor), Sent()
    account.take(account.report(), ActorOrders(False, False, allowance, (), 0))
    session = ActorSession(experiment, account, sent)
    learner = making.make_agent(experiment).learner(experiment.environment_spec())
    session.actor.params = learner.params(learner.init(jax.random.PRNGKey(0)))
    return session, account, sent


@pytest.mark.long
@pytest.mark.parametrize(
    ("agent", "config", "environment", "limit"),
    [
        ("r2d2", _R2D2, "gym:CartPole-v1", None),
        ("r2d2", _R2D2, "deep-sea:5", None),  # which steps as one
        ("dqn", _DQN, "deep-sea:5", 3),
        ("mpo", _MPO, "probe:reach", None),
    ],
)
def test_each_environments_stream_is_that_of_an_actor_of_its_own(agent, config, environment, limit):
    alone = Experiment(agent, environment, config=config, seed=5, num_actors=6, max_episode_steps=limit)
    together = dataclasses.replace(alone, num_actors=2, environments_per_actor=3)
    session, account, sent = _session(together, index=1)
    episodes = []
    for t in range(180):  # Now and then, as where a budget ends, only the first or the first two may step.
        account.take(account.report(), ActorOrders(False, False, 3 if t % 7 else 1 + t % 2, (), 0))
        episodes += session.step()
    assert session.num_chunks == len(sent)
    session.close()
    num_steps = lengths = 0
    for i, writer in enumerate(account.writer_ids):
        one, own_account, expected = _session(alone, index=3 + i)
        expected_episodes = []
        while one.num_chunks < len(found := [chunk for chunk in sent if int(chunk.writer) == writer]):
            expected_episodes += one.step()
        one.close()
        assert len(found) > 3
        for chunk, other in zip(found, expected[: len(found)], strict=True):
            blank = {"writer": 0, "time_ns": 0}
            for a, b in zip(*map(jax.tree.leaves, (chunk._replace(**blank), other._replace(**blank))), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-4)
        num_steps += own_account.steps
        lengths += sum(episode.length for episode in expected_episodes)
    # What an environment has beyond its last chunk is not compared: less than a chunk, and no whole episode.
    assert num_steps <= account.steps <= num_steps + 3 * 32
    assert sum(episode.length for episode in episodes) == lengths
    assert account.report().num_episodes == len(episodes) > 3


def test_seeds_and_exploration_are_of_all_environments_of_the_run():
    experiment = Experiment("r2d2", "probe:memory", config=_R2D2, num_actors=2, environments_per_actor=3)
    epsilons, keys = [], []
    for index in range(2):
        session, _, _ = _session(experiment, index)
        session.step()
        epsilons += session.actor._state.epsilon.tolist()
        keys += np.asarray(session.actor._keys)[:, 1].tolist()
    np.testing.assert_allclose(epsilons, np.geomspace(0.9, 0.1, 6), rtol=1e-6)
    seeds = [experiment.worker_seed("actor", i) for i in range(6)]
    assert keys == seeds and len({*seeds, experiment.worker_seed("evaluator")}) == 7


@pytest.mark.parametrize("environment", ["probe:reach", "deep-sea:4"])
def test_the_budget_is_met_exactly_and_nothing_is_stepped_beyond_it(environment):
    agent, config = ("mpo", _MPO) if environment == "probe:reach" else ("dqn", _DQN)
    experiment = Experiment(agent, environment, config=config, environments_per_actor=4)
    session, account, _ = _session(experiment, allowance=103)
    while account.may_step:
        before = account.steps
        session.step()
        assert account.steps - before <= 4
    assert account.steps == 103
    account.take(account.report(), ActorOrders(False, False, 5, (), 0))
    while account.may_step:
        session.step()
    assert account.steps == 108


def test_an_environment_that_raises_is_named_by_its_index_and_seed():
    experiment = Experiment("mpo", odd.name("RaisesOften"), config=_MPO, environments_per_actor=3, seed=2)
    session, account, sent = _session(experiment, index=1)
    with pytest.raises(errors.EnvironmentFault) as caught:
        while True:
            session.step()
    named = {f"environment {i} of actor 1 (seed {experiment.worker_seed('actor', 3 + i)})" for i in range(3)}
    assert any(str(caught.value).startswith(f"{name} raised ValueError: unlucky") for name in named)
    assert account.steps - 3 * 20 <= sum(int(chunk.num_starts) for chunk in sent) <= account.steps
    odd.LOG.clear()
    odd.LOG["made"] += 3
    session.close()
    assert odd.LOG["closed"] == 3


def test_an_environment_that_cannot_be_made_is_named_and_the_others_are_closed():
    experiment = Experiment("mpo", odd.name("FailsOnceMade"), config=_MPO, environments_per_actor=3, seed=2)
    odd.LOG.clear()
    seed = experiment.worker_seed("actor", 1)
    with pytest.raises(
        errors.EnvironmentFault, match=rf"^environment 1 of actor 0 \(seed {seed}\): .* no licence left"
    ):
        ActorSession(experiment, ActorAccount(0, 3), Sent())
    assert (odd.LOG["made"], odd.LOG["closed"]) == (1, 1)


class _Batch:
    """Two environments of one observation that return what they are told to."""

    num_environments = 2

    def __init__(self):
        self.timesteps = environments.batched.TimeSteps(
            np.array([0, 0]), np.zeros(2, np.float32), np.ones(2, np.float32), {"x": np.zeros((2, 3), np.float32)}
        )

    def reset(self):
        return self.timesteps

    def step(self, actions, num_active):
        if isinstance(self.timesteps, Exception):
            raise self.timesteps
        return self.timesteps

    def observation_spec(self):
        return {"x": dm_env.specs.Array((3,), np.float32)}

    def reward_spec(self):
        return dm_env.specs.Array((), np.float32)


def test_what_is_not_finite_or_not_of_the_spec_does_not_pass_a_batch_that_steps_as_one():
    batch = _Batch()
    guard, actions = BatchedGuard(batch, ["A", "B"]), np.zeros((2, 1), np.float32)
    first = guard.reset()
    batch.timesteps = middle = first._replace(step_type=np.array([1, 1]))
    guard.step(actions, 2)
    odd_x = np.zeros((2, 3), np.float32)
    odd_x[1, 2] = np.nan
    for timesteps, sentence in (
        (middle._replace(observation={"x": odd_x}), r"^B returned a observation\['x'\]\[2\] that is nan, in step 2 of"),
        (middle._replace(reward=np.array([np.inf, 0], np.float32)), "^A returned a reward that is inf, in step 3 of"),
        (middle._replace(observation={"x": odd_x[:1]}), r"^A and B returned observation\['x'\]s of float32 \[1, 3\]"),
        (KeyError("gone"), "^One of A and B raised KeyError: 'gone'.$"),
    ):
        batch.timesteps = timesteps
        with pytest.raises(errors.EnvironmentFault, match=sentence):
            guard.step(actions, 2)
    batch.timesteps = middle._replace(observation={"x": odd_x})
    guard.step(actions, 1)  # The second was left as it was.
    with pytest.raises(
        errors.NotFinite, match=r"The policy chose an action\[0\] that is nan, in step 5 of episode 1 of B: lea"
    ):
        guard.step(np.array([[0], [np.nan]], np.float32), 2)


@pytest.mark.long
def test_one_process_does_every_step_and_update_of_the_budget_and_repeats_itself(tmp_path):
    config = dataclasses.replace(_DQN, batch_size=16, min_replay_size=50, samples_per_insert=2.0, n_step=1)
    experiment = Experiment(
        "dqn", "deep-sea:5", config=config, environments_per_actor=3, max_steps=500, eval_every=0, num_actors=2
    )
    rows = []
    for name in ("a", "b"):
        statuses = []
        (tmp_path / name).mkdir()
        in_process.run(experiment, tmp_path / name, stop=threading.Event(), on_status=statuses.append)
        actor, learner = (loggers.read_csv(tmp_path / name / f"{table}.csv") for table in ("actor", "learner"))
        rows.append([actor["episode_return"].tolist(), learner["q_value"].tolist()])
        # Of 167, 167 and 166 steps, the last two of an environment, and the last one, are of unfinished episodes.
        assert actor["episode_length"].tolist() == [5] * 99
        assert (statuses[-1].actor_steps, statuses[-1].replay_size) == (500, 495)
        assert statuses[-1].learner_steps == (495 - 50) * 2 // 16
    assert rows[0] == rows[1]
