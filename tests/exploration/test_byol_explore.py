"""BYOL-Explore: its numbers by hand, and what goes wrong in other implementations of it."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Stretch
from acme_agents.exploration import byol_explore
from acme_agents.exploration.byol_explore import learning, losses, networks
from tests.exploration import toys

SMALL = {
    "encoder_layers": (5,),
    "embedding_size": 4,
    "memory_size": 3,
    "predictor_layers": (6,),
    "horizon": 3,
    "normalise_observations": False,
}
NO_KEY = jax.random.PRNGKey(9)  # Nothing is drawn.


def _bonus(**changes):
    return learning.make_bonus(byol_explore.Config(**SMALL | changes), toys.SEEN)


# --- The losses, and what is paid.


def test_a_transition_is_paid_the_losses_of_the_predictions_of_what_it_led_to():
    """K = 2 and four rows: L(0,1), then L(1,1) + L(0,2), then L(2,1) + L(1,2)."""
    each = jnp.array([[[1.0, 10.0], [100.0, 1e3], [1e4, 1e5]]])  # L(t, k)
    there = losses.foreseen(jnp.ones((1, 3), bool), 2)
    assert there.tolist() == [[[True, True], [True, True], [True, False]]]
    assert losses.uncertainty(each, there).tolist() == [[1.0, 110.0, 11_000.0]]


def test_nothing_is_foreseen_over_an_episodes_end():
    """Of five rows the third is an episode's final one: only the last transition is behind it."""
    valid = jnp.array([[True, True, False, True]])
    there = losses.foreseen(valid, 3)
    assert there[0].astype(int).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert losses.uncertainty(jnp.ones((1, 4, 3)), there).tolist() == [[1.0, 2.0, 0.0, 1.0]]
    # The mean over k, then over rows: (1 + 3) / 2, 5 and 8, of three rows.
    each = jnp.array([[[1.0, 3.0, 9.0], [5.0, 9.0, 9.0], [9.0, 9.0, 9.0], [8.0, 9.0, 9.0]]])
    assert losses.mean_loss(each, there) == (2.0 + 5.0 + 8.0) / 3


def test_losses_are_of_directions():
    """At a right angle 2, against each other 4, along each other 0, whatever the lengths; no gradient in the target."""
    a, b = jnp.array([[3.0, 0.0], [2.0, 0.0], [1.0, 1.0]]), jnp.array([[0.0, 9.0], [-1.0, 0.0], [7.0, 7.0]])
    np.testing.assert_allclose(losses.prediction_losses(a, b), [2.0, 4.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(losses.prediction_losses(100 * a, b), [2.0, 4.0, 0.0], atol=1e-5)
    assert not np.any(jax.grad(lambda x: losses.prediction_losses(a, x).sum())(b))
    assert np.all(np.isfinite(jax.grad(lambda x: losses.prediction_losses(x, b).sum())(0.0 * a)))


def test_the_reward_is_what_is_above_the_mean_in_units_of_the_deviation():
    """l = 1, 2, 3 and 6: mean 3, mean square 12.5, deviation sqrt(3.5); then l = 5, 5, 5 and 5, with a decay of 3/4."""
    valid = jnp.array([[True, True, True, True, False]])
    first = jnp.array([[1.0, 2.0, 3.0, 6.0, 99.0]])
    paid, scale = losses.pay(first, valid, losses.init_scale(), decay=0.75, prioritise=True)
    sigma = np.sqrt(3.5)
    np.testing.assert_allclose([paid.scale, paid.threshold], [sigma, 3.0 / sigma], rtol=1e-5)
    np.testing.assert_allclose(paid.reward[0, :4], [0.0, 0.0, 0.0, 3.0 / sigma], atol=1e-5)
    paid, _ = losses.pay(jnp.full((1, 5), 5.0), valid, scale, decay=0.75, prioritise=True)
    old, new = 0.75 * 0.25 / (1 - 0.75**2), 0.25 / (1 - 0.75**2)  # weights of the two batches
    mean, square = old * 3.0 + new * 5.0, old * 12.5 + new * 25.0
    sigma_now = np.sqrt(square - mean**2)
    mu = old * 3.0 / sigma + new * 5.0 / sigma_now
    np.testing.assert_allclose([paid.scale, paid.threshold], [sigma_now, mu], rtol=1e-5)
    np.testing.assert_allclose(paid.reward, np.full((1, 5), max(5.0 / sigma_now - mu, 0.0)), rtol=1e-4)
    raw, _ = losses.pay(first, valid, losses.init_scale(), decay=0.75, prioritise=False)
    np.testing.assert_allclose(raw.reward[0, :4], np.array([1.0, 2.0, 3.0, 6.0]) / sigma, rtol=1e-5)


# --- The model of the world.


def test_the_open_loop_is_fed_the_actions_from_the_rows_own_on():
    """At step k the action a_{t+k-1}, for k up to K and including it; a_{t-1} goes into the closed loop."""
    actions = jnp.arange(1.0, 5.0)[None, :, None]  # a_t = t + 1
    valid = jnp.array([[True, True, True, True]])
    inputs = networks.inputs_of(actions, valid, 3)
    assert inputs.future[0, :, :, 0].tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 0], [4, 0, 0]]
    assert inputs.previous[0, :, 0].tolist() == [0, 1, 2, 3]
    assert inputs.begins.tolist() == [[True, False, False, False]]
    # Behind an episode's final row another one begins, and no action led there.
    stretch = toys.stretch([[True, False, True, True]])
    encoded = networks.actions_of(stretch, toys.SEEN)
    assert encoded.sum(-1).tolist() == [[1.0, 0.0, 1.0, 1.0]]
    inputs = networks.inputs_of(encoded, stretch.valid, 3)
    assert inputs.begins.tolist() == [[True, False, True, False]]
    assert inputs.previous.sum(-1).tolist() == [[0.0, 1.0, 0.0, 1.0]]


