"""Keeping critics near the behaviour's values: TD3, TD3+BC, CRR and qsarsa on mixed data of four tasks. (specs 11)

For each task SAC trains once for --steps and its history is recorded. The data is mixed of two policies' steps, as many
of each: the first episodes of that history, poor and noisy, and episodes of the policy at its end without noise, which
leave all other actions in good states unknown. Every fourth episode is held out. From the rest learn

  TD3          alone
  TD3+BC       td3 with behaviour_alpha 2.5 (Fujimoto and Gu 2021)
  CRR          binary, a Gaussian policy and a scalar critic
  Qsarsa-AC    critics near the SARSA estimate, which learned alone for --sarsa-updates before
  Qsarsa-AC2   and the policy climbs the estimate too

every other number the same: two ReLU layers of 64 (CRR has its own kind of layers), batches of 64, learning rates
1e-3, discount 0.97, target networks that follow by 0.02 (CRR's are copied every 50 updates, which is as fast), each
action repeated four times.

    python benchmarks/qsarsa.py --output benchmarks/results/qsarsa.md

Reading it: a cell is the final return (of at most 1,000), and behind it the critics' mean value of the data's actions
over the last tenth of the updates. "highest possible" is the value of a reward of one at every step, for ever; above
it, and rising, an estimate has diverged. The last row is what the data's actions are worth to the policies that took
them. Shi et al. (2023) report that TD3 alone diverges on D4RL, that with the estimate it does not, and that it is then
about as good as TD3+BC. The second table has the estimate's error on the held-out episodes, against their discounted
returns, of the first half of each episode, as what comes after its end is not known: 0.97^125 is 0.02. Its spread is
the error of the best constant.

Each run's directory is kept under --runs: a run that is finished there is not repeated, and one that was interrupted
goes on from its checkpoint. --report trains nothing, and says of every cell how many seeds it has. On two idle cores a
recording takes a minute and an offline run a quarter of one: all of it is estimated at half an hour.
"""

import argparse
import pathlib
import re
from typing import Any, NamedTuple

import common
import jax
import numpy as np

from acme_agents import datasets
from acme_agents.agents import crr, qsarsa, sac, td3
from acme_agents.agents.td3 import networks
from acme_agents.core import checkpoint, errors
from acme_agents.core.types import Trajectory
from acme_agents.experiments import Experiment, making
from acme_agents.launch.collect import collect
from acme_agents.runtime import loggers

_REPEAT = 4
_DISCOUNT = 0.97
_HIGHEST = _REPEAT / (1.0 - _DISCOUNT)  # rewards of one
_NETWORKS: dict[str, Any] = {"policy_layers": (64, 64), "critic_layers": (64, 64), "discount": _DISCOUNT}
_RATES: dict[str, Any] = {"policy_learning_rate": 1e-3, "critic_learning_rate": 1e-3}
_METHODS = ("TD3", "TD3+BC", "CRR", "Qsarsa-AC", "Qsarsa-AC2")
_ESTIMATING = "Qsarsa-AC"  # whose estimate the second table is about


