"""A policy that is deployed as it is: it acts as another run's actors do, and learns nothing."""

import dataclasses
import functools
import pathlib

from acme_agents.core import checkpoint
from acme_agents.core.configs import Checked, PositiveInt
from acme_agents.core.experience import Transitions
from acme_agents.core.interfaces import ActorContext, ActorCore, Agent, LearnerCore, ReplaySpec, UpdateOutput
from acme_agents.core.types import EnvironmentSpec, Key, Params
from acme_agents.experiments import making
from acme_agents.experiments.experiment import Experiment

__all__ = ["Config", "make"]


@dataclasses.dataclass(frozen=True)
class Config(Checked):
    """Whose policy it is, and for how long it acts."""

    run_dir: str = ""
    """Directory of the run whose policy acts: that of its newest checkpoint, or untrained if it has none."""
    steps: PositiveInt = 1_000_000
    """Environment steps that are kept, all that are deployed."""


@dataclasses.dataclass(frozen=True)
class Fixed:
    """The policy of a run. The parameters are read once, when the learner begins, and are its training state."""

    config: Config

    @functools.cached_property
    def _of_run(self) -> tuple[Experiment, Agent]:
        experiment = Experiment.from_run_dir(pathlib.Path(self.config.run_dir))
        return experiment, making.make_agent(experiment)

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions, of which `update` changes nothing."""
        experiment, agent = self._of_run

        def init(key: Key) -> Params:
            del key  # Untrained parameters are those that the run's own learner begins with.
            run_dir = pathlib.Path(self.config.run_dir)
            if checkpoint.steps(run_dir / checkpoint.DIRECTORY):
                return making.load_run(run_dir)[1]
            core = agent.learner(spec)
            return core.params(core.init(making.init_key(experiment.seed)))

        return LearnerCore(init, update=lambda params, batch: (params, UpdateOutput({})), params=lambda params: params)

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions, those of the run's agent."""
        return self._of_run[1].actor(spec, context)

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Keeps what is gathered, and is sampled so seldom that no update is ever due."""
        experience, steps = Transitions(1, 1.0), self.config.steps
        return ReplaySpec(
            experience,
            batch_size=1,
            min_size=1,
            max_size=max(steps, experience.items_per_chunk),
            samples_per_insert=0.5 / steps,
        )


make = Fixed
