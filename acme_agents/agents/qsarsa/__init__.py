"""Qsarsa: TD3 whose critics, and policy, are kept near a SARSA estimate of the behaviour's value, for offline data."""

import dataclasses

from acme_agents.agents.qsarsa import learning
from acme_agents.agents.qsarsa.config import Config
from acme_agents.agents.td3 import acting, networks
from acme_agents.agents.td3.networks import Networks
from acme_agents.core import configs
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class Qsarsa:
    """TD3 with on-policy regularisation of its values; see this folder's README."""

    config: Config

    def _networks(self, spec: EnvironmentSpec) -> Networks:
        return networks.make_networks(self.config, spec, agent="qsarsa")

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, self._networks(spec))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's own action for an evaluation."""
        return acting.make_actor(self.config, self._networks(spec), evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, Transitions(self.config.n_step, self.config.discount))


make = Qsarsa
