"""The run directories of several seeds."""

import pathlib

import pytest

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.launch import run_dir as run_dir_lib
from acme_agents.launch.options import Options
from acme_agents.launch.run import run


def test_each_seed_has_a_directory_that_is_a_run_of_its_own(tmp_path: pathlib.Path) -> None:
    experiment, options = Experiment("dqn", "jax:cartpole", seed=9), Options(seeds=3)
    run_dir = tmp_path / "run"
    with (
        run_dir_lib.opened(run_dir, experiment, "fused", options, resume=False),
        run_dir_lib.opened_seeds(run_dir, experiment, options, resume=False) as seeds,
    ):
        assert [(each.seed, path.name) for each, path in seeds] == [(9, "seed-9"), (10, "seed-10"), (11, "seed-11")]
    assert run_dir_lib.read_launch(run_dir) == ("fused", options)
    for each, path in seeds:
        assert Experiment.from_run_dir(path) == each
        assert run_dir_lib.read_launch(path) == ("fused", Options())
    assert run_dir_lib.of_seeds(run_dir) == [path for _, path in seeds]
    assert run_dir_lib.of_seeds(seeds[0][1]) == [seeds[0][1]]


def test_one_seed_has_the_run_directory_itself(tmp_path: pathlib.Path) -> None:
    experiment = Experiment("dqn", "jax:cartpole")
    with run_dir_lib.opened_seeds(tmp_path, experiment, Options(), resume=False) as seeds:
        assert seeds == [(experiment, tmp_path)]


def test_seeds_are_refused_where_they_make_no_sense(tmp_path: pathlib.Path) -> None:
    experiment = Experiment("dqn", "jax:cartpole")
    with pytest.raises(errors.UserError, match="give --launcher fused"):
        run(experiment, run_dir=tmp_path / "run", options=Options(seeds=2))
    with pytest.raises(errors.UserError, match="at least 1, not 0"):
        Options(seeds=0)
    assert not (tmp_path / "run").exists()
