"""Checks of an agent's functions: what they are given, what they return, and that they are pure."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.core.interfaces import DATASET, REPLAY, ActorContext
from acme_agents.core.types import Array
from acme_agents.testing import expect, keys, subjects

# --- Replay, state and update.


def replay_is_well_formed(subject: subjects.Subject) -> None:
    """`replay` asks for possible experience, sizes and shares."""
    replay, experience = subject.replay, subject.replay.experience
    expect.that(not experience.problem, f"replay {experience.problem}.")
    expect.that(replay.batch_size >= 1, f"replay has a batch size of {replay.batch_size}, and one is the least.")
    enough = 1 <= replay.min_size <= replay.max_size
    expect.that(
        enough, f"replay never fills: it needs 1 <= min_size <= max_size, not {replay.min_size}, {replay.max_size}."
    )
    expect.that(replay.samples_per_insert > 0.0, "replay needs samples_per_insert above 0.")
    expect.that(replay.priority_exponent >= 0.0, "replay needs a priority_exponent of at least 0.")
    known = set(replay.sources) <= {REPLAY, DATASET} and min(replay.sources.values()) >= 0.0
    expect.that(known, f"replay has sources besides {REPLAY} and {DATASET}, or a negative share: {replay.sources}.")
    total = sum(replay.sources.values())
    expect.that(abs(total - 1.0) < 1e-6, f"replay's sources have shares whose sum is {total}, not 1.")


def state_keeps_its_form(subject: subjects.Subject) -> None:
    """The training state is finite arrays of at most 32 bits, whose shapes and dtypes no update changes."""
    state = subject.init()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        where = f"learner.init's leaf {jax.tree_util.keystr(path)}"
        expect.that(isinstance(leaf, jax.Array), f"{where} is a {type(leaf).__name__} and not an array.")
        expect.that(leaf.dtype.itemsize <= 4, f"{where} has the dtype {leaf.dtype}, which is wider than 32 bits.")
        expect.that(np.all(np.isfinite(leaf)), f"{where} is not finite.")
    after, output = subject.update(state, subject.batch)
    for path, leaf in jax.tree_util.tree_leaves_with_path(after):
        expect.that(
            np.all(np.isfinite(leaf)), f"learner.update makes {jax.tree_util.keystr(path)} something not finite."
        )
    expect.that(not expect.equal(state, after), "learner.update changes nothing.")
    for name, value in output.metrics.items():
        form = value.shape == () and value.dtype == jnp.float32
        expect.that(form, f"learner.update's metric {name!r} must be [] float32, not {value.shape} {value.dtype}.")
        expect.that(np.isfinite(value), f"learner.update's metric {name!r} is not finite.")
    expect.that(bool(output.metrics), "learner.update reports no metric.")


def priorities_belong_to_their_items(subject: subjects.Subject) -> None:
    """With priorities, an update returns one for each item: [B] float32, finite and not negative."""
    _, output = subject.update(subject.init(), subject.batch)
    priorities = output.priorities
    if priorities is None:
        expect.that(not subject.replay.priority_exponent, "learner.update says no priorities, by which replay draws.")
        return
    size = subject.replay.batch_size
    form = priorities.shape == (size,) and priorities.dtype == jnp.float32
    expect.that(form, f"learner.update's priorities must be [{size}] float32, not {priorities.shape}.")
    valid = np.all(np.isfinite(priorities)) and np.all(priorities >= 0.0)
    expect.that(valid, "learner.update's priorities are negative or not finite.")
    order = np.random.default_rng(0).permutation(size)
    _, other = subject.update(subject.init(), jax.tree.map(lambda x: x[order], subject.batch))
    assert other.priorities is not None  # as before
    same = np.allclose(priorities[order], other.priorities, rtol=1e-4, atol=1e-5)
    expect.that(same, "learner.update's priorities are not in the order of the batch's items.")


def equal_keys_give_equal_bits(subject: subjects.Subject) -> None:
    """State and batch determine an update, to the last bit; another key begins with other parameters."""
    first, second = subject.init(0), subject.init(0)
    expect.that(expect.equal(first, second), "learner.init gives other bits for the same key.")
    other = subject.params(subject.init(1))
    expect.that(
        not expect.equal(subject.params(first), other), "learner.init gives the same parameters for another key."
    )
    first, second = (subject.update(state, subject.batch) for state in (first, second))
    expect.that(expect.equal(first, second), "learner.update gives other bits for the same state and batch.")


def no_two_leaves_share_a_buffer(subject: subjects.Subject) -> None:
    """Target networks are copies: the runtime donates the state, and no buffer can be donated twice."""
    state = subject.init()
    variables = subject.programs["learner.init"].jaxpr.outvars
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
            expect.that(owner == leaf, f"{made_by} gives {owner} and {leaf} one buffer: copy one of them.")


def every_weight_learns(subject: subjects.Subject) -> None:
    """Twenty updates change each array of weights that an actor is given."""
    state = subject.init()
    before = subject.params(state)
    for _ in range(20):
        state, _ = subject.update(state, subject.batch)
    after = jax.tree.leaves(subject.params(state))
    for (path, old), new in zip(jax.tree_util.tree_leaves_with_path(before), after, strict=True):
        expect.that(np.any(old != new), f"learner.update never changes learner.params' {jax.tree_util.keystr(path)}.")


def state_can_be_donated(subject: subjects.Subject) -> None:
    """Two jitted updates in a row give the same state whether or not the buffers are donated."""
    first, _ = subject.update(subject.init(), subject.batch)
    expected, _ = subject.update(first, subject.batch)
    state = subject.init()
    for _ in range(2):
        state, _ = subject.update_and_donate(state, subject.batch)
    expect.that(expect.equal(state, expected), "learner.update gives other bits where its state is donated.")


def state_survives_a_checkpoint(subject: subjects.Subject) -> None:
    """The state's arrays are enough to continue: a new learner goes on from them after they were stored as NumPy."""
    state, _ = subject.update(subject.init(), subject.batch)
    stored = [np.array(leaf) for leaf in jax.tree.leaves(state)]
    template = jax.eval_shape(subject.init)
    expect.same_form(template, state, "learner.init and learner.update make states of two forms")
    restored = jax.tree.unflatten(jax.tree.structure(template), stored)
    same = expect.equal(subject.update(restored, subject.batch), subject.update(state, subject.batch))
    expect.that(same, "learner.update goes on from a restored state in another way.")
    with expect.calls("learner"):
        again = subject.held.learner(subject.spec)
    with expect.calls("learner.update"):
        program = jax.make_jaxpr(again.update)(template, subject.batch)
    expect.that(
        _text(program) == _text(subject.programs["learner.update"]),
        "learner makes another update each time: it keeps something outside the state, such as a counter of Python's.",
    )


