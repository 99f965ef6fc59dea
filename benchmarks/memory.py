"""Memory: R2D2, whose network remembers, against the same without memory, which sees one step at a time. (specs 4)

What has no memory is benchmarks/memoryless.py: R2D2 to the last number, previous action and reward among its inputs,
values rescaled, as many updates, but the LSTM is reset at every step. So memory is all that differs. DQN stands
beside them (--agents dqn): it has neither the previous action and reward nor rescaling, its batches are of transitions,
and its updates as many as R2D2's. On probe:memory the first observation says which of two actions the last step
rewards. On key-door, where exploration is not what is to be measured, all get the same --demonstrations of the scripted
expert beside what they see.

    python benchmarks/memory.py --output benchmarks/results/memory.md

Reading it: at the last step of probe:memory both cues look alike, so that without memory the return is 0.5 in the mean,
whatever is learned; with memory it is 1. On key-door the return is the share of episodes that reach the goal in time.
Without memory that is far from hopeless but worse: an agent that does not know whether it has the key, or where it has
been, can but repeat itself. The figures are of the last three evaluations, --eval-episodes of the deterministic policy
each: mean over seeds, and the lowest and the highest seed.

Each run's directory is kept under --runs, and a run that is finished there is not repeated. Two processes may share the
work, such as one with --agents r2d2 and one with the others; a last call without them then makes the table at once.
"""

import argparse
import pathlib
import re
from typing import Any, NamedTuple

import common
import numpy as np

from acme_agents.agents import dqn, r2d2
from acme_agents.experiments import Experiment

_AGENTS = ("r2d2", "memoryless", "dqn")
_EVALUATIONS = 10  # of a run
_CONFIG = {"torso_layers": (64,), "head_layers": (64,), "n_step": 5, "discount": 0.99}
_CONFIG |= {"learning_rate": 1e-3, "target_update_period": 100}
# Of all, chance picks a twentieth of the actions.
_R2D2 = {"lstm_size": 64, "initial_state": "zero", "burn_in_length": 0, "batch_size": 32}
_R2D2 |= {"num_epsilons": 1, "epsilon_max": 0.05, "epsilon_min": 0.05}
_DQN = {"epsilon_start": 0.05, "epsilon_end": 0.05}


class _Task(NamedTuple):
    steps: int  # of each run
    demonstrations: bool
    r2d2: dict[str, Any]  # its configuration, beside _CONFIG, and that of what has no memory
    dqn: dict[str, Any]  # the same of DQN


# DQN's batches have as many transitions as R2D2's 32 sequences, and it makes as many updates: R2D2 one for each
# sequence that comes in, which is one for each 5 steps of probe:memory, and on key-door one for about 12.5.
_TASKS = {
    "probe:memory": _Task(
        3_000,
        False,
        {"trace_length": 5, "sequence_period": 5, "samples_per_insert": 32.0, "min_replay_size": 50},
        {"samples_per_insert": 32.0, "min_replay_size": 250, "batch_size": 160},
    ),
    "key-door:6": _Task(
        40_000,
        True,
        {"trace_length": 20, "sequence_period": 10, "samples_per_insert": 32.0, "min_replay_size": 100},
        {"samples_per_insert": 51.0, "min_replay_size": 1_000, "batch_size": 640},
    ),
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--envs", default=list(_TASKS), nargs="+", choices=list(_TASKS), help="tasks")
    parser.add_argument("--agents", default=list(_AGENTS), nargs="+", choices=_AGENTS)
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--steps", type=int, help="environment steps of each run (default: 3,000 and 40,000)")
    parser.add_argument(
        "--demonstrations", default=50, type=int, help="episodes, of which nothing is random but starts"
    )
    parser.add_argument("--ratio", default=1 / 16, type=float, help="of demonstrations in a batch")
    parser.add_argument("--eval-episodes", default=50, type=int, help="episodes of each evaluation")
    parser.add_argument("--runs", default=pathlib.Path("runs/memory"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    evaluations: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for environment in options.envs:
            for agent in options.agents:
                experiment = _experiment(agent, environment, seed, options)
                name = re.sub(r"[^\w.]+", "-", f"{environment}-{agent}-{experiment.max_steps}-seed{seed}")
                evaluation = common.train(experiment, options.runs / name)
                evaluations.setdefault((environment, agent), []).append(evaluation)
                print(f"{name}: {np.mean(evaluation['episode_return'][-3:]):.2f}", flush=True)

    report = common.Report("Return with and without memory", ["task", *options.agents, "updates"])
    for environment in options.envs:
        cells, updates = [], []
        for agent in options.agents:
            runs = evaluations[environment, agent]
            found = [np.mean(run["episode_return"][-3:]) for run in runs]
            cells.append(f"{np.mean(found):.2f} ({min(found):.2f} .. {max(found):.2f})")
            updates.append(f"{np.mean([run['learner_steps'][-1] for run in runs]):,.0f}")
        report.row(f"{environment}, {options.steps or _TASKS[environment].steps:,} steps", *cells, ", ".join(updates))
    report.note(
        f"Mean (lowest .. highest) of {options.seeds} seeds, over three evaluations of {options.eval_episodes} "
        f"episodes. On key-door {options.demonstrations} demonstrations have a share of {options.ratio:g} of a batch."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(evaluations, options.envs, figure)
        report.note(f"![Returns]({figure.name})")
    report.finish(options.output)


def _experiment(agent: str, environment: str, seed: int, options: argparse.Namespace) -> Experiment:
    task = _TASKS[environment]
    dataset = None
    if task.demonstrations:
        name = re.sub(r"[^\w.]+", "-", f"{environment}-demonstrations-{options.demonstrations}")
        dataset = str(common.demonstrations(environment, options.runs / name, episodes=options.demonstrations))
    if agent == "dqn":
        config: Any = dqn.Config(**_CONFIG, **_DQN, **task.dqn)
    else:
        config = r2d2.Config(**_CONFIG, **_R2D2, **task.r2d2)
    steps = options.steps or task.steps
    return Experiment(
        agent=agent,
        environment=environment,
        dataset=dataset,
        dataset_share=options.ratio if task.demonstrations else None,
        config=config,
        seed=seed,
        max_steps=steps,
        eval_every=steps // _EVALUATIONS,
        eval_episodes=options.eval_episodes,
        checkpoint_seconds=3600.0,
    )


def _plot(
    evaluations: dict[tuple[str, str], list[dict[str, np.ndarray]]], tasks: list[str], path: pathlib.Path
) -> None:
    """Draws one panel for each task: every seed's evaluations faintly, and their mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(tasks), figsize=(4.4 * len(tasks), 3.4), sharey=True, squeeze=False)
    for axis, task in zip(axes[0], tasks):
        for i, (agent, runs) in enumerate((key[1], runs) for key, runs in evaluations.items() if key[0] == task):
            length = min(len(run["episode_return"]) for run in runs)
            x, y = (np.array([run[name][:length] for run in runs]) for name in ("actor_steps", "episode_return"))
            axis.plot(x.T, y.T, color=f"C{i}", linewidth=0.8, alpha=0.4)
            axis.plot(x.mean(axis=0), y.mean(axis=0), color=f"C{i}", linewidth=2, label=agent)
        axis.set(title=task, xlabel="environment steps", ylim=(-0.03, 1.03))
    axes[0, 0].set_ylabel("return of an evaluation")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
