"""IMPALA: an actor-critic that V-trace corrects for the age of the policy that acted."""

import dataclasses

from acme_agents.agents.impala import learning
from acme_agents.agents.impala.config import Config
from acme_agents.agents.vmpo import acting, networks
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class IMPALA:
    """Importance weighted actor-learner architecture, with V-MPO's network and actor; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        nets = networks.make_networks(self.config, spec, agent="IMPALA")
        return learning.make_learner(self.config, nets, spec)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's mode for an evaluation."""
        nets = networks.make_networks(self.config, spec, agent="IMPALA")
        return acting.make_actor(self.config, nets, spec, evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """A queue of unrolls."""
        return configs.unroll_spec(self.config)


make = IMPALA
