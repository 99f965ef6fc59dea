"""How the processes of a run talk, and what an actor leaves behind whose environment fails."""

import threading

import jax
import pytest

from acme_agents.agents import mpo
from acme_agents.core import errors
from acme_agents.experiments import Experiment, making
from acme_agents.replay import chunks
from acme_agents.runtime import seeding, variables, workers
from acme_agents.runtime.actor_session import ActorAccount
from acme_agents.runtime.coordinator import ActorReport, Coordinator
from acme_agents.runtime.loggers import RunLogger
from tests.environments import odd
from tests.replay import toys


@pytest.mark.parametrize("num_actors, seconds", [(0, 0.5), (1, 0.5), (16, 0.5), (32, 1.0), (64, 2.0), (1_000, 2.0)])
def test_reports_of_many_actors_are_spread_out(num_actors, seconds):
    assert workers.sync_seconds(num_actors) == seconds


@pytest.fixture
def make_actor(tmp_path, monkeypatch):
    """A function from an odd environment's name and a budget to a function that makes an actor, and the coordinator."""
    monkeypatch.setattr(workers, "_with_timeout", lambda coordinator: coordinator)
    monkeypatch.setattr(workers.launchpad, "stop_event", threading.Event)
    odd.LOG.clear()
    servers = []

    def make(name, max_steps):
        config = mpo.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=2)
        experiment = Experiment("mpo", odd.name(name), config=config, max_steps=max_steps, eval_every=0)
        agent, spec = making.make_agent(experiment), experiment.environment_spec()
        server = toys.serve(agent.replay(spec), chunks.step_spec(agent, spec))
        servers.append(server)
        client = server.__enter__().client
        learner, publisher = agent.learner(spec), variables.Publisher()
        publisher.publish(0, learner.params(jax.jit(learner.init)(jax.random.PRNGKey(0))))
        coordinator = Coordinator(experiment.budget(), publisher, RunLogger(tmp_path), 100)
        return lambda: workers.ActorWorker(experiment, 0, client, coordinator), coordinator

    yield make
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Raises", r"raised ConnectionResetError: .*, in step 10 of its episode 4"),
        ("NanObservation", r"returned an observation\[1\] that is nan, in step 10 of its episode 4"),
        ("NanReward", "returned a reward that is nan, in step 10 of its episode 4"),
    ],
)
def test_an_actor_whose_environment_fails_reports_its_steps_closes_it_and_lives_again(
    make_actor, monkeypatch, name, sentence
):
    seeds = []
    monkeypatch.setattr(seeding, "seed_generators", seeds.append)
    make, coordinator = make_actor(name, max_steps=1000)
    for life in (1, 2):
        with pytest.raises(errors.EnvironmentFault, match=sentence):
            make().run()
        assert coordinator.actor_steps == life * (odd.BAD_STEP - 1)
        assert coordinator.status().episodes == 3 * life
    assert not coordinator.steps_used_up()
    assert len(set(seeds)) == 2
    assert odd.LOG["made"] == odd.LOG["closed"] == 3  # one to ask for its spec


def test_an_actor_that_is_done_closes_its_environment(make_actor):
    make, coordinator = make_actor("Odd", max_steps=45)
    make().run()
    assert coordinator.actor_steps == 45 and coordinator.steps_used_up()
    assert odd.LOG["made"] == odd.LOG["closed"] == 2


@pytest.mark.parametrize("answers", [0, 1])
def test_an_answer_that_an_actor_cannot_read_ends_it(make_actor, monkeypatch, answers):
    make, _ = make_actor("Odd", max_steps=10**6)
    take, taken = ActorAccount.take, []

    def take_some(account, report, orders):
        taken.append(orders)
        take(account, report, orders if len(taken) <= answers else "of another version")

    monkeypatch.setattr(ActorAccount, "take", take_some)
    with pytest.raises(errors.EarlyFault if answers else AttributeError):
        make().run()
    assert odd.LOG["made"] == odd.LOG["closed"] == 1 + answers


def test_an_actor_that_comes_when_the_budget_is_used_up_says_that_it_is_done(make_actor):
    make, coordinator = make_actor("Odd", 10)
    other = ActorReport("actor/9", "actor/9/a", 0, 0, [], False, None, (7,))
    assert coordinator.actor_sync(other).allowance == 10
    coordinator.actor_sync(other._replace(steps=10))
    assert not coordinator.steps_used_up()
    make().run()
    assert coordinator.steps_used_up()  # else the learner would wait for ever
