"""The errors of checks that fail."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from acme_agents.core import contract, errors


@contextlib.contextmanager
def calls(function: str) -> Iterator[None]:
    """Turns what an agent's function raises into one sentence; broadcasting [B] against [B, 1] raises too."""
    try:
        with contract.named(function):
            yield
    except errors.AgentFault as error:
        raise AssertionError(str(error)) from error
    except errors.UserError as error:
        raise AssertionError(f"{function} raises {type(error).__name__}: {error}") from error


def that(condition: Any, sentence: str) -> None:
    """Raises the sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def same_form(a: Any, b: Any, sentence: str) -> None:
    """Checks that two trees have the same structure, shapes and dtypes."""
    try:
        contract.same_form(a, b, sentence)
    except errors.AgentFault as error:
        raise AssertionError(str(error)) from error


def equal(a: Any, b: Any) -> bool:
    """Whether two trees are the same, bit for bit."""
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
