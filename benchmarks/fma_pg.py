"""Functional mirror ascent with exact gradients: what Vaswani et al. 2021 report of two small tasks, claim by claim.

The surrogates are the agent's own, on CliffWorld (2,000 iterations) and DeepSeaTreasure (200), from the uniform policy;
an iteration evaluates the policy exactly and makes m inner steps. Sweeps are over the authors' ranges (their repository,
svmgrg/fma-pg): with --grid full over all of their values for m up to 100, otherwise over some of them.

    python benchmarks/fma_pg.py --output benchmarks/results/fma_pg.md

The first table has the authors' claims, with what is found here; a policy is at the optimum where its value is at least
0.99 of the best one's. The second, FILE_sweeps.md, has the best final value of each sweep, where it was found, and how
many of its settings reached the optimum. `fixed` is regularised with a fixed inner step size, `line search` regularised
with Armijo's; it accepts a step by the objective alone, as the authors' code does, and with "(regularised)" by what the
text says, the objective less the divergence. `constrained` is TRPO's way. Each sweep is kept under --runs, and one that
is there is not repeated.
"""

import dataclasses
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
_REACHED = 0.99  # of the best value


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Settings of one method on one task."""

    task: str
    variant: str  # closed, fixed, line search, line search (regularised), line search (cold), constrained
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
    return tuple(2.0**i for i in range(low, high + 1, every))


def sweeps(full: bool) -> Iterator[Sweep]:
    """All of them."""
    clips = (0.01, *(i / 10 for i in range(1, 10)), 0.99) if full else (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
    shares = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99) if full else (0.0, 0.1, 0.5, 0.9)
    for task in TASKS:
        largest = 3 if task == "cliff" else -2  # exponent of the step size
        for surrogate in ("smdpo", "mdpo"):
            yield Sweep(task, "closed", surrogate, 0, (("eta", _powers(-13, 0, 1)),))
        for num_steps in (1, 10, 100, 1000):
            every = 1 if full and num_steps < 1000 else 2
            etas, sizes = _powers(-13, -1, every), _powers(largest - 16 if task == "cliff" else -13, largest, every)
            epsilons = clips
            if not full and num_steps == 100:
                sizes = sizes[-1::-3][::-1]
            if num_steps == 1000:
                etas, sizes, epsilons = (2.0**-9, 2.0**-5, 2.0**-1), sizes[-2::-4][:2], (0.1, 0.5, 0.9)
            for surrogate in REGULARISED:
                yield Sweep(task, "fixed", surrogate, num_steps, (("eta", etas), ("step_size", sizes)))
            for surrogate in ("ppo", "sppo"):
                yield Sweep(task, "fixed", surrogate, num_steps, (("clip", epsilons), ("step_size", sizes)))
        for num_steps in (1, 10, 100):
            every = 1 if full and num_steps < 100 else 2
            deltas = _powers(-24, -2, 2 if full or num_steps == 1 else 4)
            for surrogate in REGULARISED:
                if num_steps < 100:
                    yield Sweep(task, "constrained", surrogate, num_steps, (("delta", deltas),))
        for num_steps, surrogate in itertools.product((1, 10, 100), REGULARISED):
            etas = _powers(-13, -1, 1 if full and num_steps < 100 else 2)
            searched = shares
            if num_steps == 100:
                etas, searched = (2.0**-9, 2.0**-5, 2.0**-1), (0.0, 0.5)
            for variant in ("line search", "line search (regularised)", "line search (cold)"):
                if variant == "line search (cold)" and num_steps != 10:
                    continue
                if variant == "line search (regularised)" and num_steps == 100 and not full:
                    continue
                yield Sweep(task, variant, surrogate, num_steps, (("eta", etas), ("armijo", searched)))


def improvement(sweep: Sweep, setting: dict[str, Any]) -> tabular.Improve:
    """An iteration of a sweep's method with one of its settings."""
    if sweep.variant == "closed":
        return tabular.closed_form(sweep.surrogate, **setting)
    if sweep.variant == "fixed":
        return tabular.fixed_steps(
            sweep.surrogate, **({"eta": 1.0, "clip": 0.0} | setting), num_steps=sweep.num_steps
        )
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
    """Runs every setting, one after the other in one compiled program.

    On a CPU that is faster than all at once: line searches would wait for the longest, and a table has no idle lanes.
    """
    make, iterations = TASKS[sweep.task]
    process, settings = make(), sweep.settings
    stacked = {name: jnp.asarray([each[name] for each in settings]) for name in settings[0]}

    def run(setting: dict[str, Any]) -> Any:
        return tabular.ascend(process, improvement(sweep, setting), iterations=iterations)[0]

    program = jax.jit(lambda stacked: jax.lax.map(run, stacked)).lower(stacked).compile()
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


def _claims(found: dict[Sweep, Found], best: dict[str, float], options: Any) -> None:
    pass


def _tables(found: dict[Sweep, Found], best: dict[str, float], options: Any) -> None:
    pass


if __name__ == "__main__":
    main()
