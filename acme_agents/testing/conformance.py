"""What every agent must do: checks to be run by any test, each an AssertionError of one sentence where it fails.

    SUBJECT = conformance.Subject(my_agent.make(my_agent.Config(layers=(32,), batch_size=64)), SPEC)

    @pytest.mark.parametrize("check", conformance.checks(SUBJECT), ids=conformance.name)
    def test_my_agent_conforms(check):
        check(SUBJECT)

All checks of one subject share its compiled functions, so make it once. The ones that learn do some hundred updates:
configure small networks, large learning rates and target networks that follow within some ten updates.
"""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import (
    DATASET,
    REPLAY,
    ActorCore,
    Agent,
    LearnerCore,
    NStep,
    ReplaySpec,
    Sequences,
    TrainingState,
    UpdateOutput,
)
from acme_agents.core.types import Array, EnvironmentSpec, Params
from acme_agents.testing import streams

_NUM_ACTORS = 8  # that act side by side
_NUM_STATES = 6  # of the episodes of which nothing is to be learnt
_UPDATES_BETWEEN_LOOKS = 50
_NUM_BATCHES = 16  # that training goes round

# XLA's compiler takes longer over these small programs than they run: little care for what runs a few times, and what
# costs least in all for updates.
_quick_jit = functools.partial(
    jax.jit,
    compiler_options={"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True},
)
_RUN_OFTEN = {"xla_backend_optimization_level": "1"}


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """An agent to check, and what is to be expected of it.

    Attributes:
      agent: configured so that it learns small tasks in some hundred updates.
      spec: of an environment that it takes. What is learnt is coded into all numbers of an observation: with fewer than
        four of them, states are hard to tell apart.
      imitates: whether it learns the data's actions, whatever they earned.
      value: from an update's metrics to its estimate of what the batch's actions are worth, [] float32, in units of the
        return; None where the metrics do not say.
      discount: gamma of an agent of sequences; of an agent of transitions, its replay's.
      max_updates: that it may take to learn something.
    """

    agent: Agent
    spec: EnvironmentSpec
    imitates: bool = False
    value: Callable[[Mapping[str, Array]], Array] | None = None
    discount: float | None = None
    max_updates: int = 1500

    @functools.cached_property
    def replay(self) -> ReplaySpec:
        with _calls("replay"):
            return self.agent.replay(self.spec)

    @functools.cached_property
    def learner(self) -> LearnerCore:
        with _calls("learner"):
            return self.agent.learner(self.spec)

    @functools.cached_property
    def actors(self) -> dict[bool, ActorCore]:
        """By whether they are for an evaluation."""
        with _calls("actor"):
            return {evaluation: self.agent.actor(self.spec, evaluation=evaluation) for evaluation in (False, True)}

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

    def init(self, seed: int = 0) -> TrainingState:
        """The training state of a seed."""
        with _calls("learner.init"):
            return self._init(jax.random.PRNGKey(seed))

    def update(self, state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        """One update; the state stays as it is."""
        return self.update_and_donate(jax.tree.map(jnp.copy, state), batch)

    def update_and_donate(self, state: TrainingState, batch: Any) -> tuple[TrainingState, UpdateOutput]:
        """One update as the runtime does it: the state's buffers are given away."""
        with _calls("learner.update, jitted with its state donated,"):
            return self._update(state, batch)

    def params(self, state: TrainingState) -> Params:
        """What an actor is given."""
        with _calls("learner.params"):
            return self.learner.params(state)

    def begin(self, *, evaluation: bool, seed: int = 0) -> Any:
        """The states of eight actors at the start of an episode."""
        with _calls("actor.init"):
            return self._begin[evaluation](jax.random.split(jax.random.PRNGKey(seed), _NUM_ACTORS))

    def act(self, params: Params, observation: Any, actor_state: Any, *, evaluation: bool) -> Any:
        """What eight actors do: actions, their new states and extras, each with a leading 8."""
        with _calls("actor.select_action"):
            return self._act[evaluation](params, observation, actor_state)

    @functools.cached_property
    def observation(self) -> Any:
        """What eight actors see: [8, *O]."""
        return streams.observations(self.spec, np.arange(_NUM_ACTORS) % _NUM_STATES, _NUM_STATES)

    @functools.cached_property
    def batch(self) -> Any:
        """A batch of which nothing is to be learnt, with what an actor would have stored."""
        experience = self.replay.experience
        reach = experience.n if isinstance(experience, NStep) else experience.length
        rng = np.random.default_rng(0)
        episodes = [streams.anything(self.spec, rng, length, 16, _NUM_STATES) for length in (1, 2 * reach)]
        all_items = streams.items(self.spec, self.replay, episodes, _NUM_STATES)
        return self.with_extras(next(streams.batches(all_items, self.replay, rng, uniform=False)))

    @functools.cached_property
    def _extras(self) -> Any:
        """From parameters, observations [N, *O] and keys to the extras of exploring actors' first steps."""
        actor = self.actors[False]

        def extras(params: Params, observation: Any, key: Array) -> Any:
            return actor.select_action(params, observation, actor.init(key))[2]

        return _quick_jit(jax.vmap(extras, (None, 0, None)))

    def with_extras(self, batch: Any) -> Any:
        """The batch with extras, on the device: those of an episode's first step at each observation."""
        is_sequence = isinstance(self.replay.experience, Sequences)
        observation = batch.steps.observation if is_sequence else batch.observation
        leading = (batch.num_steps if is_sequence else batch.reward).shape[:1]
        leading = (*leading, self.replay.experience.length) if is_sequence else leading
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[len(leading) :]), observation)
        params, key = jax.eval_shape(self.params, jax.eval_shape(self.init)), jax.random.PRNGKey(0)
        extras: Any = ()
        with _calls("actor.select_action"):
            if jax.tree.leaves(jax.eval_shape(self._extras, params, flat, key)):
                extras = self._extras(self.params(self.init()), flat, key)
                extras = jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), extras)
        batch = (
            batch._replace(steps=batch.steps._replace(extras=extras)) if is_sequence else batch._replace(extras=extras)
        )
        return jax.device_put(batch)


