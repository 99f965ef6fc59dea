"""What a teacher can say to an actor-critic beside demonstrations: its actions, and the gradients of its critic.

Emedom-Nnamdi et al. 2023 (arXiv 2305.03870) teach in growing batches so. The paper could not be read: the forms of both
losses are reconstructed from its abstract, and so unverified.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp

from acme_agents.core import configs, errors
from acme_agents.core.configs import NotNegative, PositiveInt
from acme_agents.core.networks import Network
from acme_agents.core.types import Action, Array, Key, Observation
from acme_agents.core.values import ValueHead


class Networks(Protocol):
    """The networks of an agent that can teach by its critic."""

    @property
    def critic(self) -> Network: ...
    @property
    def value_head(self) -> ValueHead: ...


class Teacher(NamedTuple):
    """The policy and the critic of another run. Its functions are pure, and read that run when they are first called.

    Attributes:
      act: `(key, observation [B, ...]) -> [B, *A]`, actions as its actors take them.
      action: `(observation [B, ...]) -> [B, *A]`, actions as its evaluator takes them.
      value: `(observation [B, ...], action [B, A]) -> [B]`, what its critic expects of actions; raises `UserError` if
        it has none.
    """

    act: Callable[[Key, Observation], Action]
    action: Callable[[Observation], Action]
    value: Callable[[Observation, Action], Array]


@dataclasses.dataclass(frozen=True)
class Taught(configs.Checked):
    """How much an agent heeds a teacher, which --teacher names (ours; the paper's numbers are not known)."""

    teacher_action_weight: NotNegative = 0.0
    """Weight of the policy's squared distance to the teacher's actions at the states of the batch."""
    teacher_gradient_weight: NotNegative = 0.0
    """Weight of the squared distance between the critic's gradient in the batch's actions and the teacher's."""
    teacher_filter: bool = False
    """Heed the teacher only at states where the critic prefers its action to the policy's own."""
    teacher_updates: PositiveInt | None = None
    """Updates over which both weights fall to zero, linearly; None to keep them."""

    @property
    def is_taught(self) -> bool:
        """Whether there is anything to learn from a teacher."""
        return self.teacher_action_weight > 0 or self.teacher_gradient_weight > 0


class Lesson(NamedTuple):
    """What a teacher says of a batch.

    Attributes:
      action: [B, A], the teacher's.
      gradient: [B, A], of the teacher's critic in the actions of the batch.
      weight: [B], of each state: the share of the weights that is left, and 0 where the filter leaves it out.
    """

    action: Array
    gradient: Array
    weight: Array


def check(config: Taught, teacher: Teacher | None) -> None:
    """Checks that there is a teacher exactly where there is something to learn from it.

    Raises:
      UserError: there is one without the other.
    """
    if config.is_taught and teacher is None:
        raise errors.UserError("The weights of a teacher need one: give --teacher RUN_DIR.")
    if teacher is not None and not config.is_taught:
        raise errors.UserError(
            "The teacher has no weight: give --config.teacher-action-weight or --config.teacher-gradient-weight, or "
            "leave --teacher out."
        )


def lesson(
    config: Taught,
    teacher: Teacher,
    observation: Observation,
    action: Array,
    own_action: Array,
    value: Callable[[Array], Array],
    num_updates: Array,
) -> Lesson:
    """Asks a teacher about a batch; nothing of the answer has a gradient.

    Args:
      config: the agent's.
      teacher: whom to ask.
      observation: [B, ...].
      action: [B, A], of the batch.
      own_action: [B, A], of the policy.
      value: the agent's own critic at the observations, from actions [B, A] to [B].
      num_updates: [] int32, done so far.
    """
    chex.assert_equal_shape([action, own_action])
    said = teacher.action(observation)
    weight = jnp.full(action.shape[0], annealed(config.teacher_updates, num_updates))
    if config.teacher_filter:
        weight *= value(said) > value(own_action)
    gradient = jnp.zeros_like(action)
    if config.teacher_gradient_weight:
        gradient = action_gradient(lambda a: teacher.value(observation, a), action)
    return jax.lax.stop_gradient(Lesson(said, gradient, weight))


def annealed(over: int | None, num_updates: Array) -> Array:
    """The share of a weight that is left after so many updates, []: it falls to zero linearly `over` some."""
    return jnp.float32(1.0) if over is None else jnp.maximum(0.0, 1.0 - num_updates / over)


def action_gradient(value: Callable[[Array], Array], action: Array) -> Array:
    """The gradient of each value in its action: dQ(s_b, a_b)/da_b, [B, A]."""
    return jax.grad(lambda a: jnp.sum(value(a)))(action)


def distance(mine: Array, said: Array, weight: Array) -> Array:
    """The loss of an action or a gradient that is to be the teacher's: `mean_b w_b ||x_b - x*_b||^2`.

    Args:
      mine: [B, A]. said: [B, A], the teacher's. weight: [B].

    Returns:
      [] float32.
    """
    chex.assert_equal_shape([mine, said])
    chex.assert_shape(weight, mine.shape[:1])
    return jnp.mean(weight * jnp.sum((mine - said) ** 2, axis=-1))


def policy_loss(config: Taught, action: Array, said: Lesson | None) -> tuple[Array, dict[str, Array]]:
    """What the teacher's actions add to the loss of a policy that takes `action` [B, A]: weighted, [], and metrics."""
    if said is None or not config.teacher_action_weight:
        return jnp.float32(0.0), {}
    loss = distance(action, said.action, said.weight)
    return config.teacher_action_weight * loss, {"loss_teacher_action": loss, "teacher_weight": jnp.mean(said.weight)}


def critic_loss(
    config: Taught, value: Callable[[Array], Array], action: Array, said: Lesson | None
) -> tuple[Array, dict[str, Array]]:
    """What the teacher's gradients add to the loss of a critic: weighted, [], and metrics.

    Args:
      config: the agent's.
      value: the critic at the batch's observations, from actions [B, A] to [B].
      action: [B, A], of the batch.
      said: of the batch.
    """
    if said is None or not config.teacher_gradient_weight:
        return jnp.float32(0.0), {}
    loss = distance(action_gradient(value, action), said.gradient, said.weight)
    return config.teacher_gradient_weight * loss, {
        "loss_teacher_gradient": loss,
        "teacher_weight": jnp.mean(said.weight),
    }


def make_critic(networks: Networks) -> Callable[[Any, Observation, Action], Array]:
    """Makes `(state, observation [B, ...], action [B, A]) -> [B]`: values by the critic of a training state.

    The state has the critic as `critic`, a `training.Trained`.
    """

    def value(state: Any, observation: Observation, action: Action) -> Array:
        return networks.value_head.mean(networks.critic.apply(state.critic.online, observation, action))

    return value
