"""Functional mirror ascent with exact gradients: what Vaswani et al. 2021 report of two small tasks, claim by claim.

The surrogates are the agent's own, on CliffWorld (2,000 iterations) and DeepSeaTreasure (200), from the uniform
policy; an iteration evaluates the policy exactly and makes m inner steps. Sweeps are over the authors' ranges (their
repository, svmgrg/fma-pg): with --grid full over all of their values for m up to 100, otherwise over some of them.

    python benchmarks/fma_pg.py --output benchmarks/results/fma_pg.md

The first table has the authors' claims, with what is found here; a policy is at the optimum where its value is at least
0.99 of the best one's. The second, FILE_sweeps.md, has the best final value of each sweep, where it was found, and how
many of its settings reached the optimum. `fixed` is regularised with a fixed inner step size, `line search` regularised
with Armijo's; it accepts a step by the objective alone, as the authors' code does, and with "(regularised)" by what the
text says, the objective less the divergence. `constrained` is TRPO's way. Each sweep is kept under --runs, and one that
is there is not repeated.
"""

import dataclasses
import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import common

if __name__ == "__main__":
    common.one_thread()  # The matrices are small.

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents.fma_pg import losses, tabular

TASKS: dict[str, tuple[Callable[[], tabular.Process], int]] = {
    "cliff": (tabular.cliff_world, 2000),
    "treasure": (tabular.deep_sea_treasure, 200),
}
REGULARISED: tuple[losses.Name, ...] = ("smdpo", "mdpo", "trpo")
SAFE = 0.9**8  # the cliff's way around, one column away from it
_REACHED = 0.95  # of the best value: the next-best policy of the cliff has 0.81 of it


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Settings of one method on one task."""

    task: str
    variant: (
        str  # closed, closed (1e-8), fixed, line search, line search (regularised), line search (cold), constrained
    )
    surrogate: losses.Name
    num_steps: int  # m, inner steps per iteration; 0 for the closed form
    axes: tuple[tuple[str, tuple[float, ...]], ...]  # all combinations are run

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.task}-{self.variant}-{self.surrogate}-{self.num_steps}".replace(" ", "_")

    @property
    def settings(self) -> list[dict[str, float]]:
        """Every combination."""
        names, values = zip(*self.axes)
        return [dict(zip(names, each)) for each in itertools.product(*values)]


class Found(NamedTuple):
    """What a sweep found, of N settings."""

    curves: np.ndarray  # [N, iterations + 1], values of the start
    seconds: float  # of CPU, for each setting

    @property
    def finals(self) -> np.ndarray:
        """[N]"""
        return self.curves[:, -1]

    @property
    def best(self) -> int:
        """The best setting: the largest final value to three digits, and of these the one that got there first."""
        return int(np.lexsort((self.first(self.finals.max()), -self.finals.round(3)))[0])

    def first(self, value: float) -> np.ndarray:
        """[N], the first iteration at which a share of `value` is reached; its length where none is."""
        reached = self.curves >= _REACHED * value
        return np.where(reached.any(1), reached.argmax(1), self.curves.shape[1])


def _powers(low: int, high: int, every: int) -> tuple[float, ...]:
    """Powers of two, the highest among them."""
    return tuple(2.0**i for i in range(high, low - 1, -every))[::-1]


def sweeps(full: bool) -> Iterator[Sweep]:
    """All of them."""
    clips = (0.01, *(i / 10 for i in range(1, 10)), 0.99) if full else (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
    shares = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99) if full else (0.0, 0.5)
    for task in TASKS:
        largest = 3 if task == "cliff" else -2  # exponent of the step size
        for surrogate in ("smdpo", "mdpo"):
            yield Sweep(task, "closed", surrogate, 0, (("eta", _powers(-13, 0, 1)),))
        yield Sweep(task, "closed (1e-8)", "smdpo", 0, (("eta", _powers(-13, 0, 1)),))
        for num_steps in (1, 10, 100, 1000):
            every = 1 if full and num_steps < 1000 else 2
            etas, sizes = _powers(-13, -1, every), _powers(-13, largest, every)
            epsilons = clips
            if not full and num_steps == 100:
                sizes = sizes[-5:]
            if num_steps == 1000:
                etas, sizes, epsilons = (2.0**-5, 2.0**-1), sizes[-3:-2], (0.1, 0.5)
            for surrogate in REGULARISED:
                yield Sweep(task, "fixed", surrogate, num_steps, (("eta", etas), ("step_size", sizes)))
            for surrogate in ("ppo", "sppo"):
                yield Sweep(task, "fixed", surrogate, num_steps, (("clip", epsilons), ("step_size", sizes)))
        for num_steps, surrogate in itertools.product((1, 10), REGULARISED):
            deltas = _powers(-24, -2, 2 if full or num_steps == 1 else 8)
            yield Sweep(task, "constrained", surrogate, num_steps, (("delta", deltas),))
        for num_steps, surrogate in itertools.product((1, 10, 100), REGULARISED):
            etas = _powers(-13, -1, 1 if full and num_steps < 100 else 2)
            searched = shares
            if num_steps == 100:
                etas, searched = (2.0**-9, 2.0**-5, 2.0**-1), (0.5,)
            for variant in ("line search", "line search (regularised)", "line search (cold)"):
                if variant == "line search (cold)" and num_steps == 1:
                    continue
                yield Sweep(task, variant, surrogate, num_steps, (("eta", etas), ("armijo", searched)))


def improvement(sweep: Sweep, setting: dict[str, Any]) -> tabular.Improve:
    """An iteration of a sweep's method with one of its settings."""
    if sweep.variant.startswith("closed"):
        return tabular.closed_form(sweep.surrogate, **setting, floor=0.0 if sweep.variant == "closed" else 1e-8)
    if sweep.variant == "fixed":
        return tabular.fixed_steps(sweep.surrogate, **({"eta": 1.0, "clip": 0.0} | setting), num_steps=sweep.num_steps)
    if sweep.variant == "constrained":
        return tabular.constrained_steps(sweep.surrogate, **setting, num_steps=sweep.num_steps)
    cold = sweep.variant == "line search (cold)"
    return tabular.armijo_steps(
        sweep.surrogate,
        **setting,
        num_steps=sweep.num_steps,
        max_step_size=1.0 if cold else 10.0,
        warm_start=None if cold else 2.0,
        regularised=sweep.variant == "line search (regularised)",
    )


