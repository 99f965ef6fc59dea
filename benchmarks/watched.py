"""A bonus that also says what it makes of the television of `noisy-tv:SCREEN`, which is there to be measured.

What is paid, and what is learnt, is the bonus's own. What is added are columns of learner.csv, of the transitions of
each batch: `bonus_at` and `bonus_elsewhere`, the mean error that the bonus has with what a transition led to, at the
television and at the other places; `bonus_paid_at` and `bonus_paid_elsewhere`, the same of what was paid for it; and
`bonus_visits`, the share of transitions that led to the television. An error is that of the bonus before it is divided
by a running deviation, which would hide that it vanishes, and before a running mean is taken off. BYOL-Hindsight has
two parts: `bonus_invariance_at` is that of L_inv.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from acme_agents.core import configs, masks
from acme_agents.core.interfaces import Agent
from acme_agents.core.types import Array, EnvironmentSpec, Key, Stretch
from acme_agents.environments import noisy_tv
from acme_agents.exploration import byol_explore, byol_hindsight, rnd, wrapping
from acme_agents.exploration.byol_explore import learning as explore
from acme_agents.exploration.byol_hindsight import learning as hindsight
from acme_agents.exploration.rnd import learning as distillation
from acme_agents.exploration.rnd import networks as distillation_networks
from acme_agents.exploration.wrapping import Bonus


@dataclasses.dataclass(frozen=True)
class Config(configs.Checked):
    """Which bonus, and the numbers of it that a benchmark sets; what does not belong to it is left out."""

    method: str = "byol-explore"
    num_steps: int = 8
    horizon: int = 1
    num_candidates: int = 16
    target_decay: float = 0.99
    divisor: float = 1.0
    update_share: float = 1.0
    learning_rate: float = 1e-3


def make(config: Config, base: Agent) -> Agent:
    """The base agent with the bonus, which learns from nothing else."""
    own = own_config(config)
    return wrapping.Wrapped(config.method, base, lambda spec: _watched(own, spec), own)


def own_config(config: Config) -> Any:
    """The configuration of the bonus itself."""
    kind = {"rnd": rnd.Config, "byol-explore": byol_explore.Config, "byol-hindsight": byol_hindsight.Config}
    chosen = kind[config.method]
    known = {field.name for field in dataclasses.fields(chosen)}
    values = {name: value for name, value in dataclasses.asdict(config).items() if name in known}
    return chosen(**values, weight=1.0, extrinsic_weight=0.0)


def _watched(config: Any, spec: EnvironmentSpec) -> Bonus:
    bonus, error_of = _make(config, spec), _errors(config, spec)

    def update(state: Any, stretch: Stretch, key: Key) -> tuple[Any, Array, dict[str, Array]]:
        seen = stretch.steps.observation[:, 1:, : noisy_tv.NUM_STATES]
        there = stretch.valid & (jnp.argmax(seen, axis=-1) == noisy_tv.TELEVISION)
        elsewhere = stretch.valid & ~there
        error = error_of(state, stretch, key)
        after, paid, metrics = bonus.update(state, stretch, key)
        metrics |= {
            "visits": masks.mean_where(there.astype(jnp.float32), stretch.valid),
            "at": masks.mean_where(error, there),
            "elsewhere": masks.mean_where(error, elsewhere),
            "paid_at": masks.mean_where(paid, there),
            "paid_elsewhere": masks.mean_where(paid, elsewhere),
        }
        if isinstance(config, byol_hindsight.Config):
            metrics["invariance_at"] = masks.mean_where(of_invariance(state, stretch, key), there)
        return after, paid, metrics

    # With a reconstruction that hardly counts, L_inv is left.
    of_invariance = (
        _errors(dataclasses.replace(config, divisor=1e9), spec) if isinstance(config, byol_hindsight.Config) else None
    )
    return Bonus(bonus.init, update)


def _errors(config: Any, spec: EnvironmentSpec) -> Any:
    """`(state, stretch, key) -> [B, T]`: the errors from before an update, by an update whose outcome is left out."""
    values = {"num_steps": 1} | ({} if isinstance(config, rnd.Config) else {"prioritise": False})
    bonus = _make(dataclasses.replace(config, **values), spec)

    def errors(state: Any, stretch: Stretch, key: Key) -> Array:
        _, reward, metrics = bonus.update(state, stretch, key)
        return jax.lax.stop_gradient(reward * metrics["scale"])

    return errors


def _make(config: Any, spec: EnvironmentSpec) -> Bonus:
    if isinstance(config, rnd.Config):
        return distillation.make_bonus(config, distillation_networks.make_networks(config, spec), spec)
    learning = hindsight if isinstance(config, byol_hindsight.Config) else explore
    return learning.make_bonus(config, spec)
