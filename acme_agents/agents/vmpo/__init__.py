"""V-MPO: on-policy MPO, weighted by the better half of the advantages, for discrete and continuous actions."""

import dataclasses

from acme_agents.agents.vmpo import acting, learning, networks
from acme_agents.agents.vmpo.config import Config
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class VMPO:
    """On-policy maximum a posteriori policy optimisation; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_networks(self.config, spec), spec)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's mode for an evaluation."""
        nets = networks.make_networks(self.config, spec)
        return acting.make_actor(self.config, nets, spec, evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """A queue of unrolls."""
        return configs.unroll_spec(self.config)


make = VMPO
