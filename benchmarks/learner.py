"""Learner: the time of an update in our learner, and of the same update with nothing around it.

For MPO (256x3, batch 256, 20 actions) on HalfCheetah's sizes (17 observations, 6 actions), by kind of critic, these
take turns in one process, one after the other:

  bare      jitted `core.update`, 16 times in a `fori_loop`, on one batch that lies on the device
  gather    `replay.device_replay.make_update`: the same, each batch drawn from a filled store of the replay
  end2end   `TrainingSession.step()` as a run has it: reading chunks from a Reverb server in another process, where a
            third process writes as fast as it is let, inserting, updating, reporting, logging and publishing parameters
   acme      mixture only: `bare` with the critic's loss as Acme has it, the likelihood of 128 samples for each of 20
             actions at the bootstrap state

    python benchmarks/learner.py --output benchmarks/results/learner.md

Ratios are medians over rounds of bare time over the other's, within a round: 1 is free, and the target is 0.9 at least
for `end2end`. The last column is how many times longer an update with Acme's loss takes than our whole learner's.
"""

import contextlib
import dataclasses
import functools
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import accelerator
import common
import dm_env
import jax
import likelihood
import numpy as np
import reverb

from acme_agents import environments
from acme_agents.agents.mpo import config as mpo_config
from acme_agents.core.interfaces import REPLAY, Agent, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec, Transition
from acme_agents.experiments import Experiment, making
from acme_agents.replay import chunks, device_replay, ring
from acme_agents.runtime import learner as learner_lib
from acme_agents.runtime import replay_server, replays
from acme_agents.runtime.training_session import TrainingSession

_ENVIRONMENT = "control:cheetah:run"  # has HalfCheetah's sizes: 17 observations, 6 actions


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--critics", default=["mixture", "categorical", "scalar"], nargs="+", help="kinds of critic")
    parser.add_argument("--repeats", default=7, type=int, help="rounds")
    parser.add_argument("--seconds", default=3.0, type=float, help="that each contestant takes in a round, about")
    parser.add_argument("--replay", default=200_000, type=int, help="transitions in the store")
    options = parser.parse_args()
    report = common.Report(
        "Learner, milliseconds per update",
        ["critic", "bare", "gather", "end2end", "acme", "bare/gather", "bare/end2end", "acme/end2end"],
    )
    for critic in options.critics:
        with _contestants(critic, options.replay, options.seconds) as contestants:
            results = common.interleave(contestants, options.repeats)
        names = ("bare", "gather", "end2end", "acme")
        report.row(
            critic,
            *(statistics.median(results[name]) if name in results else "-" for name in names),
            common.median_ratio(results["bare"], results["gather"]),
            common.median_ratio(results["bare"], results["end2end"]),
            common.median_ratio(results["acme"], results["end2end"]) if "acme" in results else "-",
        )
    report.note(
        f"Medians of {options.repeats} interleaved rounds of about {options.seconds:g} s each, on "
        f"{jax.devices()[0].platform}; {options.replay:,} transitions in the store of `gather`. "
        "Target: bare/end2end >= 0.9."
    )
    report.finish(options.output)


@contextlib.contextmanager
def _contestants(critic: str, replay_size: int, seconds: float) -> Iterator[dict[str, Callable[[], float]]]:
    """Functions that measure for about `seconds`, and return milliseconds per update."""
    config = mpo_config.Config(critic=critic, max_replay_size=2 * replay_size)  # type: ignore[arg-type]
    experiment = Experiment(
        "mpo", _ENVIRONMENT, config=config, max_steps=None, max_updates=10**9, checkpoint_seconds=1e9
    )
    agent, spec = making.make_agent(experiment), environments.spec(experiment.make_environment("actor"))
    held = filled_store(agent, spec, replay_size)
    batch, _ = ring.sample({REPLAY: held.state}, {}, jax.random.PRNGKey(0), agent.replay(spec))
    contestants = {
        "bare": measure_updates(agent.learner(spec), make_bare_update(agent.learner(spec)), batch, seconds),
        "gather": measure_gathering(agent.learner(spec), agent.replay(spec), {REPLAY: held.state}, seconds),
    }
    if critic == "mixture":
        reference = likelihood.make(dataclasses.replace(config, num_bootstrap_actions=20)).learner(spec)
        contestants["acme"] = measure_updates(reference, make_bare_update(reference), batch, seconds)
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(common.reverb_server(replay_server.make_tables, experiment))
        stack.enter_context(common.Child(_write, address, experiment))
        run_dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = TrainingSession(
            experiment, run_dir, replays.between_processes(reverb.Client(address), run_dir, threading.Event())
        )
        while run.learner.steps < 10 * learner_lib.MAX_UPDATES:  # Fills replay, compiles, and settles.
            run.step()
        contestants["end2end"] = functools.partial(end_to_end, run, seconds)
        yield contestants
        run.close()


