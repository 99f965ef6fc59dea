"""An agent to check, its functions compiled once for all checks."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core import contract
from acme_agents.core.interfaces import (
    ActorContext,
    ActorCore,
    Agent,
    LearnerCore,
    ReplaySpec,
    TrainingState,
    UpdateOutput,
)
from acme_agents.core.types import Array, EnvironmentSpec, Params
from acme_agents.testing import expect, streams

NUM_ACTORS = 8  # that act side by side
NUM_STATES = 6  # in the random episodes

# XLA's compiler takes longer over these small programs than they run: little care for what runs a few times, and what
# costs least in all for updates.
_quick_jit = functools.partial(
    jax.jit,
    compiler_options={"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True},
)
_RUN_OFTEN = {"xla_backend_optimization_level": "1"}


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """An agent to check, and what to expect of it.

    Attributes:
      agent: configured so that it learns small tasks in some hundred updates.
      spec: of an environment that it takes. All numbers of an observation encode the state: with fewer than four
        numbers, states are hard to tell apart.
      imitates: whether it learns the data's actions, whatever they earned.
      value: from an update's metrics to its estimate of what the batch's actions are worth, [] float32, in units of the
        return; None where the metrics do not say.
      discount: gamma of an agent of sequences; of an agent of transitions, its replay's.
      max_updates: the most updates a check of learning may take.
    """

    agent: Agent
    spec: EnvironmentSpec
    imitates: bool = False
    value: Callable[[Mapping[str, Array]], Array] | None = None
    discount: float | None = None
    max_updates: int = 1500

    @functools.cached_property
    def held(self) -> Agent:
        """The agent, held to its contract as in a run."""
        return contract.Held(self.agent)

    @functools.cached_property
    def replay(self) -> ReplaySpec:
        with expect.calls("replay"):
            return self.held.replay(self.spec)

    @functools.cached_property
    def learner(self) -> LearnerCore:
        with expect.calls("learner"):
            return self.held.learner(self.spec)

    @functools.cached_property
    def actors(self) -> dict[bool, ActorCore]:
        """The actors' functions, by whether they evaluate."""
        with expect.calls("actor"):
            return {
                evaluation: self.held.actor(self.spec, ActorContext(evaluation=evaluation))
                for evaluation in (False, True)
            }

    @functools.cached_property
    def _init(self) -> Any:
        return _quick_jit(self.learner.init)

    @functools.cached_property
    def _update(self) -> Any:
        return jax.jit(self.learner.update, donate_argnums=0, compiler_options=_RUN_OFTEN)

    @functools.cached_property
    def _begin(self) -> dict[bool, Any]:
        return {evaluation: _quick_jit(jax.vmap(actor.init)) for evaluation, actor in self.actors.items()}

    @functools.cached_property
    def _act(self) -> dict[bool, Any]:
        in_axes = (None, 0, 0)
        return {evaluation: _quick_jit(jax.vmap(a.select_action, in_axes)) for evaluation, a in self.actors.items()}

    @functools.cached_property
    def programs(self) -> dict[str, Any]:
        """What the functions compute, by name: a `ClosedJaxpr` each."""
        key = jax.random.PRNGKey(0)
        observation = jax.tree.map(lambda x: x[0], self.observation)
        with expect.calls("learner.init"):
            programs = {"learner.init": jax.make_jaxpr(self.learner.init)(key)}
        state = jax.eval_shape(self.init)
        params, batch = jax.eval_shape(self.params, state), self.batch
        with expect.calls("learner.update"):
            programs["learner.update"] = jax.make_jaxpr(self.learner.update)(state, batch)
        for evaluation, actor in self.actors.items():
            name = "actor.select_action" + " of an evaluation" * evaluation
            with expect.calls(f"{name}, given learner.params,"):
                actor_state = jax.eval_shape(actor.init, key)
                programs[name] = jax.make_jaxpr(actor.select_action)(params, observation, actor_state)
        return programs

    def init(self, seed: int = 0) -> TrainingState:
        """The training state of a seed."""
        with expect.calls("learner.init"):
            return self._init(jax.random.PRNGKey(seed))

    def update(self, state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        """One update; the state stays as it is."""
        return self.update_and_donate(jax.tree.map(jnp.copy, state), batch)

    def update_and_donate(self, state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        """One update as the runtime does it: the state's buffers are donated."""
        with expect.calls("learner.update, jitted with its state donated,"):
            return self._update(state, batch)

    def params(self, state: TrainingState) -> Params:
        """The parameters that actors receive."""
        with expect.calls("learner.params"):
            return self.learner.params(state)

    def begin(self, *, evaluation: bool, seed: int = 0) -> Any:
        """The states of eight actors at the start of an episode."""
        with expect.calls("actor.init"):
            return self._begin[evaluation](jax.random.split(jax.random.PRNGKey(seed), NUM_ACTORS))

    def act(self, params: Params, observation: Any, actor_state: Any, *, evaluation: bool) -> Any:
        """Actions, new states and extras of eight actors, each with a leading 8."""
        with expect.calls("actor.select_action"):
            return self._act[evaluation](params, observation, actor_state)

    def act_once(self, params: Params, observation: Any, seed: int) -> Any:
        """Actions [N, *A] and extras of exploring actors at their episodes' first steps, of observations [N, *O]."""
        keys = jax.random.split(jax.random.PRNGKey(seed), jax.tree.leaves(observation)[0].shape[0])
        with expect.calls("actor.select_action"):
            return jax.tree.map(np.asarray, self._act_once(params, observation, keys))

    def observe(self, actor_state: Any, reward: float, *, evaluation: bool) -> Any:
        """The states of eight actors after a reward, unchanged if the agent ignores rewards."""
        observe = self.actors[evaluation].observe
        with expect.calls("actor.observe"):
            return jax.vmap(observe)(actor_state, jnp.full((NUM_ACTORS, *self.spec.reward.shape), reward, jnp.float32))

    @functools.cached_property
    def observation(self) -> Any:
        """The observations of eight actors: [8, *O]."""
        return streams.observations(self.spec, np.arange(NUM_ACTORS) % NUM_STATES, NUM_STATES)

    @functools.cached_property
    def batch(self) -> Any:
        """A random batch, with the extras that an actor would have stored."""
        return self.with_extras(self._batch_without_extras())

    def form_of_batch(self) -> Any:
        """The shapes and dtypes of `batch`; no action is computed."""
        return jax.eval_shape(self.with_extras, self._batch_without_extras())

    def _batch_without_extras(self) -> Any:
        reach = self.replay.experience.reach
        rng = np.random.default_rng(0)
        episodes = [streams.anything(self.spec, rng, length, 16, NUM_STATES) for length in (1, 2 * reach)]
        all_items = streams.items(self.spec, self.replay, episodes, NUM_STATES)
        return next(streams.batches(all_items, self.replay, rng, uniform=False))

    @functools.cached_property
    def _act_once(self) -> Any:
        actor = self.actors[False]

        def act(params: Params, observation: Any, key: Array) -> Any:
            action, _, extras = actor.select_action(params, observation, actor.init(key))
            return action, extras

        return _quick_jit(jax.vmap(act, (None, 0, 0)))

    @functools.cached_property
    def _extras(self) -> Any:
        """From parameters, observations [N, *O] and keys to the extras of exploring actors' first steps."""
        actor = self.actors[False]

        def extras(params: Params, observation: Any, key: Array) -> Any:
            return actor.select_action(params, observation, actor.init(key))[2]

        return _quick_jit(jax.vmap(extras, (None, 0, None)))

    def with_extras(self, batch: Any) -> Any:
        """The batch with extras, on the device: those of an episode's first step at each observation."""
        steps = getattr(batch, "steps", batch)  # whose observations have extras
        leading = steps.discount.shape  # [B, T] or [B]
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(leading) :]), steps.observation)
        params, key = jax.eval_shape(self.params, jax.eval_shape(self.init)), jax.random.PRNGKey(0)
        extras: Any = ()
        with expect.calls("actor.select_action"):
            if jax.tree.leaves(jax.eval_shape(self._extras, params, flat, key)):
                extras = self._extras(self.params(self.init()), flat, key)
                extras = jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), extras)
        with_them = steps._replace(extras=extras)
        return jax.device_put(with_them if steps is batch else batch._replace(steps=with_them))
