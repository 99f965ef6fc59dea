"""Hindsight credit assignment by tables beside policy gradients: the three figures of the paper, 100 runs each.

The tasks are `hindsight:NAME`, undiscounted. Two methods are the update that the authors published, conditioned on
later states and on the return; two are the forms that the agent `hca` has with networks: hindsight that is what an
outcome adds to the policy, a model of the immediate reward, and for returns a baseline. Beside them is the policy
gradient with a baseline by Monte Carlo, and by returns of three steps.

    python benchmarks/hca.py --output benchmarks/results/hca.md --runs runs/hca

What is counted is the exact expected return of the policy before each episode. Columns: task, method, its mean over the
episodes and over the runs, with the standard error; that of the last policy; learning rates (policy and values;
hindsight), which are the best of a grid in runs of their own; and the mean with the rates that accounts of the paper
name, 0.2 for all and 0.4 for hindsight. The first row of a task has the best return that there is. Claims are decided
by the best rates' means: "yes" and "no" where the difference is more than three standard errors.
"""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import common

if __name__ == "__main__":
    common.one_thread()  # The tables are small.

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents import environments
from acme_agents.agents.hca import tabular
from acme_agents.core.types import Array

RUNS = 100
_ROLLOUTS = 1000
_NAMED = tabular.Tables(0.2, 0.2, 0.4, 0.2)
PROBABILITIES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
_POLICY_RATES, _HINDSIGHT_RATES = (0.1, 0.2, 0.4, 0.8), (0.4, 1.0, 2.0)

STATE, RETURN, STATE_NET, RETURN_NET, PG, PG3 = METHODS = (
    "state-HCA",
    "return-HCA",
    "state-HCA as with networks",
    "return-HCA as with networks",
    "policy gradient, Monte Carlo",
    "policy gradient, 3 steps",
)


class Task(NamedTuple):
    """A task, and what is known of it."""

    name: str  # hindsight:NAME
    episodes: int
    max_steps: int
    bins: tuple[float, ...]  # of the return
    value: Callable[[Array], Array]  # from policies [..., S, A], probabilities, to their expected return [...]
    best: float
    bias: float = 0.0  # added to action 1's logits at first
    tuning_runs: int = 20  # for each rate of the grid


def shortcut_value(policy: Array) -> Array:
    """The expected return of policies in `shortcut-N`, [..., N, 2] to [...]."""
    end, value = 1.0, jnp.ones(policy.shape[:-2])
    for state in reversed(range(policy.shape[-2] - 1)):
        jumps = policy[..., state, 0] + 0.1 * policy[..., state, 1]
        value = -1.0 + jumps * end + (1.0 - jumps) * value
    return value


def bandit(name: str, noise: float, crossover: float) -> Task:
    """An ambiguous bandit, whose returns get bins a third of the noise wide."""
    bins = np.arange(1.0 - 2 * noise, 2.0 + 2 * noise + 1e-6, noise / 3)

    def value(policy: Array) -> Array:
        return 1.0 + crossover + policy[..., 0, 0] * (1.0 - 2.0 * crossover)

    return Task(name, 100, 2, tuple(bins.tolist()), value, max(2.0 - crossover, 1.0 + crossover))


def delayed_effect(length: int, noise: float) -> Task:
    """A delayed effect; returns get bins of the width 1 or less."""
    spread = 1.0 + 2 * noise * math.sqrt(length)
    bins = np.linspace(-spread, spread, 2 * math.ceil(spread) + 1)
    name = f"delayed-effect-{length}" + (f"-noise-{noise:g}" if noise else "")
    made = Task(name, 500, length + 2, tuple(bins.tolist()), lambda p: 2.0 * p[..., 0, 0] - 1.0, 1.0)
    return made._replace(tuning_runs=100) if noise else made  # Now and then a run never learns.