Check = Callable[[Subject], None]


# --- What replay, state and update are made of.


def replay_is_well_formed(subject: Subject) -> None:
    """`replay` asks for experience, sizes and shares that there can be."""
    replay, experience = subject.replay, subject.replay.experience
    if isinstance(experience, NStep):
        _expect(experience.n >= 1, f"replay asks for transitions of {experience.n} steps, and one is the least.")
        _expect(0.0 <= experience.discount <= 1.0, f"replay has a discount of {experience.discount}, not in [0, 1].")
    else:
        fits = 1 <= experience.period < experience.length
        _expect(fits, f"replay leaves transitions out: its sequences need 1 <= period < length, not {experience}.")
    _expect(replay.batch_size >= 1, f"replay has a batch size of {replay.batch_size}, and one is the least.")
    enough = 1 <= replay.min_size <= replay.max_size
    _expect(
        enough, f"replay never fills: it needs 1 <= min_size <= max_size, not {replay.min_size}, {replay.max_size}."
    )
    _expect(replay.samples_per_insert > 0.0, "replay needs samples_per_insert above 0.")
    _expect(replay.priority_exponent >= 0.0, "replay needs a priority_exponent of at least 0.")
    known = set(replay.sources) <= {REPLAY, DATASET} and min(replay.sources.values()) >= 0.0
    _expect(known, f"replay has other sources than {REPLAY} and {DATASET}, or a negative share: {replay.sources}.")
    total = sum(replay.sources.values())
    _expect(abs(total - 1.0) < 1e-6, f"replay's sources have shares whose sum is {total}, not 1.")


def state_keeps_its_form(subject: Subject) -> None:
    """The training state is finite arrays of at most 32 bits, whose shapes and dtypes no update changes."""
    state = subject.init()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        where = f"learner.init's leaf {jax.tree_util.keystr(path)}"
        _expect(isinstance(leaf, jax.Array), f"{where} is a {type(leaf).__name__} and not an array.")
        _expect(leaf.dtype.itemsize <= 4, f"{where} has the dtype {leaf.dtype}, which is wider than 32 bits.")
        _expect(np.all(np.isfinite(leaf)), f"{where} is not finite.")
    after, output = subject.update(state, subject.batch)
    _expect_same_form(state, after, "learner.update changes its state's form, and a loop of updates needs it kept")
    for path, leaf in jax.tree_util.tree_leaves_with_path(after):
        _expect(np.all(np.isfinite(leaf)), f"learner.update makes {jax.tree_util.keystr(path)} something not finite.")
    _expect(not _equal(state, after), "learner.update changes nothing.")
    for name, value in output.metrics.items():
        form = value.shape == () and value.dtype == jnp.float32
        _expect(form, f"learner.update's metric {name!r} must be [] float32, not {list(value.shape)} {value.dtype}.")
        _expect(np.isfinite(value), f"learner.update's metric {name!r} is not finite.")
    _expect(bool(output.metrics), "learner.update reports no metric.")


