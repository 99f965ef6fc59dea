"""Updates a second on an accelerator, and how much of the chip they use.

For MPO with a mixture critic, SAC, R2D2 and PPO, with networks of the default size and with large ones, these take
turns on one batch of random steps of HalfCheetah's sizes (17 observations, 6 actions; R2D2 chooses among 6):

  from the host  the jitted update, called once for each update with a batch that is copied from the host, as SBX does
  resident, 1    the same compiled update, its state donated, called once for each update on a batch on the device
  resident, 16   16 updates in one call on the batch on the device, as our learner does them

    python benchmarks/accelerator.py --output benchmarks/results/accelerator.md

It needs JAX, Haiku, Optax and NumPy alone, and this package on PYTHONPATH. `--quick` is a smoke test.

The floating-point operations are those of matrix products, counted in the traced update: XLA's own count leaves out
products that it hands to a library, and counts a loop's body once. The bytes are XLA's "bytes accessed"
(`compiled.cost_analysis()`) of the single update, after fusion, each loop with products counted as often as it goes
round: what its kernels read and write, much of which a cache may serve. Both are divided by the time of an update among
16. The limits are measured first: the product of two large matrices in each precision, and a copy on the device, bytes
read and written. The data sheet's numbers are without sparsity.
"""

import contextlib
import dataclasses
import functools
import math
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jax_core

from acme_agents.agents import mpo, ppo, r2d2, sac
from acme_agents.core.experience import of_trajectories
from acme_agents.core.interfaces import Agent, LearnerCore
from acme_agents.core.types import ArraySpec, EnvironmentSpec, SampleInfo, Trajectory
from acme_agents.replay import chunks

UPDATES_PER_CALL = 16
AGENTS = {"mpo": mpo, "sac": sac, "r2d2": r2d2, "ppo": ppo}
_COMPILERS = 4  # programs compiled at a time


class Chip(NamedTuple):
    """What a data sheet says, without sparsity."""

    tf32: float  # FLOP/s
    bf16: float  # FLOP/s
    memory: float  # bytes/s


_HOPPER = {"tf32": 494.7e12, "bf16": 989.4e12}
CHIPS = {"NVIDIA H100 80GB HBM3": Chip(**_HOPPER, memory=3.35e12), "NVIDIA H200": Chip(**_HOPPER, memory=4.8e12)}
"""By `device_kind`; of others, a CPU among them, only the measured limits are known."""

_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "default": {agent: {} for agent in AGENTS},
    "large": {
        "mpo": {"policy_layers": (1024,) * 3, "critic_layers": (1024,) * 3, "batch_size": 1024},
        "sac": {"policy_layers": (1024,) * 2, "critic_layers": (1024,) * 2, "batch_size": 1024},
        "r2d2": {"torso_layers": (1024,), "lstm_size": 1024, "head_layers": (1024,), "batch_size": 128},
        # Minibatches of 1,024 rows.
        "ppo": {"policy_layers": (1024,) * 2, "value_layers": (1024,) * 2, "batch_size": 64, "num_minibatches": 8},
    },
    "tiny": {
        "mpo": {"policy_layers": (8,), "critic_layers": (8,), "batch_size": 8},
        "sac": {"policy_layers": (8,), "critic_layers": (8,), "batch_size": 8},
        "r2d2": {"lstm_size": 8, "burn_in_length": 4, "trace_length": 8, "sequence_period": 4, "batch_size": 4},
        "ppo": {"unroll_length": 8, "num_epochs": 1, "num_minibatches": 2, "batch_size": 2},
    },
}
"""What differs from the agent's defaults."""

PRECISIONS = {"default": None, "bfloat16": "BF16_BF16_F32"}
"""Of products of float32: the device's default, which on NVIDIA's is tf32; or bfloat16 factors, summed in float32."""


