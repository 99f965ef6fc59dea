"""The errors of checks that fail."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np


@contextlib.contextmanager
def calls(function: str) -> Iterator[None]:
    """Turns what an agent's function raises into one sentence; broadcasting [B] against [B, 1] raises too."""
    try:
        with jax.numpy_rank_promotion("raise"):
            yield
    except Exception as error:
        raise AssertionError(f"{function} raises {type(error).__name__}: {error}") from error


def that(condition: Any, sentence: str) -> None:
    """Raises the sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def same_form(a: Any, b: Any, sentence: str) -> None:
    """Checks that two trees have the same structure, shapes and dtypes."""
    structures: list[Any] = [jax.tree.structure(a), jax.tree.structure(b)]
    that(structures[0] == structures[1], f"{sentence}: {structures[0]} and {structures[1]}.")
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b)):
        same = x.shape == y.shape and x.dtype == y.dtype
        where = jax.tree_util.keystr(path)
        that(same, f"{sentence}: {where} is {list(x.shape)} {x.dtype} and then {list(y.shape)} {y.dtype}.")


def equal(a: Any, b: Any) -> bool:
    """Whether two trees are the same, bit for bit."""
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
