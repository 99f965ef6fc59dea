"""DDPG: a deterministic policy that climbs its critic."""

import dataclasses
from collections.abc import Callable
from typing import Any

from acme_agents.agents.ddpg import acting, learning, networks
from acme_agents.agents.ddpg.config import Config
from acme_agents.core import configs, teaching
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import Action, Array, EnvironmentSpec, Observation

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class DDPG:
    """Deep deterministic policy gradient; see this folder's README."""

    config: Config
    teacher: teaching.Teacher | None = None

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_networks(self.config, spec), self.teacher)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's own action for an evaluation."""
        return acting.make_actor(self.config, networks.make_networks(self.config, spec), evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, Transitions(self.config.n_step, self.config.discount))

    def critic(self, spec: EnvironmentSpec) -> Callable[[Any, Observation, Action], Array]:
        """Makes the function that values actions by the learner's state, for those whom this agent teaches."""
        return teaching.make_critic(networks.make_networks(self.config, spec))


make = DDPG