def priorities_belong_to_their_items(subject: Subject) -> None:
    """Where items are drawn by priority, an update says each item's own: [B] float32, finite and not negative."""
    _, output = subject.update(subject.init(), subject.batch)
    priorities = output.priorities
    if priorities is None:
        _expect(not subject.replay.priority_exponent, "learner.update says no priorities, by which replay draws.")
        return
    size = subject.replay.batch_size
    form = priorities.shape == (size,) and priorities.dtype == jnp.float32
    _expect(form, f"learner.update's priorities must be [{size}] float32, not {priorities.shape} {priorities.dtype}.")
    valid = np.all(np.isfinite(priorities)) and np.all(priorities >= 0.0)
    _expect(valid, "learner.update's priorities are negative or not finite.")
    backwards = jax.tree.map(lambda x: x[::-1], subject.batch)
    _, other = subject.update(subject.init(), backwards)
    same = np.allclose(priorities[::-1], other.priorities, rtol=1e-4, atol=1e-5)
    _expect(same, "learner.update's priorities are not in the order of the batch's items.")


def equal_keys_give_equal_bits(subject: Subject) -> None:
    """State and batch determine an update, to the last bit; another key begins with other parameters."""
    first, second = subject.init(0), subject.init(0)
    _expect(_equal(first, second), "learner.init gives other bits for the same key.")
    other = subject.params(subject.init(1))
    _expect(not _equal(subject.params(first), other), "learner.init gives the same parameters for another key.")
    first, second = (subject.update(state, subject.batch) for state in (first, second))
    _expect(_equal(first, second), "learner.update gives other bits for the same state and batch.")


def no_two_leaves_share_a_buffer(subject: Subject) -> None:
    """Target networks are copies: the runtime donates the state, and no buffer can be donated twice."""
    state = subject.init()
    with _calls("learner.init"):
        variables = jax.make_jaxpr(subject.learner.init)(jax.random.PRNGKey(0)).jaxpr.outvars
    updated, _ = subject.update(state, subject.batch)
    for made_by, buffers in (
        ("learner.init", [id(variable) for variable in variables]),  # where it is not jitted
        ("learner.init", [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]),
        ("learner.update", [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(updated)]),
    ):
        owners: dict[int, str] = {}
        for (path, _), buffer in zip(jax.tree_util.tree_leaves_with_path(state), buffers, strict=True):
            leaf = jax.tree_util.keystr(path)
            owner = owners.setdefault(buffer, leaf)
            _expect(owner == leaf, f"{made_by} gives {owner} and {leaf} one buffer: copy one of them.")


def every_weight_learns(subject: Subject) -> None:
    """Twenty updates change each array of weights that an actor is given."""
    state = subject.init()
    before = subject.params(state)
    for _ in range(20):
        state, _ = subject.update(state, subject.batch)
    after = jax.tree.leaves(subject.params(state))
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(before), after, strict=True):
        _expect(np.any(old != new), f"learner.update never changes learner.params' {jax.tree_util.keystr(path)}.")


def state_can_be_donated(subject: Subject) -> None:
    """Two jitted updates in a row, each of which is given its state's buffers, end where those of copies do."""
    first, _ = subject.update(subject.init(), subject.batch)
    expected, _ = subject.update(first, subject.batch)
    state = subject.init()
    for _ in range(2):
        state, _ = subject.update_and_donate(state, subject.batch)
    _expect(_equal(state, expected), "learner.update gives other bits where its state is donated.")


