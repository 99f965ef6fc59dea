"""PMPO: a policy that learns from preferred and from dispreferred actions, on MPO's critics."""

import dataclasses

from acme_agents.agents.mpo import acting, networks
from acme_agents.agents.mpo.networks import Networks
from acme_agents.agents.pmpo import learning
from acme_agents.agents.pmpo.config import Config
from acme_agents.core import configs
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class PMPO:
    """Preference-based maximum a posteriori policy optimisation; see this folder's README."""

    config: Config

    def _networks(self, spec: EnvironmentSpec) -> Networks:
        return networks.make_networks(self.config, spec, agent="PMPO")

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, self._networks(spec))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: sampling the policy, or its mean for an evaluation."""
        return acting.make_actor(self._networks(spec), evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, Transitions(self.config.n_step, self.config.discount))


make = PMPO
