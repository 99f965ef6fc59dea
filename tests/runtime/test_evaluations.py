"""When an evaluation is due, and which one is the last."""

import json

import pytest

from acme_agents.runtime.evaluations import EvaluationSchedule
from acme_agents.runtime.variables import Snapshot


def _order(schedule, steps, version=0):
    """The number and the parameters' version of the evaluation that is pending once `steps` are done."""
    schedule.order_if_due(steps, Snapshot(version, b""), {"actor_steps": steps})
    return next(((pending.number, pending.snapshot.version) for pending in schedule.pending), None)


def test_an_evaluation_is_due_every_so_many_steps_and_those_missed_are_skipped():
    schedule = EvaluationSchedule(100)
    assert _order(schedule, 99) is None
    assert _order(schedule, 101, version=32) == (1, 32)
    assert _order(schedule, 150, version=64) == (1, 32)  # One at a time.
    assert schedule.complete().counts == {"actor_steps": 101}
    assert _order(schedule, 199) is None
    assert _order(schedule, 430) == (2, 0)  # 200 and 300 are skipped.
    schedule.complete()
    assert _order(schedule, 430) is None
    assert _order(schedule, 500) == (3, 0)
    assert schedule.num_done == 2


def test_only_the_evaluation_that_is_ordered_is_pending():
    schedule = EvaluationSchedule(10)
    assert not schedule.is_pending(1)
    _order(schedule, 10)
    assert schedule.is_pending(1) and not schedule.is_pending(2)
    schedule.complete()
    assert not schedule.is_pending(1)
    with pytest.raises(ValueError, match="No evaluation is pending"):
        schedule.complete()


def test_the_last_evaluation_is_of_the_last_parameters_after_the_one_under_way():
    schedule = EvaluationSchedule(10)
    assert _order(schedule, 10, version=0) == (1, 0)
    schedule.finish(50)
    assert _order(schedule, 11, version=50) == (1, 0)
    schedule.complete()
    assert not schedule.is_over
    assert _order(schedule, 11, version=50) == (2, 50)
    assert not schedule.is_over
    schedule.complete()
    assert schedule.is_over
    assert _order(schedule, 1000, version=51) is None


@pytest.mark.parametrize("done", [True, False])
def test_the_last_parameters_are_evaluated_once(done):
    schedule = EvaluationSchedule(10)
    _order(schedule, 10, version=7)
    if done:
        schedule.complete()
    schedule.finish(7)
    assert schedule.is_over is done
    if not done:
        schedule.complete()
    assert schedule.is_over
    assert _order(schedule, 1000, version=7) is None


def test_without_evaluations_there_is_not_even_a_last_one():
    schedule = EvaluationSchedule(0)
    assert _order(schedule, 10**6) is None
    assert not schedule.is_over
    schedule.finish(1)
    assert schedule.is_over
    assert _order(schedule, 10**6) is None


def test_a_resumed_schedule_goes_on_with_the_next_one():
    before = EvaluationSchedule(20)
    _order(before, 45)
    before.complete()
    after = EvaluationSchedule(20)
    after.restore(json.loads(json.dumps(before.save())))
    assert after.num_done == 1
    assert _order(after, 59) is None
    assert _order(after, 60) == (2, 0)


def test_evaluations_may_be_added_or_left_out_when_a_run_is_resumed():
    without = EvaluationSchedule(0)
    without.restore(EvaluationSchedule(20).save())
    assert _order(without, 1000) is None
    added = EvaluationSchedule(20)
    added.restore(EvaluationSchedule(0).save())
    assert _order(added, 1000) == (1, 0)
