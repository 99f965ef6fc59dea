"""Every number of an agent's configuration is explained, where it is declared and on the command line."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import textwrap
from pathlib import Path

import pytest

from acme_agents.core import configs
from acme_agents.experiments import registry
from acme_agents.exploration import config as exploration_config

AGENTS = sorted(file.parent.name for file in Path(__file__).parents[2].glob("acme_agents/agents/*/config.py"))
CONFIGS = {name: importlib.import_module(f"acme_agents.agents.{name}").Config for name in AGENTS}
CONFIGS |= {name: registry.load(name).Config for name in registry.BONUSES}
BASES = {
    name: base for name, base in vars(configs).items() if isinstance(base, type) and issubclass(base, configs.Checked)
}
DECLARING = [*CONFIGS.values(), *BASES.values(), exploration_config.Mixing, exploration_config.Learnt]


def _documented(source):
    (body,) = (node.body for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    return [
        field.target.id
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr) and isinstance(doc.value.value, str)
    ]


def test_finds_agents_and_what_they_inherit():
    assert {name.replace("-", "_") for name in registry.AGENTS} <= set(CONFIGS)
    assert {"Replay", "Critic", "Checked"} <= set(BASES)
    assert all(issubclass(config, configs.Checked) for config in CONFIGS.values())


@pytest.mark.parametrize("declaring", DECLARING, ids=lambda c: f"{c.__module__}.{c.__name__}")
def test_every_field_has_a_docstring(declaring):
    source = textwrap.dedent(inspect.getsource(declaring))
    own = list(inspect.get_annotations(declaring))
    assert _documented(source) == own
    if own:
        bare = source.replace(f"    {own[-1]}:", f"    dead: int = 0\n    {own[-1]}:")
        assert _documented(bare) == own  # it would notice one without


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_declared_again_differs(name):
    config = CONFIGS[name]
    inherited = {field.name: field for base in config.__bases__ for field in dataclasses.fields(base)}
    own = [field for field in dataclasses.fields(config) if field.name in inspect.get_annotations(config)]
    same = [field.name for field in own if field.name in inherited and inherited[field.name].default == field.default]
    assert same == []
