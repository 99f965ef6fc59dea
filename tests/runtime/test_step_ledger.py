"""Counts that nothing makes wrong, and a budget that the actors use up and never overstep."""

import json
import random

import pytest

from acme_agents.runtime.step_ledger import Counts, StepLedger


def _report(ledger, steps, *, name="actor/0", life="a", episodes=0, closed=False, writer=None):
    """Takes a report as the coordinator does; returns the grant, or -1 where the life was forgotten."""
    if not ledger.admit(name, life, steps):
        return -1
    ledger.count(name, life, Counts(steps, episodes))
    if writer is not None:
        ledger.add_writer(writer, name, life)
    if closed:
        ledger.close(name)
    return ledger.grant(name, life, steps)


def _resumed(ledger, *, max_steps=None, num_actors=1):
    """A new ledger that continues from what another saved, by way of JSON."""
    after = StepLedger(max_steps, num_actors)
    after.restore(json.loads(json.dumps(ledger.save())))
    return after


def test_a_life_has_a_writer_for_each_of_its_environments():
    ledger = StepLedger(None, 1, 2)
    _report(ledger, 0, writer=77)
    _report(ledger, 0, writer=78)
    for writer in (77, 78, 77):
        ledger.written(writer, 32)
    assert ledger.total.steps == 96
    after = _resumed(ledger)
    after.written(78, 4)
    assert after.total.steps == 100


def test_an_actor_holds_as_much_for_each_of_its_environments():
    assert _report(StepLedger(10**6, 1, 3), 0) == 3000


def test_of_a_report_only_what_is_new_counts():
    ledger = StepLedger(None, 1)
    ledger.admit("actor/0", "a", 0)
    new = [ledger.count("actor/0", "a", Counts(*counts)) for counts in ((10, 2), (10, 2), (5, 1), (16, 3))]
    assert new == [2, 0, 0, 1]
    assert ledger.total == (16, 3)


def test_what_a_dead_life_did_stays_counted():
    ledger = StepLedger(None, 2)
    _report(ledger, 10, life="a", episodes=1)
    _report(ledger, 7, name="actor/1", life="x")
    _report(ledger, 4, life="b", episodes=1)
    assert ledger.total == (21, 2)


def test_steps_that_came_through_replay_count_though_their_actor_died():
    ledger = StepLedger(None, 2)
    _report(ledger, 0, writer=77)
    ledger.written(77, 32)
    assert ledger.total.steps == 32
    _report(ledger, 50, writer=77)
    ledger.written(77, 10)  # 42 in all, and 50 were reported.
    assert ledger.total.steps == 50
    ledger.written(78, 1000)  # Of this writer nothing is known.
    _report(ledger, 0, life="b", writer=79)
    ledger.written(77, 18)  # 60; the actor died before it reported 10 of them.
    assert ledger.total.steps == 60
    ledger.written(79, 5)
    _report(ledger, 7, life="b", writer=79)
    assert ledger.total.steps == 67

    after = _resumed(ledger, num_actors=2)
    assert after.total.steps == 67
    after.written(79, 4)  # 9 in all.
    assert after.total.steps == 69
    after.written(77, 1)
    assert after.total.steps == 70


@pytest.mark.parametrize("arrives_late, total", [(False, 2000), (True, 2600)])
def test_a_kill_exceeds_the_budget_at_most_by_what_was_neither_reported_nor_in_replay(arrives_late, total):
    """What docs/recovery.md says: a life's unreported steps, of which it holds 1,000 at most for each environment."""
    ledger = StepLedger(2000, 1)
    assert _report(ledger, 0, writer=77) == 1000
    assert _report(ledger, 400, writer=77) == 1000
    # It does 600 more, and is killed before it says so. They are in the stream, and the learner may be behind.
    if not arrives_late:
        ledger.written(77, 1000)
    done = 0
    while allowance := _report(ledger, done, life="b", writer=78):
        done += allowance
    if arrives_late:
        ledger.written(77, 1000)
    assert ledger.total.steps == total
    assert _report(ledger, done, life="b", writer=78) == 0


def test_a_life_knows_how_many_there_were_before_it():
    ledger = StepLedger(None, 2)

    def num_earlier(ledger, name, life):
        _report(ledger, 0, name=name, life=life)
        return ledger.num_earlier_lives(name)

    assert [num_earlier(ledger, "actor/0", life) for life in "aabbc"] == [0, 0, 1, 1, 2]
    assert num_earlier(ledger, "actor/1", "x") == 0
    assert num_earlier(_resumed(ledger, num_actors=2), "actor/0", "d") == 3


@pytest.mark.parametrize("max_steps, used_up", [(20, True), (30, False)])
def test_a_learner_that_dies_after_the_actors_have_ended_does_not_wait_for_them(max_steps, used_up):
    before = StepLedger(20, 1)
    _report(before, 0)
    _report(before, 20, closed=True)
    assert before.is_used_up
    after = _resumed(before, max_steps=max_steps)  # more where it goes on with another budget
    assert after.is_used_up is used_up


def _die_often(ledger, num_lives):
    for i in range(num_lives):
        _report(ledger, 0, life=f"life {i}", writer=i)
        _report(ledger, 10, life=f"life {i}", episodes=1, writer=i)


