"""Key and door: its rules, what it shows and hides, that the expert solves it and chance does not."""

import numpy as np
import pytest

from acme_agents import environments
from acme_agents.environments import key_door
from acme_agents.environments.key_door import (
    CLOSED,
    FLOOR,
    FORWARD,
    GOAL,
    KEY,
    OPEN,
    OPEN_DOOR,
    PICK_UP,
    TURN_LEFT,
    TURN_RIGHT,
    WALL,
)

W, F, K, C, O, G = WALL, FLOOR, KEY, CLOSED, OPEN, GOAL  # noqa: E741


def _corridor():
    """An episode of size 5: the agent, looking up, the key two cells ahead, and right of that the door.

    Rows and columns of the grid, 5 x 5, with the agent at the bottom:  W W W W W
                                                                        W K D G W
                                                                        W . W . W
                                                                        W A W . W
                                                                        W W W W W
    """
    for seed in range(10_000):
        env = key_door.KeyDoor(5, seed)
        env.reset()
        places = [divmod(cell, 7) for cell in (env._state.cell, env._key, env._door, env._goal)]
        if places == [(4, 2), (2, 2), (2, 3), (2, 4)] and env._state.heading == 0:
            return env
    raise AssertionError("No seed gives this start.")


def _seen(observation):
    """Returns [3, 3] plane indices, having checked that the planes are one-hot."""
    assert observation.shape == (3, 3, 6) and observation.dtype == np.float32
    np.testing.assert_array_equal(np.sort(observation, axis=-1), np.broadcast_to([0, 0, 0, 0, 0, 1], (3, 3, 6)))
    return observation.argmax(axis=-1).tolist()


def _play(env, act):
    """Plays one episode of `act(env)`; returns its time steps, the first one without reward."""
    steps = [env.reset()]
    while not steps[-1].last():
        steps.append(env.step(act(env)))
    return steps


def _expert(env):
    return env.expert_action()


def test_the_rules_step_by_step():
    env = _corridor()
    assert _seen(env._observe()) == [[W, K, C], [W, F, W], [W, F, W]]
    for action, view in [
        (PICK_UP, [[W, K, C], [W, F, W], [W, F, W]]),  # Too far away.
        (FORWARD, [[W, W, W], [W, K, C], [W, F, W]]),
        (FORWARD, [[W, W, W], [W, K, C], [W, F, W]]),  # The key is in the way.
        (OPEN_DOOR, [[W, W, W], [W, K, C], [W, F, W]]),  # A key is not opened.
        (PICK_UP, [[W, W, W], [W, F, C], [W, F, W]]),
        (PICK_UP, [[W, W, W], [W, F, C], [W, F, W]]),
        (FORWARD, [[W, W, W], [W, W, W], [W, F, C]]),
        (FORWARD, [[W, W, W], [W, W, W], [W, F, C]]),  # A wall is in the way.
        (OPEN_DOOR, [[W, W, W], [W, W, W], [W, F, C]]),  # The door is beside, not ahead.
        (TURN_RIGHT, [[W, G, F], [W, C, W], [W, F, F]]),
        (FORWARD, [[W, G, F], [W, C, W], [W, F, F]]),  # The door is in the way.
        (OPEN_DOOR, [[W, G, F], [W, O, W], [W, F, F]]),
        (TURN_LEFT, [[W, W, W], [W, W, W], [W, F, O]]),
        (TURN_LEFT, [[W, W, W], [W, W, W], [F, F, W]]),
        (TURN_LEFT, [[W, F, W], [W, F, W], [O, F, W]]),
        (TURN_LEFT, [[W, G, F], [W, O, W], [W, F, F]]),
        (FORWARD, [[W, W, W], [W, G, F], [W, O, W]]),
    ]:
        step = env.step(action)
        assert _seen(step.observation) == view, action
        assert step.mid() and step.reward == 0 and step.discount == 1
    step = env.step(FORWARD)
    assert step.last() and step.reward == 1 and step.discount == 0
    assert env.step(FORWARD).first()


def test_the_door_needs_the_key():
    env = _corridor()
    env._state = env._state._replace(cell=2 * 7 + 2, heading=1)  # On the key's cell, before the door.
    for has_key, door in ((False, C), (True, O)):
        env._state = env._state._replace(has_key=has_key)
        assert _seen(env.step(OPEN_DOOR).observation)[1][1] == door
    assert env._state.is_open


def test_the_key_in_hand_is_not_seen():
    env = _corridor()
    hidden = env._state._replace(heading=2)  # The key, which is gone from the grid, is behind the agent.
    views = []
    for has_key in (False, True):
        env._state = hidden._replace(has_key=has_key)
        views.append([env.step(action).observation for action in (TURN_LEFT, TURN_RIGHT, PICK_UP, FORWARD)])
    np.testing.assert_array_equal(*views)


