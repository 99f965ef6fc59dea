"""FMA-PG: functional mirror ascent, policy gradients as a choice of surrogates; discrete and continuous actions."""

import dataclasses

from acme_agents.agents.fma_pg import losses
from acme_agents.agents.fma_pg.config import Config
from acme_agents.agents.ppo import acting, learning, networks
from acme_agents.core import configs
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class FMAPG:
    """Functional mirror ascent with PPO's networks, actor and updates; see this folder's README."""

    config: Config

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions: PPO's, which climb the configured surrogate."""
        config = self.config
        nets = networks.make_networks(config, spec, agent="FMA-PG")
        policy_loss = losses.policy_loss(config.surrogate, eta=config.eta, clip=config.clip)
        return learning.make_learner(config, nets, spec, policy_loss)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the policy's mode for an evaluation."""
        nets = networks.make_networks(self.config, spec, agent="FMA-PG")
        return acting.make_actor(self.config, nets.policy.apply, nets.law, spec, evaluation=context.evaluation)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """A queue of unrolls."""
        return configs.unroll_spec(self.config)


make = FMAPG
