"""Environment steps per second of the environments to explore in, 64 copies at a time, without any agent.

  one call    `environments.make_batch`, as an actor of --environments-per-actor 64 steps them: a call of Python's for
              each time step, with random actions drawn beforehand
  compiled    many time steps in one compiled call, as `--launcher fused` takes them: random actions are drawn and
              episodes begun anew inside

    python benchmarks/worlds.py --output benchmarks/results/worlds.md

The best round counts, because other work on the machine only ever slows a round down. On a machine that is never idle
the steps per second of CPU, which all threads of this process have used, say more.
"""

import functools
import time

import common
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments

_COPIES = 64
_TARGET = 100_000
_NAMES = (
    "trackers:none",
    "trackers:brownian",
    "trackers:pixels",
    "trackers:no-op",
    "noisy-tv:symbols",
    "noisy-tv:pixels",
    "noisy-tv:picture",
    "persistive:noisy-tv:picture",
    "maze:four-rooms",
    "maze:u",
    "repeat:4:maze:u",
    "jax:sparse-mountain-car",
)


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--envs", default=_NAMES, nargs="+", help="environments' names")
    parser.add_argument("--repeats", default=5, type=int, help="rounds")
    parser.add_argument("--steps", default=1_000, type=int, help="time steps of all copies in a round")
    options = parser.parse_args()
    contestants = {}
    for name in options.envs:
        contestants[name, "one call"] = functools.partial(_one_call(name), options.steps)
        contestants[name, "compiled"] = functools.partial(_compiled(name), options.steps)
    for contestant in contestants.values():
        contestant()  # Compiles.
    results = common.interleave(contestants, options.repeats)
    kinds = ("one call", "compiled")
    columns = ["environment", *kinds, *(f"{kind}, per CPU second" for kind in kinds), f">= {_TARGET:,}"]
    report = common.Report(f"Environment steps per second, {_COPIES} copies", columns)
    for name in options.envs:
        by_wall, by_cpu = zip(*(map(max, zip(*results[name, kind])) for kind in kinds))
        reached = "yes" if min(by_wall) >= _TARGET else "of CPU" if min(by_cpu) >= _TARGET else "no"
        report.row(name, *by_wall, *by_cpu, reached)
    report.note(f"The best of {options.repeats} rounds of {options.steps * _COPIES:,} environment steps for each.")
    report.finish(options.output)


def _one_call(name: str):
    """A function that takes time steps by the batched face, and returns environment steps per second and CPU second."""
    batch = environments.make_batch(name, range(_COPIES))
    batch.reset()
    spec, rng = batch.action_spec(), np.random.default_rng(0)
    shape = (100, _COPIES, *spec.shape)
    is_discrete = hasattr(spec, "num_values")
    actions = rng.integers(spec.num_values, size=shape) if is_discrete else rng.uniform(-1, 1, shape)
    actions = actions.astype(spec.dtype)

    def take(num_steps: int) -> None:
        for i in range(num_steps):
            batch.step(actions[i % len(actions)], _COPIES)

    return functools.partial(_rates, take)


def _compiled(name: str):
    """A function that takes time steps in one compiled call, and returns the same."""
    functions = environments.make_pure(name)
    spec = functions.spec.action

    def one(carry, key):
        state, last, total = carry
        action_key, begin_key = jax.random.split(key)
        if spec.num_values is None:
            action = jax.random.uniform(action_key, spec.shape, minval=-1.0, maxval=1.0)
        else:
            action = jax.random.randint(action_key, spec.shape, 0, spec.num_values)
        moved, timestep = functions.step(state, action)
        fresh, observation = functions.init(begin_key)
        state, observation = jax.tree.map(
            lambda x, y: jnp.where(last, x, y), (fresh, observation), (moved, timestep.observation)
        )
        # All that is observed goes into a sum, so that nothing is compiled away.
        total = total + timestep.reward + jnp.sum(observation.astype(jnp.float32))
        return state, timestep.last & ~last, total

    def rollout(carry, key, num_steps):
        def body(i, carry):
            keys = jax.random.split(jax.random.fold_in(key, i), _COPIES)
            return jax.vmap(one)(carry, keys)

        return jax.lax.fori_loop(0, num_steps, body, carry)

    call, key = jax.jit(rollout), jax.random.PRNGKey(0)
    state, _ = jax.jit(jax.vmap(functions.init))(jax.random.split(key, _COPIES))
    carry = [(state, jnp.zeros(_COPIES, bool), jnp.zeros(_COPIES))]

    def take(num_steps: int) -> None:
        carry[0] = jax.block_until_ready(call(carry[0], key, num_steps))

    return functools.partial(_rates, take)


def _rates(take, num_steps: int) -> tuple[float, float]:
    """Environment steps per second, and per second of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    take(num_steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return num_steps * _COPIES / wall, num_steps * _COPIES / cpu


if __name__ == "__main__":
    main()
