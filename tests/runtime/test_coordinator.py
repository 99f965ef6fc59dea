"""What workers are told, what is logged of their reports, and the order of a run's end."""

import json

import pytest

from acme_agents.experiments.budget import Budget
from acme_agents.runtime import variables
from acme_agents.runtime.coordinator import ActorReport, Coordinator, Phase
from acme_agents.runtime.loggers import RunLogger, read_csv
from acme_agents.runtime.loop import Episode


class Run:
    """A coordinator and what is around it."""

    def __init__(self, run_dir, *, max_steps=None, max_updates=None, eval_every=0, num_actors=1, offline_updates=0):
        self.run_dir = run_dir
        self.publisher = variables.Publisher()
        self.logger = RunLogger(run_dir)
        budget = Budget(max_steps, max_updates, eval_every, num_actors, offline_updates)
        self.coordinator = Coordinator(budget, self.publisher, self.logger, replay_capacity=100)
        self.publisher.publish(0, {})

    def sync(
        self, steps, *, name="actor/0", life="a", num_episodes=0, episodes=(), closed=False, version=None, writers=()
    ):
        report = ActorReport(name, life, steps, num_episodes, list(episodes), closed, version, writers)
        return self.coordinator.actor_sync(report)

    def table(self, name):
        return read_csv(self.run_dir / f"{name}.csv")


def _versions(orders):
    return [snapshot.version for snapshot in orders.snapshots]


def _due(orders):
    """The versions to evaluate, by the evaluation's number."""
    return {number: snapshot.version for number, snapshot in orders.due}


@pytest.fixture
def make_run(tmp_path):
    runs = []

    def make(**kwargs):
        runs.append(Run(tmp_path / str(len(runs)), **kwargs))
        runs[-1].logger.restore({})
        return runs[-1]

    yield make
    for run in runs:
        run.logger.close()


def test_a_report_that_is_repeated_counts_once(make_run):
    run = make_run()
    episodes = [Episode(1.0, 5), Episode(3.0, 5)]
    for _ in range(3):
        assert run.sync(10, num_episodes=2, episodes=episodes).run_steps == 10
    run.sync(16, num_episodes=3, episodes=[*episodes, Episode(5.0, 6)])  # The answer to the first had not come.
    assert run.coordinator.actor_steps == 16
    status = run.coordinator.status()
    assert (status.actor_steps, status.episodes, status.episode_return) == (16, 3, 3.0)
    assert run.table("actor")["episode_return"].tolist() == [1, 3, 5]
    assert run.table("actor")["actor_steps"].tolist() == [10, 10, 16]


def test_an_older_report_that_comes_late_takes_nothing_back(make_run):
    run = make_run()
    run.sync(20, num_episodes=2, episodes=[Episode(1.0, 5), Episode(2.0, 5)])
    run.sync(10, num_episodes=1, episodes=[Episode(1.0, 5)])
    assert (run.coordinator.actor_steps, run.coordinator.status().episodes) == (20, 2)
    assert run.table("actor")["episode_return"].tolist() == [1, 2]


class CountingDict(dict):
    """A dictionary that counts how many of its entries are gone through."""

    visited = 0

    def _visit(self, entries):
        for entry in entries:
            CountingDict.visited += 1
            yield entry

    def __iter__(self):
        return self._visit(super().__iter__())

    def keys(self):
        return self._visit(super().keys())

    def values(self):
        return self._visit(super().values())

    def items(self):
        return self._visit(super().items())


