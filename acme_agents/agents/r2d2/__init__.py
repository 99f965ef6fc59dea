"""R2D2: recurrent double Q-learning from prioritised sequences, for discrete actions."""

import dataclasses

from acme_agents.agents.r2d2 import acting, learning, networks
from acme_agents.agents.r2d2.config import Config
from acme_agents.core import configs
from acme_agents.core.experience import Sequences
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class R2D2:
    """Recurrent replay distributed DQN; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, self._networks(spec))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring with this actor's epsilons, or greedy for an evaluation."""
        return acting.make_actor(self.config, self._networks(spec), context)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Prioritised sequences, which seldom fit beside the learner."""
        length = self.config.burn_in_length + self.config.trace_length + 1
        experience = Sequences(length, self.config.sequence_period)
        replay = configs.replay_spec(self.config, experience, priority_exponent=self.config.priority_exponent)
        return dataclasses.replace(replay, drawn_by="server")

    def _networks(self, spec: EnvironmentSpec) -> networks.Networks:
        return networks.make_networks(self.config, spec, agent=type(self).__name__)


make = R2D2
