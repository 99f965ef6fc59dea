"""First one replay, then the other."""

import math

from acme_agents.replay.replay import Phases


class Stub:
    """A replay that counts the updates that it did."""

    def __init__(self, allowed):
        self.allowed, self.done, self.is_compiled, self.closed = allowed, [], False, False
        self.size, self.capacity, self.samples_per_insert = 3, 9, 2.5

    def ingest(self):
        return self.allowed

    def update(self, state, first, number):
        self.done += range(first, first + number)
        return state, {}, number

    def compile(self, state):
        self.is_compiled = True

    def save(self):
        return {"replay": {"inserted": 7}}

    def restore(self, counts, num_updates):
        assert counts == self.save()

    def close(self):
        self.closed = True


def test_the_second_begins_when_the_updates_of_the_first_are_done():
    first, then = Stub(math.inf), Stub(4)
    phases = Phases(first, then, 10)
    phases.compile(None)
    assert phases.is_compiled and not then.is_compiled
    assert phases.ingest() == 10
    assert phases.update(None, 0, 7)[2] == 7
    assert phases.ingest() == 3
    assert phases.update(None, 7, 16)[2] == 3  # No call spans both.
    assert not phases.is_compiled
    assert phases.ingest() == 4
    assert phases.update(None, 10, 4)[2] == 4
    assert (first.done, then.done) == ([*range(10)], [*range(10, 14)])
    assert (phases.size, phases.capacity, phases.samples_per_insert) == (3, 9, 2.5)
    phases.close()
    assert first.closed and then.closed


def test_a_restart_continues_in_its_phase():
    for num_updates, expected in ((4, 6), (10, 2), (30, 2)):
        phases = Phases(Stub(math.inf), Stub(2), 10)
        phases.restore(phases.save(), num_updates)
        assert phases.ingest() == expected


def test_what_only_the_first_has_is_saved_restored_and_filled_too():
    class Source(Stub):
        filled = 0

        def __init__(self, counts):
            super().__init__(math.inf)
            self.counts, self.restored = counts, {}

        def save(self):
            return self.counts

        def restore(self, counts, num_updates):
            self.restored = counts

        def recover(self):
            self.filled += 1
            return [len(self.counts)]

    first, then = Source({"dataset": 1}), Source({"replay": 2, "more": 3})
    phases = Phases(first, then, 10)
    assert phases.save() == {"dataset": 1, "replay": 2, "more": 3}
    phases.restore(phases.save(), 4)
    assert first.restored == then.restored == phases.save()
    assert phases.recover() == [2] and first.filled == then.filled == 1