@pytest.mark.parametrize("num_actors", [10, 10_000])
def test_no_call_goes_through_the_actors(make_run, num_actors):
    run = make_run(max_steps=10**9, eval_every=10**8, num_actors=num_actors)
    coordinator = run.coordinator
    for i in range(num_actors):
        run.sync(0, name=f"actor/{i}", life=f"{i}/a")
        run.sync(10, name=f"actor/{i}", life=f"{i}/b")
    sizes = []
    for part in (coordinator, coordinator._ledger, coordinator._evaluations, coordinator._journal):
        for name, value in list(vars(part).items()):
            if isinstance(value, dict):
                sizes.append(len(value))
                setattr(part, name, CountingDict(value))
    assert max(sizes) == num_actors
    CountingDict.visited = 0
    for life in ("b", "b", "c"):  # goes on, repeats itself, is replaced
        orders = run.sync(30, name="actor/3", life=f"3/{life}", num_episodes=1, episodes=[Episode(1.0, 5)])
    coordinator.evaluator_sync()
    coordinator.learner_report(1, 5, 1.0)
    coordinator.learner_log(loss=1.0)
    assert coordinator.status().actor_steps == coordinator.actor_steps == orders.run_steps
    assert CountingDict.visited == 0


def test_a_life_that_was_replaced_long_ago_is_to_end_at_once(make_run):
    run = make_run(max_steps=1000)
    for life in range(5):
        run.sync(0, life=f"life {life}")
        run.sync(10, life=f"life {life}", num_episodes=1, episodes=[Episode(1.0, 5)])
    for life in range(5):
        orders = run.sync(10, life=f"life {life}", num_episodes=1, episodes=[Episode(1.0, 5)])
        # The life before this one may end as well, but need not.
        assert (orders.finished, orders.abandon) == ((True, True) if life < 3 else (False, False))
    assert run.coordinator.actor_steps == 50
    assert run.coordinator.status().episodes == 5
    assert run.sync(13, life="life 4").finished is False


def test_a_life_is_told_how_many_there_were_before_it(make_run):
    run = make_run(num_actors=2)
    assert [run.sync(0, life=life).num_lives for life in "aabbc"] == [0, 0, 1, 1, 2]
    assert run.sync(0, name="actor/1", life="x").num_lives == 0
    after = make_run(num_actors=2)
    after.coordinator.restore(json.loads(json.dumps(run.coordinator.save())))
    assert after.sync(0, life="d").num_lives == 3


def test_steps_that_came_through_replay_count_by_the_writer_that_was_reported(make_run):
    run = make_run(num_actors=2)
    run.sync(0, writers=(77,))
    run.coordinator.written(77, 32)
    run.coordinator.written(78, 1000)  # Of this writer nothing is known.
    assert run.coordinator.actor_steps == 32
    run.sync(50, writers=(77,))
    assert run.coordinator.actor_steps == 50


def test_parameters_go_to_those_who_lack_them(make_run):
    run = make_run()
    assert _versions(run.sync(0)) == [0]
    assert not run.sync(0, version=0).snapshots
    run.publisher.publish(32, {})
    assert _versions(run.sync(0, version=0)) == [32]


def test_without_a_step_budget_there_is_no_limit(make_run):
    orders = make_run(max_updates=10).sync(10**6)
    assert (orders.allowance, orders.finished) == (None, False)


def test_updates_left(make_run):
    run = make_run(max_updates=10)
    left = []
    for steps in (0, 4, 10, 12):
        run.coordinator.learner_report(steps, 0, None)
        left.append(run.coordinator.updates_left())
    assert left == [10, 6, 0, 0]
    assert make_run(max_steps=5).coordinator.updates_left() is None


