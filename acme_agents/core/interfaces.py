"""The one interface: an agent is a few pure functions, and everything that runs them is shared."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from acme_agents.core.experience import Experience
from acme_agents.core.types import (
    Action,
    ActorState,
    Array,
    EnvironmentSpec,
    Extras,
    Key,
    Observation,
    Params,
)

TrainingState = Any  # a pytree of arrays: parameters, optimiser state, counters, random key


def ignore_reward(actor_state: ActorState, reward: Array) -> ActorState:
    """Leaves the actor's state as it is: the `observe` of an actor whose actions do not depend on rewards."""
    del reward
    return actor_state


class ActorCore(NamedTuple):
    """How an agent acts. Its functions are pure and can be jitted; observations have no batch dimension.

    Attributes:
      init: `(key) -> actor_state`: random key, recurrent state, exploration noise; called at every episode's start.
      select_action: `(params, observation, actor_state) -> (action, actor_state, extras)`; the extras are stored in
        replay beside the step.
      observe: `(actor_state, reward) -> actor_state`: sees the reward of the last action, [] or [K] float32; called
        between two calls of `select_action`.
    """

    init: Callable[[Key], ActorState]
    select_action: Callable[[Params, Observation, ActorState], tuple[Action, ActorState, Extras]]
    observe: Callable[[ActorState, Array], ActorState] = ignore_reward


@dataclasses.dataclass(frozen=True)
class ActorContext:
    """What an actor may need to know of its place in the run.

    Attributes:
      evaluation: whether the actor evaluates the policy; otherwise it explores.
      index: of this actor among the exploring ones, for per-actor exploration. Where an actor has many environments,
        each of them counts as an actor, and the index is a traced int32 array [] under `vmap`: compute with it by
        jax.numpy, and do not branch on it.
      num_actors: number of exploring actors, each environment of an actor counted.
    """

    evaluation: bool
    index: int | Array = 0
    num_actors: int = 1


class UpdateOutput(NamedTuple):
    """What one update reports beside the new state."""

    metrics: dict[str, Array]  # scalars, averaged by the runtime before they are logged
    priorities: Array | None = None  # [B] float32, >= 0, new priorities of the batch; None to leave them as they are


class LearnerCore(NamedTuple):
    """How an agent learns. All three functions are pure and can be jitted.

    Attributes:
      init: `(key) -> training_state`.
      update: `(training_state, batch) -> (training_state, output)`: one gradient step.
      params: `(training_state) -> params`: the parameters that an actor needs, and nothing more.
    """

    init: Callable[[Key], TrainingState]
    update: Callable[[TrainingState, Any], tuple[TrainingState, UpdateOutput]]  # the experience's
    params: Callable[[TrainingState], Params]


REPLAY = "replay"  # the source of the actors' steps
DATASET = "dataset"  # the source of recorded episodes


@dataclasses.dataclass(frozen=True)
class ReplaySpec:
    """What an agent asks of its replay; data, not code.

    Attributes:
      experience: the kind of experience; an item of it is a transition, a sequence or an unroll.
      batch_size: items per update.
      min_size: items in replay before the first update.
      max_size: items that replay keeps; the oldest go first.
      samples_per_insert: items sampled per item inserted, held once `min_size` is reached.
      priority_exponent: an item is drawn with a probability proportional to its priority to this power, separately in
        each source; 0 draws uniformly. `UpdateOutput.priorities` sets the priorities.
      sources: the share of each source, by its name: the probability that an item of a batch is drawn from it. The
        sources of the run (a dataset or none, actors or none) replace the agent's, and a share of 0 is left out.
      publish_period: updates between snapshots of the parameters, for the actors; an agent that learns from what its
        own policy just did asks for one after each update.
      log_period: updates between rows of the learner's metrics.
      max_policy_lag: for experience that is learned from once, how many updates older the policy that acted may be than
        the one that learns; what is older is dropped. In one process none is older,
        if the number of environments divides `batch_size`.
      drawn_by: who draws batches when there are several processes: the learner, which then holds all items; or the
        replay server, for items that do not fit beside the learner. In one process the learner draws.
    """

    experience: Experience
    batch_size: int
    min_size: int
    max_size: int
    samples_per_insert: float
    priority_exponent: float = 0.0
    sources: Mapping[str, float] = dataclasses.field(default_factory=lambda: {REPLAY: 1.0})
    publish_period: int = 32
    log_period: int = 200
    max_policy_lag: int = 0
    drawn_by: Literal["learner", "server"] = "learner"


class Agent(Protocol):
    """An agent: its configuration, and the pure functions made from it for an environment.

    An agent's module offers it by two names: `Config`, a frozen dataclass, and `make(config) -> Agent`.
    """

    def learner(self, spec: EnvironmentSpec) -> LearnerCore:
        """Makes the learner's functions."""

    def actor(self, spec: EnvironmentSpec, context: ActorContext) -> ActorCore:
        """Makes the actor's functions: exploring, or the evaluated policy's."""

    def replay(self, spec: EnvironmentSpec) -> ReplaySpec:
        """Says what experience the learner wants."""
