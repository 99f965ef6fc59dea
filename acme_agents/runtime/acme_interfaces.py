"""Our actor and learner as Acme's: after this import they are instances of the classes of `acme.core`.

Nothing else in the project imports dm-acme, because that imports TensorFlow.
"""

from typing import Any

import acme

from acme_agents.core.interfaces import ActorCore
from acme_agents.core.types import Key
from acme_agents.runtime.actor import NO_WRITER, Actor, Writer
from acme_agents.runtime.learner import Learner

acme.core.Actor.register(Actor)
acme.core.Learner.register(Learner)  # which Acme has as a VariableSource, a Worker and a Saveable


class UpdatingActor(Actor):
    """An actor that fetches its own parameters when it is told to `update`, as Acme's loop and agents expect of one."""

    def __init__(self, core: ActorCore, key: Key, source: Any, writer: Writer = NO_WRITER, *, update_period: int = 1):
        """Initialises an actor with the source's parameters.

        Args:
          core: the agent's functions.
          key: random key; every episode's actor state is made from it and the episode's number.
          source: `acme.core.VariableSource`, such as our `Learner`.
          writer: where steps go; nowhere if left out.
          update_period: in calls of `update`; parameters are fetched at each `update_period`-th.
        """
        super().__init__(core, key, writer)
        self._source = source
        self._update_period = update_period
        self._num_calls = 0  # of `update`
        self._fetch()

    def update(self, wait: bool = False) -> None:
        """Fetches the newest parameters, if it is time to, or if `wait` is set; blocks until they have arrived."""
        self._num_calls += 1
        if wait or self._num_calls % self._update_period == 0:
            self._fetch()

    def _fetch(self) -> None:
        (self.params,) = self._source.get_variables(["policy"])
