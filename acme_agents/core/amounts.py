"""Amounts of memory, as users write them."""

import re

from acme_agents.core import errors


def num_bytes(text: str, whole: float) -> int:
    """The bytes that an amount stands for: "20%" of `whole`, "512MiB" or "1.5GiB".

    Raises:
      UserError: it is no such amount, or not above 0, or above 100%.
    """
    number, unit = re.match(r"([0-9.]*)\s*(.*)", text.strip()).groups()  # type: ignore[union-attr]  # It matches any.
    factor = {"%": whole / 100, "mib": 2**20, "gib": 2**30}.get(unit.lower())
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if factor is None or value <= 0 or (unit == "%" and value > 100):
        raise errors.UserError(
            f"--dataset-memory is a part of the dataset or an amount, such as 20% or 4GiB, not {text!r}."
        )
    return int(value * factor)
