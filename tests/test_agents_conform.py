"""Every agent passes the checks that any agent must pass, in some representative configurations."""

import dataclasses
import functools
import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from acme_agents.agents import (
    bc,
    cca,
    crr,
    d4pg,
    ddpg,
    dime,
    dqn,
    fma_pg,
    hca,
    impala,
    mpo,
    pmpo,
    ppo,
    qsarsa,
    r2d2,
    r2d3,
    sac,
    td3,
    vmpo,
)
from acme_agents.core import returns, teaching
from acme_agents.core.types import ArraySpec, EnvironmentSpec
from acme_agents.experiments import registry
from acme_agents.exploration import byol_explore, byol_hindsight, gem, rnd
from acme_agents.testing import conformance

CONTINUOUS = EnvironmentSpec(ArraySpec((6,)), ArraySpec((2,)))
DISCRETE = EnvironmentSpec(ArraySpec((6,)), ArraySpec((), "int32", 3))
OBJECTIVES = dataclasses.replace(CONTINUOUS, reward=ArraySpec((2,)))
DICT = {"position": ArraySpec((2, 3)), "speed": ArraySpec(())}
PIXELS = {"camera": ArraySpec((8, 8, 3), "uint8"), "grid": ArraySpec((3, 3, 2)), "speed": ArraySpec(())}


def _seeing(observation, spec):
    return dataclasses.replace(spec, observation=observation)


MPO = {
    "policy_layers": (32,),
    "critic_layers": (32,),
    "num_actions": 10,
    "init_scale": 0.1,
    "discount": 0.9,
    "n_step": 2,
    "batch_size": 64,
    "learning_rate": 5e-3,
    "target_update_period": 20,
    "init_log_temperature": -1.0,
    "init_log_alpha_mean": 0.0,
}
# Atoms of 0.2, and a second layer, to tell rewards of 0.75 and 1 apart.
ATOMS = {"vmin": -1.0, "vmax": 12.0, "num_atoms": 66, "policy_layers": (32, 32), "critic_layers": (32, 32)}
PMPO = {name: value for name, value in MPO.items() if not name.startswith("init_log")}
CRR = {
    "policy_layers": (32,),
    "critic_layers": (32,),
    "vmin": -1.0,
    "vmax": 15.0,
    "num_atoms": 41,
    "init_scale": 0.1,
    "beta": 0.05,
    "discount": 0.9,
    "batch_size": 64,
    "policy_learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "target_update_period": 20,
}
DDPG = {
    "policy_layers": (32,),
    "critic_layers": (32,),
    "discount": 0.9,
    "n_step": 2,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "target_update_period": 20,
}
# Atoms of 0.1, and no other action's reward in the return: the gradient in an action is small beside the atoms' noise.
D4PG_ATOMS = {
    "vmin": -1.5,
    "vmax": 6.0,
    "num_atoms": 76,
    "critic_layers": (32, 32),
    "discount": 0.8,
    "n_step": 1,
    "learning_rate": 3e-3,
}
TWIN = {
    "policy_layers": (32,),
    "critic_layers": (32,),
    "discount": 0.9,
    "batch_size": 64,
    "policy_learning_rate": 1e-3,
    "critic_learning_rate": 3e-3,
    "target_rate": 0.05,
}
QSARSA = TWIN | {"sarsa_updates": None, "in_weight": 0.1, "out_weight": 0.1}
SAC = TWIN | {"init_temperature": 0.03, "temperature_learning_rate": 3e-3}
DROQ = {
    "num_critics": 3,
    "policy_value": "mean",
    "policy_update_period": 2,
    "critic_layer_norm": True,
    "critic_dropout": 0.01,
}
BC = {"policy_layers": (32,), "batch_size": 64, "learning_rate": 3e-3}
DQN = {
    "torso_layers": (32,),
    "head_layers": (32,),
    "discount": 0.9,
    "n_step": 3,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "target_update_period": 20,
}
R2D2 = {
    "torso_layers": (32,),
    "lstm_size": 16,
    "head_layers": (32,),
    "burn_in_length": 2,
    "trace_length": 4,
    "sequence_period": 3,
    "n_step": 2,
    "discount": 0.9,
    "batch_size": 32,
    "learning_rate": 5e-3,
    "target_update_period": 20,
}
PPO = {
    "policy_layers": (32,),
    "value_layers": (32,),
    "unroll_length": 8,
    "batch_size": 16,
    "num_epochs": 4,
    "num_minibatches": 4,
    "discount": 0.9,
    "learning_rate": 5e-3,
}
ONE_PASS = {"batch_size": 2, "num_epochs": 1, "num_minibatches": 2, "annealing_updates": 100}
VMPO = {
    "torso_layers": (32,),
    "unroll_length": 8,
    "batch_size": 16,
    "num_epochs": 4,
    "discount": 0.9,
    "learning_rate": 5e-3,
    "epsilon_policy": 0.1,
    "epsilon_mean": 0.1,
    "epsilon_stddev": 1e-2,
}
IMPALA = {"torso_layers": (32,), "unroll_length": 8, "batch_size": 16, "discount": 0.9, "learning_rate": 1e-2}
HCA = IMPALA | {"hindsight_layers": (32, 32), "hindsight_learning_rate": 1e-2}
RETURN = {"outcome": "return", "max_ratio": 2.0, "learning_rate": 3e-3}
CCA = IMPALA | {
    "statistic_size": 4,
    "hindsight_layers": (16,),
    "hindsight_size": 8,
    "critic_layers": (16,),
    "classifier_layers": (16,),
}
# A policy gradient of a few continuous actions is noisy: more of them, and less of what comes later.
STEADY = {"batch_size": 32, "discount": 0.5, "learning_rate": 5e-3, "entropy_weight": 0.0}
UNSCALED = {"normalise_rewards": False, "normalise_observations": False}
RAW = UNSCALED | {"value_clip": None}