def filled_store(agent: Agent, spec: EnvironmentSpec, num_transitions: int) -> ring.Ring:
    """A store with so many transitions at least, of random steps, inserted as a learner inserts them."""
    replay, steps = agent.replay(spec), chunks.step_spec(agent, spec)
    held, rng = ring.Ring(steps, replay), np.random.default_rng(0)
    rows = replay.experience.layout.num_rows
    filling = [
        chunks.empty(steps)._replace(
            steps=jax.tree.map(lambda s: rng.uniform(-1, 1, (rows, *s.shape)).astype(s.dtype), steps)._replace(
                discount=np.ones(rows, np.float32), last=np.zeros(rows, bool)
            ),
            num_steps=rows,
            num_starts=replay.experience.items_per_chunk,
        )
        for _ in range(64)
    ]
    while held.size < num_transitions:
        held.insert(filling)
    return held


def make_bare_update(core: LearnerCore) -> Any:
    """`MAX_UPDATES` updates on one batch: `(state, batch) -> (state, summed metrics)`, the state donated."""
    return accelerator.make_update(core, learner_lib.MAX_UPDATES)


def measure_updates(core: LearnerCore, update: Any, batch: Transition, seconds: float) -> Callable[[], float]:
    """Compiles `update`, of `make_bare_update`; returns a function that returns its milliseconds per update."""
    state = jax.jit(core.init)(jax.random.PRNGKey(0))

    def step() -> int:
        nonlocal state
        state, metrics = update(state, batch)
        jax.block_until_ready(metrics)
        return learner_lib.MAX_UPDATES

    step()  # Compiles.
    return lambda: _milliseconds(step, seconds)


def measure_gathering(
    core: LearnerCore, replay: ReplaySpec, held: Mapping[str, ring.RingState], seconds: float
) -> Callable[[], float]:
    """Compiles the runtime's update, which draws its batches; returns a function that returns ms per update."""
    update = device_replay.make_update(core, replay)
    state, key, steps = jax.jit(core.init)(jax.random.PRNGKey(0)), jax.random.PRNGKey(1), 0

    def step() -> int:
        nonlocal state, steps
        state, _, metrics, _ = update(state, {}, held, key, np.int32(steps), np.int32(learner_lib.MAX_UPDATES))
        jax.block_until_ready(metrics)
        steps += learner_lib.MAX_UPDATES
        return learner_lib.MAX_UPDATES

    step()  # Compiles.
    return lambda: _milliseconds(step, seconds)


def end_to_end(run: TrainingSession, seconds: float) -> float:
    """Lets a run step for about `seconds`; returns milliseconds per update."""

    def step() -> int:
        num_updates = run.step()
        if not num_updates:  # The writer is behind: what a learner process does then.
            time.sleep(0.002)
        return num_updates

    return _milliseconds(step, seconds)


def _milliseconds(step: Callable[[], int], seconds: float) -> float:
    """Calls `step`, which returns how many updates it did, for about `seconds`; returns milliseconds per update."""
    began, num_updates = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not num_updates:
        num_updates += step()
    return 1e3 * (time.perf_counter() - began) / num_updates


def _write(connection: Any, address: str, experiment: Experiment) -> None:
    """A process that writes steps, the same ones over and over, until it is ended; the server holds it back."""
    environment, agent = experiment.make_environment("actor"), making.make_agent(experiment)
    spec = environments.spec(environment)
    chunk_writer = common.chunk_writer(address, agent, spec)
    action = np.zeros(spec.action.shape, np.float32)
    first = environment.reset()
    middle: dm_env.TimeStep = environment.step(action)
    while True:
        chunk_writer.observe_first(first)
        for _ in range(999):
            chunk_writer.observe(action, middle)
        chunk_writer.observe(action, middle._replace(step_type=dm_env.StepType.LAST))


if __name__ == "__main__":
    main()
