"""Behaviour cloning, with a Gaussian, tanh-Gaussian or mixture policy."""

import dataclasses

from acme_agents.agents.bc import acting, learning, networks
from acme_agents.agents.bc.config import Config
from acme_agents.core import configs
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class BC:
    """Behaviour cloning; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_policy(self.config, spec, agent="BC"))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: sampling the policy, or as configured for an evaluation."""
        return acting.make_actor(
            self.config, networks.make_policy(self.config, spec, agent="BC"), evaluation=context.evaluation
        )

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform single steps; their rewards are not looked at, so they are not discounted."""
        return configs.replay_spec(self.config, Transitions(n=1, discount=1.0))


make = BC
