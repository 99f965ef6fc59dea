"""Bounds stand at a configuration's fields, and a value that breaks one is refused in a sentence."""

import dataclasses
from typing import Annotated, Literal

import pytest

from acme_agents.core import configs, errors


@dataclasses.dataclass(frozen=True)
class Base(configs.Checked):
    count: configs.PositiveInt = 1
    share: configs.Share = 0.5


@dataclasses.dataclass(frozen=True)
class Config(Base):
    count: configs.PositiveInt = 2  # another default, and the same bounds
    rate: Annotated[float, configs.above(0)] = 1.0
    limit: configs.NotNegative | None = None
    both: Annotated[configs.Share, configs.at_least(0.25)] = 0.5
    layers: configs.Layers = (8,)
    kind: Literal["a", "b", "c"] = "a"
    free: float = 0.0


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"share": 0.0},
        {"share": 1},
        {"limit": 0.0},
        {"limit": None},
        {"layers": (1, 9)},
        {"both": 0.25},
        {"free": -9},
    ],
    ids=str,
)
def test_values_in_bounds_are_taken(values):
    assert {**dataclasses.asdict(Config()), **values} == dataclasses.asdict(Config(**values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"count": 0}, "count must be at least 1, not 0."),
        ({"share": 1.5}, "share must lie in [0, 1], not 1.5."),
        ({"share": float("nan")}, "share must lie in [0, 1], not nan."),
        ({"rate": 0.0}, "rate must be above 0, not 0.0."),
        ({"limit": -1.0}, "limit must be at least 0, not -1.0."),
        ({"both": 2.0}, "both must lie in [0, 1], not 2.0."),
        ({"both": 0.1}, "both must be at least 0.25, not 0.1."),
        ({"layers": ()}, "layers must be at least 1, not ()."),
        ({"layers": (4, 0)}, "layers must be at least 1, not (4, 0)."),
        ({"kind": "A"}, "kind must be a, b or c, not 'A'."),
    ],
    ids=str,
)
def test_values_out_of_bounds_are_refused(values, sentence):
    for make in (Config, lambda **values: dataclasses.replace(Config(), **values)):
        with pytest.raises(errors.UserError) as refused:
            make(**values)
        assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("config_type", "values", "sentence"),
    [
        (
            configs.Replay,
            {"min_replay_size": 2_000, "max_replay_size": 1_000},
            "min_replay_size is 2,000 and max_replay_size 1,000: training would never begin.",
        ),
        (configs.Critic, {"vmin": 2.0, "vmax": 2.0}, "vmin must be below vmax, and they are 2.0 and 2.0."),
    ],
)
def test_fields_that_do_not_fit_each_other_are_refused(config_type, values, sentence):
    both = dataclasses.make_dataclass("Both", [], bases=(configs.Critic, configs.Adam, configs.Replay), frozen=True)
    for each in (config_type, both):  # a configuration of several parts has the checks of all
        with pytest.raises(errors.UserError) as refused:
            each(**values)
        assert str(refused.value) == sentence