def solve(sweep: Sweep) -> Found:
    """Runs every setting, all in one compiled program.

    Searches one after the other, because side by side all would wait for the longest.
    """
    make, iterations = TASKS[sweep.task]
    process, settings = make(), sweep.settings
    stacked = {name: jnp.asarray([each[name] for each in settings]) for name in settings[0]}

    def run(setting: dict[str, Any]) -> Any:
        return tabular.ascend(process, improvement(sweep, setting), iterations=iterations)[0]

    side_by_side = sweep.variant.startswith(("closed", "fixed"))
    run_all = jax.vmap(run) if side_by_side else functools.partial(jax.lax.map, run)
    program = jax.jit(run_all).lower(stacked).compile()
    began = time.process_time()
    curves = np.asarray(program(stacked))
    return Found(curves, (time.process_time() - began) / len(settings))


def main() -> None:
    """Runs what is missing, and decides the claims."""
    parser = common.parser(__doc__)
    parser.add_argument("--grid", default="thin", choices=["thin", "full"])
    parser.add_argument("--runs", default=pathlib.Path("runs/fma_pg"), type=pathlib.Path, help="finished sweeps")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    directory = options.runs / options.grid
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for sweep in sorted(sweeps(options.grid == "full"), key=lambda sweep: sweep.num_steps):
        file = directory / f"{sweep.name}.npz"
        if not file.exists():
            result = solve(sweep)
            np.savez_compressed(file, curves=result.curves.astype(np.float32), seconds=result.seconds)
            seconds = result.seconds * len(result.finals)
            print(f"{sweep.name}: best {result.finals.max():.4f}, {seconds:.1f} s", flush=True)
        kept = np.load(file)
        found[sweep] = Found(kept["curves"], float(kept["seconds"]))
    best = {task: float(tabular.best_value(make())) for task, (make, _) in TASKS.items()}
    _claims(found, best, options)
    _tables(found, best, options)


class Results:
    """The sweeps of all tasks, by what they are."""

    def __init__(self, found: dict[Sweep, Found], best: dict[str, float]):
        """Of `found`, and the best value of each task."""
        self._found = found
        self.best = best

    def all(self, task: str, variant: str, surrogate: str, num_steps: int | None = None) -> dict[Sweep, Found]:
        """The sweeps of a method; None for any number of inner steps."""
        return {
            sweep: found
            for sweep, found in self._found.items()
            if (sweep.task, sweep.variant, sweep.surrogate) == (task, variant, surrogate)
            and num_steps in (None, sweep.num_steps)
        }

    def final(self, *method: Any) -> float:
        """The best final value of a method."""
        return max(float(found.finals.max()) for found in self.all(*method).values())

    def reaches(self, *method: Any) -> bool:
        """Whether the optimum is reached with any setting."""
        return self.final(*method) >= _REACHED * self.best[method[0]]

    def first(self, *method: Any) -> tuple[int, Sweep]:
        """The fewest iterations to the optimum, and the sweep that has them."""
        found = [(int(x.first(self.best[method[0]]).min()), sweep) for sweep, x in self.all(*method).items()]
        return min(found, key=lambda each: each[0])


