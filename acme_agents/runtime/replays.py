"""Makes the replay of an experiment, from its sources and from who draws."""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from acme_agents import datasets
from acme_agents.core import amounts, checkpoint
from acme_agents.core.interfaces import DATASET, REPLAY, LearnerCore, ReplaySpec
from acme_agents.core.types import Step, Trajectory
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment
from acme_agents.replay import chunks, ring, rotating_ring, sizes
from acme_agents.replay.device_replay import DeviceReplay, DeviceSource, FixedRing
from acme_agents.replay.intake import OnNew, RingIntake, TableIntake
from acme_agents.replay.queue_replay import QueueReplay
from acme_agents.replay.replay import Phases, Replay
from acme_agents.replay.rotating_ring import RotatingRing
from acme_agents.replay.transport import NoReceiver, Receiver, Sender
from acme_agents.runtime import loopback
from acme_agents.runtime.learner import MAX_UPDATES

if TYPE_CHECKING:
    from acme_agents.replay.reverb_transport import ReverbReceiver

_SHARE_OF_FREE_MEMORY = 0.5  # for the dataset's part that is in memory, where nobody says how much

MakeReplay = Callable[[Experiment, LearnerCore, OnNew], Replay]


def on_device(
    experiment: Experiment, steps: Step, replay: ReplaySpec, core: LearnerCore, receiver: Receiver, on_new: OnNew
) -> Replay:
    """A replay that the learner draws from, on its own device, or a queue of what is learned from once.

    Args:
      experiment: what to run.
      steps: of `specs`.
      replay: of `specs`.
      core: the agent's functions.
      receiver: delivers the actors' chunks.
      on_new: receives the chunks that come in.

    Raises:
      DatasetError: the experiment's dataset cannot be learned from.
    """
    if replay.experience.once:
        return QueueReplay(core, replay, steps, receiver, on_new)
    sources: dict[str, DeviceSource] = {}
    num_devices = experiment.learner_devices
    if experiment.dataset is not None:
        sources[DATASET] = _dataset_source(experiment, steps, replay)
    if experiment.gathered:
        gathered = load_gathered(experiment, steps, replay)
        sources[REPLAY] = FixedRing(steps, replay, gathered, num_devices, padded=True)
    elif not experiment.is_offline:
        tolerance = float(MAX_UPDATES * replay.batch_size)
        sources[REPLAY] = RingIntake(
            receiver, steps, replay, tolerance=tolerance, on_new=on_new, num_devices=num_devices
        )

    def drawn_from(replay: ReplaySpec) -> Replay:
        used = {name: sources[name] for name in replay.sources}
        return DeviceReplay(core, replay, experiment.seed, used, num_devices)

    return _in_phases(experiment, replay, drawn_from)


def in_server(
    experiment: Experiment,
    steps: Step,
    replay: ReplaySpec,
    core: LearnerCore,
    receiver: "ReverbReceiver",
    stop: threading.Event,
    on_new: OnNew,
) -> Replay:
    """A replay that the replay server draws from; the arguments are those of `on_device`.

    Args:
      experiment: what to run.
      steps: of `specs`.
      replay: of `specs`.
      core: the agent's functions.
      receiver: counts what actors send.
      stop: set to make calls return that wait for a server that is away.
      on_new: receives the chunks that come in.

    Raises:
      DatasetError: the experiment's dataset cannot be learned from.
      DatasetTooLarge: it does not fit into memory.
    """
    from acme_agents.replay.demonstrations import Demonstrations
    from acme_agents.replay.server_replay import ServerReplay, ServerSource

    tolerance = float(MAX_UPDATES * replay.batch_size)
    sources: dict[str, ServerSource] = {REPLAY: TableIntake(receiver, replay, tolerance=tolerance, on_new=on_new)}
    if experiment.dataset is not None:
        trajectories = load_dataset(experiment, steps, replay)
        sources[DATASET] = Demonstrations(receiver.client, steps, replay, trajectories, stop=stop)

    def drawn_from(replay: ReplaySpec) -> Replay:
        used = {name: sources[name] for name in replay.sources}
        return ServerReplay(core, replay, steps, experiment.seed, receiver.client, used)

    return _in_phases(experiment, replay, drawn_from)


def _in_phases(experiment: Experiment, replay: ReplaySpec, drawn_from: Callable[[ReplaySpec], Replay]) -> Replay:
    """The replay, after the offline updates on the dataset alone, if a run with actors has any."""
    if experiment.is_offline or not experiment.offline_updates:
        return drawn_from(replay)
    offline = dataclasses.replace(replay, sources={DATASET: 1.0})
    return Phases(drawn_from(offline), drawn_from(replay), experiment.offline_updates)


