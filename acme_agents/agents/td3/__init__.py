"""TD3: a deterministic policy and twin critics, for continuous actions; TD3+BC, for offline data."""

import dataclasses

from acme_agents.agents.td3 import acting, learning, networks
from acme_agents.agents.td3.config import Config
from acme_agents.core import configs
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class TD3:
    """Twin delayed deep deterministic policy gradient; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_networks(self.config, spec))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's own action for an evaluation."""
        return acting.make_actor(self.config, networks.make_networks(self.config, spec), evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, Transitions(self.config.n_step, self.config.discount))


make = TD3