@pytest.mark.parametrize("size", [5, 8])
def test_the_expert_solves_every_start(size):
    lengths = []
    for seed in range(200):
        env = environments.make(f"key-door:{size}", seed)
        steps = _play(env, _expert)
        assert [step.reward for step in steps[1:]] == [0] * (len(steps) - 2) + [1]
        assert steps[-1].discount == 0
        lengths.append(len(steps) - 1)
    assert max(lengths) <= 30
    if size == 8:
        assert np.mean(lengths) == pytest.approx(15.0, abs=4 * 3.4 / np.sqrt(200))


def test_the_experts_way_is_a_shortest_one():
    env = _corridor()
    actions = []
    while env._state.cell != env._goal:
        actions.append(env.expert_action())
        env.step(actions[-1])
    assert actions == [FORWARD, PICK_UP, FORWARD, TURN_RIGHT, OPEN_DOOR, FORWARD, FORWARD]
    assert env.expert_action() == 0 and env.expert_action().dtype == np.int32


def test_chance_seldom_succeeds():
    env, rng = environments.make("key-door:8", seed=0), np.random.default_rng(0)
    successes = [_play(env, lambda env: rng.integers(5))[-1].reward for _ in range(1500)]
    assert 0 < np.mean(successes) < 0.01


def test_time_is_up_after_10_n_steps_with_discount_1():
    env = environments.make("key-door:6", seed=0)
    steps = _play(env, lambda env: TURN_LEFT)
    assert len(steps) - 1 == 60
    assert {float(step.reward) for step in steps[1:]} == {0}
    assert {float(step.discount) for step in steps[1:]} == {1}


def test_the_goal_in_the_last_step_is_an_end_for_good():
    env = _corridor()
    for _ in range(50 - 7):
        env.step(PICK_UP)
    last = [env.step(env.expert_action()) for _ in range(7)][-1]
    assert last.last() and last.reward == 1 and last.discount == 0


def test_every_start_is_another():
    env = environments.make("key-door:8", seed=0)
    starts = []
    for _ in range(500):
        env.reset()
        cell, key, door, goal = (divmod(place, 10) for place in (env._state.cell, env._key, env._door, env._goal))
        starts.append((cell, env._state.heading, key, door, goal))
        grid = env._cells.reshape(10, 10)
        assert sorted(grid[2:8, door[1]]) == [WALL] * 5 + [CLOSED]
        assert (grid[2:8, 2 : door[1]] != WALL).all() and (grid[2:8, door[1] + 1 : 8] != WALL).all()
        assert (grid[key], grid[door], grid[goal]) == (KEY, CLOSED, GOAL)
        assert cell != key and max(cell[1], key[1]) < door[1] < goal[1]
    assert len(set(starts)) > 490
    cells, headings, _, doors, _ = zip(*starts)
    assert set(headings) == {0, 1, 2, 3} and len(set(cells)) == 24
    assert {row for row, _ in doors} == {2, 3, 4, 5, 6, 7} and {column for _, column in doors} == {3, 4, 5, 6}


def test_the_seed_decides_every_episode():
    def observations(seed):
        env = environments.make("key-door:8", seed)
        return np.array([env.reset().observation for _ in range(5)])

    np.testing.assert_array_equal(observations(3), observations(3))
    assert not np.array_equal(observations(3), observations(4))


def test_an_observation_is_not_overwritten_by_the_next():
    env = _corridor()
    observation = env.step(TURN_LEFT).observation
    kept = observation.copy()
    env.step(TURN_RIGHT)
    np.testing.assert_array_equal(observation, kept)


@pytest.mark.parametrize("action", [-1, 5])
def test_an_action_that_is_none_is_refused(action):
    env = environments.make("key-door:5", seed=0)
    env.reset()
    with pytest.raises(ValueError, match=f"Expected an action from 0 to 4, got {action}"):
        env.step(action)


def test_the_picture_is_of_the_state():
    env = _corridor()
    frame = environments.render_frame(env)
    assert frame.shape == (80, 80, 3) and frame.dtype == np.uint8
    colour = lambda row, column: tuple(int(c) for c in frame[16 * row + 1, 16 * column + 1])  # noqa: E731
    assert [colour(1, column) for column in range(5)] == [
        (100, 100, 100),
        (255, 220, 0),
        (200, 0, 0),
        (0, 160, 0),
        (100, 100, 100),
    ]
    assert tuple(frame[16 * 3 + 12, 16 + 8]) == (255, 255, 255)  # The agent ...
    assert tuple(frame[16 * 3 + 4, 16 + 8]) == (0, 80, 255)  # ... looks up ...
    assert tuple(frame[16 * 3 + 8, 16 + 8]) == (255, 255, 255)  # ... and has no key.
    env.step(FORWARD)
    env.step(PICK_UP)
    frame = environments.render_frame(env)
    assert colour(1, 1) == (0, 0, 0)
    assert tuple(frame[16 * 2 + 8, 16 + 8]) == (255, 220, 0)
