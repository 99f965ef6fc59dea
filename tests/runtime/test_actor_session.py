"""One life of an actor: its place, what it says of itself, and what it writes."""

import dm_env
import numpy as np
import pytest

from acme_agents.agents import mpo, r2d2
from acme_agents.experiments import Experiment, making
from acme_agents.runtime import variables
from acme_agents.runtime.actor_session import ActorAccount, ActorSession
from acme_agents.runtime.coordinator import ActorOrders
from acme_agents.runtime.loop import Episode


class Sent(list):
    """A sender that keeps what it is sent."""

    send = list.append

    def flush(self) -> None:
        pass


def _orders(allowance, run_steps=0, num_lives=0, params=()):
    publisher = variables.Publisher()
    for value in params:
        publisher.publish(7, value)
    return ActorOrders(False, False, allowance, publisher.newest(), run_steps, num_lives)


@pytest.mark.parametrize(("index", "epsilon"), [(0, 0.1), (1, 0.001)])
def test_an_actor_has_its_own_rung_of_the_ladder(index: int, epsilon: float) -> None:
    config = r2d2.Config(
        torso_layers=(4,), lstm_size=4, head_layers=(4,), num_epsilons=2, epsilon_max=0.1, epsilon_min=0.001
    )
    experiment = Experiment("r2d2", "probe:memory", config=config, num_actors=2)
    session = ActorSession(experiment, ActorAccount(index), Sent())
    session.actor.observe_first(dm_env.restart(np.zeros(2, np.float32)))
    assert float(session.actor._state.epsilon) == pytest.approx(epsilon)


def test_an_account_grants_what_it_was_allowed_beyond_what_it_had_reported():
    account = ActorAccount(3)
    assert not account.may_step
    before = account.report()
    account.count(1, [])
    account.count(1, [Episode(1.0, 2)])
    account.take(before, _orders(allowance=3, run_steps=50, num_lives=2, params=["new"]))
    assert account.place == (3, 50, 2)
    assert account.new_params() == [(7, "new")] and account.new_params() == []
    report = account.report()
    assert (report.name, report.steps, report.episodes, report.version) == ("actor/3", 2, [Episode(1.0, 2)], 7)
    account.count(1, [])
    assert not account.may_step  # Three steps of the three that were allowed at none.
    account.take(report, _orders(allowance=3, run_steps=90))
    assert account.place == (3, 50, 0)  # A life begins once.
    assert account.report().episodes == [] and account.report().num_episodes == 1
    assert account.may_step
    account.count(1, [])
    account.count(1, [])
    assert not account.may_step
    account.take(account.report(), _orders(allowance=None))
    assert account.may_step


def test_a_session_counts_its_steps_and_writes_all_of_them():
    experiment = Experiment("mpo", "probe:reach", config=mpo.Config(policy_layers=(4,), critic_layers=(4,)))
    sent, account = Sent(), ActorAccount(0)
    session = ActorSession(experiment, account, sent)
    learner = making.make_agent(experiment).learner(experiment.environment_spec())
    session.actor.params = learner.params(learner.init(np.zeros(2, np.uint32)))
    episodes = [episode for _ in range(100) for episode in session.step()]
    assert [episode.length for episode in episodes] == [50, 50]
    assert (account.steps, account.report().episodes, session.num_chunks) == (100, episodes, 4)
    assert sum(int(chunk.num_starts) for chunk in sent) == 100
    assert {int(chunk.writer) for chunk in sent} == set(account.writer_ids)
