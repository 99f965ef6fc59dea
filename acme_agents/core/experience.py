"""The kinds of experience that an agent can learn from."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Transitions:
    """Experience as n-step transitions.

    Attributes:
      n: steps of reward before the bootstrap.
      discount: gamma, per environment step.
    """

    n: int
    discount: float


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Experience as stretches of an episode, for recurrent networks: batches are `types.Sequence`.

    Attributes:
      length: T, rows of a sequence: one more than its transitions.
      period: steps from one sequence's first row to the next one's; below `length`, so that every transition is in one.
    """

    length: int
    period: int
