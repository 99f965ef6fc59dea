"""CCA: a policy gradient that knows of the future what tells nothing of the action, for discrete actions."""

import dataclasses

from acme_agents.agents.cca import learning, networks
from acme_agents.agents.cca.config import Config
from acme_agents.agents.vmpo import acting
from acme_agents.agents.vmpo import networks as policies
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class CCA:
    """Counterfactual credit assignment, with V-MPO's network and actor; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        nets = networks.make_networks(self.config, spec)
        return learning.make_learner(self.config, policies.make_networks(self.config, spec, agent="CCA"), nets, spec)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's mode for an evaluation."""
        nets = policies.make_networks(self.config, spec, agent="CCA")
        return acting.make_actor(self.config, nets, spec, evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """A queue of unrolls."""
        return configs.unroll_spec(self.config)


make = CCA
