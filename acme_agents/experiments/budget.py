"""When a run ends, and when it is evaluated."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Budget:
    """When a run ends and when it is evaluated.

    Attributes:
      max_steps: environment steps of all actors together; None for no limit.
      max_updates: learner updates; None for no limit.
      eval_every: environment steps between evaluations, each offline update counting as one; 0 for no evaluation, not
        even a final one.
      num_actors: actors that must have finished before the run is over.
      offline_updates: updates before the actors begin; infinite where there are none.
      environments_per_actor: environments that each actor steps together.
    """

    max_steps: int | None
    max_updates: int | None
    eval_every: int
    num_actors: int
    offline_updates: float = 0
    environments_per_actor: int = 1
