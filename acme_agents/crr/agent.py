"""The CRR agent: configuration and networks put together."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.interfaces import ActorCore, LearnerCore, NStep, ReplaySpec
from acme_agents.core.types import EnvironmentSpec
from acme_agents.crr import acting, learning, networks
from acme_agents.crr.config import Config


@dataclasses.dataclass(frozen=True)
class CRR:
    """Critic-regularised regression; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_networks(self.config, spec))

    def actor(self, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
        """Makes the actor's functions: sampling the policy, or as configured for an evaluation."""
        return acting.make_actor(self.config, networks.make_networks(self.config, spec), evaluation=evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, NStep(self.config.n_step, self.config.discount))
