"""The DiME agent: configuration, networks and perhaps a teacher put together."""

import dataclasses

from acme_agents.core import configs
from acme_agents.core.interfaces import ActorCore, LearnerCore, NStep, ReplaySpec
from acme_agents.core.types import EnvironmentSpec
from acme_agents.dime import acting, learning, networks
from acme_agents.dime.config import Config
from acme_agents.dime.learning import Teacher


@dataclasses.dataclass(frozen=True)
class DiME:
    """Distillation of a mixture of experts, for several objectives and offline data; see this folder's README.

    Attributes:
      config: the configuration.
      teacher: what "teacher" as behaviour imitates; only learners need it.
    """

    config: Config
    teacher: Teacher | None = None

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""
        nets = networks.make_networks(self.config, spec)
        return learning.make_learner(self.config, nets, spec.action.shape[0], self.teacher)

    def actor(self, spec: EnvironmentSpec, *, evaluation: bool) -> ActorCore:
        """Makes the actor's functions: sampling the policy, or its mean for an evaluation."""
        return acting.make_actor(
            networks.make_networks(self.config, spec),
            draw_preference=self.config.conditioned and not evaluation,
            evaluation=evaluation,
        )

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Uniform n-step transitions."""
        return configs.replay_spec(self.config, NStep(self.config.n_step, self.config.discount))