class _Run(NamedTuple):
    """What one seed came to."""

    final_return: float
    updates: np.ndarray  # of the policy and the critics
    values: np.ndarray  # of the data's actions, at these updates
    directory: pathlib.Path


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    tasks = ["cartpole:swingup", "reacher:easy", "finger:spin", "cheetah:run"]
    parser.add_argument("--tasks", default=tasks, nargs="+", help="of the control suite")
    parser.add_argument("--methods", default=_METHODS, choices=_METHODS, nargs="+", help="(default: all)")
    parser.add_argument("--seeds", default=[0, 1, 2], nargs="+", type=int, help="of the offline runs")
    parser.add_argument("--steps", default=20_000, type=int, help="of each recording, actions repeated")
    parser.add_argument("--half", default=5_000, type=int, help="steps of either policy in the data")
    parser.add_argument("--updates", default=10_000, type=int, help="of policy and critics")
    parser.add_argument("--sarsa-updates", default=5_000, type=int, help="of the estimate, before these")
    parser.add_argument("--in-weight", default=1.0, type=float, help="qsarsa's, at the data's actions")
    parser.add_argument("--out-weight", default=1.0, type=float, help="qsarsa's, at the policy's actions")
    parser.add_argument("--actor-weight", default=1.0, type=float, help="Qsarsa-AC2's")
    parser.add_argument("--eval-episodes", default=10, type=int, help="of the final evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/qsarsa"), type=pathlib.Path, help="run directories")
    parser.add_argument("--report", action="store_true", help="train nothing: the table of what there is")
    options = parser.parse_args()

    results: dict[tuple[str, str], list[_Run]] = {}
    for seed in options.seeds:  # Outermost: an interrupted benchmark has some of everything.
        for task in options.tasks:
            for method in options.methods:
                results.setdefault((method, task), []).extend(_train(task, method, seed, options))
    known = [task for task in options.tasks if _data(task, options).exists()]
    learnt = {task: _load(task, _data(task, options)) for task in known}

    report = common.Report(
        f"Return after {options.updates:,} updates on mixed data, and the critics' mean value", ["method", *known]
    )
    for method in options.methods:
        report.row(method, *(_cell(results[method, task]) for task in known))
    report.row("the data's mean", *(f"{np.mean([each.reward.sum() for each in learnt[task]]):.0f}" for task in known))
    report.row("the data's best", *(f"{np.max([each.reward.sum() for each in learnt[task]]):.0f}" for task in known))
    report.row("what the data's actions are worth", *(f"{np.mean(_monte_carlo(learnt[task])):.0f}" for task in known))
    report.note(
        "Means (lowest .. highest) over seeds, and how many of these there are where it is one. The highest possible "
        f"value is {_HIGHEST:.0f}. Qsarsa's estimate had {options.sarsa_updates:,} updates before these; its weights "
        f"are {options.in_weight:g}, {options.out_weight:g} and, of AC2's policy, {options.actor_weight:g}. "
        f"{options.eval_episodes} episodes of the deterministic policy; {options.half:,} steps of either policy in "
        "the data, a quarter held out."
    )
    for task in known:
        runs = results.get((_ESTIMATING, task), [])
        if runs:
            report.note(f"{task}: {_estimate_errors(task, runs, options)}")
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(results, learnt, options, figure)
        report.note(f"![Values and returns]({figure.name})")
    report.finish(options.output)


def _environment(task: str) -> str:
    return f"repeat:{_REPEAT}:control:{task}"


def _name(text: str) -> str:
    return re.sub(r"[^\w.+]+", "-", text)


def _data(task: str, options: argparse.Namespace) -> pathlib.Path:
    return options.runs / f"{_name(task)}-{options.steps}-mixed-{options.half}"


def _held_out(data: pathlib.Path) -> pathlib.Path:
    return data.with_name(f"{data.name}-held-out")


def _load(task: str, path: pathlib.Path) -> list[Trajectory]:
    return list(datasets.load(path, Experiment("sac", _environment(task)).environment_spec()))


def _make_data(task: str, options: argparse.Namespace) -> pathlib.Path:
    """Trains SAC, records it and mixes the data, unless it is there; returns the dataset's path."""
    data = _data(task, options)
    if data.exists():
        return data
    run_dir = options.runs / f"{_name(task)}-sac-{options.steps}"
    history, ended = (run_dir.with_name(f"{run_dir.name}-{part}") for part in ("history", f"end-{options.half}"))
    experiment = Experiment(
        agent="sac",
        environment=_environment(task),
        config=sac.Config(**_NETWORKS, **_RATES, batch_size=128, samples_per_insert=128.0),
        max_steps=options.steps,
        eval_every=options.steps // 5,
        eval_episodes=3,
        record=str(history),
    )
    common.train(experiment, run_dir)
    if not ended.exists():
        collect(run_dir, ended, steps=options.half)
    episodes: list[Trajectory] = []
    for path in (history, ended):
        steps = 0
        for episode in _load(task, path):
            if steps < options.half:
                episodes.append(episode)
                steps += len(episode.reward)
    spec = experiment.environment_spec()
    kept = [episode for i, episode in enumerate(episodes) if i % 4 != 3]
    for path, part in ((_held_out(data), episodes[3::4]), (data, kept)):  # The last one there says that both are.
        if not path.exists():
            datasets.save(path, part, spec, environment=experiment.environment, policy="sac, its beginning and its end")
    return data