_COSTS = ("GFLOP per update", "TFLOP/s", "of measured TFLOP/s", "of the sheet's TFLOP/s")
_COSTS += ("MB per update", "GB/s", "of measured GB/s", "of the sheet's GB/s")


class Case(NamedTuple):
    """A row of the table."""

    agent: str
    networks: str
    products: str


class Limits(NamedTuple):
    """What was measured, by precision where there are several."""

    products: dict[str, float]  # FLOP/s
    memory: float  # bytes/s, read and written


class Prepared(NamedTuple):
    """A case that is compiled."""

    contestants: dict[str, Callable[[], int]]  # each does some updates, and returns how many
    flops: float  # of an update
    num_bytes: float  # of an update, read and written; NaN if XLA does not say
    batch_bytes: int


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=list(AGENTS), help="to measure")
    parser.add_argument("--sizes", nargs="+", default=["default", "large"], choices=list(_SIZES), help="of networks")
    parser.add_argument("--precisions", nargs="+", default=["default"], choices=list(PRECISIONS), help="of products")
    parser.add_argument("--seconds", default=0.5, type=float, help="that each contestant takes in a round, about")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--quick", action="store_true", help="tiny networks and no time")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.seconds, options.rounds = ["tiny"], 0.0, 1
    device, began = jax.devices()[0], time.perf_counter()
    chip = CHIPS.get(device.device_kind)
    report = common.Report(
        "Updates a second on an accelerator",
        [
            *Case._fields,
            "MB per batch",
            "from the host",
            "resident, 1",
            "resident, 16",
            "16 / host",
            "1 / host",
            *_COSTS,
        ],
    )
    limits = measure_limits(device.platform, options.quick)
    report.note(f"{device.device_kind} ({device.platform}), {jax.device_count()} of them; one is used.")
    report.note(_describe(limits, chip))
    report.note(f"Updates/s are medians of {options.rounds} interleaved rounds of {options.seconds:g} s each.")
    print(report.markdown(), flush=True)
    for size in options.sizes:
        cases = [Case(agent, size, precision) for precision in options.precisions for agent in options.agents]
        with ThreadPoolExecutor(_COMPILERS) as pool:  # Its end is waited for: compilers slow what is measured down.
            prepared = [pool.submit(prepare, case) for case in cases]
        for case, future in zip(cases, prepared):
            cells = _cells(case, future, limits, chip, options)
            report.row(*cells)
            print(round(time.perf_counter() - began), "s", *map(common.formatted, cells), sep=" | ", flush=True)
            report.write(options.output)
    report.finish(options.output)


def _describe(limits: Limits, chip: Chip | None) -> str:
    products = ", ".join(f"{name} {value / 1e12:,.3g}" for name, value in limits.products.items())
    text = f"Measured limits: products of matrices, TFLOP/s: {products}; copy {limits.memory / 1e9:,.0f} GB/s."
    if chip is None:
        return text + " There is no data sheet for this device here."
    return text + f" Data sheet: tf32 {chip.tf32 / 1e12:g}, bfloat16 {chip.bf16 / 1e12:g}; {chip.memory / 1e9:g} GB/s."


def _cells(case: Case, future: "Future[Prepared]", limits: Limits, chip: Chip | None, options: Any) -> list[Any]:
    """A row of the table; of a case that fails, the reason."""
    try:
        prepared = future.result()
        rates = {
            name: functools.partial(rate, contestant, options.seconds)
            for name, contestant in prepared.contestants.items()
        }
        rounds = common.interleave(rates, options.rounds)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        return [*case, reason, *["-"] * 13]
    host, one, many = (statistics.median(rounds[name]) for name in ("host", "one", "many"))
    flops, moved = many * prepared.flops, many * prepared.num_bytes
    peak = math.nan if chip is None else chip.bf16 if case.products == "bfloat16" else chip.tf32
    return [
        *case,
        prepared.batch_bytes / 1e6,
        *(host, one, many),
        common.median_ratio(rounds["many"], rounds["host"]),
        common.median_ratio(rounds["one"], rounds["host"]),
        prepared.flops / 1e9,
        flops / 1e12,
        *(flops / limits.products[case.products], flops / peak),
        *(prepared.num_bytes / 1e6, moved / 1e9),
        *(moved / limits.memory, moved / chip.memory if chip else math.nan),
    ]


