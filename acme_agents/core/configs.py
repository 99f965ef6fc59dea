"""What the agents' configurations check alike: a wrong number is one sentence, when the configuration is made."""

import dataclasses
from collections.abc import Mapping
from typing import Any


def check_least(fields: Any, least: Mapping[str, float]) -> None:
    """Does nothing if no field, nor any number of a tuple, is below the least value that it has.

    Raises:
      ValueError: one is, or a tuple is empty.
    """
    for name, value in dataclasses.asdict(fields).items():
        bound = least.get(name)
        if bound is not None and min(value if isinstance(value, tuple) else (value,), default=0) < bound:
            raise ValueError(f"{name} must be at least {bound}, not {value!r}.")


def check_critic(fields: Any) -> None:
    """Does nothing if the discount and the atoms' range, `vmin` to `vmax`, are such.

    Raises:
      ValueError: they are not.
    """
    if not 0.0 <= fields.discount <= 1.0:
        raise ValueError(f"discount must lie in [0, 1], not {fields.discount!r}.")
    if not fields.vmin < fields.vmax:
        raise ValueError(f"vmin must be below vmax, and they are {fields.vmin!r} and {fields.vmax!r}.")


def check_replay(fields: Any) -> None:
    """Does nothing if replay can hold what training waits for.

    Raises:
      ValueError: it cannot.
    """
    if fields.min_replay_size > fields.max_replay_size:
        raise ValueError(
            f"min_replay_size is {fields.min_replay_size:,} and max_replay_size {fields.max_replay_size:,}: training "
            "would never begin."
        )