def _value(metrics):
    return metrics["value"]


def _q_value(metrics):
    return metrics["q_value"]


def _rescaled(metrics):
    return returns.unrescale(metrics["q_value"])


def _q_values(metrics):
    return (metrics["q_value_0"] + metrics["q_value_1"]) / 2


def _subject(module, options, spec, **expectations):
    return conformance.Subject(module.make(module.Config(**options)), spec, **expectations)


def _around(bonus, bonus_options, base, options, spec):
    agent = bonus.make(bonus.Config(**bonus_options), base.make(base.Config(**options)))
    return conformance.Subject(agent, spec)


# Each of these learns.
SUBJECTS = {
    "bc-mixture": _subject(bc, BC, CONTINUOUS, imitates=True),
    "bc-tanh": _subject(bc, BC | {"policy": "tanh-gaussian"}, _seeing(DICT, OBJECTIVES), imitates=True),
    "cca": _subject(cca, CCA | UNSCALED, DISCRETE, value=_value, discount=0.9),
    "cca-critic": _subject(cca, CCA | {"estimator": "critic"}, _seeing(DICT, DISCRETE)),
    "crr-exp": _subject(crr, CRR, CONTINUOUS, value=_q_value),
    "crr-binary": _subject(
        crr,
        CRR | {"weight": "binary", "policy": "gaussian", "critic": "scalar", "evaluation": "cwp"},
        _seeing(DICT, CONTINUOUS),
        value=_q_value,
    ),
    "d4pg-categorical": _subject(d4pg, DDPG | D4PG_ATOMS, CONTINUOUS, value=_q_value),
    "d4pg-mixture": _subject(d4pg, DDPG | {"critic": "mixture", "init_scale": 0.1}, CONTINUOUS, value=_q_value),
    "ddpg": _subject(ddpg, DDPG, _seeing(DICT, CONTINUOUS), value=_q_value),
    "dime": _subject(dime, MPO, OBJECTIVES, value=_q_values),
    "dime-bc": _subject(
        dime,
        MPO | {"behaviour": "bc", "critic": "scalar", "preference": (1.0, 1.0, 0.1)},
        _seeing(DICT, OBJECTIVES),
        value=_q_values,
    ),
    "dqn": _subject(dqn, DQN, DISCRETE, value=_q_value),
    "fma_pg": _subject(fma_pg, PPO | RAW, DISCRETE, value=_value, discount=0.9),
    "fma_pg-smdpo": _subject(fma_pg, PPO | {"surrogate": "smdpo"}, _seeing(DICT, CONTINUOUS)),
    "fma_pg-mdpo": _subject(fma_pg, PPO | RAW | {"surrogate": "mdpo"}, DISCRETE, value=_value, discount=0.9),
    "hca": _subject(hca, HCA | UNSCALED, DISCRETE, value=_value, discount=0.9),
    "hca-return": _subject(hca, HCA | RETURN, _seeing(DICT, DISCRETE)),
    "impala": _subject(impala, IMPALA | UNSCALED, DISCRETE, value=_value, discount=0.9),
    "impala-continuous": _subject(impala, IMPALA | STEADY, _seeing(DICT, CONTINUOUS)),
    "mpo-mixture": _subject(mpo, MPO, CONTINUOUS, value=_q_value),
    "mpo-categorical": _subject(mpo, MPO | {"critic": "categorical"} | ATOMS, CONTINUOUS, value=_q_value),
    "mpo-scalar": _subject(mpo, MPO | {"critic": "scalar"}, _seeing(DICT, CONTINUOUS), value=_q_value),
    "pmpo": _subject(pmpo, PMPO, CONTINUOUS, value=_q_value),
    "pmpo-data": _subject(
        pmpo,
        PMPO | {"reference": "data", "preferences": "advantage", "critic": "scalar", "alpha": 1.0, "beta": 0.0},
        _seeing(DICT, CONTINUOUS),
        value=_q_value,
    ),
    "ppo": _subject(ppo, PPO | RAW, DISCRETE, value=_value, discount=0.9),
    "ppo-continuous": _subject(ppo, PPO, _seeing(DICT, CONTINUOUS)),
    "qsarsa": _subject(qsarsa, QSARSA, CONTINUOUS, value=_q_value),
    "qsarsa-actor": _subject(
        qsarsa, QSARSA | {"actor_weight": 0.5, "trusted_gap": 10.0}, _seeing(DICT, CONTINUOUS), value=_q_value
    ),
    "r2d2": _subject(r2d2, R2D2, DISCRETE, value=_rescaled, discount=0.9),
    "r2d3": _subject(r2d3, R2D2, _seeing(DICT, DISCRETE), value=_rescaled, discount=0.9),
    "sac": _subject(sac, SAC, CONTINUOUS, value=_q_value),
    "sac-droq": _subject(sac, SAC | DROQ, _seeing(DICT, CONTINUOUS), value=_q_value),
    "td3": _subject(td3, TWIN, CONTINUOUS, value=_q_value),
    "td3-bc": _subject(td3, TWIN | {"behaviour_alpha": 20.0}, _seeing(DICT, CONTINUOUS), value=_q_value),
    "vmpo": _subject(vmpo, VMPO | UNSCALED, DISCRETE, value=_value, discount=0.9),
    "vmpo-continuous": _subject(vmpo, VMPO, _seeing(DICT, CONTINUOUS)),
}
# Bonuses, so small that what is best stays so.
RND = {"target_layers": (16,), "predictor_layers": (16,), "embedding_size": 8, "weight": 0.01}
BYOL = {"encoder_layers": (16,), "embedding_size": 8, "memory_size": 8, "predictor_layers": (16,), "weight": 0.01}
BYOL |= {"horizon": 2}
HINDSIGHT = {name: value for name, value in BYOL.items() if name != "predictor_layers"}
HINDSIGHT |= {"generator_layers": (16,), "reconstructor_layers": (16,), "critic_layers": (16, 16), "num_candidates": 4}
GEM = {"rarity_layers": (16,), "embedding_layers": (16,), "embedding_size": 4, "weight": 0.01}
BONUSES = {
    # Its chance is of a row's place in the batch, and so would be priorities.
    "byol-hindsight around dqn": _around(byol_hindsight, HINDSIGHT, dqn, DQN | {"priority_exponent": 0.0}, DISCRETE),
    "byol-explore around ppo": _around(byol_explore, BYOL, ppo, PPO, DISCRETE),
    "gem around sac": _around(gem, GEM, sac, SAC, CONTINUOUS),
    "gem around ppo": _around(gem, GEM | {"similarity": "learned"}, ppo, PPO, DISCRETE),
    "rnd around dqn": _around(rnd, RND, dqn, DQN, DISCRETE),
    "rnd around ppo": _around(rnd, RND, ppo, PPO, _seeing(DICT, CONTINUOUS)),
}
# These are looked at only.
PICTURES = {
    "bc-pixels": _subject(bc, BC, _seeing(PIXELS, CONTINUOUS)),
    "cca-memory": _subject(cca, CCA | {"lstm_size": 8}, _seeing(DICT, DISCRETE)),
    "dqn-pixels": _subject(dqn, DQN, _seeing(PIXELS, DISCRETE)),
    "hca-pixels": _subject(hca, HCA | {"batch_size": 2, "max_ratio": 4.0}, _seeing(PIXELS, DISCRETE)),
    "impala-memory": _subject(impala, IMPALA | {"lstm_size": 8}, _seeing(DICT, DISCRETE)),
    "mpo-pixels": _subject(mpo, MPO | {"critic": "scalar"}, _seeing(PIXELS, CONTINUOUS)),
    "ppo-pixels": _subject(ppo, PPO | ONE_PASS, _seeing(PIXELS, DISCRETE)),
    "rnd around dqn-pixels": _around(rnd, RND, dqn, DQN | {"batch_size": 4, "n_step": 1}, _seeing(PIXELS, DISCRETE)),
    "rnd around r2d2": _around(rnd, RND, r2d2, R2D2, DISCRETE),
    "byol-hindsight around impala": _around(byol_hindsight, HINDSIGHT, impala, IMPALA, _seeing(DICT, CONTINUOUS)),
    "byol-explore around r2d2": _around(byol_explore, BYOL, r2d2, R2D2, DISCRETE),
    "gem around impala": _around(gem, GEM | {"reward": "rarity"}, impala, IMPALA, _seeing(DICT, CONTINUOUS)),
    "r2d2-pixels": _subject(r2d2, R2D2, _seeing(PIXELS, DISCRETE)),
    "vmpo-memory": _subject(vmpo, VMPO | {"lstm_size": 8}, _seeing(DICT, DISCRETE)),
    "vmpo-pixels": _subject(vmpo, VMPO | {"batch_size": 2, "num_epochs": 1}, _seeing(PIXELS, CONTINUOUS)),
}


