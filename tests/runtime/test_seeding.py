"""Global generators: each worker's and each life's own, and nobody else's after it."""

import random

import numpy as np
import pytest

from acme_agents.experiments import Experiment
from acme_agents.runtime import seeding


def _draw():
    return random.random(), np.random.normal()


def test_equal_seeds_give_equal_numbers_and_others_are_as_if_nothing_had_been_drawn():
    seeding.seed_generators(1)
    expected = [_draw() for _ in range(4)]
    seeding.seed_generators(1)
    first = [_draw() for _ in range(2)]
    with seeding.own_generators(2):
        other = [_draw() for _ in range(2)]
    with pytest.raises(KeyError), seeding.own_generators(2):
        assert [_draw() for _ in range(2)] == other
        raise KeyError
    assert [*first, _draw(), _draw()] == expected
    assert not set(other) & set(expected)


def test_every_worker_and_every_life_has_a_seed_of_its_own():
    experiment = Experiment("mpo", "probe:reach", seed=3)
    workers = [
        ("actor", 0), ("actor", 1), ("actor", 0, 100), ("actor", 0, 0, 1), ("actor", 0, 0, 2), ("actor", 0, 100, 1),
        ("actor", 1, 0, 1), ("evaluator", 0), ("evaluator", 1), ("learner", 0),
    ]  # fmt: skip
    seeds = [experiment.worker_seed(*worker) for worker in workers]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [experiment.worker_seed(*worker) for worker in workers]
    assert Experiment("mpo", "probe:reach", seed=4).worker_seed("actor") not in seeds
