"""Where a program draws twice from one random key: the numbers are then the same, or depend on each other."""

import collections
from collections.abc import Iterator
from typing import Any

from jax.extend.core import Literal


def used_twice(jaxpr: Any) -> list[str]:
    """What uses the first key that is used more than once; empty if there is none.

    To draw from a key or to split it is a use. To fold a number in is none: it makes another key. Keys are raw arrays,
    [2] uint32, which each function of `jax.random` wraps anew.

    Args:
      jaxpr: of a function, traced but not optimised.
    """
    uses: dict[int, list[str]] = collections.defaultdict(list)  # by the identity of the raw key's variable
    raw: dict[int, Any] = {}  # of each wrapped key
    for equation in jaxpr.eqns:
        if equation.primitive.name == "random_wrap":
            raw[id(equation.outvars[0])] = equation.invars[0]
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("random_wrap", "random_fold_in", "random_unwrap"):
            continue
        for variable in equation.invars:
            if isinstance(variable, Literal):
                continue
            key = raw.get(id(variable), variable)
            if id(variable) in raw or _is_key(variable):
                uses[id(key)].append(_name(equation))
    for found in uses.values():
        if len(found) > 1:
            return found
    return next(filter(None, map(used_twice, _within(jaxpr))), [])


def _is_key(variable: Any) -> bool:
    return str(variable.aval.dtype).startswith("key<") and variable.aval.shape == ()


def _name(equation: Any) -> str:
    return str(equation.params.get("name", equation.primitive.name)).lstrip("_")


def _within(jaxpr: Any) -> Iterator[Any]:
    """The programs that a program calls."""
    for equation in jaxpr.eqns:
        for parameter in equation.params.values():
            for each in parameter if isinstance(parameter, (tuple, list)) else (parameter,):
                inner = getattr(each, "jaxpr", each)
                if hasattr(inner, "eqns"):
                    yield inner
