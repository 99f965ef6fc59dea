"""A teacher's signals: losses and their weights by hand, and what a teacher is asked."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import d4pg, mpo
from acme_agents.core import checkpoint, teaching
from acme_agents.core.errors import UserError
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition
from acme_agents.experiments import Experiment, making
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.options import Options

SPEC = EnvironmentSpec(ArraySpec((1,)), ArraySpec((1,)))
OBSERVATION = jnp.array([[-1.0], [1.0]])
# It acts 0.5 o, and values actions by -2 (a - 0.5 o)^2, whose gradient is -4 (a - 0.5 o).
TEACHER = teaching.Teacher(
    act=lambda key, observation: 0.5 * observation,
    action=lambda observation: 0.5 * observation,
    value=lambda observation, action: -2.0 * jnp.sum((action - 0.5 * observation) ** 2, axis=-1),
)
SMALL = {"policy_layers": (16,), "critic_layers": (16,)}


def _lesson(num_updates=0, **changes):
    config = teaching.Taught(**{"teacher_action_weight": 1.0, "teacher_gradient_weight": 1.0, **changes})
    action, own = jnp.array([[0.0], [1.0]]), jnp.array([[0.0], [0.25]])
    return teaching.lesson(config, TEACHER, OBSERVATION, action, own, lambda a: a[:, 0], jnp.int32(num_updates))


def test_a_lesson_by_hand():
    lesson = _lesson()
    np.testing.assert_allclose(lesson.action, [[-0.5], [0.5]])
    np.testing.assert_allclose(lesson.gradient, [[-2.0], [-2.0]])  # -4 (0 + 0.5), -4 (1 - 0.5)
    np.testing.assert_allclose(lesson.weight, [1.0, 1.0])


def test_the_filter_leaves_out_where_the_own_action_is_worth_more():
    # The critic values an action by itself: -0.5 against 0, and 0.5 against 0.25.
    np.testing.assert_allclose(_lesson(teacher_filter=True).weight, [0.0, 1.0])


@pytest.mark.parametrize(("num_updates", "left"), [(0, 1.0), (25, 0.75), (100, 0.0), (200, 0.0)])
def test_weights_fall_to_zero(num_updates, left):
    np.testing.assert_allclose(_lesson(num_updates, teacher_updates=100).weight, [left, left])
    np.testing.assert_allclose(_lesson(num_updates).weight, [1.0, 1.0])


def test_losses_by_hand():
    mine, said = jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(teaching.distance(mine, said, jnp.array([1.0, 1.0])), (5.0 + 9.0) / 2)
    np.testing.assert_allclose(teaching.distance(mine, said, jnp.array([1.0, 0.5])), (5.0 + 4.5) / 2)
    config = teaching.Taught(teacher_action_weight=2.0, teacher_gradient_weight=3.0)
    lesson = teaching.Lesson(said, said, jnp.array([1.0, 0.0]))
    assert teaching.policy_loss(config, mine, lesson)[0] == 2.0 * 5.0 / 2
    # The gradients of a^2 / 2 summed are the actions themselves.
    loss, metrics = teaching.critic_loss(config, lambda a: 0.5 * jnp.sum(a**2, axis=-1), mine, lesson)
    assert loss == 3.0 * 5.0 / 2 and metrics["teacher_weight"] == 0.5
    assert teaching.policy_loss(config, mine, None) == (0.0, {})


def test_a_teacher_without_weight_and_weights_without_a_teacher_are_refused():
    with pytest.raises(UserError, match="need one: give --teacher RUN_DIR"):
        d4pg.make(d4pg.Config(teacher_action_weight=1.0)).learner(SPEC)
    with pytest.raises(UserError, match="The teacher has no weight"):
        mpo.make(mpo.Config(), TEACHER).learner(SPEC)


def _batch(size=64):
    """Every action at both observations; none is rewarded."""
    observation = jnp.where(jnp.arange(size) % 2 == 0, -1.0, 1.0)[:, None]
    action = jnp.linspace(-1.0, 1.0, size)[:, None]
    nothing = jnp.zeros(size)
    return Transition(observation, action, nothing, nothing, observation, jnp.zeros_like(action), nothing == 0.0)


def _trained(agent, num_updates):
    learner = agent.learner(SPEC)

    def update(state, _):
        state, output = learner.update(state, _batch())
        return state, output.metrics

    state, metrics = jax.jit(lambda state: jax.lax.scan(update, state, None, length=num_updates))(
        learner.init(jax.random.PRNGKey(0))
    )
    return learner, state, jax.tree.map(lambda x: x[-1], metrics)


@pytest.mark.long
@pytest.mark.parametrize(
    ("agent", "critic", "weight"), [(d4pg, "mixture", 1.0), (mpo, "scalar", 100.0)], ids=["d4pg", "mpo"]
)
def test_policy_and_critic_learn_what_the_teacher_says(agent, critic, weight):
    config = agent.Config(
        **SMALL, critic=critic, teacher_action_weight=weight, teacher_gradient_weight=1.0, learning_rate=1e-2
    )
    made = agent.make(dataclasses.replace(config, num_actions=4) if agent is mpo else config, TEACHER)
    learner, state, metrics = _trained(made, 300)
    core = made.actor(SPEC, ActorContext(evaluation=True))
    for observation, action in ((-1.0, -0.5), (1.0, 0.5)):
        key = core.init(jax.random.PRNGKey(0))
        chosen, *_ = core.select_action(learner.params(state), jnp.array([observation]), key)
        np.testing.assert_allclose(chosen, [action], atol=0.1)
    value = made.critic(SPEC)
    found = teaching.action_gradient(lambda a: value(state, OBSERVATION, a), jnp.zeros((2, 1)))
    np.testing.assert_allclose(found, [[-2.0], [2.0]], atol=0.5)
    assert metrics["loss_teacher_action"] < 0.01 and metrics["loss_teacher_gradient"] < 0.5  # 16 / 3 before


@pytest.mark.parametrize("name", ["d4pg", "mpo"])
def test_a_run_teaches_by_its_policy_and_its_critic(tmp_path, name):
    module = {"d4pg": d4pg, "mpo": mpo}[name]
    experiment = Experiment(name, "probe:reach", config=module.Config(**SMALL))
    with run_dir_lib.opened(tmp_path, experiment, "in-process", Options(), resume=False):
        pass
    spec, agent = experiment.environment_spec(), module.make(experiment.config)
    state = agent.learner(spec).init(jax.random.PRNGKey(1))
    teacher = making.teacher(tmp_path)
    observation = jnp.zeros((3, *spec.observation.shape))
    with pytest.raises(UserError, match="has no checkpoint yet"):
        teacher.action(observation)
    checkpoint.save(tmp_path / checkpoint.DIRECTORY, 1, state, {})
    action = jax.jit(teacher.action)(observation)
    assert action.shape == (3, *spec.action.shape) and np.ptp(action, axis=0).max() == 0.0
    expected = agent.critic(spec)(state, observation, action)
    np.testing.assert_allclose(jax.jit(teacher.value)(observation, action), expected, rtol=1e-5)
