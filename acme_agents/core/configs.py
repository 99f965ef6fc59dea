"""The fields that agents' configurations share, the bounds of each, and the error for a value out of bounds."""

import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from acme_agents.core import errors
from acme_agents.core.experience import Experience, Unrolls
from acme_agents.core.interfaces import ReplaySpec


class Bound(NamedTuple):
    """What a number, or each number of a tuple, must satisfy; `words` says it, such as "be at least 1"."""

    words: str
    holds: Callable[[float], bool]


def at_least(least: float) -> Bound:
    """The bound of a number from `least` on."""
    return Bound(f"be at least {least}", lambda number: number >= least)


def above(limit: float) -> Bound:
    """The bound of a number above `limit`."""
    return Bound(f"be above {limit}", lambda number: number > limit)


def within(low: float, high: float) -> Bound:
    """The bound of a number from `low` to `high`."""
    return Bound(f"lie in [{low}, {high}]", lambda number: low <= number <= high)


PositiveInt = Annotated[int, at_least(1)]
Positive = Annotated[float, at_least(1e-6)]
NotNegative = Annotated[float, at_least(0)]
Share = Annotated[float, within(0, 1)]
Layers = Annotated[tuple[int, ...], at_least(1)]  # widths of a network's layers, one at least


@dataclasses.dataclass(frozen=True)
class Checked:
    """A configuration whose values are checked by the types of its fields: their bounds, and their literals.

    None has no bounds, and an empty tuple holds none.

    Raises:
      UserError: a value is out of bounds or not among the literals.
    """

    def __post_init__(self) -> None:
        for name, bounds, literals in _rules(type(self)):
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            for bound in bounds:
                if value is not None and not (numbers and all(map(bound.holds, numbers))):
                    raise errors.UserError(f"{name} must {bound.words}, not {value!r}.")
            if literals and value not in literals:
                *others, last = map(str, literals)
                raise errors.UserError(f"{name} must be {', '.join(others)} or {last}, not {value!r}.")


def _rules(config_type: type) -> list[tuple[str, list[Bound], tuple[Any, ...]]]:
    """The name, the bounds and the literals of every field."""
    rules = []
    for name, hint in typing.get_type_hints(config_type, include_extras=True).items():
        literals = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
        rules.append((name, [part for part in _parts(hint) if isinstance(part, Bound)], literals))
    return rules


def _parts(hint: Any) -> Iterator[Any]:
    """A type and all types nested in it."""
    yield hint
    for part in typing.get_args(hint):
        yield from _parts(part)


