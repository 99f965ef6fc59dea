"""The agents that everyone compares with, td3, sac, ddpg and d4pg, on tasks with published scores.

One command does it all, and the same command goes on where it was stopped: a run that is finished under --runs is not
repeated, and an interrupted one continues from its checkpoint. One run at a time, in this process.

An agent may be followed by other values for fields of its configuration, such as `d4pg:critic=mixture` or
`ddpg:samples_per_insert=256`.

    python benchmarks/standard_agents.py --output benchmarks/results/standard_agents.md
    python benchmarks/standard_agents.py --tasks control:walker:walk --agents sac td3 mpo --steps 100000
    python benchmarks/standard_agents.py --table        # trains nothing

A score is the mean of the evaluations in the last tenth of --steps, 10 episodes each of the policy without noise.
Published, in this order, where there are any: Pendulum-v1 after 20,000 steps, from rl-baselines3-zoo's benchmark.md at
0088472, one run each with tuned numbers; the control suite after 100,000 steps, ddpg, d4pg and mpo from the score files
of danijar/dreamerv3 at e3f0224 (ten seeds; whether each action was repeated twice is not known), and sac from
denisyarats/pytorch_sac at 81c5b53 (three seeds, no repeat). Here no action is repeated.

--updates measures the jitted update instead, of HalfCheetah's sizes and two layers of 256: `bare` on one batch that
lies on the device, and `gather`, the runtime's own, which draws each batch from a filled replay.
"""

import argparse
import pathlib
import re
import statistics
from typing import Any

import common
import numpy as np

from acme_agents.experiments import Experiment, registry
from acme_agents.runtime import loggers

_PUBLISHED = {  # by task and agent
    "gym:Pendulum-v1": {"sac": "-157", "td3": "-152", "ddpg": "-152"},
    "control:cartpole:swingup": {"ddpg": "780 ± 86", "d4pg": "645 ± 187", "mpo": "792 ± 60", "sac": "829 ± 0"},
    "control:finger:spin": {"ddpg": "471 ± 103", "d4pg": "354 ± 138", "mpo": "464 ± 94", "sac": "790 ± 52"},
    "control:reacher:easy": {"ddpg": "448 ± 209", "d4pg": "504 ± 302", "mpo": "473 ± 309", "sac": "801 ± 46"},
    "control:walker:walk": {"ddpg": "432 ± 123", "d4pg": "361 ± 127", "mpo": "299 ± 84", "sac": "847 ± 122"},
    "control:cheetah:run": {"ddpg": "189 ± 81", "d4pg": "113 ± 65", "mpo": "216 ± 70", "sac": "213 ± 67"},
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--tasks", default=["gym:Pendulum-v1"], nargs="+", help="environments")
    parser.add_argument("--agents", default=["sac", "td3", "ddpg", "d4pg"], nargs="+", help="AGENT[:FIELD=VALUE,...]")
    parser.add_argument("--seeds", default=[0, 1, 2], nargs="+", type=int)
    parser.add_argument("--steps", default=20_000, type=int, help="environment steps of each run")
    parser.add_argument("--runs", default=pathlib.Path("runs/standard_agents"), type=pathlib.Path)
    parser.add_argument("--table", action="store_true", help="train nothing: the table of what there is")
    parser.add_argument("--updates", action="store_true", help="measure updates; trains nothing")
    options = parser.parse_args()
    if options.updates:
        _updates(options)
        return
    report = common.Report(
        f"Standard agents: return after {options.steps:,} steps",
        ["task", "agent", "mean", "each seed", "minutes a run", "published"],
    )
    for task in options.tasks:
        for agent in options.agents:
            found = [_score(task, agent, seed, options) for seed in options.seeds]
            done = [each for each in found if each is not None]
            scores, minutes = [score for score, _ in done], [each for _, each in done]
            report.row(
                task,
                agent,
                f"{np.mean(scores):.0f}" if done else "-",
                ", ".join("-" if each is None else f"{each[0]:.0f}" for each in found),
                f"{statistics.median(minutes):.1f}" if done else "-",
                _PUBLISHED.get(task, {}).get(agent.partition(":")[0], "-"),
            )
    report.note(
        f"Seeds {', '.join(map(str, options.seeds))}; a run that is missing or unfinished is '-'. The published scores "
        "of the control suite are after 100,000 steps."
    )
    report.finish(options.output)


def _score(task: str, agent: str, seed: int, options: argparse.Namespace) -> tuple[float, float] | None:
    """A finished run's score and the minutes that it took, or None."""
    run_dir = options.runs / re.sub(r"[^\w.+-]+", "-", f"{task}-{agent}-{options.steps}-{seed}")
    if not options.table:
        experiment = Experiment(
            agent=agent.partition(":")[0],
            environment=task,
            config=_config(agent),
            seed=seed,
            max_steps=options.steps,
            eval_every=max(1, options.steps // 20),
            eval_episodes=10,
        )
        common.train(experiment, run_dir)
    if not (run_dir / "finished").exists():
        return None
    curve = loggers.read_csv(run_dir / "evaluator.csv")
    steps, returns = np.asarray(curve["actor_steps"]), np.asarray(curve["episode_return"])
    minutes = (run_dir / "finished").stat().st_mtime - (run_dir / "config.json").stat().st_mtime
    return float(np.mean(returns[steps >= 0.9 * steps[-1]])), minutes / 60


def _config(agent: str, **defaults: Any) -> Any:
    """The configuration of `AGENT[:FIELD=VALUE,...]`; a value has the type of the field's default."""
    name, _, changes = agent.partition(":")
    config = registry.load(name).Config()
    values: dict[str, Any] = dict(defaults)
    for change in filter(None, changes.split(",")):
        field, _, value = change.partition("=")
        values[field] = type(getattr(config, field))(value)
    return type(config)(**values)


def _updates(options: argparse.Namespace) -> None:
    import jax
    import learner

    from acme_agents import environments
    from acme_agents.core.interfaces import REPLAY
    from acme_agents.experiments import making
    from acme_agents.replay import ring

    report = common.Report(
        "Standard agents: milliseconds per update", ["agent", "bare", "gather", "bare/gather", "least bare"]
    )
    contestants = {}
    for agent in options.agents:
        config = _config(agent, policy_layers=(256, 256), critic_layers=(256, 256), max_replay_size=100_000)
        experiment = Experiment(agent.partition(":")[0], "control:cheetah:run", config=config, max_steps=1)
        made, spec = making.make_agent(experiment), environments.spec(experiment.make_environment("actor"))
        held = learner.filled_store(made, spec, 50_000)
        core, replay = made.learner(spec), made.replay(spec)
        batch, _ = ring.sample({REPLAY: held.state}, {}, jax.random.PRNGKey(0), replay)
        contestants[agent, "bare"] = learner.measure_updates(core, learner.make_bare_update(core), batch, 1.0)
        contestants[agent, "gather"] = learner.measure_gathering(core, replay, {REPLAY: held.state}, 1.0)
    results = common.interleave(contestants, 5)
    for agent in options.agents:
        bare, gather = results[agent, "bare"], results[agent, "gather"]
        report.row(
            agent,
            statistics.median(bare),
            statistics.median(gather),
            common.median_ratio(bare, gather),
            min(bare),
        )
    report.note("Medians of 5 interleaved rounds of a second each, 16 updates in each call.")
    report.finish(options.output)


if __name__ == "__main__":
    main()
