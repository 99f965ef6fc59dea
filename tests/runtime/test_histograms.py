"""Histograms of a training state: which arrays are in them, how they changed, and that TensorBoard is given them."""

import jax.numpy as jnp
import numpy as np

from acme_agents.core.training import Trained
from acme_agents.launch import main
from acme_agents.runtime.histograms import Histograms
from tests.runtime import test_loggers


def _state(weight):
    one = {"linear": {"w": jnp.array([[1.0, weight]])}}
    return {"critic": Trained(one, one, {"mu": jnp.ones(3)}, jnp.int32(3)), "key": jnp.zeros(2, jnp.uint32)}


def test_what_is_trained_and_its_mean_change_by_an_update():
    histograms = Histograms()
    first = histograms.of(_state(2.0), 10)
    assert list(first) == ["parameters/critic/online/linear/w"]
    second = histograms.of(_state(5.0), 12)
    np.testing.assert_array_equal(second["parameters/critic/online/linear/w"], [[1.0, 5.0]])
    np.testing.assert_array_equal(second["updates/critic/online/linear/w"], [[0.0, 1.5]])


def test_a_run_writes_them_beside_each_row_of_the_learners_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--env", "probe:reach", "--updates", "400", "--eval-every", "0", "--run-dir", "run"]
    main.main(["train", "tests.testing.mistakes", *options, "--histograms"])
    found = [
        (v.tag, v.histo.num) for e in test_loggers._events(tmp_path / "run") for v in e.summary.value if v.histo.num
    ]
    kinds = ("parameters/policy", "parameters/value", "updates/policy", "updates/value")
    assert [tag for tag, _ in found] == [*kinds[:2], *kinds]  # of updates 200 and 400
    weights = np.load(next((tmp_path / "run/checkpoints").glob("*400*.npz")))
    sizes = [array.size for array in weights.values() if array.ndim == 2]
    assert found[0][1] in sizes
