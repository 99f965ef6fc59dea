"""Rare rewards: how fast does each critic's mean find where a reward is that one step in 200 earns?

A regression without any bootstrap: eight standard normal inputs, reward 1 where the first is in its highest 0.5%, else
0; minibatches of 256 of which one or two are rewarded; the networks, the optimiser and the clipping are mpo's. The
table has the critic's mean where the reward is (1 is right) after --updates, mean and range over seeds, and its mean
elsewhere (0 is right, 0.005 is what a constant learns). Every head is trained with gradients clipped to a norm of 40,
and without clipping.

  scalar, categorical on [-150, 150]   mpo's
  mixture                              mpo's: a smoothed energy distance, with several widths of the smoothing
  mixture, likelihood                  the loss of Shahriari et al. 2022 and of Acme, which mpo's was

`noise / signal`, after the first report's updates: the root mean square over minibatches of the gradient's norm that
the unrewarded inputs cause, over the norm of what the rewarded ones add to it, on average. It says why: a likelihood
whose scales have shrunk has gradients of error / scale^2 at every input, and the few of the reward are lost among them.

    python benchmarks/rare_rewards.py --output benchmarks/results/rare_rewards.md
"""

import functools
import pathlib
from typing import Any

import common
import haiku as hk
import jax
import jax.numpy as jnp
import likelihood
import numpy as np
import optax

from acme_agents.core import torsos, values
from acme_agents.core.types import Array
from acme_agents.core.values import ValueHead

DIMENSIONS = 8
THRESHOLD = 2.5758  # a standard normal is above it with probability 0.005
_NOT_REWARDED, _REWARDED = 18_000, 2_000  # inputs that the table's means are taken over


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--updates", default=[500, 1_500, 3_000], nargs="+", type=int, help="when to look")
    parser.add_argument("--factor", default=1.0, type=float, help="of the rewards; results are divided by it")
    parser.add_argument("--smoothing", default=[0.1, 0.3, 1.0], nargs="+", type=float, help="of the mixture's loss")
    parser.add_argument("--width", default=256, type=int, help="of the network's three layers")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--runs", default=pathlib.Path("runs/rare_rewards"), type=pathlib.Path, help="what is finished")
    options = parser.parse_args()
    heads = {"scalar": values.scalar(), "categorical": values.categorical(-150.0, 150.0, 51)}
    heads |= {f"mixture, smoothing {f:g}": values.mixture(5, 1e-3, f) for f in options.smoothing}
    heads |= {"mixture, likelihood": likelihood.value_head(5, 1e-3, num_samples=1)}  # the target is a point
    report = common.Report(
        f"The critic's mean where a reward of {options.factor:g} is that 0.5% of inputs earn, over the reward",
        ["critic", "clipped", *(f"{n:,} updates" for n in options.updates), "elsewhere", "noise / signal"],
    )
    for name, head in heads.items():
        for clip in (40.0, None):
            found = [_kept(options, name, head, clip, seed) for seed in range(options.seeds)]  # [seeds, reports + 2]
            columns = np.array(found).T
            cells = [f"{np.mean(c):.2f} ({min(c):.2f} .. {max(c):.2f})" for c in columns[:-2]]
            report.row(
                name, "yes" if clip else "no", *cells, f"{np.mean(columns[-2]):.4f}", float(np.mean(columns[-1]))
            )
    report.note(
        f"Mean (lowest .. highest) of {options.seeds} seeds. Three layers of {options.width}, minibatches of 256, "
        "Adam at 3e-4."
    )
    report.finish(options.output)


def _kept(options: Any, name: str, head: ValueHead, clip: float | None, seed: int) -> np.ndarray:
    """One run's results, from its file if it has been done."""
    key = f"{name}-{clip}-{options.factor:g}-{options.width}-{'-'.join(map(str, options.updates))}-{seed}"
    path = options.runs / f"{key.replace(' ', '-').replace(',', '')}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = learn(head, clip, options.updates, factor=options.factor, width=options.width, seed=seed)
        np.save(path, np.array(found))
        print(key, *(f"{x:.3g}" for x in found), flush=True)
    return np.load(path)