def _cases():
    """Quick are the form of each agent's first subject; what learns, and its further subjects, are long."""
    learning = (*conformance.FORM, conformance.learnt.learns_every_state_of_an_episode)
    seen = set()
    for subjects, checks in ((SUBJECTS, conformance.CHECKS), (BONUSES, learning), (PICTURES, conformance.FORM)):
        for name, subject in subjects.items():
            agent = name.split("-")[0]
            for check in conformance.checks(subject, checks):
                marks = [] if agent not in seen and check in conformance.FORM else [pytest.mark.long]
                if name.startswith("byol"):  # Two recurrences and their gradients are long to compile.
                    marks = [pytest.mark.slow]
                yield pytest.param(subject, check, id=f"{name}-{check.__name__}", marks=marks)
            seen.add(agent)


@pytest.mark.parametrize(("subject", "check"), _cases())
def test_conforms(subject, check):
    check(subject)


FOLDERS = sorted(file.parent.name for file in Path(__file__).parents[1].glob("acme_agents/agents/*/config.py"))


def test_finds_the_agents():
    assert {name.replace("-", "_") for name in registry.AGENTS} <= set(FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_agent_is_among_the_subjects(name):
    assert any(subject.split("-")[0] == name for subject in SUBJECTS)


@pytest.mark.long
@pytest.mark.parametrize("name", FOLDERS)
def test_every_agent_logs_its_gradients_norm(name):
    subject = next(subject for key, subject in SUBJECTS.items() if key.split("-")[0] == name)
    state = jax.eval_shape(subject.learner.init, jax.random.PRNGKey(0))
    metrics = jax.eval_shape(subject.learner.update, state, subject.form_of_batch())[1].metrics
    assert any(metric.startswith("gradient_norm") for metric in metrics)


@pytest.mark.parametrize("name", registry.BONUSES)
def test_every_bonus_is_among_the_subjects(name):
    assert any(subject.startswith(f"{name} around ") for subject in BONUSES)


@pytest.mark.parametrize("name", registry.BONUSES)
def test_every_field_of_a_bonus_is_read(name):
    module, base = registry.load(name), dqn.make(dqn.Config(batch_size=4))
    configs = [module.Config(**changes) for changes in ({}, *OTHERS.get(name, ()))]
    unread = conformance.unread_fields(lambda config: module.make(config, base), configs, DISCRETE)
    assert unread == set()


# Its action is everywhere 0, and its critic's value the action's sum.
TEACHER = teaching.Teacher(
    act=lambda key, observation: jnp.zeros((len(observation), *CONTINUOUS.action.shape)),
    action=lambda observation: jnp.zeros((len(observation), *CONTINUOUS.action.shape)),
    value=lambda observation, action: jnp.sum(action, axis=-1),
)
# What the configurations above leave out; a part of an agent that is switched off reads no numbers.
OTHERS = {
    "cca": [{"lstm_size": 4}],
    "crr": [{"critic": "mixture", "evaluation": "cwp"}],
    "d4pg": [{"critic": "mixture"}],
    "dime": [{"behaviour": "awbc"}, {"critic": "categorical"}],
    "fma_pg": [{"surrogate": "mdpo"}],
    "gem": [{"similarity": "learned"}],
    "hca": [{"outcome": "return"}],
    "impala": [{"lstm_size": 4}],
    "mpo": [{"critic": "categorical"}],
    "pmpo": [{"critic": "categorical"}],
    "vmpo": [{"lstm_size": 4}],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_every_field_of_a_configuration_is_read(name):
    module = importlib.import_module(f"acme_agents.agents.{name}")
    spec = DISCRETE if name in ("cca", "dqn", "hca", "r2d2", "r2d3") else OBJECTIVES if name == "dime" else CONTINUOUS
    configs = [module.Config(batch_size=4, **changes) for changes in ({}, *OTHERS.get(name, ()))]
    cases = [(module.make, configs, spec)]
    if name == "vmpo":  # It has bounds of its own for each kind of actions.
        cases = [(module.make, configs[:1], DISCRETE), (module.make, configs[1:], CONTINUOUS)]
    if issubclass(module.Config, teaching.Taught):
        taught = module.Config(batch_size=4, teacher_action_weight=1.0, teacher_gradient_weight=1.0)
        cases.append((functools.partial(module.make, teacher=TEACHER), [taught], CONTINUOUS))
    unread = [conformance.unread_fields(*case) for case in cases]
    assert set.intersection(*unread) == set()
