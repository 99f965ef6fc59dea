"""DQN, with double Q-learning, a dueling head, prioritised replay and n-step returns, each of which can be left out."""

import dataclasses

from acme_agents.agents.dqn import acting, learning, networks
from acme_agents.agents.dqn.config import Config
from acme_agents.core import configs
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class DQN:
    """Deep Q-learning; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_network(self.config, spec))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or greedy for an evaluation."""
        return acting.make_actor(self.config, networks.make_network(self.config, spec), evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Prioritised n-step transitions, or uniform ones."""
        experience = Transitions(self.config.n_step, self.config.discount)
        return configs.replay_spec(self.config, experience, priority_exponent=self.config.priority_exponent)


make = DQN