SHORTCUT = Task("shortcut-5", 100, 5, tuple(np.arange(-3.0, 2.0).tolist()), shortcut_value, 0.0)
LONG = SHORTCUT._replace(bias=3.0)
DELAYED, NOISY, NOISIER = delayed_effect(5, 0.0), delayed_effect(3, 2.0), delayed_effect(3, 4.0)
BANDIT, HIDDEN = bandit("ambiguous-bandit", 1.5, 0.1), bandit("ambiguous-bandit-hidden", 1.5, 0.1)
TASKS = (SHORTCUT, LONG, DELAYED, NOISY, NOISIER, BANDIT, HIDDEN)
_NOISES = ((0.0, delayed_effect(3, 0.0)), (2.0, NOISY), (4.0, NOISIER))
_CROSSOVERS = [(x, bandit(f"ambiguous-bandit-noise-0.5-crossover-{x:g}", 0.5, x)) for x in (0.0, 0.2, 0.4)]


class Setting(NamedTuple):
    """A task and a method, ready to run."""

    functions: Any
    update: tabular.Update
    tables: tabular.Tables


@functools.cache
def setting(task: Task, method: str) -> Setting:
    """Makes the environment, the update and the first tables."""
    functions = environments.make_pure(f"hindsight:{task.name}")
    (size,), bins = functions.spec.observation.shape, jnp.array(task.bins)
    updates: dict[str, tuple[Callable[..., tabular.Tables], dict[str, Any], int]] = {
        STATE: (tabular.state_update, {}, size),
        RETURN: (tabular.return_update, {"bins": bins}, len(bins)),
        STATE_NET: (tabular.state_update, {"relative": True, "reward_model": True}, size),
        RETURN_NET: (tabular.return_update, {"bins": bins, "relative": True, "baseline": True}, len(bins)),
        PG: (tabular.policy_gradient_update, {}, 1),
        PG3: (tabular.policy_gradient_update, {"n": 3}, 1),
    }
    update, options, outcomes = updates[method]
    tables = tabular.init(size, 2, outcomes)
    tables = tables._replace(policy=tables.policy.at[:, 1].set(task.bias))
    return Setting(functions, functools.partial(update, discount=1.0, **options), tables)


def curves(task: Task, method: str, rates: tabular.Tables, *, runs: int = RUNS, seed: int = 0) -> np.ndarray:
    """Expected returns before each episode, [..., runs, E], for rates that are numbers or arrays [...] of one form."""
    made, keys = setting(task, method), jax.random.split(jax.random.PRNGKey(seed), runs)

    def learn(rates: tabular.Tables) -> Array:
        logits = tabular.learn(*made, rates, keys, num_episodes=task.episodes, max_steps=task.max_steps)
        return task.value(jax.nn.softmax(logits))

    return np.asarray((learn if np.ndim(rates.policy) == 0 else jax.vmap(learn))(rates))


def best_rates(task: Task, method: str) -> tabular.Tables:
    """The rates of the grid with the best mean less its standard error, in runs with a seed of their own."""
    hindsight_rates = (0.0,) if method in (PG, PG3) else _HINDSIGHT_RATES
    policy, hindsight = (x.ravel() for x in np.meshgrid(_POLICY_RATES, hindsight_rates))
    grid = tabular.Tables(policy, policy, hindsight, policy)
    means = curves(task, method, grid, runs=task.tuning_runs, seed=1).mean(2)  # [R, runs]
    best = np.argmax(means.mean(1) - means.std(1) / math.sqrt(task.tuning_runs))
    return jax.tree.map(lambda x: float(x[best]), grid)


def advantages(method: str, probabilities: tuple[float, ...], *, runs: int = RUNS) -> np.ndarray:
    """The shortcut's advantage at the start, [P, runs], by 1,000 rollouts of policies that stay as they are.

    The policies take the long way with these probabilities. Every method's increment of a logit is pi(a) times an
    estimate of A(a); the mean over the rollouts is taken, during which hindsight, values and the reward model are
    learned.
    """
    made = setting(SHORTCUT, method)
    rates = _NAMED._replace(policy=0.0)

    def episode(tables: tabular.Tables, key: Array) -> tuple[tabular.Tables, Array]:
        steps = tabular.play(made.functions, tables.policy, key, max_steps=SHORTCUT.max_steps)
        increments = made.update(tables, steps)
        return jax.tree.map(lambda x, rate, y: x + rate * y, tables, rates, increments), increments.policy[0, 0]

    def run(probability: Array, key: Array) -> Array:
        long_way = jnp.log(probability / (1.0 - probability))
        tables = made.tables._replace(policy=made.tables.policy.at[:, 1].set(long_way))
        found = jax.lax.scan(episode, tables, jax.random.split(key, _ROLLOUTS))[1]
        return jnp.mean(found) / (1.0 - probability)

    keys = jax.random.split(jax.random.PRNGKey(2), runs)
    return np.asarray(jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))(jnp.array(probabilities), keys))


