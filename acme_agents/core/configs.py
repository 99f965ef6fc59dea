"""What the agents' configurations have alike: their checks, a wrong number being one sentence, and their replay."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from acme_agents.core import errors
from acme_agents.core.experience import Experience
from acme_agents.core.interfaces import ReplaySpec


def check_least(fields: Any, least: Mapping[str, float]) -> None:
    """Does nothing if no field, nor any number of a tuple, is below the least value that it has; None is no number.

    Raises:
      ValueError: one is, or a tuple is empty.
    """
    for name, value in dataclasses.asdict(fields).items():
        bound = least.get(name)
        if (
            bound is not None
            and value is not None
            and min(value if isinstance(value, tuple) else (value,), default=0) < bound
        ):
            raise errors.UserError(f"{name} must be at least {bound}, not {value!r}.")


def check_shares(fields: Any, names: Iterable[str]) -> None:
    """Does nothing if each of the fields so named lies in [0, 1].

    Raises:
      ValueError: one does not.
    """
    for name in names:
        if not 0.0 <= getattr(fields, name) <= 1.0:
            raise errors.UserError(f"{name} must lie in [0, 1], not {getattr(fields, name)!r}.")


def check_critic(fields: Any) -> None:
    """Does nothing if the discount and the atoms' range, `vmin` to `vmax`, are such.

    Raises:
      ValueError: they are not.
    """
    check_shares(fields, ("discount",))
    if not fields.vmin < fields.vmax:
        raise errors.UserError(f"vmin must be below vmax, and they are {fields.vmin!r} and {fields.vmax!r}.")


def check_replay(fields: Any) -> None:
    """Does nothing if replay can hold what training waits for.

    Raises:
      ValueError: it cannot.
    """
    if fields.min_replay_size > fields.max_replay_size:
        raise errors.UserError(
            f"min_replay_size is {fields.min_replay_size:,} and max_replay_size {fields.max_replay_size:,}: training "
            "would never begin."
        )


class ReplayConfig(Protocol):
    """The fields of an agent's configuration that say how much it replays; `ReplaySpec` explains them."""

    @property
    def batch_size(self) -> int: ...
    @property
    def min_replay_size(self) -> int: ...
    @property
    def max_replay_size(self) -> int: ...
    @property
    def samples_per_insert(self) -> float: ...


def replay_spec(config: ReplayConfig, experience: Experience, *, priority_exponent: float = 0.0) -> ReplaySpec:
    """The replay of an agent, its sizes as configured."""
    return ReplaySpec(
        experience=experience,
        batch_size=config.batch_size,
        min_size=config.min_replay_size,
        max_size=config.max_replay_size,
        samples_per_insert=config.samples_per_insert,
        priority_exponent=priority_exponent,
    )
