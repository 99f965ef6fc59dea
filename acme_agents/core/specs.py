"""What agents require of an environment, and the error for an environment that does not fit."""

from acme_agents.core import errors
from acme_agents.core.types import EnvironmentSpec


def needs_one_reward(
    spec: EnvironmentSpec, *, agent: str, instead: str = "an environment with a scalar reward"
) -> None:
    """Checks that the reward is a scalar.

    Args:
      spec: the environment's.
      agent: the agent's name.
      instead: what to choose if the reward is a vector.

    Raises:
      UserError: it is a vector.
    """
    if spec.reward.shape:
        raise errors.UserError(
            f"{agent} needs one reward, and this environment has a vector of {spec.reward.shape[0]}: choose {instead}."
        )


def num_actions(spec: EnvironmentSpec, *, agent: str) -> int:
    """How many discrete actions there are.

    Args:
      spec: the environment's.
      agent: the agent's name.

    Raises:
      UserError: actions are continuous.
    """
    if spec.action.num_values is None:
        raise errors.UserError(
            f"{agent} needs discrete actions, and this environment has continuous ones of shape {spec.action.shape}: "
            "choose an environment with a discrete action space, or an agent for continuous actions."
        )
    return spec.action.num_values


def num_dimensions(spec: EnvironmentSpec, *, agent: str) -> int:
    """How many dimensions a continuous action has.

    Args:
      spec: the environment's.
      agent: the agent's name.

    Raises:
      UserError: actions are discrete.
    """
    if spec.action.num_values is not None:
        raise errors.UserError(
            f"{agent} needs continuous actions, and this environment has {spec.action.num_values} discrete ones: "
            "choose an environment with a continuous action space, or an agent for discrete actions."
        )
    (dimensions,) = spec.action.shape
    return dimensions