def test_evaluations_are_due_in_environment_steps_and_repeated_until_their_result_comes(make_run):
    run = make_run(eval_every=100)
    coordinator = run.coordinator
    assert coordinator.evaluator_sync() == (False, ())
    run.sync(99)
    assert not coordinator.evaluator_sync().due
    run.sync(101)
    coordinator.learner_report(32, 50, 2.0)
    run.publisher.publish(32, {})
    first = coordinator.evaluator_sync()
    assert (first.finished, _due(first)) == (False, {1: 0})
    run.publisher.publish(64, {})
    run.sync(150)
    assert coordinator.evaluator_sync() == first  # The same parameters, whoever asks again.
    coordinator.evaluation_report(7, [Episode(9.0, 9)])  # of no evaluation that was ordered
    coordinator.evaluation_report(1, [Episode(1.0, 4), Episode(3.0, 6)])
    coordinator.evaluation_report(1, [Episode(5.0, 5)])  # once more, too late
    assert not coordinator.evaluator_sync().due
    run.sync(430)  # The evaluator lagged: 200 and 300 are skipped.
    assert list(_due(coordinator.evaluator_sync())) == [2]
    coordinator.evaluation_report(2, [Episode(0.0, 5)])
    assert not coordinator.evaluator_sync().due
    run.sync(500)
    assert list(_due(coordinator.evaluator_sync())) == [3]
    table = run.table("evaluator")
    columns = (
        "actor_steps",
        "episode_return",
        "episode_return_std",
        "episode_return_min",
        "episode_length",
        "episodes",
    )
    assert [table[name][0] for name in columns] == [101, 2, 1, 1, 5, 2]
    assert table["actor_steps"].tolist() == [101, 430]
    assert (coordinator.status().evaluations, coordinator.status().evaluation_return) == (2, 0.0)


def test_the_end_is_a_final_evaluation_of_the_last_parameters(make_run):
    run = make_run(max_steps=100, eval_every=1000)
    coordinator = run.coordinator
    run.sync(100)
    assert not coordinator.steps_used_up()
    assert run.sync(100, closed=True).finished
    assert coordinator.steps_used_up()
    run.publisher.publish(77, {})
    coordinator.finish()
    assert coordinator.phase is Phase.EVALUATING
    assert run.sync(100).finished
    orders = coordinator.evaluator_sync()
    ((number, version),) = _due(orders).items()
    assert (orders.finished, version) == (False, 77)
    coordinator.evaluation_report(number, [Episode(4.0, 5)])
    assert coordinator.phase is Phase.FINISHED
    assert coordinator.evaluator_sync().finished
    coordinator.stop()
    assert coordinator.phase is Phase.FINISHED


def test_an_evaluation_under_way_is_awaited_before_the_final_one(make_run):
    run = make_run(eval_every=10)
    coordinator = run.coordinator
    run.sync(10)
    assert list(_due(coordinator.evaluator_sync())) == [1]
    run.publisher.publish(50, {})
    coordinator.finish()
    assert _due(coordinator.evaluator_sync()) == {1: 0}
    coordinator.evaluation_report(1, [Episode(1.0, 1)])
    assert coordinator.phase is Phase.EVALUATING
    assert _due(coordinator.evaluator_sync()) == {2: 50}
    coordinator.evaluation_report(2, [Episode(1.0, 1)])
    assert coordinator.phase is Phase.FINISHED


def test_the_last_parameters_are_evaluated_once(make_run):
    """Where the newest evaluation, done or under way, is of the last parameters, it is the final one."""
    done, under_way = make_run(eval_every=10), make_run(eval_every=10)
    for run in (done, under_way):
        run.sync(10)
        assert list(_due(run.coordinator.evaluator_sync())) == [1]
    done.coordinator.evaluation_report(1, [Episode(1.0, 1)])
    done.coordinator.finish()
    assert done.coordinator.phase is Phase.FINISHED
    under_way.coordinator.finish()
    assert under_way.coordinator.phase is Phase.EVALUATING
    under_way.coordinator.evaluation_report(1, [Episode(1.0, 1)])
    assert under_way.coordinator.phase is Phase.FINISHED
    assert len(done.table("evaluator")["episodes"]) == len(under_way.table("evaluator")["episodes"]) == 1


def test_without_evaluations_finish_ends_it(make_run):
    coordinator = make_run(max_steps=1).coordinator
    coordinator.finish()
    assert coordinator.phase is Phase.FINISHED


def test_a_stop_ends_everyone_at_once(make_run):
    run = make_run(max_steps=100, eval_every=10)
    run.sync(10)
    assert list(_due(run.coordinator.evaluator_sync())) == [1]
    run.coordinator.stop()
    orders = run.sync(11)
    assert (orders.finished, orders.abandon) == (True, True)
    assert run.coordinator.evaluator_sync().finished
    assert run.coordinator.status().phase == "stopping"
    run.coordinator.finish()
    assert run.coordinator.phase is Phase.STOPPING