def rate(contestant: Callable[[], int], seconds: float) -> float:
    """Calls a contestant for about `seconds`, once at least; returns updates per second."""
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not number:
        number += contestant()
    return number / (time.perf_counter() - began)


# The limits.


def measure_limits(platform: str, quick: bool) -> Limits:
    """Measures products in each precision, and a copy, of sizes that fill an accelerator or suit a CPU."""
    size, length = (128, 2**16) if quick else (1024, 2**26) if platform == "cpu" else (8192, 2**28)
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    a, b = (jax.random.normal(key, (size, size)) for key in keys)
    products = {}
    for name, precision in {"float32": "float32", **PRECISIONS}.items():
        with jax.default_matmul_precision(precision) if precision else contextlib.nullcontext():
            products[name] = 2 * size**3 / _seconds(jax.jit(jnp.matmul), a, b)
    halves = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    products["bfloat16 arrays"] = 2 * size**3 / _seconds(jax.jit(jnp.matmul), *halves)
    x = jax.random.normal(keys[0], (length,))
    return Limits(products, 2 * x.nbytes / _seconds(jax.jit(jnp.negative), x))


def _seconds(function: Callable[..., Any], *args: Any) -> float:
    """Seconds of a call among ten that are not waited for one by one; the least of three."""
    jax.block_until_ready(function(*args))
    found = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(10):
            result = function(*args)
        jax.block_until_ready(result)
        found.append((time.perf_counter() - began) / 10)
    return min(found)


# What an update costs.


def make_update(core: LearnerCore, number: int) -> Any:
    """`number` updates on one batch: `(state, batch) -> (state, summed metrics)`, jitted, the state donated."""

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state: Any, batch: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            state, total = carry
            state, output = core.update(state, batch)
            return state, jax.tree.map(jnp.add, total, output.metrics)

        shapes = jax.eval_shape(core.update, state, batch)[1].metrics
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return body(0, (state, zeros)) if number == 1 else jax.lax.fori_loop(0, number, body, (state, zeros))

    return update


def product_flops(jaxpr: Any) -> float:
    """Floating-point operations of the matrix products of a jaxpr, a loop's as often as it goes round.

    Of two branches the larger counts; of a loop whose length is unknown, one round.
    """
    total = 0.0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            shape = eqn.invars[0].aval.shape
            total += 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(shape[i] for i in contracted)
        else:
            inner = [product_flops(part) for part in _parts(eqn)]
            each = max(inner, default=0.0) if eqn.primitive.name == "cond" else sum(inner)
            total += each * eqn.params["length"] if eqn.primitive.name == "scan" else each
    return total


def loops(jaxpr: Any, times: int = 1) -> Iterator[tuple[Any, int]]:
    """The bodies of the loops with products of matrices, and how often each is run beyond the first round."""
    for eqn in jaxpr.eqns:
        is_scan = eqn.primitive.name == "scan"
        if is_scan and product_flops(eqn.params["jaxpr"].jaxpr):
            yield eqn.params["jaxpr"], times * (eqn.params["length"] - 1)
        for part in _parts(eqn):
            yield from loops(part, times * eqn.params["length"] if is_scan else times)


def _parts(eqn: Any) -> Iterator[Any]:
    """The jaxprs inside an equation."""
    for value in eqn.params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(part, (jax_core.Jaxpr, jax_core.ClosedJaxpr)):
                yield getattr(part, "jaxpr", part)