def state_survives_a_checkpoint(subject: Subject) -> None:
    """The state's arrays are all that there is: stored as NumPy arrays and read by a learner made anew, it goes on."""
    state, _ = subject.update(subject.init(), subject.batch)
    stored = [np.array(leaf) for leaf in jax.tree.leaves(state)]
    template = jax.eval_shape(subject.init)
    _expect_same_form(template, state, "learner.init and learner.update make states of two forms")
    restored = jax.tree.unflatten(jax.tree.structure(template), stored)
    same = _equal(subject.update(restored, subject.batch), subject.update(state, subject.batch))
    _expect(same, "learner.update goes on from a restored state in another way.")
    with _calls("learner"):
        anew = subject.agent.learner(subject.spec)
    with _calls("learner.update"):
        programs = [_program(update, template, subject.batch) for update in (subject.learner.update, anew.update)]
    _expect(programs[0] == programs[1], "learner makes another update each time: something is kept outside the state.")


# --- Acting.


def parameters_suffice_to_act(subject: Subject) -> None:
    """`params` has all that actors need, and nothing that neither of the two reads."""
    params = jax.eval_shape(subject.params, jax.eval_shape(subject.init))
    used: set[int] = set()
    for evaluation, actor in subject.actors.items():
        with _calls("actor.select_action, given learner.params,"):
            state = jax.eval_shape(actor.init, jax.random.PRNGKey(0))
            observation = jax.tree.map(lambda x: x[0], subject.observation)
            jaxpr = jax.make_jaxpr(actor.select_action)(params, observation, state).jaxpr
        read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
        used |= {i for i, variable in enumerate(jaxpr.invars) if id(variable) in read}
        subject.act(
            subject.params(subject.init()),
            subject.observation,
            subject.begin(evaluation=evaluation),
            evaluation=evaluation,
        )
    for i, (path, _) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        unread = f"learner.params sends actors {jax.tree_util.keystr(path)}, which neither actor reads."
        _expect(i in used, unread)


def acting_is_pure(subject: Subject) -> None:
    """`select_action` gives the same alone and side by side with others, jitted or not, and once more."""
    params = subject.params(subject.init())
    for evaluation, actor in subject.actors.items():
        before = subject.begin(evaluation=evaluation)
        together = subject.act(params, subject.observation, before, evaluation=evaluation)
        again = subject.act(params, subject.observation, before, evaluation=evaluation)
        _expect(_equal(together, again), "actor.select_action gives other bits for the same arguments.")
        one = functools.partial(jax.tree.map, lambda x: x[1])
        with _calls("actor.select_action, not jitted,"):
            alone = actor.select_action(params, one(subject.observation), one(before))
        close = _close(alone, one(together))
        _expect(close, "actor.select_action gives something else when it is jitted and vmapped: it is not pure.")
        _expect_same_form(before, together[1], "actor.select_action changes its state's form")
        if actor.observe is not None:
            reward = np.ones((_NUM_ACTORS, *subject.spec.reward.shape), np.float32)
            with _calls("actor.observe"):
                observed = jax.vmap(actor.observe)(together[1], reward)
            _expect_same_form(before, observed, "actor.observe changes its state's form")


def chance_is_not_used_twice(subject: Subject) -> None:
    """An actor whose action is drawn by chance draws another at its next step."""
    params = subject.params(subject.init())
    before = subject.begin(evaluation=False)
    action, after, _ = subject.act(params, subject.observation, before, evaluation=False)
    other, _, _ = subject.act(params, subject.observation, subject.begin(evaluation=False, seed=1), evaluation=False)
    if np.array_equal(action, other):  # no chance in it, or not enough of it to be seen
        return
    keys = [(old, new) for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after)) if old.dtype == jnp.uint32]
    changed = not keys or any(np.all(np.any(old != new, axis=-1)) for old, new in keys)
    _expect(changed, "actor.select_action returns the key that it was given: the next step has the same chance.")


def actions_are_in_the_spec(subject: Subject) -> None:
    """Actions have the spec's shape and dtype and stay in its bounds, also with weights a hundred times larger."""
    spec = subject.spec.action
    params = subject.params(subject.init())
    larger = jax.tree.map(lambda x: 100 * x if jnp.issubdtype(x.dtype, jnp.floating) else x, params)
    for evaluation in subject.actors:
        before = subject.begin(evaluation=evaluation)
        for weights in (params, larger):
            action, _, _ = subject.act(weights, subject.observation, before, evaluation=evaluation)
            form = action.shape == (_NUM_ACTORS, *spec.shape) and action.dtype == spec.dtype
            got = f"{list(action.shape[1:])} {action.dtype}"
            _expect(form, f"actor.select_action must give {list(spec.shape)} {spec.dtype}, not {got}.")
            low, high = (-1, 1) if spec.num_values is None else (0, spec.num_values - 1)
            inside = np.all((action >= low) & (action <= high))
            _expect(inside, f"actor.select_action leaves [{low}, {high}]: clip what it returns.")