# --- Acting.


def parameters_suffice_to_act(subject: subjects.Subject) -> None:
    """`params` has all that actors and evaluators need, and nothing that neither reads."""
    params = jax.eval_shape(subject.params, jax.eval_shape(subject.init))
    used: set[int] = set()
    for name in ("actor.select_action", "actor.select_action of an evaluation"):
        jaxpr = subject.programs[name].jaxpr
        read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
        used |= {i for i, variable in enumerate(jaxpr.invars) if id(variable) in read}
    for i, (path, _) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        unread = f"learner.params sends actors {jax.tree_util.keystr(path)}, which neither actor reads."
        expect.that(i in used, unread)


def acting_is_pure(subject: subjects.Subject) -> None:
    """`select_action` gives the same alone or under vmap, jitted or not, and when called again."""
    params = subject.params(subject.init())
    for evaluation, actor in subject.actors.items():
        before = subject.begin(evaluation=evaluation)
        together = subject.act(params, subject.observation, before, evaluation=evaluation)
        again = subject.act(params, subject.observation, before, evaluation=evaluation)
        expect.that(expect.equal(together, again), "actor.select_action gives other bits for the same arguments.")
        one = functools.partial(jax.tree.map, lambda x: x[1])
        with expect.calls("actor.select_action, not jitted,"):
            alone = actor.select_action(params, one(subject.observation), one(before))
        close = _close(alone, one(together))
        expect.that(close, "actor.select_action gives something else when it is jitted and vmapped: it is not pure.")
        subject.observe(together[1], 1.0, evaluation=evaluation)


def the_index_may_be_traced(subject: subjects.Subject) -> None:
    """`actor` takes the index of each environment, traced under vmap, where an actor has many environments."""

    def step(index: Array, params: Any, key: Array, observation: Any) -> Any:
        actor = subject.agent.actor(subject.spec, ActorContext(False, index, subjects.NUM_ACTORS))
        return actor.select_action(params, observation, actor.init(key))

    indices, params = jnp.arange(subjects.NUM_ACTORS), subject.params(subject.init())
    keys = jax.random.split(jax.random.PRNGKey(0), subjects.NUM_ACTORS)
    with expect.calls("actor, with an index that is traced under vmap,"):
        together = jax.vmap(step, (0, None, 0, 0))(indices, params, keys, subject.observation)
    one = functools.partial(jax.tree.map, lambda x: x[1])
    alone = step(1, params, keys[1], one(subject.observation))  # type: ignore[arg-type]  # as in an actor of its own
    expect.that(_close(alone, one(together)), "actor makes other functions of an index that is traced under vmap.")


def chance_is_not_used_twice(subject: subjects.Subject) -> None:
    """An actor whose action is drawn by chance draws another at its next step."""
    params = subject.params(subject.init())
    before = subject.begin(evaluation=False)
    action, after, _ = subject.act(params, subject.observation, before, evaluation=False)
    other, _, _ = subject.act(params, subject.observation, subject.begin(evaluation=False, seed=1), evaluation=False)
    if np.array_equal(action, other):  # no chance in it, or not enough of it to be seen
        return
    keys = [(old, new) for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after)) if old.dtype == jnp.uint32]
    changed = not keys or any(np.all(np.any(old != new, axis=-1)) for old, new in keys)
    expect.that(changed, "actor.select_action returns the key that it was given: the next step has the same chance.")


