"""HCA: a policy gradient that asks in hindsight how likely an action was to have led to a later state, or return."""

import dataclasses

from acme_agents.agents.hca import learning, networks
from acme_agents.agents.hca.config import Config
from acme_agents.agents.ppo import acting
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import Array, EnvironmentSpec, Observation, Params

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class HCA:
    """Hindsight credit assignment, with PPO's actor; see this folder's README, and `tabular` for tables."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        return learning.make_learner(self.config, networks.make_networks(self.config, spec), spec)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's mode for an evaluation."""
        nets = networks.make_networks(self.config, spec)

        def policy(params: Params, observation: Observation) -> Array:
            return nets.agent.apply(params, observation).logits

        return acting.make_actor(self.config, policy, nets.law, spec, evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """A queue of unrolls."""
        return configs.unroll_spec(self.config)


make = HCA
