"""The BC agent: configuration and network put together."""

import dataclasses

from acme_agents.bc import acting, learning, networks
from acme_agents.bc.config import Config
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorCore, LearnerCore, NStep, ReplaySpec
from acme_agents.core.types import EnvironmentSpec


@dataclasses.dataclass(frozen=True)
class BC:
    """Behaviour cloning; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_policy(self.config, spec, agent="BC"))

    def actor(self, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
        """Makes the actor's functions: sampling the policy, or as configured for an evaluation."""
        return acting.make_actor(
            self.config, networks.make_policy(self.config, spec, agent="BC"), evaluation=evaluation
        )

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform single steps; their rewards are not looked at, so they are not discounted."""
        return configs.replay_spec(self.config, NStep(n=1, discount=1.0))