def _method(method: str, options: argparse.Namespace) -> tuple[str, Any]:
    """The agent and its configuration."""
    shared = {**_NETWORKS, **_RATES, "batch_size": 64}
    following = {**shared, "target_rate": 0.02}
    copied = {**shared, "target_update_period": 50, "weight": "binary", "policy": "gaussian", "critic": "scalar"}
    near = {
        **following,
        "sarsa_updates": options.sarsa_updates,
        "in_weight": options.in_weight,
        "out_weight": options.out_weight,
    }
    return {
        "TD3": lambda: ("td3", td3.Config(**following)),
        "TD3+BC": lambda: ("td3", td3.Config(**following, behaviour_alpha=2.5)),
        "CRR": lambda: ("crr", crr.Config(**copied)),
        "Qsarsa-AC": lambda: ("qsarsa", qsarsa.Config(**near)),
        "Qsarsa-AC2": lambda: ("qsarsa", qsarsa.Config(**near, actor_weight=options.actor_weight)),
    }[method]()


def _train(task: str, method: str, seed: int, options: argparse.Namespace) -> list[_Run]:
    """One offline run, trained unless it is there; nothing if it is not and nothing is to be trained."""
    agent, config = _method(method, options)
    first = options.sarsa_updates if agent == "qsarsa" else 0
    weights = ""
    if agent == "qsarsa":
        weights = f"-{first}-{options.in_weight:g}-{options.out_weight:g}"
        weights += f"-{options.actor_weight:g}" if method == "Qsarsa-AC2" else ""
    name = f"{_name(task)}-{options.half}-{_name(method)}{weights}-{options.updates}-seed{seed}"
    run_dir = options.runs / name
    if not options.report:
        experiment = Experiment(
            agent=agent,
            environment=_environment(task),
            dataset=str(_make_data(task, options)),
            config=config,
            seed=seed,
            max_steps=0,
            max_updates=first + options.updates,
            eval_every=first + options.updates,
            eval_episodes=options.eval_episodes,
        )
        common.train(experiment, run_dir)
    if not (run_dir / "finished").exists():
        return []
    evaluations, rows = (loggers.read_csv(run_dir / file) for file in ("evaluator.csv", "learner.csv"))
    updates = np.array(rows["learner_steps"]) - first
    run = _Run(
        float(evaluations["episode_return"][-1]), updates[updates > 0], np.array(rows["q_value"])[updates > 0], run_dir
    )
    print(f"{name}: {run.final_return:.0f}; {run.values[-1]:.3g}", flush=True)
    return [run]


