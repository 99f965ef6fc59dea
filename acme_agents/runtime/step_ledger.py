"""Counts the environment steps of a run's actors, and grants each of them further steps."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

_GRANT_STEPS = 1000  # of the step budget that an actor holds at most, for each of its environments
_KEPT_LIVES = 2  # of each actor: the one that acts, and the one that it replaced


class Counts(NamedTuple):
    """The counts of one life of an actor, or of all lives together."""

    steps: int  # environment steps
    episodes: int  # complete episodes


class _Written(NamedTuple):
    """The steps that came through replay from one writer."""

    name: str  # of its actor
    life: str  # of that actor
    steps: int


@dataclasses.dataclass
class _Actor:
    """The actors of one name, each of which replaced the one before."""

    lives: dict[str, Counts] = dataclasses.field(default_factory=dict)  # the newest lives, the oldest first
    num_lives: int = 0  # so far, with those that `lives` no longer has
    has_begun: bool = False  # whether a life of it has begun since this ledger was made or restored
    granted_life: str = ""  # the life that holds its grant
    granted: int = 0  # steps of that life that are granted, those done included
    held: int = 0  # granted steps that are not done yet


class StepLedger:
    """Counts the steps of all actors and shares out the step budget among them. Not thread-safe.

    An actor is known by its name. Each process that takes the name is another *life* of the actor, with a count of its
    own, so that the counts of a dead process stay. Counts only grow: a report that is repeated or comes late
    changes nothing. Totals are updated with each report, so that no call takes longer with more actors, living or
    dead.

    `save` saves the counts of each actor's newest lives, and the sum of the older ones. Grants are not saved: an actor
    that goes on after a resume asks again.
    """

    def __init__(self, max_steps: int | None, num_actors: int, environments_per_actor: int = 1):
        """Initialises a ledger without steps.

        Args:
          max_steps: environment steps of all actors together; None for no limit.
          num_actors: actors among which they are shared out.
          environments_per_actor: environments that each actor steps together.
        """
        self._grant_steps = _GRANT_STEPS * environments_per_actor
        self._max_steps = max_steps
        self._num_actors = num_actors
        self._total = Counts(0, 0)  # of all lives, those forgotten too
        self._actors: dict[str, _Actor] = {}  # by name
        self._written: dict[int, _Written] = {}  # by writer
        self._written_by: dict[str, int] = {}  # the steps of all writers of a life together
        self._held = 0  # granted to all actors together, and not done
        self._closed: set[str] = set()  # names of the actors that are done

    @property
    def total(self) -> Counts:
        """The counts of all actors, dead ones included."""
        return self._total

    @property
    def is_used_up(self) -> bool:
        """Whether every actor has used its share of the budget and written everything."""
        return 0 < self._num_actors <= len(self._closed)

    def admit(self, name: str, life: str, steps: int) -> bool:
        """Begins a life that is new, and returns whether the ledger knows the life: only then may it report.

        A life begins with a report of no steps. An unknown life that has done steps began before this ledger was
        restored, and is taken on. But if another life of that actor has begun since, the unknown life is an older one
        that the ledger has forgotten.

        Args:
          name: of the actor.
          life: of the actor.
          steps: that the life has done.
        """
        actor = self._actors.setdefault(name, _Actor())
        if life in actor.lives:
            return True
        if steps and actor.has_begun:
            return False
        actor.has_begun = actor.has_begun or not steps
        actor.lives[life] = Counts(0, 0)
        actor.num_lives += 1
        if len(actor.lives) > _KEPT_LIVES:
            del actor.lives[next(iter(actor.lives))]  # Its counts stay in the total.
            self._written = {
                writer: written
                for writer, written in self._written.items()
                if written.life in self._actors[written.name].lives
            }
            self._add_up_written()
        return True

    def num_earlier_lives(self, name: str) -> int:
        """Lives of an actor before the newest one."""
        return self._actors[name].num_lives - 1

    def count(self, name: str, life: str, counts: Counts) -> int:
        """Takes the totals of an admitted life; returns how many of its episodes are new."""
        actor = self._actors[name]
        before = actor.lives[life]
        after = Counts(max(before.steps, counts.steps), max(before.episodes, counts.episodes))
        actor.lives[life] = after
        self._total = Counts(
            self._total.steps + after.steps - before.steps, self._total.episodes + after.episodes - before.episodes
        )
        if actor.granted_life == life:
            self._hold(actor, life, actor.granted)
        return after.episodes - before.episodes

    def add_writer(self, writer: int, name: str, life: str) -> None:
        """Notes which life of which actor a writer belongs to; a life has one for each of its environments."""
        self._written.setdefault(writer, _Written(name, life, 0))

    def written(self, writer: int, steps: int) -> None:
        """Counts steps that have come through replay: their actor may die before it reports them.

        Args:
          writer: the identifier in the chunks; steps of an unknown writer are not counted.
          steps: in addition to those that came from this writer before.
        """
        if writer not in self._written:
            return
        name, life, before = self._written[writer]
        self._written[writer] = _Written(name, life, before + steps)
        self._written_by[life] = self._written_by.get(life, 0) + steps
        self.count(name, life, Counts(self._written_by[life], 0))

    def grant(self, name: str, life: str, steps: int) -> int | None:
        """Steps that a life may do beyond the `steps` that it has reported; None for no limit.

        All actors together never exceed the budget: what is granted and not yet done counts as done for everyone else.
        A dead actor's grant lapses when its next life asks.
        """
        if self._max_steps is None:
            return None
        actor = self._actors[name]
        own = max(0, actor.granted - steps) if actor.granted_life == life else 0
        self._hold(actor, life, steps + own)
        free = self._max_steps - self._total.steps - self._held
        share = min(-(-free // self._num_actors), self._grant_steps - own)
        allowance = own + max(0, share)
        self._hold(actor, life, steps + allowance)
        return allowance

    def close(self, name: str) -> None:
        """Notes that an actor has used its share of the budget and written everything."""
        self._closed.add(name)

    def save(self) -> dict[str, Any]:
        """The counts, JSON-serialisable, for a checkpoint."""
        known = {life: counts for actor in self._actors.values() for life, counts in actor.lives.items()}
        of_known = _sum(known.values())
        forgotten = (self._total.steps - of_known.steps, self._total.episodes - of_known.episodes)
        return {
            # "" has the sum of the forgotten lives.
            "lives": {"": list(forgotten), **{life: list(counts) for life, counts in known.items()}},
            "actors": {name: list(actor.lives) for name, actor in self._actors.items()},
            "num_lives": {name: actor.num_lives for name, actor in self._actors.items()},
            "written": {str(writer): list(written) for writer, written in self._written.items()},
            "closed": sorted(self._closed),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        counts = {life: Counts(*pair) for life, pair in saved["lives"].items()}
        self._total = _sum(counts.values())
        self._actors = {
            name: _Actor({life: counts[life] for life in lives}, saved["num_lives"][name])
            for name, lives in saved["actors"].items()
        }
        self._written = {int(writer): _Written(*written) for writer, written in saved["written"].items()}
        self._add_up_written()
        if self._max_steps is not None and self._total.steps >= self._max_steps:
            self._closed.update(saved["closed"])  # They have ended, and are not started again.

    def _add_up_written(self) -> None:
        self._written_by = {}
        for _, life, steps in self._written.values():
            self._written_by[life] = self._written_by.get(life, 0) + steps

    def _hold(self, actor: _Actor, life: str, granted: int) -> None:
        """Grants a life `granted` steps in all, in place of what the actor was granted before."""
        self._held -= actor.held
        actor.granted_life, actor.granted = life, granted
        actor.held = max(0, granted - actor.lives[life].steps)
        self._held += actor.held


def _sum(counts: Iterable[Counts]) -> Counts:
    steps, episodes = zip((0, 0), *counts)
    return Counts(sum(steps), sum(episodes))
