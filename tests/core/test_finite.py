"""Divergence: which metric was the first, at which update, and that the training state is looked at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import errors, finite


def test_what_is_noted_is_the_first_update_of_each_metric() -> None:
    first = np.zeros(3, np.int32)
    for update, (a, b, c) in enumerate([(1, 1, 1), (1, np.inf, 1), (np.nan, 1, 1), (np.nan, np.nan, 1)], start=1):
        metrics = {"c": jnp.float32(c), "b": jnp.float32(b), "a": jnp.float32(a)}
        first = finite.merge(first, jax.jit(finite.note)(metrics, np.int32(update)))
    np.testing.assert_array_equal(first, [3, 2, 0])  # in the order of their names
    with pytest.raises(errors.NotFinite, match=r"diverged: b is no longer finite at update 2: lower the learning rate"):
        finite.check_metrics(first, {"c": 1, "b": 1, "a": 1})
    finite.check_metrics(np.zeros(3, np.int32), {"c": 1, "b": 1, "a": 1})
    assert finite.note({}, np.int32(1)).shape == (0,)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_state_is_checked_but_for_what_was_never_finite(wrong: float) -> None:
    state = {"best": jnp.float32(-np.inf), "count": jnp.int32(3), "w": jnp.ones((2, 3)), "z": jnp.bfloat16(1)}
    checker = finite.Checker(state)
    checker.check(state, 1)
    with pytest.raises(errors.NotFinite, match=r"state\['w'\] is no longer finite after update 1,200"):
        checker.check({**state, "w": state["w"].at[1, 2].set(wrong)}, 1200)
    with pytest.raises(errors.NotFinite, match=r"\['z'\]"):
        checker.check({**state, "z": jnp.bfloat16(wrong)}, 5)