@dataclasses.dataclass(frozen=True)
class Replay(Checked):
    """How much is replayed."""

    batch_size: PositiveInt = 256
    """Transitions or sequences per update (Acme's MPO, CRR and DQN)."""
    min_replay_size: PositiveInt = 1_000
    """Transitions or sequences in replay before the first update, where there are actors (Acme's MPO and DQN)."""
    max_replay_size: PositiveInt = 1_000_000
    """Transitions or sequences that replay keeps (Acme's MPO and DQN)."""
    samples_per_insert: Positive = 64.0
    """Transitions or sequences sampled per one inserted, where there are actors (Acme's `run_mogmpo.py`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_replay_size > self.max_replay_size:
            raise errors.UserError(
                f"min_replay_size is {self.min_replay_size:,} and max_replay_size {self.max_replay_size:,}: training "
                "would never begin."
            )


@dataclasses.dataclass(frozen=True)
class Returns(Checked):
    """Values that are learnt from later values."""

    discount: Share = 0.99
    """gamma, per environment step (Acme's MPO, CRR and DQN)."""
    n_step: PositiveInt = 5
    """Steps of reward before the bootstrap (Acme's MPO, DQN and R2D2)."""


@dataclasses.dataclass(frozen=True)
class Bootstrapping(Returns):
    """Values that are learnt from later values, by target networks that are copies."""

    target_update_period: PositiveInt = 100
    """Updates between copies of the online networks to the target networks (Acme's MPO, CRR and DQN)."""


@dataclasses.dataclass(frozen=True)
class Adam(Checked):
    """How gradients change parameters."""

    learning_rate: NotNegative = 3e-4
    """Adam's, per update (Acme's `run_mogmpo.py`)."""
    max_gradient_norm: NotNegative = 40.0
    """Global norm to which the gradient of each network is clipped (Acme's MPO names it, its CRR clips so)."""


@dataclasses.dataclass(frozen=True)
class TwinCritics(Replay, Returns):
    """Policy and scalar critics with target networks that follow smoothly, as TD3 and SAC have them.

    Sources: [F] Fujimoto's `TD3`; [S] Stable-Baselines3's `sac`, which has Haarnoja's numbers.
    """

    policy_layers: Layers = (256, 256)
    """Widths of the policy's ReLU layers [F], [S]."""
    critic_layers: Layers = (256, 256)
    """Widths of each critic's ReLU layers [F], [S]."""
    critic_layer_norm: bool = False
    """A LayerNorm in front of each of a critic's ReLUs, as DroQ has it."""

    policy_learning_rate: NotNegative = 3e-4
    """Adam's, of the policy, per update [F], [S]."""
    critic_learning_rate: NotNegative = 3e-4
    """Adam's, of the critics, per update [F], [S]."""
    target_rate: Share = 0.005
    """Share of the online networks that the target networks take over when they are updated [F], [S]."""

    n_step: PositiveInt = 1
    """Steps of reward before the bootstrap [F], [S]."""
    samples_per_insert: Positive = 256.0
    """Transitions sampled per one inserted: `batch_size` times the update-to-data ratio, which is 1 [F], [S]."""


@dataclasses.dataclass(frozen=True)
class Critic(Bootstrapping):
    """A critic of one of the kinds of `core.values`."""

    critic: Literal["mixture", "categorical", "scalar"] = "mixture"
    """Law of the return that the critic learns: Gaussian mixture, fixed atoms, or its mean alone."""
    critic_layers: Layers = (256, 256)
    """Widths of the critic network (Acme's CRR)."""
    num_components: PositiveInt = 5
    """Gaussians in the mixture critic (Shahriari et al. 2022; 3, 5 and 10 do alike)."""
    init_scale: float = 1e-3
    """Standard deviation of each Gaussian of the untrained mixture critic, in units of the return (Acme's
    `networks/distributional.py`)."""
    smoothing: Annotated[float, at_least(1e-3)] = 0.3
    """Width of the Gaussian that smooths both laws in the mixture critic's loss, in units of the spread of a
    minibatch's targets (ours; benchmarks/rare_rewards.py)."""
    vmin: float = -150.0
    """Lowest atom of the categorical critic, in units of the return (Acme's `run_dmpo.py`)."""
    vmax: float = 150.0
    """Highest atom of the categorical critic, in units of the return (Acme's `run_dmpo.py`)."""
    num_atoms: Annotated[int, at_least(2)] = 51
    """Atoms of the categorical critic (Acme's `run_dmpo.py`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.vmin < self.vmax:
            raise errors.UserError(f"vmin must be below vmax, and they are {self.vmin!r} and {self.vmax!r}.")


@dataclasses.dataclass(frozen=True)
class StochasticPolicy(Checked):
    """A policy of one of the kinds of `core.policies`; [O] is Acme's `agents/tf/crr`, [J] its `agents/jax/crr`."""

    policy: Literal["mixture", "gaussian", "tanh-gaussian"] = "mixture"
    """Law of the action: a mixture of Gaussians [O], one Gaussian, or the tanh of one [J]."""
    policy_layers: Layers = (256, 256)
    """Widths of the policy network [J]."""
    num_policy_components: PositiveInt = 5
    """Gaussians in the mixture policy [O]."""
    policy_init_stddev: float = 0.7
    """Standard deviation of the untrained policy, in units of the action, before the tanh if there is one [O]."""
    policy_min_stddev: NotNegative = 1e-3
    """Added to every standard deviation of the policy, in the same units [J]; [O] has 1e-4."""


@dataclasses.dataclass(frozen=True)
class PolicyAndValue(Adam):
    """One network for policy and value that learns from unrolls: what recurrent on-policy agents share."""

    torso_layers: Layers = (128, 128)
    """Widths of the layers behind the encoded observation, which policy and value share (ours, for small tasks)."""
    lstm_size: PositiveInt | None = None
    """Units of an LSTM behind them, for partial observations; None for none."""

    unroll_length: PositiveInt = 32
    """Rows of an unroll: steps, and final observations of episodes (Stoix's V-MPO)."""
    batch_size: PositiveInt = 16
    """Unrolls per update (ours)."""
    max_policy_lag: Annotated[int, at_least(0)] = 2
    """Updates by which an unroll may be too old, where there are several processes; older ones are dropped (ours)."""

    discount: Share = 0.99
    """gamma, per environment step."""
    trace_decay: Share = 1.0
    """lambda of the returns; 1 sums the rewards up to the unroll's end."""
    value_weight: NotNegative = 1.0
    """Weight of the value's loss."""
    normalise_observations: bool = True
    """By the mean and the deviation of all observations so far, clipped to 10; images and grids are left alone, as in
    ppo."""
    normalise_rewards: bool = True
    """By the deviation of all discounted returns so far, clipped to 10, as in ppo."""


@dataclasses.dataclass(frozen=True)
class ActorCritic(PolicyAndValue):
    """The same for agents that take continuous actions too."""

    policy_init_stddev: Positive = 0.7
    """Standard deviation of the untrained policy, in units of the action, where actions are continuous (Acme's MPO)."""
    policy_min_stddev: Positive = 1e-3
    """Added to every standard deviation of the policy, in the same units (ours)."""


@dataclasses.dataclass(frozen=True)
class QLearning(Replay, Bootstrapping, Adam):
    """Values of discrete actions, learnt from prioritised replay."""

    torso_layers: Layers = (128,)
    """Widths of the layers behind the encoded observation (ours, for small tasks)."""
    head_layers: Layers = (128,)
    """Widths of the head's layers, twice if it is dueling (ours, for small tasks)."""
    max_abs_reward: NotNegative | None = None
    """Rewards, or the sums of n steps, are clipped to this size for the learner; None leaves them as they are. Acme's
    DQN has 1, for Atari."""
    priority_exponent: NotNegative = 0.6
    """An item is drawn in proportion to its priority to this power; 0 draws uniformly (Acme's DQN)."""
    importance_exponent: NotNegative = 0.2
    """Of the importance weights that correct for the priorities; 0 leaves them out (Acme's DQN)."""
    evaluation_epsilon: Share = 0.0
    """Chance of a random action in evaluations (Acme's `run_dqn.py`)."""
    adam_epsilon: NotNegative = 1e-8
    """Adam's, in units of the gradient (Acme's DQN)."""


def replay_spec(config: Replay, experience: Experience, *, priority_exponent: float = 0.0) -> ReplaySpec:
    """The replay of an agent, its sizes as configured."""
    return ReplaySpec(
        experience=experience,
        batch_size=config.batch_size,
        min_size=config.min_replay_size,
        max_size=config.max_replay_size,
        samples_per_insert=config.samples_per_insert,
        priority_exponent=priority_exponent,
    )


class OfUnrolls(Protocol):
    """The configuration of an agent that learns from unrolls."""

    @property
    def unroll_length(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_policy_lag(self) -> int: ...


def unroll_spec(config: OfUnrolls) -> ReplaySpec:
    """A queue of unrolls, each learned from in one update; every update's parameters are published."""
    return ReplaySpec(
        experience=Unrolls(config.unroll_length),
        batch_size=config.batch_size,
        min_size=config.batch_size,
        max_size=config.batch_size,
        samples_per_insert=1.0,
        publish_period=1,
        log_period=1,
        max_policy_lag=config.max_policy_lag,
    )
