"""Environment steps a second of `--launcher fused`, beside rejax's and beside one process.

All in one run on one machine. With rejax it takes Python 3.12 and an environment of its own:

    python3.12 -m venv .venv-fused
    .venv-fused/bin/pip install . 'gymnax>=1.0' rejax==0.1.3
    .venv-fused/bin/python benchmarks/fused.py --output benchmarks/results/fused.md

Without rejax it measures ours alone, on our own cart-pole and pendulum. `--environments 1 64 1024 8192` has PPO with
that many environments and unrolls of 64 steps, and DQN and MPO with one update for each time step of them all.
`--quick` is a smoke test.

The same networks, batches, updates per environment step and number of environments for both; compilation is
left out of both, and so are evaluations. rejax's programs are called once for all steps; ours as the launcher does,
but the host's work between the calls (logs, checkpoints) is left out. The rounds alternate between the two and have the
same number of steps, and the best of each counts, because other work on the machine only ever slows a round down.
The ratio of steps per second of CPU is the median over rounds, and says more where the machine is not idle.
"""

import argparse
import importlib.metadata as metadata
import importlib.util
import os
import pathlib
import platform
import shlex
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import Experiment, making, registry
from acme_agents.replay.memory_transport import MemoryTransport
from acme_agents.runtime import fused, fused_loop, replays
from acme_agents.runtime.actor_session import ActorAccount, ActorSession
from acme_agents.runtime.fused_state import Limits

_HAS_REJAX = importlib.util.find_spec("rejax") is not None
_CARTPOLE, _PENDULUM = ("gymnax:CartPole-v1", "gymnax:Pendulum-v1") if _HAS_REJAX else ("jax:cartpole", "jax:pendulum")


class Speed(NamedTuple):
    """What a round measured."""

    per_second: float  # environment steps
    per_cpu_second: float  # of all threads of this process


class Case(NamedTuple):
    """An agent on an environment, and rejax's counterpart."""

    name: str
    agent: str
    environment: str
    num_envs: int
    config: dict[str, Any]
    num_steps: int  # of a round
    rejax: dict[str, Any] | None = None


class _FiveValues:
    """An environment of gymnax 1.0 with the five values of a step that rejax 0.1.3 expects."""

    def __init__(self, environment: Any):
        self.environment = environment

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "environment":
            raise AttributeError(name)
        return getattr(self.environment, name)

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        observation, state, reward, terminated, truncated, info = self.environment.step(key, state, action, params)
        return observation, state, reward, terminated | truncated, info


_DQN = {"torso_layers": (64,), "head_layers": (64,), "dueling": False, "priority_exponent": 0.0, "n_step": 1}
_DQN |= {"batch_size": 256, "samples_per_insert": 25.6, "min_replay_size": 2_000}
_PPO = {"unroll_length": 64, "batch_size": 64, "num_epochs": 4, "num_minibatches": 16, "value_clip": 0.2}
_PPO |= {"normalise_observations": False, "normalise_rewards": False, "entropy_weight": 0.01}


_MPO = {"policy_layers": (64, 64), "critic_layers": (64, 64), "critic": "scalar"}
_MPO |= {"batch_size": 256, "min_replay_size": 1_000}


def _scaling_cases(num_envs: int, num_rounds: int) -> list[Case]:
    """PPO, DQN and MPO with so many environments; a round of measuring takes so many steps of each."""
    ppo = {**_PPO, "batch_size": num_envs}
    replay = {"samples_per_insert": 256 / num_envs, "max_replay_size": 1_000_000}
    num_steps = num_rounds * num_envs
    theirs: dict[str, dict[str, Any]] = {
        "ppo": {"num_steps": 64, "num_epochs": 4, "num_minibatches": 16, "agent_kwargs": {"activation": "tanh"}},
        "dqn": {"buffer_size": 1_000_000, "fill_buffer": 2_000, "batch_size": 256},
    }
    theirs["dqn"]["agent_kwargs"] = {"activation": "relu"}
    return [
        Case(f"{name.upper()}, {num_envs:,} environments", name, environment, num_envs, config, num_steps, rival)
        for name, environment, config, rival in (
            ("ppo", _CARTPOLE, ppo, {"algorithm": "ppo", **theirs["ppo"]}),
            ("dqn", _CARTPOLE, {**_DQN, **replay}, {"algorithm": "dqn", **theirs["dqn"]}),
            ("mpo", _PENDULUM, {**_MPO, **replay}, None),
        )
    ]


