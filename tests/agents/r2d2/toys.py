"""Small specs, and batches made of what an actor did."""

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents import r2d2
from acme_agents.core import recurrent
from acme_agents.core.types import ArraySpec, EnvironmentSpec, SampleInfo, Sequence, Step

A, H = 3, 4
SPEC = EnvironmentSpec({"x": ArraySpec((2,)), "y": ArraySpec(())}, ArraySpec((), "int32", A))
TINY = r2d2.Config(
    torso_layers=(5,),
    lstm_size=H,
    head_layers=(5,),
    burn_in_length=2,
    trace_length=4,
    sequence_period=3,
    n_step=3,
    discount=0.9,
    epsilon_max=0.9,
    epsilon_min=0.3,
    num_epsilons=2,
    target_update_period=3,
)


def observations(rng, *shape, spec=SPEC):
    return jax.tree.map(lambda s: jnp.array(rng.normal(size=(*shape, *s.shape)), jnp.float32), spec.observation)


def random_batch(config=TINY, spec=SPEC, num_steps=(7, 7, 7, 5, 2), episode_step=(0, 3, 6, 0, 3)):
    """Five sequences of as many rows as configured (7), with padding that is not zero: nothing may depend on it."""
    rng = np.random.default_rng(0)
    size, rows = len(num_steps), config.burn_in_length + config.trace_length + 1

    def normal(*shape):
        return jnp.array(rng.normal(size=(size, *shape)), jnp.float32)

    discount = jnp.ones((size, rows)).at[2, 4].set(0.0)  # a discount of zero on the way
    discount = discount.at[3, 3].set(0.0)  # the fourth one's episode ends for good, the fifth's is cut short
    return Sequence(
        steps=Step(
            observation=observations(rng, size, rows, spec=spec),
            action=jnp.array(rng.integers(0, A, (size, rows)), jnp.int32),
            reward=normal(rows),
            discount=discount,
            last=jnp.arange(rows)[None] == jnp.array(num_steps)[:, None] - 1,
            extras=recurrent.State(normal(rows, H), normal(rows, H)) if config.initial_state == "stored" else (),
        ),
        num_steps=jnp.array(num_steps, jnp.int32),
        episode_step=jnp.array(episode_step, jnp.int32),
        previous_action=jnp.array(rng.integers(0, A, size), jnp.int32),
        previous_reward=normal(),
        # Of two sources, the first of which has the elements 0, 2 and 4.
        sample_info=SampleInfo(jnp.array([1e-4, 0.5, 4e-4, 0.25, 2e-4]), jnp.array([0, 1, 0, 1, 0])),
    )
