"""Key and door: what share of a batch should imperfect demonstrations have, from none of it to all? (specs 4)

On key-door:N, with its partial views, random starts and a reward at the goal alone, R2D3 learns from 50 demonstrations
of the scripted expert, of whose actions a fifth are random, always with the same configuration. The ratio is the chance
of each of the 32 sequences of a batch to be from a demonstration: at 0 there is none, and R2D3 is R2D2; at 1 nobody
acts, and it learns from the demonstrations alone, with as many updates as the others do.

    python benchmarks/key_door.py --output benchmarks/results/key_door.md

Reading it: a success is an evaluation episode that reaches the goal in time. At ratio 0 the goal is found so seldom
that nothing should be learned within the budget. A small ratio should solve the task, and do better than a large one,
because 50 imperfect demonstrations say little about what comes of the learner's own mistakes; at 1, where nothing ever
puts the values of other actions right, the policy should be poor. The figures are of the last evaluation,
--eval-episodes of the greedy policy: mean over seeds, the lowest and the highest seed; and the same over the last three
evaluations, which tells more of a run that goes up and down.

With --weights batch the importance weights are divided by the largest of the whole batch, as R2D3 does, and not by that
of their source: what a demonstration counts then falls as replay fills.

Each run's directory is kept under --runs, and a run that is finished there is not repeated. Two processes may share the
work, such as one with --ratios 0 1/256 1/64 and one with the others; a last call without them then makes the table at
once.
"""

import argparse
import fractions
import pathlib

import common
import jax.numpy as jnp
import numpy as np

from acme_agents.agents import r2d3
from acme_agents.core import importance
from acme_agents.experiments import Experiment

_RATIOS = ["0", "1/256", "1/64", "1/16", "1/4", "1"]
_EVALUATIONS = 10  # of a run
_CONFIG = {
    "torso_layers": (64,),
    "lstm_size": 64,
    "head_layers": (64,),
    "burn_in_length": 0,
    "trace_length": 20,
    "sequence_period": 10,
    "discount": 0.99,
    "min_replay_size": 100,
    "max_replay_size": 10_000,
    "samples_per_insert": 32.0,
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--size", default=8, type=int, help="N")
    parser.add_argument("--ratios", default=_RATIOS, nargs="+", help="of demonstrations in a batch, 0 to 1")
    parser.add_argument("--seeds", default=3, type=int, help="how many")
    parser.add_argument("--steps", default=60_000, type=int, help="environment steps of each run that acts")
    parser.add_argument("--updates", default=5_000, type=int, help="of the run at ratio 1")
    parser.add_argument("--demonstrations", default=50, type=int, help="episodes")
    parser.add_argument("--random-actions", default=0.2, type=float, help="share of the demonstrations' actions")
    parser.add_argument("--eval-episodes", default=50, type=int, help="episodes of each evaluation")
    parser.add_argument(
        "--weights", default="source", choices=["source", "batch"], help="whose largest importance weight is one"
    )
    parser.add_argument("--runs", default=pathlib.Path("runs/key_door"), type=pathlib.Path, help="run directories")
    options = parser.parse_args()

    if options.weights == "batch":
        of_sources = importance.weights
        importance.weights = lambda draw, exponent: of_sources(
            draw._replace(source=jnp.zeros_like(draw.source)), exponent
        )
    evaluations: dict[str, list[dict[str, np.ndarray]]] = {}
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for ratio in options.ratios:
            experiment = _experiment(ratio, seed, options)
            budget = options.updates if experiment.is_offline else options.steps
            weights = "" if options.weights == "source" else f"-{options.weights}"
            name = f"{options.size}-{ratio.replace('/', '-')}-{budget}{weights}-seed{seed}"
            evaluations.setdefault(ratio, []).append(common.train(experiment, options.runs / name))
            print(f"{name}: {evaluations[ratio][-1]['episode_return'][-1]:.2f}", flush=True)

    report = common.Report(
        f"Success rate of R2D3 on key-door:{options.size} after {options.steps:,} steps, by the demonstrations' share",
        ["ratio", "last evaluation", "last three", "updates"],
    )
    for ratio, runs in evaluations.items():
        lasts = [run["episode_return"][-1] for run in runs]
        threes = [np.mean(run["episode_return"][-3:]) for run in runs]
        cells = (f"{np.mean(found):.2f} ({min(found):.2f} .. {max(found):.2f})" for found in (lasts, threes))
        report.row(ratio, *cells, float(np.mean([run["learner_steps"][-1] for run in runs])))
    report.note(
        f"Importance weights over the largest of the {options.weights}. {options.demonstrations} demonstrations, "
        f"{options.random_actions:.0%} of their actions random. Mean (lowest .. highest) of {options.seeds} seeds; "
        f"{options.eval_episodes} episodes of the greedy policy an evaluation."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _plot(evaluations, figure)
        report.note(f"![Success rates]({figure.name})")
    report.finish(options.output)


def _experiment(ratio: str, seed: int, options: argparse.Namespace) -> Experiment:
    environment, share = f"key-door:{options.size}", float(fractions.Fraction(ratio))
    dataset = common.demonstrations(
        environment,
        options.runs / f"{options.size}-demonstrations-{options.demonstrations}-{options.random_actions:g}",
        episodes=options.demonstrations,
        random_actions=options.random_actions,
    )
    offline = share == 1
    return Experiment(
        agent="r2d3",
        environment=environment,
        dataset=str(dataset) if share else None,
        config=r2d3.Config(**_CONFIG, demonstration_ratio=share),
        seed=seed,
        max_steps=0 if offline else options.steps,
        max_updates=options.updates if offline else None,
        eval_every=(options.updates if offline else options.steps) // _EVALUATIONS,
        eval_episodes=options.eval_episodes,
        checkpoint_seconds=3600.0,
    )


def _plot(evaluations: dict[str, list[dict[str, np.ndarray]]], path: pathlib.Path) -> None:
    """Draws the success rate against updates, the mean over seeds, and each seed's last one as a point."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (curves, lasts) = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, width_ratios=(1.4, 1))
    for i, (ratio, runs) in enumerate(evaluations.items()):
        length = min(len(run["episode_return"]) for run in runs)  # An evaluation may have come in two parts.
        x, y = (np.mean([run[name][-length:] for run in runs], axis=0) for name in ("learner_steps", "episode_return"))
        curves.plot(x, y, color=f"C{i}", label=f"ratio {ratio}")
        found = [np.mean(run["episode_return"][-3:]) for run in runs]
        lasts.plot(i + np.linspace(-0.15, 0.15, len(found)), found, "o", color=f"C{i}", markersize=4, alpha=0.7)
        lasts.hlines(np.mean(found), i - 0.3, i + 0.3, color=f"C{i}", linewidth=2.5)
    curves.set(xlabel="updates", ylabel="success rate", ylim=(-0.03, 1.03))
    curves.legend(fontsize=8)
    lasts.set_xticks(range(len(evaluations)), evaluations)
    lasts.set(xlabel="ratio", title="last three evaluations")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
