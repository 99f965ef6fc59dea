"""The DQN agent: configuration and network put together."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.interfaces import ActorCore, LearnerCore, NStep, ReplaySpec
from acme_agents.core.types import EnvironmentSpec
from acme_agents.dqn import acting, learning, networks
from acme_agents.dqn.config import Config


@dataclasses.dataclass(frozen=True)
class DQN:
    """Deep Q-learning; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_networks(self.config, spec))

    def actor(self, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
        """Makes the actor's functions: exploring, or greedy for an evaluation."""
        return acting.make_actor(self.config, networks.make_networks(self.config, spec), evaluation=evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Prioritised n-step transitions, or uniform ones."""
        experience = NStep(self.config.n_step, self.config.discount)
        return configs.replay_spec(self.config, experience, priority_exponent=self.config.priority_exponent)
