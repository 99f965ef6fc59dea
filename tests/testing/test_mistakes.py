"""An author's mistakes, each found by an ordinary run, `check` or `--debug`, in a sentence that names the function."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acme_agents.core import contract, errors
from acme_agents.core.interfaces import ActorContext
from acme_agents.experiments import Experiment, making
from acme_agents.launch import main
from acme_agents.testing import conformance, forms, subjects
from tests.testing import mistakes

SPEC = conformance.CONTINUOUS


def agent(mistake):
    return mistakes.make(mistakes.Config(mistake))


def run(mistake):
    """Calls the functions as a run does, compiled, with the agent that a run makes."""
    held = making.make_agent(Experiment("tests.testing.mistakes", "probe:reach", config=mistakes.Config(mistake)))
    learner, actor = held.learner(SPEC), held.actor(SPEC, ActorContext(evaluation=False))
    key = jax.random.PRNGKey(0)
    state, actor_state = jax.jit(learner.init)(key), jax.jit(actor.init)(key)
    rng = np.random.default_rng(0)
    held.replay(SPEC)
    for _ in range(2):
        actor_state = jax.jit(actor.observe)(actor_state, jnp.float32(0.0))
        observation = jnp.asarray(rng.normal(size=6), jnp.float32)
        _, actor_state, _ = jax.jit(actor.select_action)(learner.params(state), observation, actor_state)
        state, _ = jax.jit(learner.update)(state, BATCH)


def debug(mistake):
    """The same, where JAX compiles nothing."""
    jax.config.update("jax_disable_jit", True)
    try:
        run(mistake)
    finally:
        jax.config.update("jax_disable_jit", False)


BATCH = subjects.Subject(agent(""), SPEC).batch
# What finds each: an ordinary run, `--debug` too where that is another, or the check of this name.
MISTAKES = [
    ("column", "run", r"learner\.update combines arrays of different ranks, \(16,\) \(16, 1\), by subtract"),
    ("wrong shape", "run", r"learner\.update raises TypeError: sub got incompatible shapes .*\(16,\), \(15,\)"),
    ("float of an array", "run", r"learner\.update needs a number while it is compiled.*Concretization"),
    ("other dtype", "run", r"learner\.update changes its state's form: \.steps is \[\] int32 and then \[\] float32"),
    ("vector metric", "run", r"learner\.update's metric 'error' must be \[\] float32, not \[16\] float32"),
    (
        "metrics alone",
        "run",
        r"learner\.update must return a training state and an UpdateOutput, not a tuple of 2: Sta",
    ),
    ("plain tuple", "run", r"learner must return a LearnerCore, not a tuple of 3"),
    ("missing parameters", "run", r"actor\.select_action raises KeyError: 'policy'"),
    ("numpy noise", "run", r"actor\.select_action draws from NumPy's or Python's random numbers"),
    ("two values", "run", r"actor\.select_action must return three values, .* not a tuple of 2"),
    ("batch dimension", "run", r"actor\.select_action must give \[2\] float32, not \[1, 2\] float32"),
    ("whole numbers", "run", r"actor\.select_action must give \[2\] float32, not \[2\] int32"),
    ("if on an array", "run", r"actor\.select_action needs a number while it is compiled.*TracerBool"),
    ("state of another form", "run", r"actor\.observe changes its state's form"),
    ("generator's noise", "debug", r"actor\.select_action gives something else when it is called again"),
    ("python counter", "debug", r"learner\.update gives something else when it is called again"),
    ("out of bounds", "debug", r"actor\.select_action leaves \[-1, 1\], with \["),
    (
        "nan",
        "debug",
        r"learner\.update computes a number that is not finite \(invalid value \(nan\) encountered in sqrt",
    ),
    ("generator's noise", forms.acting_is_pure, r"actor\.select_action gives something else .* it is not pure"),
    ("python counter", forms.state_survives_a_checkpoint, r"learner makes another update each time"),
    ("out of bounds", forms.actions_are_in_the_spec, r"actor\.select_action leaves \[-1, 1\]"),
    ("nan", forms.state_keeps_its_form, r"learner\.update makes \.policy something not finite"),
    ("shared buffer", forms.no_two_leaves_share_a_buffer, r"learner\.init gives \.value and \.target one buffer"),
    ("key used twice", forms.no_key_is_used_twice, r"learner\.update uses a random key twice, in normal and uniform"),
    ("same key", forms.chance_is_not_used_twice, r"actor\.select_action returns the key that it was given"),
    ("nothing learnt", forms.every_weight_learns, r"learner\.update never changes learner\.params' \['policy'\]"),
    ("never fills", forms.replay_is_well_formed, r"replay never fills"),
]


@pytest.mark.parametrize(
    ("mistake", "way", "sentence"),
    MISTAKES,
    ids=[f"{mistake}-{getattr(way, '__name__', way)}" for mistake, way, _ in MISTAKES],
)
def test_a_mistake_is_found(mistake, way, sentence):
    with pytest.raises((errors.AgentFault, AssertionError), match=f"^{sentence}"):
        if way == "run":
            run(mistake)
        elif way == "debug":
            debug(mistake)
        else:
            way(conformance.Subject(agent(mistake), SPEC))


@pytest.mark.parametrize("mistake", ["python counter", "generator's noise", "out of bounds", "key used twice"])
def test_a_mistake_that_a_run_cannot_see_passes_in_a_run(mistake):
    """So the table of the docs is true of what it says is found by check or by --debug alone."""
    run(mistake)


def test_an_agent_without_a_mistake_passes():
    run("")
    debug("")
    subject = conformance.Subject(agent(""), SPEC)
    for check in {way for _, way, _ in MISTAKES if callable(way)}:
        check(subject)


def test_the_table_of_the_docs_says_what_finds_each(repository):
    text = (repository / "docs/writing-agents.md").read_text().partition("<!-- mistakes:")[2].partition("\n\n")[0]
    shown = {
        row[0]: set(row[1].split(", ")) for row in re.findall(r"^\| [^|]* \(`([^`]*)`\) \| ([\w, ]*) \|", text, re.M)
    }
    found: dict[str, set[str]] = {}
    for mistake, way, _ in MISTAKES:
        found.setdefault(mistake, set()).add(way if isinstance(way, str) else "check")
    assert shown == found and len(found) >= 20


def test_the_command_line_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mistake = ["tests.testing.mistakes", "--config.mistake", "two values"]
    with pytest.raises(SystemExit) as ended:
        main.main(["train", *mistake, "--env", "probe:reach", "--steps", "1000"])
    printed = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert printed[0].startswith("error: actor.select_action must return three values")
    assert printed[1].startswith("The full trace is in ") and len(printed) == 2
    with pytest.raises(SystemExit) as ended:
        main.main(["check", *mistake, "--form-only"])
    assert ended.value.code == 1
    title, *lines, last = capsys.readouterr().out.splitlines()
    assert title.strip() == "tests.testing.mistakes, for continuous actions" and int(last.split()[0]) >= 3
    assert any(line.startswith("FAIL  acting is pure   ") and "three values" in line for line in lines)


def test_debug_is_for_one_process(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main.main(["train", "dqn", "--env", "jax:cartpole", "--launcher", "fused", "--debug"])
    assert capsys.readouterr().err == (
        "error: --debug runs without compiling, in one process: leave --launcher or --debug out.\n"
    )
    assert not contract.is_debugging()