def between_processes(client: Any, run_dir: pathlib.Path, stop: threading.Event) -> MakeReplay:
    """The function that makes the replay of a learner whose actors are other processes.

    Args:
      client: `reverb.Client` of the replay server; not used in a run without actors, which has no server.
      run_dir: the run's directory.
      stop: set to make calls return that wait for a server that is away.
    """

    def make(experiment: Experiment, core: LearnerCore, on_new: OnNew) -> Replay:
        steps, replay = specs(experiment)
        if experiment.is_offline:
            return on_device(experiment, steps, replay, core, NoReceiver(), on_new)
        from acme_agents.replay.reverb_transport import ReverbReceiver

        receiver = ReverbReceiver(client, steps, replay, run_dir / checkpoint.DIRECTORY)
        if replay.drawn_by == "server":
            return in_server(experiment, steps, replay, core, receiver, stop, on_new)
        return on_device(experiment, steps, replay, core, receiver, on_new)

    return make


@contextlib.contextmanager
def served(
    steps: Step, replay: ReplaySpec, directory: pathlib.Path, stop: threading.Event
) -> Iterator[tuple[Sender, Receiver]]:
    """Sender and receiver through a replay server in this process, with the contents of its newest checkpoint.

    Args:
      steps: `chunks.step_spec` of the agent and the environment.
      replay: the agent's.
      directory: of the run's checkpoints.
      stop: set to make blocked calls return.
    """
    import reverb

    from acme_agents.replay import tables
    from acme_agents.replay.reverb_transport import ReverbReceiver, actors_sender

    server = tables.serve(functools.partial(tables.make_tables, replay), directory / tables.CHECKPOINTS)
    loopback.only_this_machine()
    client = reverb.Client(f"localhost:{server.port}")
    sender = actors_sender(client, stop, replay)
    try:
        yield sender, ReverbReceiver(client, steps, replay, directory)
    finally:
        sender.close()
        server.stop()


def _dataset_source(experiment: Experiment, steps: Step, replay: ReplaySpec) -> DeviceSource:
    """The dataset where the learner draws: in memory, or, if that is not to be or it does not fit, a part of it."""
    assert experiment.dataset is not None
    amount, num_devices = experiment.dataset_memory, experiment.learner_devices
    if amount is None:
        try:
            return FixedRing(steps, replay, load_dataset(experiment, steps, replay), num_devices)
        except sizes.DatasetTooLarge:
            logging.info("%s does not fit into memory: a part of it is there at a time.", experiment.dataset)
    stored = datasets.store(experiment.dataset, experiment.environment_spec(), _selection(experiment))
    logging.info(
        "%s: %s episodes, %s steps.", experiment.dataset, f"{len(stored.lengths):,}", f"{stored.lengths.sum():,}"
    )
    if amount is None:
        memory = int(_SHARE_OF_FREE_MEMORY * sizes.free_memory())  # What was loaded is free again.
    else:
        memory = amounts.num_bytes(amount, rotating_ring.num_bytes(steps, replay, stored.num_rows))
    return RotatingRing(steps, replay, stored, memory, experiment.seed, num_devices)


def load_dataset(experiment: Experiment, steps: Step, replay: ReplaySpec) -> list[Trajectory]:
    """The episodes of the experiment's dataset.

    Raises:
      DatasetError: it cannot be learned from.
      DatasetTooLarge: it does not fit into memory; as much as does has been read.
    """
    path = experiment.dataset
    assert path is not None
    trajectories = datasets.load(
        path,
        experiment.environment_spec(),
        **_selection(experiment)._asdict(),
        check=lambda num_rows: sizes.check_dataset(f"The dataset {path}", steps, replay, num_rows),
    )
    _log(path, trajectories)
    return trajectories


def load_gathered(experiment: Experiment, steps: Step, replay: ReplaySpec) -> list[Trajectory]:
    """The episodes of all datasets that earlier cycles gathered, oldest first.

    Raises:
      DatasetError: one of them is damaged, or is not of the environment.
      UserError: they do not fit into memory together.
    """
    spec = experiment.environment_spec()
    trajectories = [trajectory for path in experiment.gathered for trajectory in datasets.load(path, spec)]
    name = f"What {len(experiment.gathered)} cycles gathered"
    sizes.check_dataset(name, steps, replay, ring.padded_size(_num_rows(trajectories)))
    _log(name, trajectories)
    return trajectories


def _selection(experiment: Experiment) -> datasets.Selection:
    """Which of the dataset's episodes are learned from."""
    return datasets.Selection(
        experiment.keep_good,
        experiment.good_return,
        experiment.seed,
        experiment.bad_episodes,
        experiment.clip_actions,
    )


def _num_rows(trajectories: Sequence[Trajectory]) -> int:
    return sum(len(trajectory.discount) + 1 for trajectory in trajectories)


def _log(name: str, trajectories: Sequence[Trajectory]) -> None:
    num_steps = _num_rows(trajectories) - len(trajectories)
    logging.info("%s: %s episodes, %s steps.", name, f"{len(trajectories):,}", f"{num_steps:,}")


def specs(experiment: Experiment) -> tuple[Step, ReplaySpec]:
    """The spec of a step, `chunks.step_spec`, and the replay that the experiment has."""
    spec = experiment.environment_spec()
    return chunks.step_spec(making.make_agent(experiment), spec), making.replay_spec(experiment, spec)
