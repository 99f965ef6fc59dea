"""How updates are computed: the precision of products, as the program that JAX hands to XLA says it."""

import re

import jax
import numpy as np
import pytest

from acme_agents.agents import sac
from acme_agents.core import computing, errors
from acme_agents.core.interfaces import UpdateOutput
from acme_agents.experiments import Experiment, making
from acme_agents.replay.device_replay import make_update
from acme_agents.replay.ring import Ring
from acme_agents.runtime import replays

_CONFIG = sac.Config(policy_layers=(8,), critic_layers=(8,), batch_size=16, min_replay_size=64, max_replay_size=128)


def _program(precision):
    """The lowered update of a small agent, which draws its batch too."""
    experiment = Experiment("sac", "probe:reach", config=_CONFIG, precision=precision)
    steps, replay = replays.specs(experiment)
    core = making.make_learner(experiment)
    state = jax.eval_shape(core.init, jax.random.PRNGKey(0))
    held = {"replay": Ring(steps, replay).state}
    update = make_update(core, replay)
    return update.lower(state, {}, held, jax.random.PRNGKey(0), np.int32(0), np.int32(1)).as_text()


@pytest.fixture
def gpu(monkeypatch):
    """An accelerator, as far as the choice of a precision sees: nothing is compiled here."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


@pytest.mark.usefixtures("gpu")
def test_every_product_of_an_update_has_the_precision_that_was_asked_for():
    default, found = (re.findall(r"dot_general .*", _program(name)) for name in ("default", "bfloat16"))
    assert len(found) == len(default) > 20  # of the losses and of their gradients
    assert not any("HIGHEST" in line or "algorithm" in line for line in default)
    factors = "lhs_precision_type = bf16, rhs_precision_type = bf16, accumulation_type = f32"
    assert all(factors in line for line in found)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("precision", "sign"), [("float32", "HIGHEST"), ("bfloat16", "bf16")])
def test_other_products_keep_their_precision(precision, sign):
    core = computing.with_precision(_Products, precision)
    text = jax.jit(lambda x: (core.update(x, x)[0], core.params(x))).lower(np.ones((4, 4), np.float32)).as_text()
    of_update, other = re.findall(r"dot_general .*", text)
    assert sign in of_update and sign not in other


def test_a_cpu_has_no_products_of_bfloat16():
    with pytest.raises(errors.UserError, match="--precision bfloat16 needs a GPU or a TPU"):
        making.make_learner(Experiment("sac", "probe:reach", config=_CONFIG, precision="bfloat16"))


_Products = computing.LearnerCore(
    init=lambda key: jax.numpy.ones((4, 4)),
    update=lambda state, batch: (state @ batch, UpdateOutput({})),
    params=lambda state: state @ state,
)