def _gru(params, x, h):
    n = h.shape[0]
    gates = x @ params["w_x"] + params["b"]
    z, r = np.split(1.0 / (1.0 + np.exp(-(gates[: 2 * n] + h @ params["w_h"][:, : 2 * n]))), 2)
    return (1.0 - z) * h + z * np.tanh(gates[2 * n :] + (r * h) @ params["w_h"][:, 2 * n :])


def _mlp(params, x):
    layers = [params[name] for name in sorted(params)]
    for i, layer in enumerate(layers):
        x = x @ layer["w"] + layer["b"]
        x = np.maximum(x, 0.0) if i < len(layers) - 1 else x
    return x


def _by_hand(state, stretch, horizon):
    """L(t, k) of the predictions that there are, one at a time."""
    online, target = jax.tree.map(np.asarray, (state.online, state.target))
    observation, action, valid = (
        np.asarray(x) for x in (stretch.steps.observation, stretch.steps.action, stretch.valid)
    )
    (closed,), (opened,) = ([v for k, v in online.memory.items() if name in k] for name in ("closed_loop", "open_loop"))
    one_hot, found = np.eye(3), {}
    for b in range(valid.shape[0]):
        h, previous = np.zeros(3), np.zeros(3)
        for t in range(valid.shape[1]):
            if t and not valid[b, t - 1]:
                h, previous = np.zeros(3), np.zeros(3)
            h = _gru(closed, np.concatenate([_mlp(online.encoder, observation[b, t]), previous]), h)
            ahead = h
            for k in range(1, horizon + 1):
                if t + k > valid.shape[1] or not valid[b, t + k - 1]:
                    break
                ahead = _gru(opened, one_hot[action[b, t + k - 1]], ahead)
                p, x = _mlp(online.predictor, ahead), _mlp(target, observation[b, t + k])
                found[b, t, k] = np.sum(np.square(p / np.linalg.norm(p) - x / np.linalg.norm(x)))
            previous = one_hot[action[b, t]] if valid[b, t] else np.zeros(3)
    return found


def test_the_scans_are_a_loop_by_hand():
    bonus, stretch = _bonus(prioritise=False), toys.stretch(toys.VALID)
    state = bonus.init(jax.random.PRNGKey(0))
    # The target is another network than the encoder, as it is from the second update on.
    state = state._replace(target=jax.tree.map(lambda x: x + 0.3, state.target))
    after, reward, metrics = jax.jit(bonus.update)(state, stretch, NO_KEY)
    found = _by_hand(state, stretch, 3)
    assert len(found) == 6 + 12 + 3
    paid = np.zeros((3, 5))
    for (b, t, k), loss in found.items():
        paid[b, t + k - 1] += loss
    valid = np.asarray(toys.VALID)
    np.testing.assert_allclose((reward * metrics["scale"])[valid], paid[valid], rtol=2e-4)
    each = {}
    for (b, t, _), loss in found.items():
        each.setdefault((b, t), []).append(loss)
    np.testing.assert_allclose(metrics["loss"], np.mean([np.mean(x) for x in each.values()]), rtol=1e-4)
    np.testing.assert_allclose(metrics["uncertainty"], paid[valid].mean(), rtol=1e-4)
    # The target follows the encoder that was just learned, and has nothing else.
    jax.tree.map(
        lambda new, old, online: np.testing.assert_allclose(new, 0.99 * old + 0.01 * online, rtol=1e-5, atol=1e-7),
        after.target,
        state.target,
        after.online.encoder,
    )