def extras_are_what_replay_stores(subject: Subject) -> None:
    """Extras are arrays of one form at each step of an episode, and the update reads no others."""
    actor = subject.actors[False]
    params = subject.params(subject.init())
    state = subject.begin(evaluation=False)
    _, state, first = subject.act(params, subject.observation, state, evaluation=False)
    if actor.observe is not None:
        state = jax.vmap(actor.observe)(state, np.ones((_NUM_ACTORS, *subject.spec.reward.shape), np.float32))
    _, _, second = subject.act(params, subject.observation, state, evaluation=False)
    _expect_same_form(first, second, "actor.select_action's extras are of another form at the next step")
    for path, leaf in jax.tree_util.tree_leaves_with_path(first):
        where = f"actor.select_action's extras{jax.tree_util.keystr(path)}"
        _expect(leaf.dtype.itemsize <= 4, f"{where} has the dtype {leaf.dtype}, which is wider than 32 bits.")
    with _calls("learner.update, given the extras of actor.select_action,"):
        jax.eval_shape(subject.learner.update, jax.eval_shape(subject.init), subject.batch)


def padding_does_not_matter(subject: Subject) -> None:
    """Rows of a sequence behind those in use have no part in anything; nor has the action at the final observation."""
    batch = subject.batch
    num_rows = subject.replay.experience.length  # type: ignore[union-attr]
    padding = np.arange(num_rows)[None] >= np.asarray(batch.num_steps)[:, None]  # [B, T]
    last = np.asarray(batch.steps.last)

    def spoil(x: Array, rows: np.ndarray) -> Array:
        other = 1 - x if jnp.issubdtype(x.dtype, jnp.floating) else x[::-1, ::-1]
        return jnp.where(rows.reshape(rows.shape + (1,) * (x.ndim - 2)), other, x)

    steps = jax.tree.map(lambda x: spoil(x, padding), batch.steps)
    steps = steps._replace(action=spoil(steps.action, padding | last))
    _expect(bool(np.any(padding)), "the batch has no padding: the check itself is at fault.")
    expected = subject.update(subject.init(), batch)
    got = subject.update(subject.init(), batch._replace(steps=steps))
    _expect(_equal(expected, got), "learner.update depends on rows behind num_steps, or on an action that none took.")


# --- What is learnt.


def learns_a_bandit_with_a_blank_end(subject: Subject) -> None:
    """Episodes of one step, whose final observation tells nothing: both states' best actions, 0.95 of the best return.

    From uniform behaviour, `1 - (a - o / 2)^2` of a continuous action and 1 or 0 of a discrete one.
    """
    _learn_choices(subject, 1, "an episode of one step, whose state is never bootstrapped from")


def learns_every_state_of_an_episode(subject: Subject) -> None:
    """Episodes longer than one item reaches, each state with a best action of its own: it is learnt at all of them."""
    experience = subject.replay.experience
    length = experience.n + 1 if isinstance(experience, NStep) else experience.length
    _learn_choices(subject, length, "some states of an episode")


def time_limits_are_not_ends(subject: Subject) -> None:
    """Prefers a time limit in a good state to a little more reward at an end for good."""
    rng = np.random.default_rng(2)
    states = np.arange(_NUM_ACTORS)[:, None] % 2

    def share(params: Params) -> float:
        action, best = _greedy(subject, params, states, 4)[:, 0], streams.best_actions(subject.spec, states[:, 0])
        if subject.spec.action.num_values is not None:
            return float(np.mean(action == best))
        return float(np.mean(np.mean((action * best).reshape(_NUM_ACTORS, -1), axis=-1) > 0.05))

    found = _train(subject, streams.ends(subject.spec, rng, 256), 4, share, 1.0)
    _expect(
        found == 1.0,
        "learner.update takes time limits for ends, or ends for time limits: gamma times the next state's value after "
        f"the one is better than 0.4 and nothing more after the other, and it is chosen in {found:.0%} of the states.",
    )