def _cases() -> list[Case]:
    cases = []
    for size in (50_000, 1_000_000):
        config = {**_DQN, "max_replay_size": size}
        theirs = {"buffer_size": size, "fill_buffer": 2_000, "batch_size": 256, "agent_kwargs": {"activation": "relu"}}
        name = f"DQN, 10 environments, one update of 256 for each 10 steps, replay of {size:,}"
        cases.append(Case(name, "dqn", _CARTPOLE, 10, config, 20_000, {"algorithm": "dqn", **theirs}))
    theirs = {"num_steps": 64, "num_epochs": 4, "num_minibatches": 16, "agent_kwargs": {"activation": "tanh"}}
    name = "PPO, 64 environments, 64 steps, 4 epochs of 16 minibatches"
    cases.append(Case(name, "ppo", _CARTPOLE, 64, _PPO, 25 * 64 * 64, {"algorithm": "ppo", **theirs}))
    config = {**_MPO, "samples_per_insert": 32.0, "max_replay_size": 100_000}
    cases.append(Case("MPO, 10 environments (rejax has none)", "mpo", _PENDULUM, 10, config, 4_000))
    return cases


def _experiment(case: Case, num_envs: int) -> Experiment:
    config = registry.load(case.agent).Config(**case.config)
    return Experiment(case.agent, case.environment, config=config, environments_per_actor=num_envs)


def _timed(function: Callable[[], int]) -> Speed:
    """Times a function that returns how many steps it did."""
    begun, cpu_begun = time.monotonic(), time.process_time()
    num_steps = function()
    return Speed(num_steps / (time.monotonic() - begun), num_steps / (time.process_time() - cpu_begun))


