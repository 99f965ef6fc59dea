"""A contextual bandit that tells afterwards how lucky one was: `feedback-bandit:NOISE`, NOISE the reward's deviation.

The bandit with feedback of Counterfactual Credit Assignment (Mesnard et al. 2021, arXiv 2011.09464): a reward whose
noise hides what the action was worth, and a feedback from which that noise can be read.

- One step. The context c and the action a are whole numbers from -10 to 10; the context is uniformly random, and
  action number i is a = i - 10.
- The reward is R = -(c - a)^2 + e with e normal, of mean 0 and standard deviation NOISE.
- The feedback is F = U_c + V_a + e W, of 20 numbers. The vectors U_c, V_a and W are standard normal, drawn once: they
  are the same for every seed, and so for all actors of a run.
- The observation, [41] float32, is the context, one-hot in 21, and no feedback; and after the step the feedback and no
  context.

Optimal: a = c, a return of 0 in the mean. Uniformly random actions: -73.3. Any action that does not depend on the
context: at best a = 0, -36.7.

**Unverified**: the formula of the feedback, that its vectors are normal, and that it has 20 numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.types import Action, Array, ArraySpec, EnvironmentSpec, Key
from acme_agents.environments import naming
from acme_agents.environments.pure import Pure, TimeStep

LARGEST = 10  # N: contexts and actions are from -N to N.
NUM_ACTIONS = 2 * LARGEST + 1  # And as many contexts.
_FEEDBACK_SIZE = 20  # K
_VECTORS_SEED = 0


def problem(name: str) -> str | None:
    """Returns what is wrong with `NOISE`, or None."""
    if naming.is_size(name):
        return None
    return f"a bandit with feedback is feedback-bandit:NOISE with a noise of at least 0, and {name!r} is none."


class State(NamedTuple):
    """What the step will be of."""

    context: Array  # [] int32, 0 to 20
    noise: Array  # [] float32, e


def make_pure(name: str) -> Pure:
    """Makes the functions of `NOISE`."""
    return bandit(float(name))


def bandit(noise: float | Array) -> Pure:
    """Makes the functions of a bandit whose rewards have this standard deviation, which may be traced."""
    rng = np.random.RandomState(_VECTORS_SEED)
    of_contexts, of_actions = (jnp.float32(rng.randn(NUM_ACTIONS, _FEEDBACK_SIZE)) for _ in range(2))
    of_noise = jnp.float32(rng.randn(_FEEDBACK_SIZE))

    def init(key: Key) -> tuple[State, Array]:
        context_key, noise_key = jax.random.split(key)
        context = jax.random.randint(context_key, (), 0, NUM_ACTIONS)
        state = State(context, noise * jax.random.normal(noise_key))
        return state, jnp.concatenate([jax.nn.one_hot(context, NUM_ACTIONS), jnp.zeros(_FEEDBACK_SIZE)])

    def step(state: State, action: Action) -> tuple[State, TimeStep]:
        reward = state.noise - jnp.square(state.context - action)
        feedback = of_contexts[state.context] + of_actions[action] + state.noise * of_noise
        observation = jnp.concatenate([jnp.zeros(NUM_ACTIONS), feedback])
        return state, TimeStep(reward, jnp.float32(0), jnp.bool_(True), observation)

    actions = ArraySpec((), "int32", NUM_ACTIONS)
    spec = EnvironmentSpec(
        ArraySpec((NUM_ACTIONS + _FEEDBACK_SIZE,)), actions, action_bounds=((0,), (NUM_ACTIONS - 1,))
    )
    return Pure(spec, init, step)


def mean_rewards() -> np.ndarray:
    """Returns the mean reward of each context, in rows, and action: [21, 21], -(c - a)^2."""
    numbers = np.arange(NUM_ACTIONS)
    return -np.square(np.float32(numbers[:, None] - numbers[None]))
