"""DiME: MPO for several objectives, and for offline data; reconstructed."""

import dataclasses

from acme_agents.agents.dime import acting, learning, networks
from acme_agents.agents.dime.config import Config
from acme_agents.core import configs, teaching
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, LearnerCore, ReplaySpec
from acme_agents.core.types import EnvironmentSpec

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class DiME:
    """Distillation of a mixture of experts, for several objectives and offline data; see this folder's README.

    Attributes:
      config: the configuration.
      teacher: what "teacher" as behaviour imitates; only learners need it.
    """

    config: Config
    teacher: teaching.Teacher | None = None

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        nets = networks.make_networks(self.config, spec)
        return learning.make_learner(self.config, nets, spec.action.shape[0], self.teacher)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: sampling the policy, or its mean for an evaluation."""
        return acting.make_actor(
            networks.make_networks(self.config, spec),
            draw_preference=self.config.conditioned and not context.evaluation,
            evaluation=context.evaluation,
        )

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, Transitions(self.config.n_step, self.config.discount))


make = DiME
