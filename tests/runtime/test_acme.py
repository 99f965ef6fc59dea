"""Our pieces in Acme's hands, and Acme's in ours: loops, agents, counters, loggers, observers and variable clients."""

import acme
import jax
import numpy as np
import pytest
import tensorflow as tf
from acme.agents import agent as acme_agent
from acme.tf import variable_utils
from acme.utils import counting, loggers, observers

from acme_agents import environments
from acme_agents.core.interfaces import ActorContext
from acme_agents.runtime.acme_interfaces import UpdatingActor
from acme_agents.runtime.actor import Actor
from acme_agents.runtime.learner import MAX_UPDATES, Learner
from acme_agents.runtime.loop import EnvironmentLoop, Episode
from tests.runtime import toys

LENGTH = 50  # of an episode of `toys.ENVIRONMENT`
EXPLORING = ActorContext(evaluation=False)


@pytest.fixture
def replay():
    with toys.serve() as replay:
        yield replay


@pytest.fixture
def learner(replay):
    """One that has 200 transitions to learn from, and so 25 updates to do."""
    toys.fill(replay, 4)
    return toys.learner(replay)


def _environment():
    return environments.make(toys.ENVIRONMENT, 3)


def _run_ours(actor, num_episodes):
    loop = EnvironmentLoop(_environment(), actor)
    return [loop.run_episode() for _ in range(num_episodes)]


def _run_acmes(actor, num_episodes):
    logger = loggers.InMemoryLogger()
    acme.EnvironmentLoop(_environment(), actor, logger=logger).run(num_episodes)
    return [Episode(float(row["episode_return"]), row["episode_length"]) for row in logger.data]


RUNS = pytest.mark.parametrize("run", [_run_ours, _run_acmes])


@pytest.mark.parametrize("interface", ["VariableSource", "Worker", "Saveable", "Learner"])
def test_our_learner_is_all_that_acmes_is(interface):
    theirs = getattr(acme.core, interface)
    assert issubclass(Learner, theirs)
    assert not issubclass(Actor, theirs)
    missing = {name for name in dir(theirs) if not name.startswith("_")} - set(dir(Learner))
    assert not missing  # A class that is registered inherits nothing.


def test_our_actor_is_acmes():
    assert issubclass(Actor, acme.core.Actor)
    assert not issubclass(Learner, acme.core.Actor)
    assert {name for name in dir(acme.core.Actor) if not name.startswith("_")} <= set(dir(Actor))


@pytest.mark.parametrize("name", ["actor", "learner"])
def test_neither_imports_acme_by_itself(name, repository, imports_of):
    imported = imports_of(repository / "acme_agents" / "runtime" / f"{name}.py")
    assert "jax" in imported
    assert "acme" not in {module.split(".")[0] for module in imported}


@pytest.mark.long
def test_mpo_acts_in_acmes_loop_as_it_does_in_ours():
    """Returns, lengths, counts and the norms of the actions, which the observer sees."""

    def make_actor():
        actor = Actor(toys.MPO.actor(toys.SPEC, EXPLORING), jax.random.PRNGKey(1), norms)
        core = toys.MPO.learner(toys.SPEC)
        actor.params = core.params(core.init(jax.random.PRNGKey(0)))
        return actor

    norms = _Norms()
    expected = _run_ours(make_actor(), 3)
    parent, logger = counting.Counter(), loggers.InMemoryLogger()
    acme.EnvironmentLoop(
        _environment(),
        make_actor(),
        counter=counting.Counter(parent, prefix="actor", time_delta=0.0),
        logger=logger,
        observers=[observers.ActionNormObserver()],
    ).run(num_steps=2 * LENGTH + 1)  # Acme's loop finishes the third episode.

    assert parent.get_counts() == {"actor_episodes": 3, "actor_steps": 3 * LENGTH}
    assert [row["actor_steps"] for row in logger.data] == [LENGTH, 2 * LENGTH, 3 * LENGTH]
    assert len({episode.episode_return for episode in expected}) == 3
    for number, (row, episode) in enumerate(zip(logger.data, expected, strict=True)):
        assert (row["episode_length"], row["actor_episodes"]) == (episode.length, number + 1) == (LENGTH, number + 1)
        assert row["episode_return"] == pytest.approx(episode.episode_return, rel=1e-5)
        seen = norms.episodes[number]
        assert len(seen) == LENGTH
        assert row["action_norm_avg"] == pytest.approx(np.mean(seen), rel=1e-6)
        assert (row["action_norm_min"], row["action_norm_max"]) == (min(seen), max(seen))
    assert norms.episodes[3:] == norms.episodes[:3]


