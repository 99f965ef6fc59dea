"""DiME, MO-MPO and linear scalarisation on a one-dimensional bandit with a concave Pareto front, without noise.

Two objectives, r_1 = exp(-(a - 1)^2) and r_2 = exp(-(a + 1)^2), and a Gaussian policy. The losses are the agents' own
(`losses` of dime and mpo); what an agent does by samples and gradient steps is done exactly
here: actions lie at the quantiles of the policy, each temperature minimises its dual, and each M-step is the best one
inside the trust region. So every figure is a property of the method, in seconds, and not of a learner.

    python benchmarks/bandits.py --output benchmarks/results/bandits.md

First: standard deviation 0.5 throughout, epsilon 1. The front is a in [-1, 1]. DiME ends inside it, at a place of its
own for every preference, and scalarisation at its ends. Second: epsilon 0.1, a free standard deviation of at least
0.05, and r_1 times 20 or not. It changes no mean of DiME and MO-MPO, and scalarisation has r_1 alone. (There DiME too
ends near the ends, but for a preference near 1/2, where it stays wide: once a policy is narrow, E-steps with equal
bounds pull equally, and the greater preference wins.)
"""

import functools
import pathlib
from typing import NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.dime import losses
from acme_agents.agents.mpo import losses as mpo
from acme_agents.core.types import Array

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of r_1; r_2 has the rest
METHODS: tuple[losses.Method, ...] = ("dime", "mo-mpo", "scalarisation")

_NUM_ACTIONS = 1000
_ITERATIONS = 800
_HALVINGS = 30  # of the interval in which a temperature is sought


class Policy(NamedTuple):
    """A Gaussian over one action."""

    mean: Array  # []
    stddev: Array  # []


class Setting(NamedTuple):
    """What an experiment fixes."""

    epsilon: float  # bound of the E-steps
    scale: float = 1.0  # of r_1
    epsilon_mean: float = 1e-3  # bounds of the M-step
    epsilon_stddev: float = 0.0  # 0: the standard deviation stays
    min_stddev: float = 0.05
    stddev: float = 0.5  # at first


FIXED = Setting(epsilon=1.0)
FREE = Setting(epsilon=0.1, epsilon_stddev=1e-3)


def rewards(actions: Array, scale: float = 1.0) -> Array:
    """Both objectives: [N] to [2, N]."""
    return jnp.stack([scale * jnp.exp(-jnp.square(actions - 1)), jnp.exp(-jnp.square(actions + 1))])


def best_temperature(q_values: Array, epsilon: Array) -> Array:
    """The minimiser of the E-step's dual, [], by halving the interval that holds it; values are [N, 1]."""
    slope = jax.grad(mpo.temperature_loss, argnums=1)

    def halve(_: int, interval: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = interval
        middle = (low + high) / 2
        too_high = slope(q_values, jnp.exp(middle), epsilon) > 0
        return jnp.where(too_high, low, middle), jnp.where(too_high, middle, high)

    bounds = jnp.log(1e-3 * jnp.std(q_values)), jnp.log(1e3 * jnp.std(q_values))
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, bounds)
    return jnp.exp((low + high) / 2)


def iterate(method: losses.Method, setting: Setting, alpha: Array, policy: Policy) -> Policy:
    """One exact policy iteration of a bandit: E-steps, distillation, trust regions. alpha is of r_1, []."""
    quantiles = jax.scipy.special.ndtri((jnp.arange(_NUM_ACTIONS) + 0.5) / _NUM_ACTIONS)
    actions = policy.mean + policy.stddev * quantiles  # [N]
    q_values = rewards(actions, setting.scale)[..., None]  # [K, N, 1]
    experts = losses.experts(method, q_values, jnp.stack([alpha, 1 - alpha])[None], setting.epsilon)
    temperature = jax.vmap(best_temperature)(experts.q_values, experts.epsilon)
    expert_weights, _ = jax.vmap(mpo.e_step)(experts.q_values, temperature, experts.epsilon)
    weights = losses.mixture_weights(expert_weights, experts.share)[:, 0]  # [N]
    weights /= jnp.sum(weights)

    # The weighted log-likelihood is unimodal in mean and in standard deviation, each fitted with the other one as it
    # was: its maximum inside a trust region is its maximum, or the end of the region that lies towards it.
    mean = jnp.sum(weights * actions)
    mean_bound = policy.stddev * jnp.sqrt(2 * setting.epsilon_mean)
    stddev = jnp.sqrt(jnp.sum(weights * jnp.square(actions - policy.mean)))
    low, high = stddev_ratios(setting.epsilon_stddev)
    return Policy(
        policy.mean + jnp.clip(mean - policy.mean, -mean_bound, mean_bound),
        jnp.maximum(jnp.clip(stddev, low * policy.stddev, high * policy.stddev), setting.min_stddev),
    )