def learn(
    head: ValueHead,
    clip: float | None,
    updates: list[int],
    *,
    factor: float = 1.0,
    width: int = 256,
    seed: int = 0,
    noise: bool = True,
) -> list[float]:
    """Trains a critic of the kind, its gradients clipped to a norm or not.

    Returns:
      Its mean where the reward is after each of so many updates, its mean elsewhere after the last of them, and the
      noise over the signal after the first, or 0 where `noise` is false: all but the last over the reward.
    """
    net = hk.without_apply_rng(hk.transform(lambda x: head.head(torsos.layer_norm_mlp(x, (width,) * 3))))
    clipping = optax.identity() if clip is None else optax.clip_by_global_norm(clip)
    optimizer = optax.chain(clipping, optax.adam(3e-4))

    def reward(x: Array) -> Array:
        return factor * (x[:, 0] > THRESHOLD).astype(jnp.float32)

    def loss(params: Any, x: Array, counts: Array | float = 1.0) -> Array:
        value = net.apply(params, x)
        unread = jax.tree.map(lambda leaf: leaf[None], value)  # the bootstrap, which has a discount of zero
        return jnp.mean(counts * head.loss(value, reward(x), jnp.zeros(len(x)), unread))

    def minibatch(key: Any) -> Array:
        return jax.random.normal(key, (256, DIMENSIONS))

    @functools.partial(jax.jit, static_argnums=3)
    def train(params: Any, state: Any, key: Any, number: int) -> tuple[Any, Any]:
        def one(i: int, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            params, state = carry
            step, state = optimizer.update(jax.grad(loss)(params, minibatch(jax.random.fold_in(key, i))), state)
            return optax.apply_updates(params, step), state

        return jax.lax.fori_loop(0, number, one, (params, state))

    @jax.jit
    def gradients(params: Any, keys: Any) -> tuple[Array, Array]:  # those of unrewarded inputs, and the others', [P]
        def part(key: Any, rewarded: bool) -> Array:
            x = minibatch(key)
            gradient = jax.grad(loss)(params, x, ((reward(x) > 0) == rewarded).astype(jnp.float32))
            return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])

        def both(total: Array, key: Any) -> tuple[Array, Array]:
            return total + part(key, True), jnp.sum(jnp.square(part(key, False)))

        signal, squares = jax.lax.scan(both, jnp.zeros_like(part(keys[0], True)), keys)
        return jnp.sqrt(jnp.mean(squares)), jnp.linalg.norm(signal / len(keys))

    init_key, test_key, gradient_key, key = jax.random.split(jax.random.PRNGKey(seed), 4)
    params = net.init(init_key, jnp.zeros((1, DIMENSIONS)))
    state = optimizer.init(params)
    x = jax.random.normal(test_key, (_REWARDED + _NOT_REWARDED, DIMENSIONS))
    x = x.at[:_REWARDED, 0].set(THRESHOLD + 0.3 + 0.3 * jnp.abs(x[:_REWARDED, 0]))
    there, done, means = reward(x) > 0, 0, []
    elsewhere = ratio = 0.0
    for until in updates:
        params, state = train(params, state, jax.random.fold_in(key, until), until - done)
        q = head.mean(net.apply(params, x)) / factor
        means.append(float(jnp.mean(q[there])))
        elsewhere = float(jnp.mean(q[~there]))
        if done == 0 and noise:
            unrewarded, signal = gradients(params, jax.random.split(gradient_key, 64))
            ratio = float(unrewarded / jnp.maximum(signal, 1e-30))
        done = until
    return [*means, elsewhere, ratio]


if __name__ == "__main__":
    main()