def no_key_is_used_twice(subject: subjects.Subject) -> None:
    """A random key is drawn from or split once; `fold_in` makes others of it, which count by themselves."""
    for name, program in subject.programs.items():
        twice = keys.used_twice(program.jaxpr)
        expect.that(not twice, f"{name} uses a random key twice, in {' and '.join(twice)}: split it first.")


def actions_are_in_the_spec(subject: subjects.Subject) -> None:
    """Actions have the spec's shape and dtype and stay in its bounds, also with weights a hundred times larger."""
    spec = subject.spec.action
    params = subject.params(subject.init())
    larger = jax.tree.map(lambda x: 100 * x if jnp.issubdtype(x.dtype, jnp.floating) else x, params)
    for evaluation in subject.actors:
        before = subject.begin(evaluation=evaluation)
        for weights in (params, larger):
            action, _, _ = subject.act(weights, subject.observation, before, evaluation=evaluation)
            low, high = (-1, 1) if spec.num_values is None else (0, spec.num_values - 1)
            inside = np.all((action >= low) & (action <= high))
            expect.that(inside, f"actor.select_action leaves [{low}, {high}]: clip what it returns.")


def extras_are_what_replay_stores(subject: subjects.Subject) -> None:
    """Extras are arrays of one form at each step of an episode, and the update reads no others."""
    params = subject.params(subject.init())
    state = subject.begin(evaluation=False)
    _, state, first = subject.act(params, subject.observation, state, evaluation=False)
    state = subject.observe(state, 1.0, evaluation=False)
    _, _, second = subject.act(params, subject.observation, state, evaluation=False)
    expect.same_form(first, second, "actor.select_action's extras are of another form at the next step")
    for path, leaf in jax.tree_util.tree_leaves_with_path(first):
        where = f"actor.select_action's extras{jax.tree_util.keystr(path)}"
        expect.that(leaf.dtype.itemsize <= 4, f"{where} has the dtype {leaf.dtype}, which is wider than 32 bits.")
    with expect.calls("learner.update, given the extras of actor.select_action,"):
        jax.eval_shape(subject.learner.update, jax.eval_shape(subject.init), subject.batch)


def padding_does_not_matter(subject: subjects.Subject) -> None:
    """Padding rows of a sequence, and the action at the final observation, change nothing."""
    batch = subject.batch
    num_rows = subject.replay.experience.layout.num_rows
    padding = np.arange(num_rows)[None] >= np.asarray(batch.num_steps)[:, None]  # [B, T]
    last = np.asarray(batch.steps.last)

    def spoil(x: Array, rows: np.ndarray) -> Array:
        other = 1 - x if jnp.issubdtype(x.dtype, jnp.floating) else x[::-1, ::-1]
        return jnp.where(rows.reshape(rows.shape + (1,) * (x.ndim - 2)), other, x)

    steps = jax.tree.map(lambda x: spoil(x, padding), batch.steps)
    steps = steps._replace(action=spoil(steps.action, padding | last))
    expect.that(bool(np.any(padding)), "the batch has no padding: the check itself is at fault.")
    expected = subject.update(subject.init(), batch)
    got = subject.update(subject.init(), batch._replace(steps=steps))
    expect.that(
        expect.equal(expected, got),
        "learner.update depends on padding, or on an action that none took.",
    )


def rows_without_an_action_do_not_matter(subject: subjects.Subject) -> None:
    """Of an episode's final observation, and of the row to bootstrap from, only the observation counts."""
    batch = subject.batch
    without = np.asarray(batch.steps.last).copy()  # [B, T + 1]
    expect.that(bool(np.any(without[:, :-1])), "the batch has no end of an episode: the check itself is at fault.")
    without[:, -1] = True

    def spoil(x: Array) -> Array:
        other = 1 - x if jnp.issubdtype(x.dtype, jnp.floating) else x[::-1, ::-1]
        return jnp.where(without.reshape(without.shape + (1,) * (x.ndim - 2)), other, x)

    spoilt = jax.tree.map(spoil, batch.steps._replace(observation=(), last=()))
    steps = spoilt._replace(observation=batch.steps.observation, last=batch.steps.last)
    expected = subject.update(subject.init(), batch)
    got = subject.update(subject.init(), batch._replace(steps=steps))
    expect.that(expect.equal(expected, got), "learner.update depends on a row that has no action.")


# --- Helpers.


def _close(a: Any, b: Any) -> bool:
    """Whether two trees are equal up to rounding."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(x, y, rtol=1e-4, atol=1e-5) for x, y in pairs)


def _text(program: Any) -> tuple[str, list[Any]]:
    """What a function computes, without the addresses of Python's objects."""
    return re.sub(r"0x[0-9a-f]+", "", str(program.jaxpr)), [np.asarray(const).tolist() for const in program.consts]