@functools.lru_cache
def stddev_ratios(epsilon: float) -> tuple[float, float]:
    """The least and greatest s'/s with KL(N(m, s), N(m, s')) = log s'/s + (s/s')^2 / 2 - 1/2 at most epsilon."""
    grid = np.exp(np.linspace(-1, 1, 200_001))
    inside = grid[np.log(grid) + 0.5 / grid**2 - 0.5 <= epsilon + 1e-12]
    return float(inside.min()), float(inside.max())


@functools.partial(jax.jit, static_argnums=(0, 1))
def solve(method: losses.Method, setting: Setting, alphas: Array, start: float = 0.1) -> Policy:
    """The policies after 800 iterations from a mean of `start`, for each alpha: [len(alphas)]."""

    def run(alpha: Array) -> Policy:
        policy = Policy(jnp.float32(start), jnp.float32(setting.stddev))
        return jax.lax.fori_loop(0, _ITERATIONS, lambda _, p: iterate(method, setting, alpha, p), policy)

    return jax.vmap(run)(alphas)


def main() -> None:
    """Runs the benchmark."""
    options = common.parser(__doc__).parse_args()
    report = common.Report(
        "Final mean of the policy on a concave bandit, by the preference for r_1",
        ["standard deviation", "r_1", "method", *(f"{alpha:g}" for alpha in ALPHAS)],
    )
    for name, setting in (("0.5", FIXED), ("free", FREE), ("free", FREE._replace(scale=20.0))):
        for method in METHODS:
            ends = [solve(method, setting, jnp.array(ALPHAS), start).mean for start in (0.1, -0.1)]
            found = [[f"{mean:.2f}".replace("-0.00", "0.00") for mean in at] for at in zip(*ends)]
            report.row(name, f"x {setting.scale:g}", method, *(" or ".join(dict.fromkeys(at)) for at in found))
    report.note("Two figures where the mean at the start, 0.1 or -0.1, decides.")
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(figure)
        report.note(f"![Final means, and the front]({figure.name})")
    report.finish(options.output)


def _plot(path: pathlib.Path) -> None:
    """Draws the final means over the preference, for both settings of the first experiment and for both scales."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    alphas = np.linspace(0.05, 0.95, 19)
    figure, (front, fixed, free) = pyplot.subplots(1, 3, figsize=(12, 3.6))
    actions = np.linspace(-1, 1, 200)
    front.plot(*rewards(actions), color="0.8", label="Pareto front", zorder=0)
    for i, (method, marker) in enumerate(zip(METHODS, "o.x")):
        means = np.asarray(solve(method, FIXED, jnp.array(alphas)).mean)
        front.plot(*rewards(means), marker, color=f"C{i}", markersize=9, fillstyle="none", label=method)
        fixed.plot(alphas, means, color=f"C{i}", marker=".", label=method)
        for scale, line in ((1.0, "-"), (20.0, "o")):
            means = np.asarray(solve(method, FREE._replace(scale=scale), jnp.array(alphas)).mean)
            free.plot(alphas, means, line, color=f"C{i}", fillstyle="none", label=f"{method}, r1 x {scale:g}")
    front.set(title="rewards of the final mean (stddev 0.5)", xlabel="r1", ylabel="r2")
    fixed.set(title="stddev 0.5, epsilon 1", xlabel="preference for r1", ylabel="final mean")
    free.set(title="free stddev, epsilon 0.1", xlabel="preference for r1", ylabel="final mean")
    for axis in (front, fixed, free):
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
