"""A bonus around an agent: an agent again, so that everything that runs agents runs it too.

The learner is given the rows behind the items that the base agent would have been given. A bonus says what each
transition is worth to it; that is added to the environment's rewards, which are then summed as the base's kind of
experience sums them; and the base's own update learns from the result. What acts is the base's actor.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from acme_agents.core import masks, specs
from acme_agents.core.interfaces import ActorContext, ActorCore, Agent, LearnerCore, ReplaySpec, UpdateOutput
from acme_agents.core.types import Array, EnvironmentSpec, Key, Params, Stretch
from acme_agents.exploration.config import Mixing

_BONUS_KEY = 0x6B6F  # folded into the learner's key, so that the base's own is what it is without a bonus


class Bonus(NamedTuple):
    """A bonus: pure functions, and a state that checkpoints carry.

    Attributes:
      init: `(key) -> state`, a pytree of arrays.
      update: `(state, stretch, key) -> (state, reward, metrics)`: the reward [B, T] float32 of each transition, which
        means nothing where the stretch is not valid, and metrics, [] float32 each. It learns from the batch too.
    """

    init: Callable[[Key], Any]
    update: Callable[[Any, Stretch, Key], tuple[Any, Array, dict[str, Array]]]


class TrainingState(NamedTuple):
    """Everything that an update changes."""

    base: Any
    bonus: Any
    key: Key  # of the bonus


@dataclasses.dataclass(frozen=True)
class Wrapped:
    """An agent that learns from the environment's rewards and a bonus.

    Attributes:
      name: the bonus's, for messages.
      base: the agent that acts and learns.
      make_bonus: makes the bonus's functions for an environment.
      mixing: weights of the two.
    """

    name: str
    base: Agent
    make_bonus: Callable[[EnvironmentSpec], Bonus]
    mixing: Mixing

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions; their state is a `TrainingState`.

        Raises:
          UserError: the environment's reward is a vector.
        """
        specs.needs_one_reward(spec, agent=self.name)
        return _make_learner(
            self.base.learner(spec), self.make_bonus(spec), self.mixing, self.base.replay(spec).experience
        )

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """The base agent's actor."""
        return self.base.actor(spec, context)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """The base agent's replay, of rows whose rewards are not summed yet."""
        replay = self.base.replay(spec)
        return dataclasses.replace(replay, experience=replay.experience.unsummed)


def _make_learner(base: LearnerCore, bonus: Bonus, mixing: Mixing, experience: Any) -> LearnerCore:
    def init(key: Key) -> TrainingState:
        bonus_key, state_key = jax.random.split(jax.random.fold_in(key, _BONUS_KEY))
        return TrainingState(base.init(key), bonus.init(bonus_key), state_key)

    def update(state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        stretch = experience.unsummed.stretch(batch)
        key, bonus_key = jax.random.split(state.key)
        bonus_state, intrinsic, metrics = bonus.update(state.bonus, stretch, bonus_key)
        extrinsic = stretch.steps.reward[:, :-1]
        reward, mixing_metrics = mix(extrinsic, intrinsic, stretch.valid, mixing)
        # Behind the barrier XLA compiles the base's update as it does without a bonus: it rounds alike.
        given = jax.lax.optimization_barrier((state.base, experience.rewarded(batch, reward)))
        base_state, output = base.update(*given)
        metrics = output.metrics | {f"bonus_{name}": value for name, value in metrics.items()} | mixing_metrics
        return TrainingState(base_state, bonus_state, key), output._replace(metrics=metrics)

    def params(state: TrainingState) -> Params:
        return base.params(state.base)

    return LearnerCore(init, update, params)


def mix(extrinsic: Array, intrinsic: Array, valid: Array, mixing: Mixing) -> tuple[Array, dict[str, Array]]:
    """`w_e r_e + lambda r_i` where there is a transition, and what rewards there are where there is none.

    Args:
      extrinsic: [B, T] float32, the environment's rewards.
      intrinsic: [B, T] float32, the bonus's.
      valid: [B, T] bool, whether the row has a transition.
      mixing: w_e and lambda.

    Returns:
      The rewards [B, T] and, over the transitions: the mean of either, as they are before they are weighted, and the
      share of the bonus in the sum of the sizes of both after it.
    """
    intrinsic = jax.lax.stop_gradient(jnp.where(valid, intrinsic, 0.0))
    weighted, paid = mixing.extrinsic_weight * extrinsic, mixing.weight * intrinsic
    size, paid_size = (masks.mean_where(jnp.abs(x), valid) for x in (weighted, paid))
    total = size + paid_size
    metrics = {
        "extrinsic_reward": masks.mean_where(extrinsic, valid),
        "intrinsic_reward": masks.mean_where(intrinsic, valid),
        "intrinsic_share": jnp.where(total > 0.0, paid_size / jnp.where(total > 0.0, total, 1.0), 0.0),
    }
    return jnp.where(valid, weighted + paid, extrinsic), metrics