class Score(NamedTuple):
    """A mean of runs, and its standard error."""

    mean: float
    error: float


def score(values: np.ndarray) -> Score:
    """Of one number per run, [runs]."""
    return Score(float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))))


def above(a: Score, b: Score) -> str:
    """Whether a is above b."""
    distance = (a.mean - b.mean) / max(math.hypot(a.error, b.error), 1e-12)
    return "yes" if distance > 3 else "no" if distance < -3 else "undecided"


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--runs", type=pathlib.Path, help="a folder that keeps what is computed, so that it is not again"
    )
    options = parser.parse_args()
    kept = functools.partial(_kept, options.runs)
    columns = ["task", "method", "mean", "error", "last", "rates", "mean at the named rates"]
    report = common.Report("Hindsight credit assignment by tables: expected returns", columns)
    found, scores = {}, {}
    for task in TASKS:
        label = task.name + (", long way first" if task.bias else "")
        report.row(label, "the best there is", task.best, "", "", "", "")
        for method in METHODS:
            best, at_best = _tuned(kept, task, method)
            found[task, method], scores[task, method] = at_best, score(at_best.mean(1))
            named = kept(f"{task.name} {task.bias:g} {method} named", curves, task, method, _NAMED).mean()
            used = f"{best.policy:g}; {best.hindsight:g}" if best.hindsight else f"{best.policy:g}"
            mean, error = scores[task, method]
            report.row("", method, *(f"{x:.3f}" for x in (mean, error, at_best[:, -1].mean())), used, f"{named:.3f}")
    for text, task, ours, theirs in _claims():
        outcomes = [f"{method}: {above(scores[task, method], scores[task, theirs])}" for method in ours]
        report.note(f"{text}, on {task.name}: {'; '.join(outcomes)}.")
    estimates = {method: kept(f"advantages {method}", advantages, method, PROBABILITIES) for method in METHODS}
    exact = np.asarray(-shortcut_value(jnp.array([[[1 - p, p]] * 5 for p in PROBABILITIES])))
    for i in (2, -1):
        squares = {method: np.sqrt(np.mean(np.square(estimates[method][i] - exact[i]))) for method in METHODS}
        report.note(
            f"Root mean square error of the shortcut's advantage, {exact[i]:.2f}, of a policy that takes the long way "
            f"with probability {PROBABILITIES[i]:g}: "
            + "; ".join(f"{method} {x:.3f}" for method, x in squares.items())
            + "."
        )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        sweeps = {
            (name, method): np.array([_tuned(kept, task, method)[1].mean() for _, task in sweep])
            for name, sweep in (("noise", _NOISES), ("crossover", _CROSSOVERS))
            for method in METHODS
        }
        _plot(figure, found, sweeps, estimates, exact)
        report.note(f"![Learning curves, advantages, noise and crossover]({figure.name})")
    report.finish(options.output)


def _kept(runs: pathlib.Path | None, name: str, make: Callable[..., Any], *args: Any) -> np.ndarray:
    """The numbers that `make` returns, or what it returned before if that is kept."""
    if runs is None:
        return np.asarray(make(*args))
    path = runs / f"{name}.npy"
    if not path.exists():
        made = make(*args)
        runs.mkdir(parents=True, exist_ok=True)
        np.save(path, made)
    return np.load(path)


