"""The policy of a run, for programs that have an environment of their own."""

from __future__ import annotations

import pathlib
from typing import Any

import dm_env
import jax
import numpy as np

from acme_agents import environments
from acme_agents.core import errors
from acme_agents.core.interfaces import ActorContext, ignore_reward
from acme_agents.core.types import Params
from acme_agents.experiments import Experiment, making
from acme_agents.runtime.actor import Actor


class Policy:
    """Acts in one environment, in that environment's own units; it knows where an episode begins by `reset`."""

    def __init__(self, experiment: Experiment, params: Params, *, explore: bool = False):
        """Makes a policy from the parameters of an experiment's actors; `explore` as in `load_policy`."""
        self._experiment = experiment
        spec = experiment.environment_spec()
        core = making.make_agent(experiment).actor(spec, ActorContext(evaluation=not explore))
        self._actor = Actor(core, jax.random.PRNGKey(experiment.worker_seed("evaluator")))
        self._actor.params = params
        self._spec = spec.observation
        self._needs_reward = core.observe is not ignore_reward
        self._reward_shape = spec.reward.shape
        self._units = experiment.make_environment("evaluator")  # It takes no step: it only converts.
        self._action: Any = None  # the last one of this episode, canonical

    def __call__(self, observation: Any, reward: Any = None) -> Any:
        """Returns the action for an observation, and remembers what the agent's network remembers.

        Args:
          observation: one, without batch dimension, as the environment itself gives it: of Gymnasium an element of the
            observation space, of dm_control its dict of arrays, else as `environments.make` has it.
          reward: of the step before, [] or [K]. Only agents whose network sees rewards, such as R2D2, need it, and not
            for an episode's first observation.

        Returns:
          An action as the environment itself takes it, with its bounds and dtype.

        Raises:
          UserError: the observation is not one of this environment, or is not finite; or the reward is needed.
          NotFinite: the action is not finite.
        """
        canonical = self._canonical(observation)
        if self._action is None:
            self._actor.observe_first(dm_env.restart(canonical))
        elif self._needs_reward:
            self._actor.observe(self._action, dm_env.transition(self._reward(reward), canonical))
        self._action = self._actor.select_action(canonical)
        if self._action.dtype.kind == "f" and not np.isfinite(self._action).all():
            raise errors.NotFinite(f"The policy chose the action {self._action}: learning had diverged.")
        return environments.native_action(self._units, self._action)

    def reset(self) -> None:
        """Says that the next observation is an episode's first."""
        self._action = None

    def close(self) -> None:
        """Gives up what the environment holds, such as a simulator's memory; the policy cannot act any more."""
        self._units.close()

    def _canonical(self, observation: Any) -> Any:
        try:
            canonical = environments.canonical_observation(self._units, observation)
            given, expected = jax.tree.map(np.asarray, canonical), self._spec
            pairs = jax.tree.leaves(jax.tree.map(lambda array, spec: (array, spec), given, expected), is_leaf=_is_pair)
        except errors.EnvironmentFault as error:  # It speaks of what an environment "returned".
            raise errors.UserError(f"The policy was given {str(error).removeprefix('returned ')}.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise errors.UserError(
                f"The policy was given {type(observation).__name__} for an observation of "
                f"{self._experiment.environment}: give one as the environment itself returns it."
            ) from error
        for array, spec in pairs:
            if array.shape != spec.shape or array.dtype != spec.dtype:
                raise errors.UserError(
                    f"The policy was given an observation of {array.dtype} {list(array.shape)}, and that of "
                    f"{self._experiment.environment} is of {spec.dtype} {list(spec.shape)}."
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise errors.UserError("The policy was given an observation that is not finite.")
        return canonical

    def _reward(self, reward: Any) -> np.ndarray:
        if reward is None:
            raise errors.UserError(
                f"{self._experiment.full_name} sees the reward of the step before: call policy(observation, reward), "
                "and policy.reset() where an episode begins."
            )
        return np.asarray(reward, np.float32).reshape(self._reward_shape)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple)


def load_policy(run_dir: str | pathlib.Path, *, explore: bool = False, seed: int = 0) -> Policy:
    """Loads the policy of a run's newest checkpoint.

        policy = acme_agents.load_policy("runs/cheetah")
        action = policy(observation)

    Args:
      run_dir: the run's directory.
      explore: act as the run's actors do, and not as its evaluator.
      seed: of what is random in the policy.

    Raises:
      UserError: there is no run, or it has no checkpoint that can be read.
    """
    return Policy(*making.load_run(pathlib.Path(run_dir), seed=seed), explore=explore)
