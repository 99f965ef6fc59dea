"""How the processes of a run talk."""

import pytest

from acme_agents.experiments import workers


@pytest.mark.parametrize("num_actors, seconds", [(0, 0.5), (1, 0.5), (16, 0.5), (32, 1.0), (64, 2.0), (1_000, 2.0)])
def test_reports_of_many_actors_are_spread_out(num_actors, seconds):
    assert workers.sync_seconds(num_actors) == seconds
