"""Every number of the CRR agent that is not as in `core.configs`."""

import dataclasses
from typing import Annotated, Literal

from acme_agents.core import configs
from acme_agents.core.configs import NotNegative, Positive, PositiveInt


@dataclasses.dataclass(frozen=True)
class Config(configs.StochasticPolicy, configs.Critic, configs.Replay):
    """CRR with feed-forward networks.

    Sources: [O] Acme's `agents/tf/crr`, with what the official notebook of RL Unplugged gives it; [J] Acme's
    `agents/jax/crr`, and [E] its example `run_crr_jax.py`.
    """

    weight: Literal["exp", "binary", "all"] = "exp"
    """Weight of the data's actions: exp(advantage / beta), whether the advantage is positive, or one for all [O]."""
    baseline: Literal["mean", "max"] = "mean"
    """What the advantage is over, of the values of the policy's actions; binary with max is "binary max" [O]."""
    beta: Positive = 1.0
    """Temperature of the weight exp and of the evaluation cwp, in units of the return [O]."""
    upper_bound: NotNegative = 20.0
    """Largest weight of exp [O]."""
    num_action_samples: PositiveInt = 4
    """Actions of the policy at each state, for the baseline [O]."""

    bootstrap: Literal["target", "sarsa"] = "target"
    """Source of the next action: the target policy [O], or the data, to evaluate the policy that made it [E]."""
    num_bootstrap_actions: PositiveInt = 1
    """Actions of the target policy at each bootstrap state [O]."""

    critic: Literal["mixture", "categorical", "scalar"] = "categorical"
    """Law of the return that the critic learns: Gaussian mixture, fixed atoms [O], or its mean alone [J]."""
    vmin: float = 0.0
    """Lowest atom of the categorical critic, in units of the return [O]: the control suite's rewards lie in [0, 1]."""
    vmax: float = 100.0
    """Highest atom of the categorical critic, in units of the return [O]."""
    num_atoms: Annotated[int, configs.at_least(2)] = 21
    """Atoms of the categorical critic [O]."""

    evaluation: Literal["mode", "sample", "cwp"] = "mode"
    """How an evaluation acts: the policy's mode [J], a sample [O], or one of several samples chosen by the critic."""
    num_evaluation_actions: PositiveInt = 16
    """Actions that cwp chooses from."""

    n_step: PositiveInt = 1
    """Steps of reward before the bootstrap [O]."""
    policy_learning_rate: NotNegative = 1e-4
    """Adam's, of the policy, per update [O]; [E] has 3e-5."""
    critic_learning_rate: NotNegative = 1e-4
    """Adam's, of the critic, per update [O]; [E] has 3e-4."""
    max_gradient_norm: NotNegative = 40.0
    """Global norm to which policy's and critic's gradients are clipped, each by itself [O]."""
