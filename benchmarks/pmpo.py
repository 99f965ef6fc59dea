"""PMPO by the weights of what it accepts, rejects and stays near: which of them learn, and which collapse? (specs 16)

PMPO on control tasks at each of --alphas (the weight of preferred actions; dispreferred ones have the rest) and --betas
(the weight of the divergence from the reference), every number else the same: networks of two layers of 32, a scalar
critic, batches of 64, an update every two steps, eight actions, a learning rate of 2e-3, targets copied every 50
updates, discount 0.95. MPO with these numbers stands beside it.

    python benchmarks/pmpo.py --output benchmarks/results/pmpo.md

Reading it: Abdolmaleki et al. (2024) report that preferred actions alone (alpha 1) hardly care for beta, that
dispreferred ones alone (alpha 0) need a beta above 1, and both alike (alpha 0.5) one above 0.5. In the fit of the mean
it can be seen why: the weights of all actions sum to 2 alpha - 1 + beta, and where that is not positive no mean is
best, so that the policy runs away. Each cell is the final evaluation's return, of the policy's mean action: mean over
seeds (lowest .. highest), then how far the policy's mean lies from its reference, as the divergence over the last tenth
of the updates, in nats; "diverged" counts seeds that ended in NaN.

--bandit, in place of the tasks, has the agent's loss alone, on one state whose best action is 0.5, with the value
-(clip(a, -1, 1) - 0.5)^2 known: a Gaussian that begins at mean 0 and deviation 0.7, 64 actions an update, Adam at 1e-2,
the reference new every 50 updates, 2,000 updates; for both forms and both directions of the divergence. A cell has the
mean that the policy ends with (lowest .. highest seed), and the deviation, means over seeds. It takes a minute.

--plain fits mean and standard deviation at once, as the paper's formula has it, in place of one after the other.

Pure-JAX tasks train all seeds side by side in one compiled program, half a minute of CPU a cell; the others one by one.
Each run's directory is kept under --runs: a run that is finished there is not repeated, and --report tells of what is
there alone.
"""

import argparse
import pathlib
import re
from typing import Any, Literal, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax

from acme_agents import environments
from acme_agents.agents import mpo, pmpo
from acme_agents.agents.pmpo import losses
from acme_agents.core import distributions, errors, heads, training
from acme_agents.core.distributions import Gaussian
from acme_agents.experiments import Experiment
from acme_agents.runtime import loggers

_SHARED: dict[str, Any] = {
    "policy_layers": (32, 32),
    "critic_layers": (32, 32),
    "critic": "scalar",
    "batch_size": 64,
    "samples_per_insert": 32.0,
    "num_actions": 8,
    "learning_rate": 2e-3,
    "target_update_period": 50,
    "discount": 0.95,
}


