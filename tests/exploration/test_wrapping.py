"""A bonus around an agent: what the base learns from, and that without the bonus it learns what it does alone."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import errors, returns
from acme_agents.core.experience import Sequences, Transitions, Unrolls, Windows
from acme_agents.core.interfaces import ActorContext, LearnerCore, ReplaySpec, UpdateOutput
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.experiments import Base, Experiment, making, registry
from acme_agents.exploration.config import Mixing
from tests.exploration import toys

_SMALL = {
    "dqn": {"torso_layers": (8,), "head_layers": (8,), "batch_size": 8, "n_step": 3},
    "r2d2": {
        **{"torso_layers": (8,), "head_layers": (8,), "lstm_size": 8, "burn_in_length": 1, "trace_length": 4},
        **{"sequence_period": 3, "batch_size": 4},
    },
    "ppo": {
        **{"policy_layers": (8,), "value_layers": (8,), "unroll_length": 8, "batch_size": 4, "num_minibatches": 2},
        "num_epochs": 2,
    },
    "vmpo": {"torso_layers": (8,), "unroll_length": 8, "batch_size": 4, "num_epochs": 2, "lstm_size": 4},
    "impala": {"torso_layers": (8,), "unroll_length": 8, "batch_size": 4},
    "mpo": {"policy_layers": (8,), "critic_layers": (8,), "num_actions": 4, "batch_size": 8, "n_step": 2},
    "sac": {"policy_layers": (8,), "critic_layers": (8,), "batch_size": 8},
}
_LENGTHS = (5, 1, 9, 7, 12)


def _base(name):
    module = importlib.import_module(f"acme_agents.agents.{name}")
    spec = toys.CONTINUOUS if name in ("mpo", "sac") else toys.DISCRETE
    return module.make(module.Config(**_SMALL[name])), spec


@pytest.mark.parametrize("name", ["dqn", "ppo", "r2d2", "vmpo", "mpo"])
def test_with_a_weight_of_zero_the_base_learns_bit_for_bit_what_it_learns_alone(name):
    base, spec = _base(name)
    wrapped = toys.counting(Mixing(weight=0.0), base)
    episodes = toys.episodes(spec, _LENGTHS)
    states, outputs = [], []
    for agent in (base, wrapped):
        learner, batch = agent.learner(spec), toys.batch(agent, spec, episodes)
        state, update = learner.init(jax.random.PRNGKey(3)), jax.jit(learner.update)
        for _ in range(3):
            state, output = update(state, batch)
        states.append(state)
        outputs.append(output)
    alone, around = states[0], states[1].base
    jax.tree.map(np.testing.assert_array_equal, alone, around)
    assert all(np.array_equal(outputs[0].metrics[x], outputs[1].metrics[x]) for x in outputs[0].metrics)
    assert outputs[1].metrics["bonus_updates"] == 2.0 and states[1].bonus == 3.0
    if name == "dqn":
        np.testing.assert_array_equal(outputs[0].priorities, outputs[1].priorities)


class _Summing:
    """An agent that keeps the batch that it is given."""

    def __init__(self, experience):
        self.experience = experience

    def learner(self, spec):
        def update(state, batch):
            return batch, UpdateOutput({"loss": jnp.zeros(())})

        return LearnerCore(lambda key: (), update, lambda state: ())

    def actor(self, spec, context):
        return "the base's"

    def replay(self, spec):
        return ReplaySpec(self.experience, 2, 2, 10, 1.0)


def _given(experience, mixing, valid, reward, batch):
    """What the base is given where the bonus is 1, 2, 3 ..., and the metrics."""
    wrapped = toys.counting(mixing, _Summing(experience))
    assert wrapped.actor(toys.DISCRETE, ActorContext(evaluation=True)) == "the base's"
    replay = wrapped.replay(toys.DISCRETE)
    assert replay.experience == experience.unsummed
    learner = wrapped.learner(toys.DISCRETE)
    state, output = learner.update(learner.init(jax.random.PRNGKey(0)), batch(replay.experience))
    return state.base, output.metrics


def _rows(experience, rewards, lengths):
    """Episodes of these lengths with these rewards, observed as 0, 1, 2 ... within each: one batch of all items."""
    from acme_agents.core.experience import of_trajectories
    from acme_agents.core.types import Step, Trajectory

    steps = Step(ArraySpec(()), ArraySpec((), "int32", 3), ArraySpec(()), ArraySpec(()), ArraySpec((), "bool"))
    made, used = [], 0
    for length in lengths:
        reward = np.float32(rewards[used : used + length])
        made.append(
            Trajectory(
                np.arange(length + 1, dtype=np.float32), np.arange(length, dtype=np.int32), reward, np.ones(length)
            )
        )
        used += length
    rows = jax.tree.map(jnp.asarray, of_trajectories(steps, made, experience))
    return experience.gather(rows, jnp.arange(len(rows.item_rows)))


def test_rewards_of_transitions_are_mixed_before_they_are_summed():
    """Rewards 1, 10, 100 of one episode, n = 2, gamma = 1/2; the bonus is 1 to 6, times 1/2; by hand."""
    given, metrics = _given(
        Transitions(2, 0.5), Mixing(weight=0.5), None, None, lambda kind: _rows(kind, [1, 10, 100], [3])
    )
    # windows [1, 10], [10, 100], [100, -] with bonuses [1, 2], [3, 4], [5, 6]
    assert given.reward.tolist() == [1.5 + 0.5 * 11.0, 11.5 + 0.5 * 102.0, 102.5]
    assert given.discount.tolist() == [0.25, 0.25, 0.5]
    assert given.observation.tolist() == [0.0, 1.0, 2.0] and given.next_observation.tolist() == [2.0, 3.0, 3.0]
    assert given.next_last.tolist() == [False, True, True] and given.next_action.tolist() == [2, 0, 0]
    assert metrics["extrinsic_reward"] == (1 + 10 + 10 + 100 + 100) / 5 and metrics["intrinsic_reward"] == 15 / 5
    np.testing.assert_allclose(metrics["intrinsic_share"], 7.5 / (221 + 7.5), rtol=1e-6)


def test_a_bonus_alone_and_rows_without_a_transition():
    """An unroll of three rows, the second an episode's end: 5 is earned at rows 0 and 2."""
    given, metrics = _given(
        Unrolls(3), Mixing(weight=2.0, extrinsic_weight=0.0), None, None, lambda kind: _rows(kind, [5, 5, 5], [1, 2])
    )
    assert given.steps.reward.tolist() == [[2.0, 0.0, 6.0, 5.0]]
    assert metrics["intrinsic_share"] == 1.0 and metrics["extrinsic_reward"] == 5.0


