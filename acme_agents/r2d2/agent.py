"""The R2D2 agent: configuration and network put together."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.interfaces import ActorCore, LearnerCore, ReplaySpec, Seat, Sequences
from acme_agents.core.types import EnvironmentSpec
from acme_agents.r2d2 import acting, learning, networks
from acme_agents.r2d2.config import Config

_ONLY_SEAT = Seat()


@dataclasses.dataclass(frozen=True)
class R2D2:
    """Recurrent replay distributed DQN; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, self._networks(spec))

    def actor(self, spec: EnvironmentSpec, *, evaluation: bool, seat: Seat = _ONLY_SEAT) -> ActorCore:
        """Makes the actor's functions: exploring as its seat says, or greedy for an evaluation."""
        return acting.make_actor(self.config, self._networks(spec), evaluation=evaluation, seat=seat)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Prioritised sequences."""
        length = self.config.burn_in_length + self.config.trace_length + 1
        experience = Sequences(length, self.config.sequence_period)
        return configs.replay_spec(self.config, experience, priority_exponent=self.config.priority_exponent)

    def _networks(self, spec: EnvironmentSpec) -> networks.Networks:
        return networks.make_networks(self.config, spec, agent=type(self).__name__)
