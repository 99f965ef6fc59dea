"""Makes the agent, the replay and the policies that an experiment names."""

import dataclasses
import functools
import inspect
import pathlib
from typing import Any

import jax

from acme_agents.core import checkpoint, computing, contract, errors
from acme_agents.core.interfaces import DATASET, REPLAY, ActorContext, Agent, LearnerCore, ReplaySpec
from acme_agents.core.teaching import Teacher
from acme_agents.core.types import Action, Array, EnvironmentSpec, Key, Observation, Params
from acme_agents.experiments import registry
from acme_agents.experiments.experiment import Base, Experiment


def make_agent(experiment: Experiment) -> Agent:
    """Makes the agent, and the bonus around it if there is one; their functions are held to the contract.

    Raises:
      UserError: there is a teacher, and the agent does not learn from one; or Python runs without assertions (-O).
    """
    if not __debug__:
        raise errors.UserError(
            "Haiku, which makes the networks, relies on assertions, which `python -O` leaves out: run without -O "
            "and PYTHONOPTIMIZE."
        )
    return contract.Held(_make(experiment))


def _make(experiment: Experiment) -> Agent:
    """The agent as its author made it."""
    if experiment.base is None:
        return _make_alone(experiment.agent, experiment.config, experiment.teacher)
    base = _make_alone(experiment.base.agent, experiment.base.config, experiment.teacher)
    return registry.load(experiment.agent).make(experiment.config, base)


def _make_alone(name: str, config: Any, teacher_dir: str | None) -> Agent:
    """An agent without a bonus."""
    make = registry.load(name).make
    if teacher_dir is None:
        return make(config)
    if "teacher" not in inspect.signature(make).parameters:
        raise errors.UserError(f"The agent {name} learns from no teacher: leave --teacher out.")
    return make(config, teacher=teacher(pathlib.Path(teacher_dir)))


def make_learner(experiment: Experiment) -> LearnerCore:
    """Makes the learner's functions, whose updates are computed as the experiment says.

    Raises:
      UserError: this process has fewer devices than the experiment asks for, or none for its precision.
    """
    core = make_agent(experiment).learner(experiment.environment_spec())
    return computing.split(computing.with_precision(core, experiment.precision), experiment.learner_devices)


def replay_spec(experiment: Experiment, spec: EnvironmentSpec) -> ReplaySpec:
    """The agent's replay, with the sources that this experiment has.

    Raises:
      UserError: the agent learns from a dataset, and there is none, or the other way round; or the replay server is
        to draw what it cannot, or from a part of a dataset; or a batch does not divide over the learner's devices.
    """
    replay = make_agent(experiment).replay(spec)
    drawn_by = "learner" if experiment.is_offline else experiment.replay or replay.drawn_by
    if drawn_by == "server" and (replay.experience.items_per_chunk > 1 or replay.experience.once):
        raise errors.UserError(
            f"The replay server draws sequences, and {experiment.full_name} learns from {replay.experience.noun}: "
            "leave --replay server out."
        )
    is_growing = experiment.cycles is not None or bool(experiment.gathered)
    if replay.experience.once and (is_growing or experiment.dataset is not None):
        option = "--cycles" if is_growing else "--dataset"
        raise errors.UserError(
            f"{experiment.full_name} learns only from what its own policy just did: leave {option} out, or train an "
            "agent that replays (such as mpo or dqn)."
        )
    if drawn_by == "server" and experiment.dataset_memory is not None:
        raise errors.UserError(
            "The replay server holds the whole dataset: leave --dataset-memory out, or let the learner draw "
            "(--replay learner)."
        )
    if replay.batch_size % experiment.learner_devices:
        raise errors.UserError(
            f"A batch of {replay.batch_size} {replay.experience.noun} does not divide over "
            f"{experiment.learner_devices} devices: choose other --learner-devices, or another --config.batch-size."
        )
    said = replay.sources.get(DATASET)
    if experiment.dataset is None:
        if said:
            raise errors.UserError(
                f"The agent {experiment.full_name} learns from demonstrations too: give them with --dataset, or train "
                "without (such as r2d2)."
            )
        return dataclasses.replace(replay, sources={REPLAY: 1.0}, drawn_by=drawn_by)
    is_alone = experiment.is_offline and not experiment.gathered
    share = 1.0 if is_alone else experiment.dataset_share
    if share is None:
        share = 0.5 if said is None else said
    sources = {name: share for name, share in ((DATASET, share), (REPLAY, 1 - share)) if share}
    return dataclasses.replace(replay, sources=sources, drawn_by=drawn_by)


def init_key(seed: int) -> Key:
    """The key of which a run's untrained learner is made."""
    return jax.random.split(jax.random.PRNGKey(seed))[0]


def load_run(
    run_dir: pathlib.Path, *, seed: int = 0, config: Any = None, base: Base | None = None
) -> tuple[Experiment, Params]:
    """A run's experiment, and the parameters that the actors of its newest checkpoint use.

    Args:
      run_dir: the run's directory.
      seed: replaces the experiment's.
      config: replaces the agent's configuration; None to keep it.
      base: replaces the agent that a bonus goes around; None to keep it.

    Raises:
      UserError: no run, or the run has no checkpoint, or none that can be read.
    """
    experiment = Experiment.from_run_dir(run_dir)
    experiment = dataclasses.replace(
        experiment, seed=seed, config=config or experiment.config, base=base or experiment.base
    )
    core, state = _load_state(run_dir, experiment)
    return experiment, core.params(state)


def _load_state(run_dir: pathlib.Path, experiment: Experiment) -> tuple[LearnerCore, Any]:
    """The learner's functions of a run, and the training state of its newest checkpoint."""
    core = make_agent(experiment).learner(experiment.environment_spec())
    template = jax.eval_shape(core.init, jax.ShapeDtypeStruct((2,), "uint32"))
    found = checkpoint.load(run_dir / checkpoint.DIRECTORY, template)
    if found is None:
        raise errors.UserError(f"{run_dir} has no checkpoint yet: let it train for longer.")
    return core, found[0]


def teacher(run_dir: pathlib.Path) -> Teacher:
    """The policy and the critic of a run, which is read when they are first called."""

    @functools.cache
    def loaded() -> tuple[Experiment, Agent, LearnerCore, Any]:
        experiment = Experiment.from_run_dir(run_dir)
        return experiment, _make(experiment), *_load_state(run_dir, experiment)

    def act(key: Key, observation: Observation, *, evaluation: bool = False) -> Action:
        experiment, agent, learner, state = loaded()
        core = agent.actor(experiment.environment_spec(), ActorContext(evaluation=evaluation))

        def one(key: Key, observation: Observation) -> Action:
            return core.select_action(learner.params(state), observation, core.init(key))[0]

        batch_size = jax.tree.leaves(observation)[0].shape[0]
        return jax.vmap(one)(jax.random.split(key, batch_size), observation)

    def value(observation: Observation, action: Action) -> Array:
        experiment, agent, _, state = loaded()
        if not hasattr(agent, "critic"):
            raise errors.UserError(
                f"The teacher {run_dir} is a run of {experiment.full_name}, whose critic does not teach: take one of "
                "d4pg, ddpg or mpo, or leave --config.teacher-gradient-weight out."
            )
        return agent.critic(experiment.environment_spec())(state, observation, action)

    evaluated = functools.partial(act, jax.random.PRNGKey(0), evaluation=True)
    return Teacher(act, evaluated, value)