def _claims(found: dict[Sweep, Found], best: dict[str, float], options: Any) -> None:
    """The first table."""
    results = Results(found, best)
    report = common.Report(
        f"Functional mirror ascent with exact gradients: the authors' claims ({options.grid} grid)",
        ["task", "the authors say", "here", "verdict"],
    )
    for task, claim, here, holds in (*_of_the_cliff(results), *_of_the_treasure(results)):
        verdict = holds if isinstance(holds, str) else "holds" if holds else "**does not hold**"
        report.row(task, claim, here, verdict)
    report.note(
        f"At the optimum is a value of at least {_REACHED:g} of the best, which is {best['cliff']:.4f} on the cliff "
        f"and {best['treasure']:.4f} in the sea; the cliff's safe way is worth {SAFE:.4f}. Values are the best final "
        "ones over a sweep's settings, iterations the fewest to the optimum."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _draw(results, figure)
        report.note(f"![Final values on the cliff, and learning curves]({figure.name})")
    report.finish(options.output)


def _finals(results: Results, task: str, variant: str, names: Any, num_steps: int | None = None) -> str:
    return ", ".join(f"{name} {results.final(task, variant, name, num_steps):.3f}" for name in names)


Claim = tuple[str, str, str, bool | str]


def _of_the_cliff(results: Results) -> Iterator[Claim]:
    task = "cliff"
    yield task, "the best value is 0.9^6 = 0.53", f"{results.best[task]:.4f}", abs(results.best[task] - 0.9**6) < 1e-6
    many = [[results.reaches(task, "fixed", name, num) for num in (100, 1000)] for name in REGULARISED]
    here = "; ".join(f"m = {num}: {_finals(results, task, 'fixed', REGULARISED, num)}" for num in (100, 1000))
    yield task, "fixed smdpo, mdpo and trpo reach the optimum for m = 100 or 1000", here, all(map(any, many))
    few = [results.reaches(task, "fixed", name, 10) for name in REGULARISED]
    yield task, "they are stuck with m = 10", _finals(results, task, "fixed", REGULARISED, 10), not any(few)
    names = (*REGULARISED, "ppo")
    poor = [results.final(task, "fixed", name, 1) < 0.9 * SAFE for name in names]
    trpo = results.reaches(task, "constrained", "trpo", 1)
    constrained = _finals(results, task, "constrained", ("trpo",), 1)
    here = f"{_finals(results, task, 'fixed', names, 1)}; constrained {constrained}"
    yield task, "at m = 1 all are poor but TRPO (constrained)", here, all(poor) and trpo
    firsts = {name: results.first(task, "fixed", name) for name in ("smdpo", "mdpo")}
    fastest, sweep = results.first(task, "constrained", "trpo")
    others = ", ".join(f"{name} {first} (m = {of.num_steps})" for name, (first, of) in firsts.items())
    here = f"iterations: TRPO {fastest} (m = {sweep.num_steps}), fixed {others}"
    yield task, "TRPO is fastest, below 200 iterations", here, fastest < min(200, *(x for x, _ in firsts.values()))
    yield task, "in the older part of the draft below 20", f"{fastest}", fastest < 20
    yield _cost(results, task)
    every = {num: results.final(task, "fixed", "ppo", num) for num in (1, 10, 100, 1000)}
    here = ", ".join(f"{value:.3f} (m = {num})" for num, value in every.items())
    never = max(every.values()) < _REACHED * results.best[task]
    safe = abs(max(every.values()) - SAFE) < 0.005
    yield task, "PPO never reaches the optimum, and ends in the safe policy", here, never and safe
    for variant, claim in (
        ("line search", "no line search reaches the optimum"),
        ("line search (regularised)", "the same, where the divergence is in what a step must gain"),
    ):
        found = [results.reaches(task, variant, name) for name in REGULARISED]
        yield task, claim, _finals(results, task, variant, REGULARISED), not any(found)
    cold = {name: _share(results, task, "line search (cold)", name) for name in REGULARISED}
    here = ", ".join(f"{name} {here}" for name, (here, _) in cold.items())
    yield task, "without warm start and from a step of 1 it does, for a narrow range of eta", here, _extent(cold)
    tried = {name: _share(results, task, "constrained", name) for name in REGULARISED}
    here = ", ".join(f"{name} {here}" for name, (here, _) in tried.items())
    reached = [results.reaches(task, "constrained", name) for name in REGULARISED]
    insensitive = all(share > 0.8 for _, share in tried.values())
    claim = "constrained, all three reach the optimum, whatever delta"
    yield task, claim, f"settings that do: {here}", insensitive if all(reached) else False
    yield _small_etas(results, task)
    yield _theory(results, task, {"smdpo": 9.9e-4, "mdpo": 1.4e-6})
    yield _cut_off(results, task)
    here = ", ".join(f"{results.final(task, 'fixed', 'sppo', num):.3f} (m = {num})" for num in (1, 10, 100, 1000))
    yield task, "(of sPPO's clipped logarithm nothing is reported)", here, "ours"


def _of_the_treasure(results: Results) -> Iterator[Claim]:
    task = "treasure"
    methods = [*(("fixed", name) for name in (*REGULARISED, "ppo")), *(("constrained", name) for name in REGULARISED)]
    methods += [("line search", name) for name in REGULARISED]
    failing = [f"{variant} {name}" for variant, name in methods if not results.reaches(task, variant, name)]
    yield task, "every method reaches the optimum", f"not: {', '.join(failing)}" if failing else "all do", not failing
    firsts = {
        "ppo": results.first(task, "fixed", "ppo"),
        "smdpo": results.first(task, "fixed", "smdpo"),
        "mdpo": results.first(task, "fixed", "mdpo"),
        "trpo": results.first(task, "constrained", "trpo"),
    }
    here = ", ".join(f"{name} {first} (m = {of.num_steps})" for name, (first, of) in firsts.items())
    order = {name: first for name, (first, _) in firsts.items()}
    yield task, "PPO is fastest", f"iterations: {here}", order["ppo"] == min(order.values())
    yield task, "TRPO is slowest", f"{order['trpo']}", order["trpo"] == max(order.values())
    yield _theory(results, task, {"smdpo": 1.0e-2, "mdpo": 2.8e-4})


def _cost(results: Results, task: str) -> Claim:
    """Of an iteration, at the number of inner steps that reaches the optimum."""
    _, iterations = TASKS[task]
    costs = {}
    for variant, name in (("constrained", "trpo"), ("fixed", "smdpo"), ("fixed", "mdpo")):
        for sweep, found in results.all(task, variant, name).items():
            if sweep.num_steps == (10 if variant == "constrained" else 100):
                costs[variant, name, sweep.num_steps] = 1e3 * found.seconds / iterations
    here = ", ".join(f"{variant} {name} {cost:.2f} (m = {num})" for (variant, name, num), cost in costs.items())
    trpo, *others = costs.values()
    claim = "an iteration of TRPO takes more than twice the others' time"
    return task, claim, f"ms of CPU: {here}", trpo > 2 * max(others)


def _share(results: Results, task: str, variant: str, name: str) -> tuple[str, float]:
    """How many settings reach the optimum, in words and as a share."""
    finals = np.concatenate([found.finals for found in results.all(task, variant, name).values()])
    number = int(np.sum(finals >= _REACHED * results.best[task]))
    return f"{number} of {len(finals)}", number / len(finals)


def _extent(shares: dict[str, tuple[str, float]]) -> bool | str:
    reached = [name for name, (_, share) in shares.items() if share > 0]
    if not reached:
        return False
    return all(share < 0.5 for _, share in shares.values()) and (len(reached) == len(shares) or "holds in part")


def _small_etas(results: Results, task: str) -> Claim:
    """Final values of smdpo in closed form for every eta below 1 - gamma."""
    ((sweep, found),) = results.all(task, "closed", "smdpo").items()
    finals = {s["eta"]: final for s, final in zip(sweep.settings, found.finals) if s["eta"] < 0.1}
    good = [eta for eta, final in finals.items() if final >= _REACHED * results.best[task]]
    here = (
        f"in closed form {min(finals.values()):.3f} to {max(finals.values()):.3f}, the optimum from {min(good):.2g} on"
    )
    claim = "smdpo works for every eta below 1 - gamma = 0.1"
    return task, claim, here, "holds in part" if len(good) < len(finals) else True


def _cut_off(results: Results, task: str) -> Claim:
    """What smdpo's closed form leaves of an action decides where it ends."""
    ends = {}
    for variant, leaves in (("closed", "0"), ("closed (1e-8)", "1e-8")):
        ((sweep, found),) = results.all(task, variant, "smdpo").items()
        large = [final for setting, final in zip(sweep.settings, found.finals) if setting["eta"] >= 0.125]
        ends[leaves] = f"{min(large):.4f} to {max(large):.4f} where 1 + eta A is cut off at {leaves}"
    return task, "(where smdpo's closed form ends from eta = 1/8 on is not reported)", "; ".join(ends.values()), "ours"


def _theory(results: Results, task: str, bounds: dict[str, float]) -> Claim:
    """The best tuned eta beside what the theory allows."""
    tuned = {}
    for name in bounds:
        _, sweep = results.first(task, "fixed", name)
        tuned[name] = sweep.settings[results.all(task, "fixed", name)[sweep].best]["eta"]
    here = ", ".join(f"{name} {tuned[name]:.2g} beside {bound:.2g}" for name, bound in bounds.items())
    claim = "the best tuned eta is much larger than the theory's bound"
    return task, claim, here, all(tuned[name] > 10 * bound for name, bound in bounds.items())


def _tables(found: dict[Sweep, Found], best: dict[str, float], options: Any) -> None:
    """The second table."""
    report = common.Report(
        f"Functional mirror ascent with exact gradients: the sweeps ({options.grid} grid)",
        ["task", "variant", "surrogate", "m", "settings", "at the optimum", "best final value", "with", "iterations"],
    )
    for sweep, each in found.items():
        setting, first = sweep.settings[each.best], each.first(best[sweep.task])
        number = int(np.sum(each.finals >= _REACHED * best[sweep.task]))
        report.row(
            sweep.task,
            sweep.variant,
            sweep.surrogate,
            str(sweep.num_steps or "closed"),
            len(each.finals),
            number,
            f"{each.finals.max():.4f}",
            ", ".join(f"{name} {value:.3g}" for name, value in setting.items()),
            int(first.min()) if number else "never",
        )
    report.note("iterations: the fewest to the optimum, of any setting; `with` is the setting of the best final value.")
    report.finish(None if options.output is None else options.output.with_stem(options.output.stem + "_sweeps"))


def _draw(results: Results, path: pathlib.Path) -> None:
    """Final values on the cliff over each method's parameter, best over the other one; and learning curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    numbers = (1, 10, 100, 1000)
    searches = ("line search", "line search (regularised)")
    rows = [(variant, "eta", REGULARISED) for variant in ("fixed", *searches)]
    rows += [("constrained", "delta", REGULARISED), ("fixed", "clip", ("ppo", "sppo"))]
    figure, axes = pyplot.subplots(len(rows), len(numbers) + 1, figsize=(17, 14), squeeze=False)
    for at, (variant, parameter, names) in enumerate(rows):
        for column, num_steps in enumerate(numbers):
            axis = axes[at, column]
            if not results.all("cliff", variant, names[0], num_steps):
                axis.axis("off")
                continue
            axis.set_title(f"{variant}, m = {num_steps}", fontsize=9)
            for style, name in zip(("-", "--", ":"), names):
                for sweep, found in results.all("cliff", variant, name, num_steps).items():
                    values = np.array([setting[parameter] for setting in sweep.settings])
                    shown = np.unique(values)
                    finals = [found.finals[values == value].max() for value in shown]
                    axis.plot(shown, finals, style, marker=".", label=name)
            axis.axhline(results.best["cliff"], color="black", linewidth=0.5)
            axis.axhline(SAFE, color="grey", linewidth=0.5, linestyle=":")
            axis.set_ylim(-0.1, 0.6)
            axis.set_xlabel(parameter, fontsize=8)
            if parameter != "clip":
                axis.set_xscale("log", base=2)
        axes[at, 0].legend(fontsize=8)
    curves = (("fixed", "smdpo"), ("fixed", "mdpo"), ("constrained", "trpo"), ("fixed", "ppo"), ("fixed", "sppo"))
    for at, task in enumerate(TASKS):
        axis = axes[at, -1]
        for variant, name in curves:
            found = max(
                results.all(task, variant, name).values(),
                key=lambda x: (x.finals.max().round(3), -x.first(x.finals.max()).min()),
            )
            axis.plot(np.arange(1, found.curves.shape[1] + 1), found.curves[found.best], label=f"{variant} {name}")
        axis.axhline(results.best[task], color="black", linewidth=0.5)
        axis.set_title(f"{task}: the best settings", fontsize=9)
        axis.set_xscale("log")
        axis.set_xlabel("iterations + 1", fontsize=8)
        axis.set_ylim(-0.1, 1.1 * results.best[task])
        axis.legend(fontsize=8)
    for axis in axes[len(TASKS) :, -1]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