def learns_the_value_of_a_salary(subject: Subject) -> None:
    """A reward of one at each step, only ever cut short, is worth 1 / (1 - gamma), to 5%."""
    assert subject.value is not None
    experience = subject.replay.experience
    gamma = experience.discount if isinstance(experience, NStep) else subject.discount
    assert gamma is not None, "an agent of sequences needs the subject's `discount`"
    length = 2 * experience.n if isinstance(experience, NStep) else experience.length
    expected = 1.0 / (1.0 - gamma)
    episodes = [streams.salary(subject.spec, np.random.default_rng(3), length, 64)]
    state, values = subject.init(), []
    batches = _batches(subject, episodes, 2)
    for i in range(subject.max_updates):
        state, output = subject.update_and_donate(state, batches[i % _NUM_BATCHES])
        values.append(float(subject.value(output.metrics)))
        recent = values[-_UPDATES_BETWEEN_LOOKS:]
        if len(values) > len(recent) and max(abs(value / expected - 1.0) for value in recent) < 0.05:
            break
    start = np.mean(values[:5])
    _expect(
        abs(start / expected - 1.0) > 0.1,
        f"learner.update's value is {start:.3g} before anything was learnt, and {expected:.3g} would be no sign of it.",
    )
    end = np.mean(recent)
    _expect(
        abs(end / expected - 1.0) < 0.05,
        f"learner.update values a reward of one at each step at {end:.3g} after {len(values)} updates, not at "
        f"{expected:.3g}.",
    )


def _learn_choices(subject: Subject, length: int, what: str) -> None:
    rng = np.random.default_rng(1)
    num_states = max(2, length)
    states = np.tile(np.arange(length), (_NUM_ACTORS, 1)) if length > 1 else np.arange(_NUM_ACTORS)[:, None] % 2

    def worst(params: Params) -> float:
        paid = streams.payoffs(subject.spec, states, _greedy(subject, params, states, num_states))
        return float(np.min(np.mean(paid, axis=0) if length > 1 else paid))

    episodes = [streams.choices(subject.spec, rng, length, 512, expert=subject.imitates)]
    found = _train(subject, episodes, num_states, worst, 0.95)
    _expect(
        found >= 0.95,
        f"learner.update does not learn the best action at {what}: after {subject.max_updates} updates the evaluation's "
        f"actions earn {found:.3f} of 1 at the worst state.",
    )


def _train(
    subject: Subject, episodes: list[streams.Episodes], num_states: int, look: Callable[[Params], float], enough: float
) -> float:
    """Trains until two looks in a row are at least `enough`, or the updates are used up; returns the last look."""
    state, batches, good, found = subject.init(), _batches(subject, episodes, num_states), 0, -np.inf
    for i in range(1, subject.max_updates + 1):
        state, _ = subject.update_and_donate(state, batches[i % _NUM_BATCHES])
        if i % _UPDATES_BETWEEN_LOOKS == 0:
            found = look(subject.params(state))
            good = good + 1 if found >= enough else 0
            if good == 2:
                break
    return found


def _batches(subject: Subject, episodes: list[streams.Episodes], num_states: int) -> list[Any]:
    """Batches on the device, to be gone round."""
    all_items = streams.items(subject.spec, subject.replay, episodes, num_states)
    drawn = streams.batches(all_items, subject.replay, np.random.default_rng(4))
    return [subject.with_extras(next(drawn)) for _ in range(_NUM_BATCHES)]


def _greedy(subject: Subject, params: Params, states: np.ndarray, num_states: int) -> np.ndarray:
    """The evaluation's actions along eight episodes through the states [8, L]: [8, L, *A]."""
    observe = subject.actors[True].observe
    actor_state = subject.begin(evaluation=True)
    actions = []
    for step in range(states.shape[1]):
        observation = streams.observations(subject.spec, states[:, step], num_states)
        action, actor_state, _ = subject.act(params, observation, actor_state, evaluation=True)
        actions.append(np.asarray(action))
        if observe is not None:
            reward = np.zeros((_NUM_ACTORS, *subject.spec.reward.shape), np.float32)
            actor_state = jax.vmap(observe)(actor_state, reward)
    return np.stack(actions, axis=1)


# --- What a test runs over.