def _tuned(kept: Callable[..., np.ndarray], task: Task, method: str) -> tuple[tabular.Tables, np.ndarray]:
    """A method's best rates on a task, and its curves with them, [runs, E]."""
    of = f"{task.name} {task.bias:g} {method}"
    best = tabular.Tables(*map(float, kept(f"{of} rates", best_rates, task, method)))
    return best, kept(of, curves, task, method, best)


def _claims() -> list[tuple[str, Task, tuple[str, ...], str]]:
    """What the paper finds: a sentence, the task, the methods that are ahead, and whom they are ahead of."""
    return [
        ("HCA of states is above the policy gradient", SHORTCUT, (STATE, STATE_NET), PG),
        (
            "HCA of states is above the policy gradient from a policy that takes the long way",
            LONG,
            (STATE, STATE_NET),
            PG,
        ),
        ("HCA of states is above HCA of returns", SHORTCUT, (STATE,), RETURN),
        ("HCA is above bootstrapping", DELAYED, (STATE, RETURN, STATE_NET, RETURN_NET), PG3),
        ("HCA is above Monte Carlo with noise", NOISY, (STATE, RETURN, STATE_NET, RETURN_NET), PG),
        ("HCA is above Monte Carlo with more noise", NOISIER, (STATE, RETURN, STATE_NET, RETURN_NET), PG),
        ("HCA is above the policy gradient", BANDIT, (STATE, RETURN, STATE_NET, RETURN_NET), PG),
        ("HCA of returns is above the policy gradient", HIDDEN, (RETURN, RETURN_NET), PG),
        ("HCA of returns is above HCA of states", HIDDEN, (RETURN,), STATE),
    ]


def _plot(
    path: pathlib.Path,
    found: dict[Any, np.ndarray],
    sweeps: dict[tuple[str, str], np.ndarray],
    estimates: dict[str, np.ndarray],
    exact: np.ndarray,
) -> None:
    """Draws a row of panels for each figure of the paper."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = dict.fromkeys(METHODS, "-") | {PG3: "--"}  # It often lies on the other policy gradient.
    figure, axes = pyplot.subplots(3, 3, figsize=(13, 10))
    places = {SHORTCUT: axes[0, 0], LONG: axes[0, 1], DELAYED: axes[1, 0], NOISY: axes[1, 1], BANDIT: axes[2, 0]}
    for task, axis in (places | {HIDDEN: axes[2, 1]}).items():
        for i, method in enumerate(METHODS):
            values = found[task, method]
            mean, error = values.mean(0), values.std(0) / math.sqrt(len(values))
            axis.plot(mean, lines[method], color=f"C{i}", label=method)
            axis.fill_between(np.arange(len(mean)), mean - 2 * error, mean + 2 * error, color=f"C{i}", alpha=0.2)
        axis.axhline(task.best, color="0.7", linewidth=0.8, zorder=0)
        title = task.name + (", from a policy of the long way" if task.bias else "")
        axis.set(title=title, xlabel="episodes", ylabel="expected return")
    axes[0, 0].legend(fontsize=7)

    axes[0, 2].plot(PROBABILITIES, exact, "k:", label="exact")
    for i, method in enumerate(METHODS):
        axes[0, 2].errorbar(
            PROBABILITIES, estimates[method].mean(1), estimates[method].std(1), color=f"C{i}", marker="."
        )
    axes[0, 2].set(title="advantage of the shortcut, one deviation", xlabel="probability of the long way")
    axes[0, 2].legend(fontsize=7)

    for i, method in enumerate(METHODS):
        for axis, name, sweep in ((axes[1, 2], "noise", _NOISES), (axes[2, 2], "crossover", _CROSSOVERS)):
            axis.plot([x for x, _ in sweep], sweeps[name, method], lines[method], color=f"C{i}", marker=".")
    axes[1, 2].set(title="delayed-effect-3", xlabel="noise", ylabel="mean over the episodes")
    axes[2, 2].plot([x for x, _ in _CROSSOVERS], [task.best for _, task in _CROSSOVERS], color="0.7", linewidth=0.8)
    axes[2, 2].set(title="ambiguous-bandit-noise-0.5", xlabel="crossover", ylabel="mean over the episodes")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