def test_what_is_kept_of_dead_lives_does_not_grow():
    sizes = []
    for num_lives in (10, 1000):
        ledger = StepLedger(None, 1)
        _die_often(ledger, num_lives)
        saved = ledger.save()
        assert sum(steps for steps, _ in saved["lives"].values()) == ledger.total.steps == 10 * num_lives
        assert ledger.total.episodes == num_lives
        sizes.append((len(saved["lives"]), len(saved["written"])))
    assert sizes == [(3, 2), (3, 2)]  # those forgotten, the one replaced last, and the one that acts


def test_a_late_report_of_a_replaced_life_is_never_counted_twice():
    ledger = StepLedger(1000, 1)
    _die_often(ledger, 5)
    # A life that was replaced long ago is forgotten; the life before this one may be, but need not.
    known = [_report(ledger, 10, life=f"life {i}", episodes=1) >= 0 for i in range(5)]
    assert known == [False, False, False, True, True]
    assert ledger.total == (50, 5)
    _report(ledger, 12, life="life 3")  # its very last report, that came after its successor's
    assert ledger.total.steps == 52
    assert _report(ledger, 13, life="life 4") > 0


def test_lives_forgotten_stay_so_over_a_resume_and_those_that_began_since_count():
    before = StepLedger(1000, 1)
    _die_often(before, 5)
    after = _resumed(before, max_steps=1000)
    assert after.total == (50, 5)
    _report(after, 10, life="life 4", episodes=1)  # counted before
    assert after.total.steps == 50
    _report(after, 20, life="life 5")  # It began after the checkpoint, with a process that then died.
    assert after.total.steps == 70
    _report(after, 0, life="life 6")
    _report(after, 0, life="life 7")
    assert _report(after, 20, life="life 5") == -1
    assert after.total.steps == 70


class Actor:
    """An actor as workers have it: reports, grants taken, steps done; its messages may be lost or late."""

    def __init__(self, ledger, name, rng):
        self.ledger, self.name, self.rng = ledger, name, rng
        self.lost = 0  # steps of lives that died without reporting them
        self.begin()

    def begin(self):
        self.life = f"{self.name}/{self.rng.random()}"
        self.steps = self.granted = self.reported = 0
        self.late, self.closed, self.over = None, False, False

    def act(self):
        if self.steps < self.granted:
            self.steps += min(self.rng.choice([1, 10, 100]), self.granted - self.steps)

    def report(self):
        if self.rng.random() < 0.1:
            self.late = self.steps  # to be delivered at some later time, its answer dropped
        if self.late is not None and self.rng.random() < 0.5:
            _report(self.ledger, self.late, name=self.name, life=self.life)
            self.reported, self.late = max(self.reported, self.late), None
        closed = self.over and self.steps >= self.granted
        allowance = _report(self.ledger, self.steps, name=self.name, life=self.life, closed=closed)
        self.reported = self.steps
        if self.rng.random() < 0.1:
            return  # The answer was lost.
        self.granted = self.steps + allowance
        self.over = allowance == 0
        self.closed = closed

    def die(self):
        self.lost += self.steps - self.reported
        self.begin()


def _simulate(ledger, seed, deaths, max_steps):
    rng = random.Random(seed)
    actors = [Actor(ledger, f"actor/{i}", rng) for i in range(3)]
    for _ in range(200_000):
        if all(actor.closed for actor in actors):
            break
        actor = rng.choice(actors)
        if actor.closed:
            continue
        chance = rng.random()
        if chance < deaths:
            actor.die()
        elif chance < 0.5:
            actor.report()
        else:
            actor.act()
        assert ledger.total.steps <= max_steps
    assert all(actor.closed for actor in actors)
    assert ledger.is_used_up
    return actors


@pytest.mark.parametrize("seed", range(8))
def test_the_totals_are_the_sums(seed):
    ledger = StepLedger(7777, 3)
    _simulate(ledger, seed, deaths=0.05, max_steps=7777)
    held = [max(0, actor.granted - actor.lives[actor.granted_life].steps) for actor in ledger._actors.values()]
    assert sum(held) == ledger._held
    saved = ledger.save()["lives"]
    assert sum(steps for steps, _ in saved.values()) == ledger.total.steps
    assert saved[""][0] >= 0


@pytest.mark.parametrize("max_steps", [1, 50, 7777])
@pytest.mark.parametrize("seed", range(8))
def test_the_step_budget_is_used_up_and_never_overstepped_whatever_the_order(max_steps, seed):
    ledger = StepLedger(max_steps, 3)
    actors = _simulate(ledger, seed, deaths=0, max_steps=max_steps)
    assert sum(actor.steps for actor in actors) == ledger.total.steps == max_steps


@pytest.mark.parametrize("seed", range(16))
def test_the_step_budget_is_not_overstepped_where_actors_die(seed):
    ledger = StepLedger(7777, 3)
    actors = _simulate(ledger, seed, deaths=0.02, max_steps=7777)
    assert sum(actor.lost for actor in actors)
    assert ledger.total.steps <= 7777


def test_a_dead_actors_grant_goes_to_the_one_that_replaces_it():
    ledger = StepLedger(100, 2)
    first = _report(ledger, 0, life="a")
    second = _report(ledger, 0, name="actor/1", life="x")
    assert first == 50
    assert 0 < second <= 50
    _report(ledger, 20, life="a")
    replaced = _report(ledger, 0, life="b")
    assert 0 < replaced <= 100 - 20 - second


def test_an_actor_holds_a_thousand_steps_at_most_and_without_a_budget_there_is_no_limit():
    assert _report(StepLedger(10**6, 2), 0) == 1000
    assert _report(StepLedger(None, 1), 10**6) is None