def test_the_phases_of_training(make_run):
    run = make_run(max_steps=100)
    phases = [run.coordinator.status().phase]
    run.coordinator.learner_report(1, 50, 2.0)
    phases.append(run.coordinator.status().phase)
    run.sync(100, closed=True)
    phases.append(run.coordinator.status().phase)
    assert phases == ["filling replay", "training", "learning what is left"]


def test_what_is_saved_continues_the_run(make_run):
    before = make_run(max_steps=100, eval_every=20, num_actors=2)
    before.sync(30, num_episodes=2, episodes=[Episode(1.0, 10), Episode(3.0, 20)])
    before.sync(15, name="actor/1", life="x")
    before.coordinator.learner_report(12, 40, 2.0)
    (number,) = _due(before.coordinator.evaluator_sync())
    before.coordinator.evaluation_report(number, [Episode(6.0, 2)])
    counts = json.loads(json.dumps(before.coordinator.save()))
    before.sync(50, num_episodes=3, episodes=[Episode(9.0, 20)])  # after the checkpoint

    after = Run(before.run_dir, max_steps=100, eval_every=20, num_actors=2)
    after.coordinator.restore(counts)
    after.coordinator.learner_report(12, 40, 2.0)
    status = after.coordinator.status()
    assert (status.actor_steps, status.episodes, status.episode_return) == (45, 2, 2.0)
    assert (status.evaluations, status.evaluation_return) == (1, 6.0)
    assert status.walltime >= counts["walltime"]
    assert after.table("actor")["episode_return"].tolist() == [1, 3]  # The row after the checkpoint is gone.
    assert after.sync(0, life="b").allowance <= 55
    assert not after.coordinator.evaluator_sync().due
    after.sync(15, life="b")
    assert list(_due(after.coordinator.evaluator_sync())) == [2]
    after.logger.close()


def test_actors_wait_until_the_offline_updates_are_done(make_run):
    run = make_run(max_steps=50, offline_updates=30, eval_every=20)
    run.coordinator.learner_report(29, 0, None)
    orders = run.sync(0)
    assert (orders.allowance, orders.finished, orders.abandon, orders.snapshots) == (0, False, False, ())
    assert run.coordinator.status().phase == "learning offline"
    # Each offline update counts as a step towards the next evaluation, and the updates after them do not.
    assert list(_due(run.coordinator.evaluator_sync())) == [1]
    run.coordinator.evaluation_report(1, [Episode(0.0, 1)])
    run.coordinator.learner_report(1000, 0, None)
    orders = run.sync(0)
    assert (orders.allowance, orders.finished) == (50, False)
    assert orders.snapshots
    assert not run.coordinator.evaluator_sync().due
    run.sync(10)
    assert list(_due(run.coordinator.evaluator_sync())) == [2]


def test_without_actors_the_budget_is_that_of_updates(make_run):
    run = make_run(max_steps=0, max_updates=100, offline_updates=float("inf"), eval_every=50, num_actors=0)
    assert not run.coordinator.steps_used_up()
    run.coordinator.learner_report(64, 0, None)
    assert list(_due(run.coordinator.evaluator_sync())) == [1]
    run.coordinator.evaluation_report(1, [Episode(0.0, 1)])
    run.coordinator.learner_report(100, 0, None)
    assert run.coordinator.updates_left() == 0
    assert not run.coordinator.evaluator_sync().due  # the one that is due is the final one
    run.publisher.publish(100, {})
    run.coordinator.finish()
    assert list(_due(run.coordinator.evaluator_sync())) == [2]
    run.coordinator.evaluation_report(2, [Episode(0.0, 1)])
    assert run.coordinator.phase is Phase.FINISHED
    assert run.table("evaluator")["learner_steps"].tolist() == [64, 100]