def ours(case: Case) -> Callable[[], Speed]:
    """Compiles our program and fills replay; returns a function that measures one round."""
    experiment = _experiment(case, case.num_envs)
    spec, agent = experiment.environment_spec(), making.make_agent(experiment)
    steps, replay = replays.specs(experiment)
    core = agent.learner(spec)
    # A call that does more than a round's updates would make our rounds longer than rejax's.
    per_update = replay.batch_size * replay.experience.layout.period if replay.experience.once else 1
    program = fused_loop.make(
        core,
        lambda index: agent.actor(spec, ActorContext(False, index, case.num_envs)),
        fused.check(experiment),
        steps,
        replay,
        num_envs=case.num_envs,
        num_seeds=1,
        max_rounds=max(32, 1024 // case.num_envs),
        max_updates=min(256, case.num_steps // per_update),
        log_period=replay.log_period,
    )
    keys = jax.random.split(jax.random.PRNGKey(0), case.num_envs)
    loop = jax.jit(program.init)(jax.jit(core.init)(keys[0]), (keys, keys, keys[0]))
    far = np.int32(2**31 - 1)
    limits = Limits(far, far, far)
    call = jax.jit(program.call, donate_argnums=0).lower(loop, limits).compile()
    owed = np.float32(-replay.samples_per_insert * replay.min_size)
    state = {"loop": loop._replace(owed=jnp.asarray(owed)) if not replay.experience.once else loop}
    while int(state["loop"].updates) == 0:
        state["loop"] = call(state["loop"], limits)

    def run() -> int:
        start = int(state["loop"].steps)
        while int(state["loop"].steps) < start + 0.95 * case.num_steps:  # A final observation's row is no step.
            state["loop"] = call(state["loop"], limits)
        return int(state["loop"].steps) - start

    return lambda: _timed(run)


def theirs(case: Case) -> Callable[[], Speed]:
    """Compiles rejax's program; returns a function that measures one round."""
    import gymnax
    import rejax

    assert case.rejax is not None
    options = dict(case.rejax)
    environment, params = gymnax.make(case.environment.partition(":")[2])
    algorithm = rejax.get_algo(options.pop("algorithm")).create(
        env=_FiveValues(environment),
        env_params=params,
        num_envs=case.num_envs,
        total_timesteps=case.num_steps,
        eval_freq=case.num_steps,
        skip_initial_evaluation=True,
        **options,
    )
    algorithm = algorithm.replace(eval_callback=lambda *_: 0.0)
    train = jax.jit(algorithm.train).lower(jax.random.PRNGKey(0)).compile()

    def run() -> int:
        jax.block_until_ready(train(jax.random.PRNGKey(0)))
        return case.num_steps

    return lambda: _timed(run)


def acting_in_process(case: Case, tmp: pathlib.Path, num_steps: int = 3_000) -> float:
    """Steps a second of an actor of one environment in one process, that never waits for a learner."""
    experiment = _experiment(case, 1)
    steps, replay = replays.specs(experiment)
    core = making.make_agent(experiment).learner(experiment.environment_spec())
    account = ActorAccount(0)
    sender = MemoryTransport(steps, replay, tmp)
    session = ActorSession(experiment, account, sender)
    session.act_with(0, core.params(jax.jit(core.init)(jax.random.PRNGKey(0))))
    for _ in range(300):
        session.step()
    begun = time.monotonic()
    for _ in range(num_steps):
        session.step()
    return num_steps / (time.monotonic() - begun)


def _round(contestants: list[Callable[[], Speed]], first: int) -> list[Speed]:
    """Measures each in turn, beginning with another one in each round."""
    found = {i: contestants[i]() for i in [*range(first, len(contestants)), *range(first)]}
    return [found[i] for i in range(len(contestants))]


def _contestants(case: Case) -> list[Callable[[], Speed]]:
    """Ours, and rejax's if it is there; compiled."""
    return [ours(case), *([theirs(case)] if case.rejax is not None and _HAS_REJAX else [])]


def _row(case: Case, contestants: list[Callable[[], Speed]], options: argparse.Namespace) -> str:
    """Measures a case; returns its row of the table."""
    rounds = [_round(contestants, first=i % len(contestants)) for i in range(options.rounds)]
    shown = [", ".join(f"{speed.per_second:,.0f}" for speed in speeds) for speeds in zip(*rounds)]
    ratios = ["-", "-"]
    if len(contestants) > 1:
        best, rival = (max(speed.per_second for speed in speeds) for speeds in zip(*rounds))
        per_cpu = statistics.median(mine.per_cpu_second / other.per_cpu_second for mine, other in rounds)
        ratios = [f"{best / rival:.2f}", f"{per_cpu:.2f}"]
    alone = "-" if options.environments else f"{acting_in_process(case, pathlib.Path('unused')):,.0f}"
    cells = [f"{case.name}, `{case.environment}`", *shown, *["-"] * (2 - len(shown)), *ratios, alone]
    return f"| {' | '.join(cells)} |"


def _rows(cases: list[Case], options: argparse.Namespace) -> list[str]:
    """Compiles cases side by side, then measures them one after the other; a case that fails says why in its row."""
    with ThreadPoolExecutor(options.compilers) as pool:
        futures: list[Future[Any]] = [pool.submit(_contestants, case) for case in cases]
    rows = []
    for case, future in zip(cases, futures):
        try:
            rows.append(_row(case, future.result(), options))
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            rows.append(f"| {case.name}, `{case.environment}` | {reason} | - | - | - | - |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agents", nargs="+", default=["dqn", "ppo", "mpo"])
    parser.add_argument("--environments", nargs="+", type=int, help="measure with these many")
    parser.add_argument("--steps", type=int, default=1024, help="of each of them in a round of measuring")
    parser.add_argument("--compilers", type=int, default=1, help="cases compiled at a time")
    parser.add_argument("--quick", action="store_true", help="64 steps of 1 and of 16 environments")
    options = parser.parse_args()
    if options.quick:
        options.environments, options.steps, options.rounds = [1, 16], 64, 1
    cases = _cases()
    if options.environments:
        cases = [case for number in options.environments for case in _scaling_cases(number, options.steps)]
    lines = [
        "| case | fused | rejax | best over best | per second of CPU | one process, acting alone |",
        "|---|" + "---|" * 5,
    ]
    device = jax.devices()[0]
    where = f"{platform.machine()}, {os.cpu_count()} cores, JAX {jax.__version__} on {device.device_kind}"
    rival = f"gymnax {metadata.version('gymnax')}, rejax {metadata.version('rejax')}" if _HAS_REJAX else "without rejax"
    for agent in options.agents:
        lines += _rows([case for case in cases if case.agent == agent], options)
        text = "\n".join(
            [
                "# Environment steps a second of the fused launcher",
                "",
                f"`{shlex.join(['python', os.path.relpath(sys.argv[0]), *sys.argv[1:]])}`, {options.rounds} rounds;",
                f"{where}, load {os.getloadavg()[0]:.1f}; {rival}.",
                "",
                *lines,
                "",
            ]
        )
        if options.output is not None:
            options.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
