"""The options of each command of the command line; their help is from the docstrings."""

import dataclasses
import pathlib
from typing import Annotated, Any, Literal

import tyro

from acme_agents.launch.options import Launcher, Options


@dataclasses.dataclass(frozen=True)
class _Experiment:
    """What to run, on what, and for how long. As the last base of `Train` it comes first in the help."""

    env: str | None = None
    """Environment, as `acme-agents list` has them (default: the one that the dataset names, if it names one)."""
    launcher: Launcher = "in-process"
    """Where it runs: all in this process; as Launchpad processes of this machine, or of a Ray cluster; or compiled
    into one program together with the environment, which is in pure JAX then."""
    steps: int | None = None
    """Environment steps of all actors together (default: 1,000,000; with --updates no limit; with --dataset none)."""
    updates: int | None = None
    """Learner updates; with --steps, whichever ends first."""
    cycles: int | None = None
    """Growing batches, in the place of --steps and --updates: this many times deploy a fixed policy, merge what it
    gathered with all before, and learn from that alone."""
    cycle_steps: int | None = None
    """With --cycles: environment steps of each deployment, of all actors together."""
    cycle_updates: int | None = None
    """With --cycles: learner updates after each deployment."""
    from_scratch: bool = False
    """With --cycles: begin each cycle's learning with untrained parameters."""
    gathered: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Datasets in the place of replay; of the learning within a run of cycles."""
    run_dir: pathlib.Path | None = None
    """Run directory (default: runs/AGENT-ENVIRONMENT-TIME)."""
    seed: int = 0
    """Seed of everything random."""
    actors: int = 1
    """Actor processes; with --launcher in-process there is one actor."""
    environments_per_actor: int = 1
    """Environments of each actor, with any launcher: one call of the policy acts in all of them."""
    dry_run: bool = False
    """With --launcher ray: print where the workers would be placed, and start nothing."""
    dataset: str | None = None
    """Dataset to learn from: a Minari dataset or the id of one, a D4RL or d3rlpy HDF5 file, or an RL Unplugged TFRecord
    set; `acme-agents dataset` says what is in it."""
    offline_updates: int = 0
    """With --dataset and --steps or --cycles: updates on the dataset alone before the actors begin."""
    dataset_share: float | None = None
    """With --dataset and --steps or --cycles: the share of each batch that is drawn from the dataset, once the actors
    act (default: the agent's own share, else 0.5)."""
    keep_good: float = 1.0
    """Fraction of the dataset's good episodes to learn from (RL Unplugged: a third); the others are all kept."""
    good_return: float | None = None
    """Return from which an episode is good (default: halfway between the dataset's lowest and highest)."""
    bad_episodes: Literal["refuse", "skip"] = "refuse"
    """Refuse a dataset that has an unusable episode (NaN, wrong shapes, actions out of bounds, missing rows), or skip
    such episodes and count them."""
    clip_actions: bool = False
    """Clip the dataset's continuous actions that are out of bounds, and count them."""
    dataset_memory: str | None = None
    """How much of the dataset is in memory at a time, 20% of it or 4GiB, while the rest is read from the disk (default:
    all of it if it fits, else half of the memory that is free)."""
    replay: Literal["learner", "server"] | None = None
    """Who draws batches when there are several processes: the learner, or the replay server, for sequences that do not
    fit beside the learner (default: the agent's choice)."""
    precision: Literal["default", "float32", "bfloat16"] = "default"
    """Precision in which the learner's updates multiply matrices; sums stay float32. The default is the device's: tf32
    on NVIDIA's GPUs, float32 on CPUs, which have no bfloat16."""
    learner_devices: int = 1
    """Devices of the learner's machine over which each update's batch is divided; small updates are faster on one."""
    teacher: str | None = None
    """Run directory whose policy teaches, for agents that learn from one."""
    record: str | None = None
    """Where to write the run's whole history when it ends, as a Minari dataset."""
    resume: bool = False
    """Continue the run in --run-dir from its newest checkpoint; options that are not given stay as
    they were, the launcher too."""
    eval_every: int = 10_000
    """Environment steps between evaluations, each offline update counting as one; 0 for none."""
    eval_episodes: int = 10
    """Episodes of each evaluation."""
    max_episode_steps: int | None = None
    """Steps after which an episode is cut short, of actors and in evaluations (default: the environment's own limit;
    if it declares none, 10,000 in evaluations)."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept, at least 2: a damaged one is skipped for the one before it."""
    histograms: bool = False
    """Write histograms of the parameters, and of their changes by an update, to TensorBoard with each row of
    `learner.csv`; not with --launcher fused."""
    keep_every: int | None = None
    """Updates; the first checkpoint at or after each multiple of it is kept too, for good."""


@dataclasses.dataclass(frozen=True)
class Train(Options, _Experiment):
    """Train an agent in an environment."""

    config_file: pathlib.Path | None = None
    """File that says what to train, JSON or YAML: what a run's config.json has, or a part of it. Flags go before it."""
    config: Any = None
    """Configuration of the agent."""


@dataclasses.dataclass(frozen=True)
class Resume(Train):
    """Continue a run from its newest checkpoint; options that are not given stay as they were, the launcher too."""

    run_dir: tyro.conf.Suppress[pathlib.Path | None] = None
    resume: tyro.conf.Suppress[bool] = True
    config_file: tyro.conf.Suppress[pathlib.Path | None] = None


@dataclasses.dataclass(frozen=True)
class Attach:
    """Take the place of a run's launcher that has died, Ctrl-C included."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    """Run directory."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Run the deterministic policy of a run's newest checkpoint."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    """Run directory."""
    episodes: int = 10
    """Episodes to run."""
    seed: int = 0
    """Seed of the environment."""
    video: pathlib.Path | None = None
    """File to film the episodes to, .mp4 or .gif; needs a GL library."""
    config: Any = None
    """Configuration of the agent, by default the run's: for example the trade-off of a conditioned policy."""


@dataclasses.dataclass(frozen=True)
class Collect:
    """Write episodes of the policy of a run's newest checkpoint as a Minari dataset."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    """Run directory."""
    dataset: pathlib.Path
    """Directory to write the dataset to."""
    steps: int = 10_000
    """Environment steps at least: whole episodes are written until there are this many."""
    explore: bool = False
    """Act as the run's actors do, rather than as its evaluator."""
    seed: int = 0
    """Seed of the environment."""
    config: Any = None
    """Configuration of the agent, by default the run's: for example the trade-off of a conditioned policy."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Say what is in a dataset: episodes, returns, and the range of every number; and write it in another format."""

    path: tyro.conf.Positional[pathlib.Path]
    """Dataset, of any format that train's --dataset takes, or the id of one that Minari has on this machine."""
    output: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Figure to write, .png, .pdf or .svg: histograms of returns, lengths and actions."""
    convert: Literal["minari", "d4rl", "d3rlpy"] | None = None
    """Format to write the dataset in, to the path of --to; what the format cannot hold is said."""
    to: pathlib.Path | None = None
    """With --convert: where to write it; nothing may be there."""
    env: str | None = None
    """Environment that it is of, whose bounds its actions have (default: the one that it names, if it names one)."""


@dataclasses.dataclass(frozen=True)
class New:
    """Begin an agent of your own: a folder here with one of ours under another name, with its tests and a README."""

    name: tyro.conf.Positional[str]
    """Of the new agent, which is a Python module of this name: `acme-agents train NAME` from this directory."""
    like: Literal["td3", "dqn", "ppo"] = "dqn"
    """Agent to begin from: td3 for continuous actions, dqn for discrete ones, ppo on-policy and for both."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Check an agent, or an environment, for what every one must do: a line for each check; exit code 1 if one fails.

    An agent's configuration is the default one with small networks that learn fast, and --config.FIELD changes it.
    """

    env: str | None = None
    """Environment to check; with an agent, the one whose observations and actions the agent is checked for."""
    form_only: bool = False
    """Leave out the checks of what the agent learns, which are of tiny tasks and take most of the time."""
    updates: int = 1500
    """Updates that a check of learning may take."""
    value: str | None = None
    """Metric of the agent's update that estimates the return of the batch's actions, such as q_value: it is checked."""
    steps: int = 400
    """Steps of random actions that each check of an environment takes at most."""
    max_episode_steps: int | None = None
    """Steps after which the environment's episodes are cut short (default: its own limit)."""
    config: Any = None
    """Configuration of the agent."""


@dataclasses.dataclass(frozen=True)
class Demonstrate:
    """Write episodes of an environment's scripted expert as a Minari dataset."""

    env: tyro.conf.Positional[str]
    """Environment that has an expert: deep-sea:N or key-door:N."""
    dataset: pathlib.Path
    """Directory to write the dataset to."""
    episodes: int = 50
    """Episodes to write."""
    random_actions: float = 0.0
    """Probability that an action is uniformly random instead of the expert's."""
    seed: int = 0
    """Seed of the environment and of the random actions."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Run agents on the tasks of a suite with several seeds, and report on them.

    The same command, or one with --output alone, goes on where it was stopped; other tasks, agents and seeds are added.
    """

    suite: tyro.conf.Positional[str | None] = None
    """Suite of tasks: control, control-28, control-small, atari-5 or minigrid-small."""
    output: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Directory of the benchmark: its runs, report.html and report.md."""
    agents: tuple[str, ...] = ()
    """Agents, each [LABEL=]AGENT[:FIELD=VALUE,...], such as sac or dmpo=mpo:critic=categorical. A tuple is written as
    policy_layers=64x64."""
    tasks: tuple[str, ...] = ()
    """Environments, in place of a suite."""
    seeds: int | None = None
    """How many seeds (default: 3)."""
    seed: int | None = None
    """The first of them (default: 0)."""
    steps: Annotated[int | None, tyro.conf.arg(aliases=["--budget"])] = None
    """Environment steps of each run (default: the suite's; 100,000 with --tasks)."""
    eval_every: int | None = None
    """Environment steps between evaluations (default: a twentieth of --steps)."""
    eval_episodes: int | None = None
    """Episodes of each evaluation (default: 10)."""
    launcher: Launcher | None = None
    """Launcher of each run, as of `train` (default: in-process)."""
    actors: int | None = None
    """Actor processes of each run (default: 1)."""
    environments_per_actor: int | None = None
    """Environments of each actor (default: 1)."""
    seeds_per_run: int | None = None
    """With --launcher fused: seeds that run side by side in one program, which costs less than one by one (default:
    1)."""
    address: str | None = None
    """HOST:PORT of the Ray cluster, with --launcher ray."""
    parallel: int = 1
    """Runs side by side."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints of a run."""
    compilation_cache: str | None = None
    """Directory that keeps what XLA compiles, as of `train`."""
    report_only: bool = False
    """Run nothing: write the report of what there is, also while another process runs it."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """List the runs below a directory: state, progress, return of the newest evaluation, and speed."""

    directory: tyro.conf.Positional[pathlib.Path] = pathlib.Path("runs")
    """Directory that has run directories in it, at any depth."""


@dataclasses.dataclass(frozen=True)
class DiagnoseCredit:
    """Find out what makes it hard for agents to assign credit: a task whose difficulty is turned up one knob at a time.

    The same command, or one with --output alone, goes on where it was stopped; other agents and values are added.
    """

    agents: tyro.conf.Positional[tuple[str, ...]] = ()
    """Agents for discrete actions, each [LABEL=]AGENT[:FIELD=VALUE,...], such as ppo or hca-r=hca:outcome=return."""
    output: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Directory of the diagnosis: its runs, credit.md, credit.png and credit.csv."""
    depth: tuple[int, ...] | None = None
    """Transitions from the decision to its reward, 1 to 32 (default, where no knob is named: 1 8 16 32)."""
    sparsity: tuple[int, ...] | None = None
    """Decisions that must all be right, 1 to 8 (default, where no knob is named: 1 2 4 8)."""
    breadth: tuple[int, ...] | None = None
    """Ways to the same outcome: 1, 2, 4, ... 64 (default, where no knob is named: 1 4 16 64)."""
    noise: tuple[float, ...] | None = None
    """Standard deviation of the luck in the return (default, where no knob is named: 0 1 2 4)."""
    seeds: int | None = None
    """How many seeds (default: 3)."""
    steps: Annotated[int | None, tyro.conf.arg(aliases=["--budget"])] = None
    """Environment steps of each run, 32 to an episode (default: 30,000)."""
    eval_every: int | None = None
    """Environment steps between evaluations (default: a tenth of --steps)."""
    eval_episodes: int | None = None
    """Episodes of each evaluation (default: 16)."""
    launcher: Literal["fused", "in-process"] | None = None
    """Launcher of each run (default: fused, with all seeds side by side in one program)."""
    environments_per_actor: int | None = None
    """Environments of each run (default: 8)."""
    parallel: int = 1
    """Runs side by side."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints of a run."""
    compilation_cache: str | None = None
    """Directory that keeps what XLA compiles, as of `train`."""
    report_only: bool = False
    """Run nothing: write the report of what there is, also while another process runs it."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw learning curves: the runs of one agent, environment and configuration are one curve with an interval."""

    run_dirs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Run directories."""
    output: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """Figure to write: .png, .pdf or .svg."""
    metric: str = "episode_return"
    """Column to draw."""
    table: Literal["evaluator", "actor", "learner"] = "evaluator"
    """Table of the run directory that has it."""
    x: Literal["actor_steps", "learner_steps", "walltime"] | None = None
    """Column of the horizontal axis (default: environment steps, or updates if there were no actors)."""