class _Norms:
    """A writer that keeps the norms of an actor's actions, a list for each episode."""

    def __init__(self):
        self.episodes = []

    def observe_first(self, timestep):
        self.episodes.append([])

    def observe(self, action, timestep, extras):
        self.episodes[-1].append(np.linalg.norm(action))


@RUNS
def test_acmes_agent_learns_with_our_actor_and_learner_in_either_loop(replay, run):
    learner, writer = toys.learner(replay), replay.writer()
    actor = UpdatingActor(toys.LINEAR.actor(toys.SPEC, EXPLORING), jax.random.PRNGKey(1), learner, writer)
    untrained = learner.get_variables(["policy"])[0]["weights"]
    agent = acme_agent.Agent(
        actor,
        learner,
        min_observations=2 * toys.REPLAY.experience.items_per_chunk,
        observations_per_step=toys.REPLAY.experience.items_per_chunk,
    )
    episodes = run(agent, 8)
    assert [episode.length for episode in episodes] == [LENGTH] * 8
    assert 0 < learner.steps  # It learned while it acted,
    np.testing.assert_array_equal(actor.params["weights"], agent.get_variables(["policy"])[0]["weights"])
    assert np.all(actor.params["weights"] != untrained)  # and the actor had what was learned last.

    writer.flush()
    writer.close()
    while learner.step():
        pass
    allowed = toys.REPLAY.samples_per_insert * (8 * LENGTH - toys.REPLAY.min_size) / toys.REPLAY.batch_size
    assert learner.steps == allowed == 75


@RUNS
def test_an_actor_of_acmes_follows_our_learner_in_either_loop(learner, run):
    actor = _AcmeActor(learner)
    before = run(actor, 1)
    acted_with = actor.weights.numpy()
    np.testing.assert_array_equal(acted_with, learner.params()["weights"])
    learner.step()
    during = run(actor, 1)
    np.testing.assert_array_equal(actor.weights.numpy(), learner.params()["weights"])
    assert np.all(actor.weights.numpy() != acted_with)
    after = run(actor, 1)
    assert len({before[0].episode_return, during[0].episode_return, after[0].episode_return}) == 3
    ours = UpdatingActor(toys.LINEAR.actor(toys.SPEC, EXPLORING), jax.random.PRNGKey(0), learner)
    assert _run_ours(ours, 1)[0].episode_return == pytest.approx(after[0].episode_return, rel=1e-4)


class _AcmeActor(acme.core.Actor):
    """Acts as `toys.LINEAR` does, in TensorFlow; Acme's variable client fetches its weights."""

    def __init__(self, source):
        self.weights = tf.Variable(tf.zeros(2))
        self._client = variable_utils.VariableClient(source, {"policy": [self.weights]}, update_period=10)
        self._client.update_and_wait()

    def select_action(self, observation):
        return tf.tanh(self.weights * observation).numpy()

    def observe_first(self, timestep):
        pass

    def observe(self, action, next_timestep):
        pass

    def update(self, wait=False):
        self._client.update(wait=True)  # every tenth time; it would ask in the background otherwise


def test_an_updating_actor_fetches_as_often_as_it_is_told_and_whenever_it_is_asked_to_wait():
    class Source:
        num_calls = 0

        def get_variables(self, names):
            self.num_calls += 1
            return [{"weights": np.full(2, self.num_calls, np.float32)} for _ in names]

    source = Source()
    core = toys.LINEAR.actor(toys.SPEC, EXPLORING)
    actor = UpdatingActor(core, jax.random.PRNGKey(0), source, update_period=3)
    found = []
    for wait in (False, False, False, False, True, False, False):
        actor.update(wait=wait)
        found.append(int(actor.params["weights"][0]))
    assert found == [1, 1, 2, 2, 3, 4, 4]


def test_the_learner_runs_for_a_number_of_steps_or_until_one_raises(learner, monkeypatch):
    learner.run(1)
    assert 0 < learner.steps <= MAX_UPDATES
    learner.run(num_steps=9)  # The last of them have nothing to do.
    assert learner.steps == 25
    done = iter([16, 0, 9, 0])
    monkeypatch.setattr(learner, "step", lambda: next(done))
    learner.run(1)
    with pytest.raises(StopIteration):
        learner.run()


def test_acme_code_saves_and_restores_our_learner(replay, learner):
    learner.run(1)
    saveable: acme.core.Saveable = learner
    state, weights = saveable.save(), learner.get_variables(["policy"])[0]["weights"]
    other = toys.learner(replay, seed=1)
    assert np.all(other.get_variables(["policy"])[0]["weights"] != weights)
    other.restore(state)
    np.testing.assert_array_equal(other.get_variables(["policy"])[0]["weights"], weights)
    assert other.steps == learner.steps > 0
    other.run(9)  # which continues
    assert other.steps == 25
