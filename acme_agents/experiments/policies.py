"""Policies of finished or running runs: to evaluate, to collect episodes of, to learn from."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax

from acme_agents.core import errors
from acme_agents.core.types import Action, Key, Observation, Params
from acme_agents.experiments.experiment import Experiment
from acme_agents.runtime import checkpoint


def load(run_dir: pathlib.Path, *, seed: int = 0, config: Any = None) -> tuple[Experiment, Params]:
    """A run's experiment, and the parameters that the actors of its newest checkpoint use.

    Args:
      run_dir: the run's directory.
      seed: that the experiment gets.
      config: that it gets; None to leave it as it was.

    Raises:
      ValueError: no run, or the run has no checkpoint, or none that can be read.
    """
    experiment = Experiment.from_run_dir(run_dir)
    experiment = dataclasses.replace(experiment, seed=seed, config=config or experiment.config)
    core = experiment.make_agent().learner(experiment.environment_spec())
    template = jax.eval_shape(core.init, jax.ShapeDtypeStruct((2,), "uint32"))
    found = checkpoint.load(run_dir / checkpoint.DIRECTORY, template)
    if found is None:
        raise errors.UserError(f"{run_dir} has no checkpoint yet: let it train for longer.")
    return experiment, core.params(found[0])


def teacher(run_dir: pathlib.Path) -> Callable[[Key, Observation], Action]:
    """The exploring policy of a run, `(key, observation [B, ...]) -> action [B, *A]`; read when it is first called."""

    @functools.cache
    def policy() -> tuple[Any, Params]:
        experiment, params = load(run_dir)
        return experiment.make_agent().actor(experiment.environment_spec(), evaluation=False), params

    def act(key: Key, observation: Observation) -> Action:
        core, params = policy()

        def one(key: Key, observation: Observation) -> Action:
            return core.select_action(params, observation, core.init(key))[0]

        batch_size = jax.tree.leaves(observation)[0].shape[0]
        return jax.vmap(one)(jax.random.split(key, batch_size), observation)

    return act