FORM: tuple[Check, ...] = (
    replay_is_well_formed,
    state_keeps_its_form,
    priorities_belong_to_their_items,
    equal_keys_give_equal_bits,
    every_weight_learns,
    no_two_leaves_share_a_buffer,
    state_can_be_donated,
    state_survives_a_checkpoint,
    parameters_suffice_to_act,
    acting_is_pure,
    chance_is_not_used_twice,
    actions_are_in_the_spec,
    extras_are_what_replay_stores,
    padding_does_not_matter,
)
LEARNS: tuple[Check, ...] = (
    learns_a_bandit_with_a_blank_end,
    learns_every_state_of_an_episode,
    time_limits_are_not_ends,
    learns_the_value_of_a_salary,
)
CHECKS = (*FORM, *LEARNS)


def name(check: Check) -> str:
    """The check's name, for a test's id."""
    return check.__name__


def checks(subject: Subject, of: Iterable[Check] = CHECKS) -> list[Check]:
    """Those of the checks that say something of this subject."""
    inapplicable = set()
    if not isinstance(subject.replay.experience, Sequences):
        inapplicable.add(padding_does_not_matter)
    if subject.imitates:
        inapplicable.add(time_limits_are_not_ends)
    if subject.value is None:
        inapplicable.add(learns_the_value_of_a_salary)
    return [check for check in of if check not in inapplicable]


def check(agent: Agent, spec: EnvironmentSpec, **expectations: Any) -> None:
    """All checks of one agent.

    Args:
      agent: see `Subject`.
      spec: see `Subject`.
      **expectations: the other attributes of `Subject`.

    Raises:
      AssertionError: one of them fails; its sentence names the agent's function at fault.
    """
    subject = Subject(agent, spec, **expectations)
    for each in checks(subject):
        each(subject)


def unread_fields(make: Callable[[Any], Agent], configs: Iterable[Any], spec: EnvironmentSpec) -> set[str]:
    """The fields of a configuration that no agent made from any of the configurations reads.

    Args:
      make: the agent module's.
      configs: several, of one dataclass, so that all of the agent's parts are used.
      spec: of an environment that the agent takes.
    """
    unread: set[str] | None = None
    for config in configs:
        read: set[str] = set()

        class Watched(type(config)):  # type: ignore[misc]
            def __getattribute__(self, attribute: str, read: set[str] = read) -> Any:
                read.add(attribute)
                return super().__getattribute__(attribute)

        watched = object.__new__(Watched)
        watched.__dict__.update(vars(config))
        read.clear()
        subject = Subject(make(watched), spec)
        extras_are_what_replay_stores(subject)
        parameters_suffice_to_act(subject)
        fields = {field.name for field in dataclasses.fields(config)} - read
        unread = fields if unread is None else unread & fields
    return unread or set()


# --- Helpers.


@contextlib.contextmanager
def _calls(function: str) -> Iterator[None]:
    """What the agent's function raises becomes one sentence; broadcasting [B] against [B, 1] raises too."""
    try:
        with jax.numpy_rank_promotion("raise"):
            yield
    except Exception as error:
        raise AssertionError(f"{function} raises {type(error).__name__}: {error}") from error


def _expect(condition: Any, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def _expect_same_form(a: Any, b: Any, sentence: str) -> None:
    """That two trees have the same structure, shapes and dtypes."""
    structures = jax.tree.structure(a), jax.tree.structure(b)
    _expect(structures[0] == structures[1], f"{sentence}: {structures[0]} and {structures[1]}.")
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b)):
        same = x.shape == y.shape and x.dtype == y.dtype
        where = jax.tree_util.keystr(path)
        _expect(same, f"{sentence}: {where} is {list(x.shape)} {x.dtype} and then {list(y.shape)} {y.dtype}.")


def _equal(a: Any, b: Any) -> bool:
    """Whether two trees are the same, bit for bit."""
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _close(a: Any, b: Any) -> bool:
    """Whether two trees are the same but for rounding."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(x, y, rtol=1e-4, atol=1e-5) for x, y in pairs)


def _program(function: Callable[..., Any], *args: Any) -> tuple[str, list[Any]]:
    """What a function computes, without the addresses of Python's objects."""
    closed = jax.make_jaxpr(function)(*args)
    return re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)), [np.asarray(const).tolist() for const in closed.consts]