def _last_value(run: _Run) -> float:
    return float(np.mean(run.values[-max(1, len(run.values) // 10) :]))


def _cell(runs: list[_Run]) -> str:
    if not runs:
        return "not run"
    parts = []
    for found in ([run.final_return for run in runs], [_last_value(run) for run in runs]):
        scatter = f" ({min(found):,.0f} .. {max(found):,.0f})" if len(found) > 1 else ""
        parts.append(f"{np.mean(found):,.0f}{scatter}")
    return "; ".join(parts) + (", one seed" if len(runs) == 1 else "")


def monte_carlo(reward: np.ndarray, discount: float) -> np.ndarray:
    """[T], the discounted sum of the rewards [T] from each step on to the end."""
    result, later = np.zeros(len(reward)), 0.0
    for i in reversed(range(len(reward))):
        result[i] = later = reward[i] + discount * later
    return result


def _first_half(episode: Trajectory, values: Any) -> Any:
    """Of a tree of arrays over the episode's steps."""
    return jax.tree.map(lambda x: x[: len(episode.reward) // 2], values)


def _monte_carlo(episodes: list[Trajectory]) -> np.ndarray:
    """Discounted returns of the first half of all episodes."""
    return np.concatenate([_first_half(episode, monte_carlo(episode.reward, _DISCOUNT)) for episode in episodes])


def _estimate_errors(task: str, runs: list[_Run], options: argparse.Namespace) -> str:
    """What the estimate's errors are on the held-out episodes."""
    episodes = _load(task, _held_out(_data(task, options)))
    first_halves = [_first_half(episode, (episode.observation, episode.action)) for episode in episodes]
    observation, action = jax.tree.map(lambda *parts: np.concatenate(parts), *first_halves)
    returns, rows = _monte_carlo(episodes), []
    for run in runs:
        experiment = Experiment.from_run_dir(run.directory)
        spec = experiment.environment_spec()
        template = jax.eval_shape(making.make_agent(experiment).learner(spec).init, jax.random.PRNGKey(0))
        found = checkpoint.load(run.directory / checkpoint.DIRECTORY, template)
        if found is None:
            raise errors.UserError(f"{run.directory} has no checkpoint: remove it, and run this again.")
        critic = networks.make_networks(experiment.config, spec).critic
        q_sarsa = np.asarray(critic.apply(found[0].sarsa.online, observation, action))
        error = q_sarsa - returns
        rows.append((np.sqrt(np.mean(error**2)), np.mean(error), np.corrcoef(q_sarsa, returns)[0, 1]))
    rmse, bias, correlation = np.mean(rows, axis=0)
    return (
        f"the SARSA estimate against the Monte Carlo returns of {len(returns):,} held-out steps, whose mean is "
        f"{np.mean(returns):.1f} and spread {np.std(returns):.1f}: root mean square error {rmse:.1f}, bias {bias:+.1f},"
        f" correlation {correlation:.2f}."
    )


def _plot(
    results: dict[tuple[str, str], list[_Run]],
    learnt: dict[str, list[Trajectory]],
    options: argparse.Namespace,
    path: pathlib.Path,
) -> None:
    """Draws one column for each task: the critics' value over the updates, and every seed's final return."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(learnt), figsize=(3.6 * len(learnt), 5.6), squeeze=False)
    for (top, bottom), (task, episodes) in zip(axes.T, learnt.items()):
        for i, method in enumerate(options.methods):
            for run in results[method, task]:
                top.plot(run.updates, run.values, color=f"C{i}", linewidth=1)
            found = [run.final_return for run in results[method, task]]
            bottom.plot([i] * len(found), found, "o", color=f"C{i}", markersize=4, alpha=0.6)
        top.axhline(_HIGHEST, color="0.5", linestyle="--", linewidth=0.8)
        where = {"transform": top.get_yaxis_transform(), "fontsize": 7, "color": "0.4", "va": "bottom"}
        top.text(0.02, _HIGHEST, "highest possible", **where)
        top.axhline(np.mean(_monte_carlo(episodes)), color="0.5", linestyle=":", linewidth=0.8)
        returns = [episode.reward.sum() for episode in episodes]
        for value, name in ((np.mean(returns), "data's mean"), (np.max(returns), "data's best")):
            bottom.axhline(value, color="0.6", linewidth=0.8, linestyle="--")
            bottom.text(len(options.methods) - 0.6, value, name, fontsize=7, color="0.4", ha="right", va="bottom")
        top.set(title=task, xlabel="updates", yscale="symlog", ylim=(None, 3 * _HIGHEST))  # room for words
        bottom.set_xticks(range(len(options.methods)), options.methods, rotation=45, fontsize=8)
        bottom.set(xlim=(-0.5, len(options.methods) - 0.5), ylim=(0, 1.08 * max(bottom.get_ylim())))
    axes[0, 0].set_ylabel("value of the data's actions")
    axes[1, 0].set_ylabel("return")
    handles = [pyplot.Line2D([], [], color=f"C{i}", label=method) for i, method in enumerate(options.methods)]
    axes[0, -1].legend(handles=handles, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