def test_a_recurrent_agent_sees_the_rewards_that_its_actor_saw():
    """Two sequences of at most three rows: the second has one transition, and padding."""
    given, metrics = _given(Sequences(3, 2), Mixing(), None, None, lambda kind: _rows(kind, [5, 6, 7], [3]))
    assert given.num_steps.tolist() == [3, 2]
    assert given.steps.reward.tolist() == [[6.0, 8.0, 7.0], [10.0, 0.0, 0.0]]
    assert given.told.tolist() == [[5.0, 6.0, 7.0], [7.0, 0.0, 0.0]]
    assert metrics["intrinsic_reward"] == (1 + 2 + 3) / 3
    agent, spec = _base("r2d2")
    network_inputs = importlib.import_module("acme_agents.agents.r2d2.networks").inputs_of
    batch = toys.batch(agent, spec, toys.episodes(spec, _LENGTHS))
    kind = agent.replay(spec).experience
    paid = kind.rewarded(batch, batch.steps.reward[:, :-1] + 1.0)
    jax.tree.map(np.testing.assert_array_equal, network_inputs(paid, 3), network_inputs(batch, 3))


@pytest.mark.parametrize("n", [1, 3])
def test_windows_summed_are_transitions(n):
    """With the rewards that there are, for episodes shorter and longer than n and longer than a chunk."""
    agent, spec = _base("dqn")
    agent = type(agent)(agent.config.__class__(**_SMALL["dqn"] | {"n_step": n, "batch_size": 60}))
    kind, episodes = agent.replay(spec).experience, toys.episodes(spec, (1, 40, 2, 20))
    whole = toys.batch(agent, spec, episodes)
    windows = toys.batch(toys.counting(Mixing(), agent), spec, episodes)
    stretch = kind.unsummed.stretch(windows)
    jax.tree.map(np.testing.assert_array_equal, kind.rewarded(windows, stretch.steps.reward[:, :-1]), whole)
    assert kind.layout == Windows(n).layout and Windows(n).unsummed == Windows(n)
    other = Windows(n).rewarded(windows, stretch.steps.reward[:, :-1] + 1.0)
    np.testing.assert_array_equal(other.steps.reward[:, :-1], windows.steps.reward[:, :-1] + 1.0)


