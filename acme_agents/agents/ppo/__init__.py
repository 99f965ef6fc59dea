"""PPO: clipped policy gradients from what the policy just did, for discrete and continuous actions."""

import dataclasses

from acme_agents.agents.ppo import acting, learning, networks
from acme_agents.agents.ppo.config import Config
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        nets = networks.make_networks(self.config, spec, agent="PPO")
        return learning.make_learner(self.config, nets, spec, learning.clipped_loss(self.config))

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's mode for an evaluation."""
        nets = networks.make_networks(self.config, spec, agent="PPO")
        return acting.make_actor(self.config, nets.policy.apply, nets.law, spec, evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """A queue of unrolls."""
        return configs.unroll_spec(self.config)


make = PPO
