"""The rows that a run writes, and the figures that its status shows."""

import json

import numpy as np
import pytest

from acme_agents.runtime.evaluations import Evaluation
from acme_agents.runtime.journal import Journal
from acme_agents.runtime.loggers import RunLogger, read_csv
from acme_agents.runtime.loop import Episode
from acme_agents.runtime.step_ledger import Counts, StepLedger
from acme_agents.runtime.variables import Snapshot


@pytest.fixture
def make_journal(tmp_path):
    loggers = []

    def make(steps=0):
        ledger = StepLedger(None, 1)
        ledger.admit("actor/0", "a", 0)
        ledger.count("actor/0", "a", Counts(steps, 0))
        loggers.append(RunLogger(tmp_path))
        return Journal(ledger, loggers[-1])

    yield make
    for logger in loggers:
        logger.close()


def _evaluation(**counts):
    return Evaluation(1, Snapshot(0, b""), counts)


def test_every_row_begins_with_the_counts(make_journal, tmp_path):
    journal = make_journal(steps=30)
    journal._logger.restore({})
    journal.learner_steps, journal.samples_per_insert = 12, 2.0
    journal.add_updates(loss=0.5)
    journal.add_episodes([Episode(1.0, 10), Episode(3.0, 20)])
    learner, actor = (read_csv(tmp_path / f"{table}.csv") for table in ("learner", "actor"))
    assert list(learner)[:3] == list(actor)[:3] == ["actor_steps", "learner_steps", "walltime"]
    assert [learner[name] for name in ("actor_steps", "learner_steps", "samples_per_insert", "loss")] == [
        30,
        12,
        2,
        0.5,
    ]
    assert actor["actor_steps"].tolist() == [30, 30] and actor["learner_steps"].tolist() == [12, 12]
    assert actor["episode_return"].tolist() == [1, 3] and actor["episode_length"].tolist() == [10, 20]


def test_an_evaluation_has_the_counts_of_when_it_was_ordered(make_journal, tmp_path):
    journal = make_journal(steps=150)
    journal._logger.restore({})
    assert journal.evaluation_return is None
    journal.add_evaluation(_evaluation(actor_steps=101, learner_steps=32), [Episode(1.0, 4), Episode(3.0, 6)])
    table = read_csv(tmp_path / "evaluator.csv")
    columns = ("episode_return", "episode_return_std", "episode_return_min", "episode_return_max", "episode_length")
    assert [table[name] for name in columns] == [2, 1, 1, 3, 5]
    assert [table[name] for name in ("actor_steps", "learner_steps", "episodes")] == [101, 32, 2]
    assert journal.evaluation_return == 2.0


def test_every_objective_has_a_column(make_journal, tmp_path):
    journal = make_journal()
    journal._logger.restore({})
    episodes = [Episode(1.0, 5, (-2.0, 7.0)), Episode(3.0, 5, (-4.0, 9.0))]
    journal.add_episodes(episodes)
    journal.add_evaluation(_evaluation(), episodes)
    actor, evaluator = (read_csv(tmp_path / f"{table}.csv") for table in ("actor", "evaluator"))
    assert (actor["episode_return_1"].tolist(), actor["episode_return_2"].tolist()) == ([-2, -4], [7, 9])
    assert (evaluator["episode_return"], evaluator["episode_return_1"], evaluator["episode_return_2"]) == (2, -3, 8)


def test_the_return_is_averaged_over_the_last_ten_episodes(make_journal):
    journal = make_journal()
    journal._logger.restore({})
    assert journal.episode_return is None
    journal.add_episodes([Episode(float(i), 2) for i in range(15)])
    assert journal.episode_return == np.mean(range(5, 15))


def test_what_is_saved_is_continued_and_rows_after_it_are_gone(make_journal, tmp_path):
    before = make_journal()
    before._logger.restore({})
    before.add_episodes([Episode(1.0, 10), Episode(3.0, 20)])
    before.add_evaluation(_evaluation(), [Episode(6.0, 2)])
    saved = json.loads(json.dumps(before.save()))
    before.add_episodes([Episode(9.0, 20)])
    after = make_journal()
    after.restore({**saved, "walltime": 100.0})
    assert (after.episode_return, after.evaluation_return) == (2.0, 6.0)
    assert 100.0 <= after.walltime < 200.0 and saved["walltime"] < 100.0
    assert read_csv(tmp_path / "actor.csv")["episode_return"].tolist() == [1, 3]
