"""CCA's learner: what the statistic is of, and which loss trains what."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import cca
from acme_agents.agents.cca import learning, networks
from acme_agents.agents.vmpo import acting
from acme_agents.agents.vmpo import networks as policies
from acme_agents.core import errors
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Step, Unroll

SPEC = EnvironmentSpec(ArraySpec((2,)), ArraySpec((), "int32", 3))
SMALL = {
    "torso_layers": (4,),
    "hindsight_layers": (4,),
    "hindsight_size": 4,
    "statistic_size": 2,
    "critic_layers": (4,),
    "classifier_layers": (4,),
}
LAST = jnp.array([[False, False, False, True, False, False]])  # of rows 0 .. 5; the last one is behind the unroll


@pytest.fixture(scope="module")
def statistic():
    """The statistic of an unroll, as a function of what it is made of, jitted once."""
    nets = networks.make_networks(cca.Config(**SMALL), SPEC)
    params, _, _ = nets.init(jax.random.PRNGKey(0))
    rng = np.random.default_rng(0)
    inputs = {
        "observation": jnp.float32(rng.normal(size=(1, 6, 2))),
        "action": jnp.int32(rng.integers(3, size=(1, 5))),
        "reward": jnp.float32(rng.normal(size=(1, 5))),
    }
    apply = jax.jit(lambda x: nets.statistic(params, x["observation"], x["action"], x["reward"], LAST[:, :-1])[0])
    return apply, inputs


@pytest.mark.parametrize(
    ("name", "row", "changed"),
    [
        ("observation", 0, []),  # What is before and at a row is not of its future.
        ("observation", 1, [0]),
        ("observation", 3, [0, 1, 2]),  # the first episode's final one
        ("observation", 4, []),  # Another episode's.
        ("observation", 5, [4]),  # behind the unroll
        ("action", 2, [0, 1]),
        ("action", 3, []),  # A final row has none.
        ("reward", 1, [0]),
        ("reward", 3, []),
        ("reward", 4, []),
    ],
)
def test_the_statistic_is_of_what_comes_later_in_the_episode(statistic, name, row, changed):
    apply, inputs = statistic
    other = inputs[name].at[0, row].add(1) % 3 if name == "action" else inputs[name].at[0, row].add(1.0)
    differs = np.any(np.asarray(apply(inputs)) != np.asarray(apply(inputs | {name: other})), axis=-1)
    acted = [0, 1, 2, 4]  # Row 3, the final one, has no action to judge.
    assert [t for t in acted if differs[t]] == changed


@pytest.mark.parametrize("estimator", ["baseline", "critic"])
def test_each_loss_trains_its_own_part(estimator):
    config = cca.Config(**SMALL, estimator=estimator)
    policy, nets = policies.make_networks(config, SPEC, agent="CCA"), networks.make_networks(config, SPEC)
    rng = np.random.default_rng(0)
    *hindsight, classifier = nets.init(jax.random.PRNGKey(0))
    params = learning.Trained(policy.init(jax.random.PRNGKey(1)), tuple(hindsight), classifier)
    observation = jnp.float32(rng.normal(size=(2, 6, 2)))
    action, last = jnp.int32(rng.integers(3, size=(2, 6))), jnp.broadcast_to(LAST, (2, 6))
    reward = jnp.float32(rng.normal(size=(2, 5)))
    extras = acting.Taken(jnp.zeros((2, 6)), (), (), ())
    steps = Step(observation, action, jnp.zeros((2, 6)), jnp.ones((2, 6)), last, extras)

    def found(params):
        batch = Unroll(steps, jnp.zeros(2, jnp.int32))
        looked = learning.look(config, policy, nets, params, observation, reward, batch)
        return learning.losses_of(looked, action[:, :-1], ~last[:, :-1], estimator=estimator)

    gradients = jax.jit(jax.jacrev(found))(params)

    def parts(of):
        return [any(np.any(x) for x in jax.tree.leaves(part)) for part in (of.network, *of.hindsight, of.classifier)]

    trains = {name: parts(of) for name, of in gradients.items()}
    assert trains == {  # policy and value, statistic, critic, classifier
        "policy_loss": [True, False, False, False],
        "value_loss": [True, False, False, False],
        "entropy": [True, False, False, False],
        "hindsight_loss": [False, True, True, False],
        "classifier_loss": [False, False, False, True],
        "independence_loss": [False, True, False, False],
    }
    assert not np.any(gradients["value_loss"].network["logits"]["w"])
    assert not np.any(gradients["policy_loss"].network["value"]["w"])


def test_continuous_actions_are_refused_in_one_sentence():
    with pytest.raises(errors.UserError, match="CCA needs discrete actions"):
        cca.make(cca.Config()).learner(EnvironmentSpec(ArraySpec((2,)), ArraySpec((1,))))


def test_the_recurrence_by_hand():
    sums = hk.without_apply_rng(hk.transform(networks._sums))
    parts = jnp.array([1.0, 2.0, 4.0, 8.0])[None, :, None]
    ends = jnp.array([[False, True, False, False]])
    later = sums.apply({"~": {"decay": jnp.zeros(1)}}, parts, ends)  # a decay of 1/2
    np.testing.assert_allclose(later[0, :, 0], [2.0, 2.0, 8.0, 8.0])