class _Run(NamedTuple):
    """What one seed came to; nothing if its learning diverged to NaN."""

    steps: np.ndarray  # of the evaluations
    returns: np.ndarray
    divergence: float  # nats, last tenth of the updates; NaN for MPO, which has a bound


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--envs", default=["jax:pendulum", "control:cartpole:balance"], nargs="+", help="tasks")
    parser.add_argument("--alphas", default=[0.0, 0.5, 1.0], nargs="+", type=float, help="weights of preferred actions")
    parser.add_argument("--betas", default=[0.0, 0.5, 1.0, 2.0], nargs="+", type=float, help="of the divergence")
    parser.add_argument("--plain", action="store_true", help="fit mean and standard deviation at once")
    parser.add_argument("--seeds", default=3, type=int, help="how many, from 0 on")
    parser.add_argument("--steps", default=8_000, type=int, help="environment steps of each run")
    parser.add_argument("--eval-episodes", default=5, type=int, help="episodes of each evaluation, four in a run")
    parser.add_argument("--runs", default=pathlib.Path("runs/pmpo"), type=pathlib.Path, help="run directories")
    parser.add_argument("--report", action="store_true", help="train nothing: the table of what there is")
    parser.add_argument("--bandit", action="store_true", help="the loss alone, on a task of one state")
    options = parser.parse_args()
    if options.bandit:
        _bandits(options)
        return

    form = {"beta_stddev": None} if options.plain else {}
    cells: dict[tuple[float, float] | None, Any] = {None: ("mpo", mpo.Config(**_SHARED))}
    for alpha in options.alphas:
        for beta in options.betas:
            cells[alpha, beta] = "pmpo", pmpo.Config(**_SHARED, **form, alpha=alpha, beta=beta)
    results: dict[tuple[str, tuple[float, float] | None], list[_Run | None]] = {}
    for environment in options.envs:
        # Side by side where that is possible; otherwise seeds outermost, so that there is some of everything.
        is_pure = environments.find_pure(environment) is not None
        groups = [range(options.seeds)] if is_pure else [range(seed, seed + 1) for seed in range(options.seeds)]
        for seeds in groups:
            for cell, (agent, config) in cells.items():
                found = _train(environment, cell, agent, config, seeds, options)
                results.setdefault((environment, cell), []).extend(found)

    how = ", mean and standard deviation at once" if options.plain else ""
    report = common.Report(
        f"Return of PMPO after {options.steps:,} steps by alpha and beta{how}", ["task", "alpha", *_columns(options)]
    )
    for environment in options.envs:
        for alpha in options.alphas:
            row = [_cell(results[environment, (alpha, beta)]) for beta in options.betas]
            report.row(environment, f"{alpha:g}", *row)
        report.row(environment, "MPO", _cell(results[environment, None]), *[""] * (len(options.betas) - 1))
    counts = ", ".join(f"{environment} {_count(results, environment)}" for environment in options.envs)
    report.note(
        "Mean (lowest .. highest) of the seeds, then the divergence from the reference in nats. Seeds of a cell: "
        f"{counts}; {options.eval_episodes} episodes of the mean action at the end of each."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(results, options, figure)
        report.note(f"![Learning curves]({figure.name})")
    report.finish(options.output)


def _bandits(options: argparse.Namespace) -> None:
    """The table of --bandit."""
    report = common.Report(
        f"PMPO's loss on one state whose best action is 0.5, {options.seeds} seeds: mean, deviation at the end",
        ["fit", "divergence", "alpha", *_columns(options)],
    )
    for fit, beta_stddev in (("apart, beta_stddev 10", 10.0), ("at once", None)):
        for kl in ("forward", "reverse"):
            for alpha in options.alphas:
                row = []
                for beta in options.betas:
                    mean, stddev = bandit(alpha, beta, beta_stddev, kl, options.seeds)
                    row.append(f"{np.mean(mean):.2f} ({min(mean):.2f} .. {max(mean):.2f}), {np.mean(stddev):.3f}")
                report.row(fit, kl, f"{alpha:g}", *row)
    report.finish(options.output)


def bandit(
    alpha: float, beta: float, beta_stddev: float | None, kl: Literal["forward", "reverse"], num_seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the deviation, [seeds] each, to which the agent's loss leads where the best action is 0.5."""
    optimizer = optax.adam(1e-2)

    def policy(params: jax.Array) -> Gaussian:  # [2], in [B=1, A=1]
        return Gaussian(params[:1, None], heads.scale(params[1:, None], 0.7, 1e-3))

    def loss(params: jax.Array, reference: jax.Array, key: jax.Array) -> jax.Array:
        actions = distributions.sample(key, policy(reference), 64)
        preferences = losses.by_rank(-jnp.square(jnp.clip(actions[..., 0], -1.0, 1.0) - 0.5))
        options = {"alpha": alpha, "beta": beta, "beta_stddev": beta_stddev, "kl": kl}
        return losses.pmpo_loss(policy(params), policy(reference), actions, preferences, **options)[0]

    def update(network: training.Trained, key: jax.Array) -> tuple[training.Trained, None]:
        gradient = jax.grad(loss)(network.online, network.target, key)
        return training.step(network, gradient, optimizer, 50), None

    def run(key: jax.Array) -> Gaussian:
        network = training.init(jnp.zeros(2), optimizer)
        return policy(jax.lax.scan(update, network, jax.random.split(key, 2_000))[0].online)

    mean, stddev = jax.jit(jax.vmap(run))(jax.random.split(jax.random.PRNGKey(0), num_seeds))
    return np.asarray(mean)[:, 0, 0], np.asarray(stddev)[:, 0, 0]


def _columns(options: argparse.Namespace) -> list[str]:
    return [f"beta {beta:g}" for beta in options.betas]


def _train(
    environment: str,
    cell: tuple[float, float] | None,
    agent: str,
    config: Any,
    seeds: range,
    options: argparse.Namespace,
) -> list[_Run | None]:
    """What each of some seeds came to, None for one that diverged; trained unless they are there."""
    experiment = Experiment(
        agent=agent,
        environment=environment,
        config=config,
        seed=seeds[0],
        max_steps=options.steps,
        eval_every=options.steps // 4,
        eval_episodes=options.eval_episodes,
    )
    label = "mpo" if cell is None else f"alpha{cell[0]:g}-beta{cell[1]:g}" + ("-plain" if options.plain else "")
    text = f"{environment}-{options.steps}-{label}-seeds{seeds[0]}-{seeds[-1]}"
    run_dir = options.runs / re.sub(r"[^\w.]+", "-", text)
    diverged = run_dir / "diverged"
    if not options.report and not diverged.exists():
        launcher = "in-process" if len(seeds) == 1 else "fused"
        try:
            common.train(experiment, run_dir, launcher=launcher, seeds=len(seeds))
        except errors.NotFinite as error:
            diverged.write_text(f"{error}\n")
    if diverged.exists():
        return [None] * len(seeds)
    if not (run_dir / "finished").exists():
        return []
    found = [_read(path) for path in common.seeds_of(run_dir)]
    print(f"{run_dir.name}: {', '.join(f'{run.returns[-1]:.0f}' for run in found)}", flush=True)
    return list(found)


def _read(run_dir: pathlib.Path) -> _Run:
    evaluations, updates = (loggers.read_csv(run_dir / name) for name in ("evaluator.csv", "learner.csv"))
    divergence = np.nan
    if "kl_reference" in updates:
        divergence = np.mean(updates["kl_reference"][-max(1, len(updates["kl_reference"]) // 10) :])
    return _Run(evaluations["actor_steps"], evaluations["episode_return"], float(divergence))


def _cell(runs: list[_Run | None]) -> str:
    finished = [run for run in runs if run is not None]
    diverged = f"{len(runs) - len(finished)} diverged" if len(runs) > len(finished) else ""
    if not finished:
        return diverged or "not run"
    last = [run.returns[-1] for run in finished]
    divergence = np.mean([run.divergence for run in finished])
    nats = "" if np.isnan(divergence) else f"; {divergence:.2g}"
    return f"{np.mean(last):.0f} ({min(last):.0f} .. {max(last):.0f}){nats}" + (f", {diverged}" if diverged else "")


def _count(results: dict[Any, list[_Run | None]], environment: str) -> str:
    sizes = sorted({len(runs) for (name, _), runs in results.items() if name == environment})
    return " or ".join(map(str, sizes))


def _plot(results: dict[Any, list[_Run | None]], options: argparse.Namespace, path: pathlib.Path) -> None:
    """Draws one panel for each task and alpha: a line for each beta, every seed faintly, and MPO in black."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shape = len(options.envs), len(options.alphas)
    figure, axes = pyplot.subplots(*shape, figsize=(3.6 * shape[1], 2.8 * shape[0]), sharey="row", squeeze=False)
    for row, environment in zip(axes, options.envs):
        for axis, alpha in zip(row, options.alphas):
            lines = [(None, "MPO", "black")]
            lines += [((alpha, beta), f"beta {beta:g}", f"C{i}") for i, beta in enumerate(options.betas)]
            for cell, label, colour in lines:
                runs = [run for run in results[environment, cell] if run is not None]
                if not runs:
                    axis.plot([], [], color=colour, label=f"{label}, not run")
                    continue
                for run in runs:
                    axis.plot(run.steps, run.returns, color=colour, alpha=0.3, linewidth=1)
                mean = np.mean([run.returns for run in runs], axis=0)
                axis.plot(runs[0].steps, mean, color=colour, label=label)
            axis.set(title=f"{environment}, alpha {alpha:g}", xlabel="environment steps")
    axes[0, 0].set_ylabel("return")
    axes[0, -1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