def _bytes(compiled: Any) -> float:
    """XLA's "bytes accessed"; NaN where it does not say."""
    return float((compiled.cost_analysis() or {}).get("bytes accessed", math.nan))


def _body_bytes(body: Any) -> float:
    """The same for a loop's body, compiled alone."""
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in body.in_avals]
    return _bytes(jax.jit(jax_core.jaxpr_as_fun(body)).lower(*shapes).compile())


# The cases.


def make_agent(case: Case) -> tuple[Agent, EnvironmentSpec]:
    """A case's agent, and the spec of its environment."""
    discrete = case.agent == "r2d2"
    action = ArraySpec((), "int32", 6) if discrete else ArraySpec((6,))
    module = AGENTS[case.agent]
    config = dataclasses.replace(module.Config(), **_SIZES[case.networks][case.agent])
    return module.make(config), EnvironmentSpec(ArraySpec((17,)), action)


def make_batch(agent: Agent, spec: EnvironmentSpec) -> Any:
    """A batch of random steps of one long episode, in host memory."""
    replay, steps, rng = agent.replay(spec), chunks.step_spec(agent, spec), np.random.default_rng(0)

    def anything(spec: ArraySpec, *leading: int) -> np.ndarray:
        shape = (*leading, *spec.shape)
        values = rng.integers(0, spec.num_values, shape) if spec.num_values else rng.uniform(-1, 1, shape)
        return values.astype(spec.dtype)

    number = replay.experience.steps_for(replay.batch_size) + replay.experience.reach
    episode = Trajectory(
        anything(spec.observation, number + 1),
        anything(spec.action, number),
        anything(spec.reward, number),
        np.ones(number, np.float32),
    )
    rows = of_trajectories(steps, [episode], replay.experience)
    extras = jax.tree.map(lambda s: anything(s, number + 1), steps.extras)
    rows = rows._replace(steps=rows.steps._replace(extras=extras))
    with jax.default_device(jax.devices("cpu")[0]):
        batch = replay.experience.gather(jax.tree.map(jnp.asarray, rows), jnp.arange(replay.batch_size))
    if "sample_info" in batch._fields:
        probability = np.full(replay.batch_size, 1.0 / len(rows.item_rows), np.float32)
        batch = batch._replace(sample_info=SampleInfo(probability, np.zeros(replay.batch_size, np.int32)))
    return jax.tree.map(np.asarray, batch)


def prepare(case: Case) -> Prepared:
    """Compiles a case, and calls each of its contestants once."""
    agent, spec = make_agent(case)
    core, batch = agent.learner(spec), make_batch(agent, spec)
    precision = PRECISIONS[case.products]
    with jax.default_matmul_precision(precision) if precision else contextlib.nullcontext():
        with jax.default_device(jax.devices("cpu")[0]):  # which compiles it sooner
            state = jax.tree.map(np.asarray, jax.jit(core.init)(jax.random.PRNGKey(0)))
        traced = make_update(core, 1).trace(state, batch)
        one = traced.lower().compile()
        many = make_update(core, UPDATES_PER_CALL).lower(state, batch).compile()
        num_bytes = _bytes(one) + sum(times * _body_bytes(body) for body, times in loops(traced.jaxpr.jaxpr))
    resident = jax.device_put(batch)

    def calls(update: Any, batch: Any, number: int) -> Callable[[], int]:
        held = jax.device_put(state)

        def call() -> int:
            nonlocal held
            for _ in range(number):
                held, metrics = update(held, batch)
            jax.block_until_ready((held, metrics))
            return UPDATES_PER_CALL

        call()
        return call

    contestants = {
        "host": calls(one, batch, UPDATES_PER_CALL),
        "one": calls(one, resident, UPDATES_PER_CALL),
        "many": calls(many, resident, 1),
    }
    batch_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
    return Prepared(contestants, product_flops(traced.jaxpr.jaxpr), num_bytes, batch_bytes)


if __name__ == "__main__":
    main()
