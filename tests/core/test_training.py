"""A network in training: a step of clipped Adam, the target's copies, and the learner of one network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from acme_agents.core import training
from acme_agents.core.interfaces import UpdateOutput

PARAMS = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}


def test_targets_are_copies_and_not_the_same_buffers():
    network = training.init(PARAMS, optax.sgd(1.0))
    for online, target in zip(jax.tree.leaves(network.online), jax.tree.leaves(network.target), strict=True):
        np.testing.assert_array_equal(online, target)
        assert online.unsafe_buffer_pointer() != target.unsafe_buffer_pointer()
    assert network.steps == 0


def test_a_step_follows_the_gradient_and_every_other_one_copies_to_the_target():
    network, optimizer = training.init(PARAMS, optax.sgd(0.5)), optax.sgd(0.5)
    gradient = {"w": jnp.array([2.0, -2.0]), "b": jnp.array(4.0)}
    found = []
    for _ in range(3):
        network = training.step(network, gradient, optimizer, target_update_period=2)
        found.append((int(network.steps), float(network.online["b"]), float(network.target["b"])))
    assert found == [(1, 1.0, 3.0), (2, -1.0, -1.0), (3, -3.0, -1.0)]
    np.testing.assert_allclose(network.online["w"], [-2.0, 5.0])


def test_adam_sees_a_clipped_gradient():
    """The norm 5 is clipped to 1, and Adam's first step is g / (|g| + epsilon), here with epsilon = 1."""
    optimizer = training.clipped_adam(0.1, 1.0, epsilon=1.0)
    params = jnp.zeros(2)
    params, _ = training.descend(params, jnp.array([3.0, -4.0]), optimizer.init(params), optimizer)
    np.testing.assert_allclose(params, [-0.1 * 0.6 / 1.6, 0.1 * 0.8 / 1.8], rtol=1e-5)


def test_an_optimiser_is_given_the_parameters_that_it_changes():
    optimizer = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(1.0))
    params, _ = training.descend(jnp.array(4.0), jnp.array(0.0), optimizer.init(jnp.array(4.0)), optimizer)
    assert params == 2.0


def test_the_learner_of_one_network_descends_its_loss():
    """loss = (w - target)^2 / 2 + batch w at w = 1, target = 1, batch = 2: the gradient is 2."""

    def loss(online, target, batch):
        value = 0.5 * jnp.square(online - target) + batch * online
        return value, UpdateOutput({"loss": value}, jnp.ones(3))

    core = training.learner(lambda key: jnp.float32(1.0), loss, optax.sgd(0.25), 100)
    state = core.init(jax.random.PRNGKey(0))
    state, output = core.update(state, 2.0)
    assert (float(core.params(state)), float(state.target), int(state.steps)) == (0.5, 1.0, 1)
    assert {name: float(value) for name, value in output.metrics.items()} == {"loss": 2.0, "gradient_norm": 2.0}
    np.testing.assert_array_equal(output.priorities, np.ones(3))
