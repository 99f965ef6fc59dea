"""PMPO's update: whose actions are judged, when the reference is new, what it learns, where it is BC bit for bit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.agents import bc, crr, pmpo
from acme_agents.agents.mpo import networks
from acme_agents.agents.pmpo import learning
from acme_agents.core.interfaces import ActorContext
from acme_agents.core.networks import Network
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition

SPEC = EnvironmentSpec(ArraySpec((3,)), ArraySpec((2,)))
TINY = pmpo.Config(critic="scalar", policy_layers=(4,), critic_layers=(4,), num_actions=4, num_bootstrap_actions=1)
KEY = jax.random.PRNGKey(0)


def _batch(seed=0, size=24):
    rng = np.random.default_rng(seed)

    def uniform(*shape):
        return jnp.array(rng.uniform(-1, 1, (size, *shape)), jnp.float32)

    return Transition(
        observation=uniform(3),
        action=uniform(2),
        reward=uniform(),
        discount=jnp.full(size, 0.9),
        next_observation=uniform(3),
        next_action=uniform(2),
        next_last=jnp.zeros(size, bool),
    )


def _trained(learner, num_updates, batches):
    """The state after updates on batches [K, B, ...] in turn, in one loop."""

    def update(state, i):
        state, output = learner.update(state, jax.tree.map(lambda x: x[i % 4], batches))
        return state, output.metrics

    return jax.jit(lambda key: jax.lax.scan(update, learner.init(key), jnp.arange(num_updates)))(KEY)


BATCHES = jax.tree.map(lambda *x: jnp.stack(x), *[_batch(seed) for seed in range(4)])


@pytest.mark.slow
def test_accepting_all_of_the_data_is_behaviour_cloning_and_crr_all_bit_for_bit():
    """alpha 1 and beta 0; the critic learns beside the policy, as CRR's does, and where it chooses this is not so."""
    shared = {"policy_layers": (16, 16)}
    cloning = bc.Config(**shared, policy="gaussian", learning_rate=1e-3)
    weighing = crr.Config(
        **shared, policy="gaussian", critic="scalar", critic_layers=(4,), policy_learning_rate=1e-3, weight="all"
    )
    accepting = dataclasses.replace(
        TINY, **shared, reference="data", preferences="all", alpha=1.0, beta=0.0, learning_rate=1e-3
    )
    agents = [bc.make(cloning), crr.make(weighing), pmpo.make(accepting)]
    agents += [pmpo.make(dataclasses.replace(accepting, preferences="advantage"))]
    cloned, weighed, accepted, chosen = (
        learner.params(_trained(learner, 50, BATCHES)[0]) for learner in (agent.learner(SPEC) for agent in agents)
    )
    jax.tree.map(np.testing.assert_array_equal, accepted, cloned)
    jax.tree.map(np.testing.assert_array_equal, accepted, weighed.policy)
    assert any(jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.any(x != y)), chosen, cloned)))


def _knowing(config, value):
    """A learner whose critic is right from the start: `value(action [B, A]) -> [B]`."""
    critic = Network(lambda key: {}, lambda params, observation, action: value(action))
    return learning.make_learner(config, networks.make_networks(config, SPEC)._replace(critic=critic))


def test_the_reference_is_new_every_period():
    """Then the divergence from it is 0, and not one update later."""
    learner = _knowing(dataclasses.replace(TINY, target_update_period=2), lambda action: action[:, 0])
    _, metrics = _trained(learner, 6, BATCHES)
    np.testing.assert_allclose(metrics["kl_reference"][::2], 0.0, atol=1e-6)
    assert np.all(metrics["kl_reference"][1::2] > 1e-7)
    np.testing.assert_array_equal(metrics["preferred"], 0.5)


def test_the_datas_actions_are_compared_with_the_policys():
    """The critic likes large first coordinates; the policy's are around 0, so that the data's above 0 are preferred."""
    config = dataclasses.replace(TINY, reference="data", preferences="advantage", num_actions=512)
    state = (learner := _knowing(config, lambda action: action[:, 0])).init(KEY)
    _, output = jax.jit(learner.update)(state, _batch())
    np.testing.assert_allclose(output.metrics["preferred"], np.mean(_batch().action[:, 0] >= 0), atol=0.05)


FAST = dataclasses.replace(TINY, policy_layers=(8,), num_actions=8, learning_rate=1e-2, target_update_period=10)


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alpha": 0.0, "beta": 2.0},
        {"preferences": "advantage", "kl": "reverse", "beta_stddev": None, "beta": 2.0},
        {"preferences": "advantage", "reference": "data"},
    ],
    ids=str,
)
def test_learns_the_best_action(changes):
    """It is (0.3, -0.3), everywhere. Offline the preferred data lies around it, the nearer the better the policy."""
    best = jnp.array([[0.3, -0.3]])
    learner = _knowing(
        dataclasses.replace(FAST, **changes), lambda action: -jnp.sum(jnp.square(action - best), axis=-1)
    )
    state, _ = _trained(learner, 400, BATCHES)
    actor = pmpo.make(FAST).actor(SPEC, ActorContext(evaluation=True))
    action = jax.vmap(lambda o: actor.select_action(learner.params(state), o, actor.init(KEY))[0])(_batch().observation)
    np.testing.assert_allclose(np.mean(action, axis=0), best[0], atol=0.12)


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match='with reference "data" choose "advantage" or "all"'):
        pmpo.Config(reference="data")
    with pytest.raises(ValueError, match='kl "reverse" needs the density of the reference'):
        pmpo.Config(reference="data", preferences="advantage", kl="reverse")
    with pytest.raises(ValueError, match="num_actions must be at least 2, not 1"):
        pmpo.Config(num_actions=1)
    discrete = EnvironmentSpec(ArraySpec((1,)), ArraySpec((), "int32", num_values=4))
    with pytest.raises(ValueError, match="PMPO needs continuous actions, and this environment has 4 discrete ones"):
        pmpo.make(TINY).learner(discrete)