def test_a_target_that_keeps_all_of_itself_stays_random():
    bonus = _bonus(target_decay=1.0, num_steps=3)
    state = bonus.init(jax.random.PRNGKey(0))
    after, *_ = bonus.update(state, toys.stretch(toys.VALID), NO_KEY)
    jax.tree.map(np.testing.assert_array_equal, after.target, state.target)


def test_every_network_learns_and_gradients_reach_the_past():
    bonus, stretch = _bonus(horizon=1), toys.stretch(toys.VALID)
    state = bonus.init(jax.random.PRNGKey(0))
    after, *_ = bonus.update(state, stretch, NO_KEY)
    jax.tree.map(
        lambda old, new: np.testing.assert_array_less(0.0, np.abs(new - old).max()), state.online, after.online
    )
    # What is foreseen one step ahead of row 3 depends on the observation of row 0, through both recurrences.
    nets = networks.make_networks(byol_explore.Config(**SMALL), toys.SEEN)
    inputs = networks.inputs_of(networks.actions_of(stretch, toys.SEEN), stretch.valid, 2)

    def ahead(embedding):
        return nets.memory.apply(state.online.memory, embedding, inputs)[1, 3, 2].sum()

    slope = jax.grad(ahead)(jnp.ones((3, 5, 4)))
    assert np.all(np.any(slope[1, :4] != 0.0, axis=-1)) and not np.any(slope[1, 4:]) and not np.any(slope[0])


def test_several_steps_learn_more_and_the_reward_is_from_before():
    stretch = toys.stretch(toys.VALID)
    results = []
    for num_steps in (1, 20):
        bonus = _bonus(num_steps=num_steps, learning_rate=1e-2)
        state = bonus.init(jax.random.PRNGKey(0))
        state, reward, _ = bonus.update(state, stretch, NO_KEY)
        results.append((reward, bonus.update(state, stretch, NO_KEY)[2]["uncertainty"]))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    assert results[1][1] < 0.7 * results[0][1]


def test_rows_without_a_transition_change_nothing():
    bonus, stretch = _bonus(normalise_observations=True), toys.stretch(toys.VALID)
    state = bonus.init(jax.random.PRNGKey(0))
    spoilt = stretch._replace(
        steps=stretch.steps._replace(
            action=jnp.where(jnp.pad(stretch.valid, ((0, 0), (0, 1))), stretch.steps.action, 1)
        )
    )
    first, second = (bonus.update(state, each, NO_KEY) for each in (stretch, spoilt))
    jax.tree.map(np.testing.assert_array_equal, first[0], second[0])
    np.testing.assert_array_equal(first[1][stretch.valid], second[1][stretch.valid])


def test_noise_stays_uncertain_and_what_can_be_known_does_not():
    """Observed is the last action, and a coin: the losses fall where there is no coin. (A learnt target forgets it.)"""
    rng, sums = np.random.default_rng(0), []
    for noisy in (False, True):
        changes = {"memory_size": 16, "encoder_layers": (32,), "target_decay": 1.0}
        bonus = _bonus(horizon=2, learning_rate=1e-2, num_steps=4, **changes)
        state, update = bonus.init(jax.random.PRNGKey(0)), jax.jit(bonus.update)
        for _ in range(60):
            action = rng.integers(0, 3, (16, 9))
            seen = np.stack([np.roll(action, 1, axis=1) - 0.5, rng.choice([-1.0, 1.0], action.shape) * noisy], axis=-1)
            steps = toys.stretch(np.ones((16, 8), bool)).steps
            steps = steps._replace(observation=jnp.array(seen, jnp.float32), action=jnp.array(action, jnp.int32))
            state, _, metrics = update(state, Stretch(steps, jnp.ones((16, 8), bool)), NO_KEY)
        sums.append(float(metrics["uncertainty"]))
    assert sums[0] < 0.2 * sums[1]