def test_returns_are_normalised_by_the_rewards_that_are_learned_from():
    """1, 2 and 4 after a return of 8 and gamma 1/2, an end, then 3: by hand."""
    reward = jnp.array([[1.0, 2.0, 4.0, 9.0, 3.0]])
    valid = jnp.array([[True, True, True, False, True]])
    found = returns.so_far(reward, valid, gamma=0.5, first=jnp.array([8.0]))
    assert found.tolist() == [[5.0, 4.5, 6.25, 0.0, 3.0]]


def test_a_vector_of_rewards_is_refused():
    base, spec = _base("dqn")
    objectives = EnvironmentSpec(spec.observation, spec.action, ArraySpec((2,)))
    with pytest.raises(errors.UserError, match="counting needs one reward, and this environment has a vector of 2"):
        toys.counting(Mixing(), base).learner(objectives)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"agent": "rnd"}, "rnd is a bonus, which goes around an agent: name that with --base.agent"),
        ({"agent": "rnd", "base": Base("rnd")}, "rnd goes around an agent, and rnd is a bonus too"),
        ({"agent": "rnd", "base": Base("bc")}, "bc learns nothing from rewards"),
        ({"agent": "dqn", "base": Base("ppo")}, "The agent dqn goes around no other: leave --base out"),
        (
            {"agent": "rnd", "base": Base("crr"), "dataset": "x", "max_steps": 0, "max_updates": 9},
            "rnd pays for exploring, and nobody acts in this run: give --steps, or train crr alone",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(fields, sentence):
    with pytest.raises(errors.UserError, match=sentence):
        Experiment(environment="probe:choice", **fields)


@pytest.mark.parametrize("bonus", registry.BONUSES)
@pytest.mark.parametrize("name", registry.BASES)
def test_every_bonus_goes_around_every_agent(bonus, name):
    """Traced, nothing is computed: the state keeps its form, and the actor is the base's."""
    is_discrete = name in ("dqn", "hca", "impala", "ppo", "r2d2", "r2d3", "vmpo")
    environment = "probe:choice" if is_discrete else "probe:reach"
    dataset = {"dataset": "data"} if name == "r2d3" else {}
    experiment = Experiment(bonus, environment, base=Base(name), max_steps=10, **dataset)
    agent, spec = making.make_agent(experiment), experiment.environment_spec()
    making.replay_spec(experiment, spec)
    learner, batch = agent.learner(spec), toys.shapes(agent, spec)
    state = jax.eval_shape(learner.init, jax.random.PRNGKey(0))
    after, output = jax.eval_shape(learner.update, state, batch)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {"extrinsic_reward", "intrinsic_reward", "intrinsic_share", "bonus_loss"} <= set(output.metrics)


def test_a_run_directory_knows_the_bonus_and_its_base(tmp_path):
    base = Base("dqn", registry.load("dqn").Config(n_step=2, torso_layers=(8, 4)))
    experiment = Experiment("rnd", "probe:choice", config=registry.load("rnd").Config(weight=0.5), base=base)
    (tmp_path / "config.json").write_text(experiment.to_json())
    assert Experiment.from_run_dir(tmp_path) == experiment and experiment.full_name == "rnd around dqn"
    assert Experiment("dqn", "probe:choice").full_name == "dqn"
