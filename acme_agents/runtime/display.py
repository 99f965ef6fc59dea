"""Shows the progress of a run: a live panel on a terminal, plain lines elsewhere."""

import collections
from types import TracebackType
from typing import Protocol

import rich.box
import rich.console
import rich.live
import rich.panel
import rich.progress_bar
import rich.table
import rich.text

from acme_agents.runtime.status import Status

WINDOW = 10.0  # seconds over which rates are measured


class Rates:
    """Steps per second over a moving window, and what follows from them."""

    def __init__(self, window: float = WINDOW):
        """Starts with no statuses; `window` in seconds."""
        self._window = window
        self._statuses: collections.deque[Status] = collections.deque()

    def add(self, status: Status) -> None:
        """Takes the newest status. If its counts went back (a resumed run), the window starts again."""
        if self._statuses and _went_back(self._statuses[-1], status):
            self._statuses.clear()
        self._statuses.append(status)
        # The oldest status kept is the youngest that is at least a window old.
        while len(self._statuses) > 2 and status.walltime - self._statuses[1].walltime >= self._window:
            self._statuses.popleft()

    @property
    def actor(self) -> float | None:
        """Environment steps per second; None before two statuses."""
        return self._rate("actor_steps")

    @property
    def learner(self) -> float | None:
        """Learner updates per second; None before two statuses."""
        return self._rate("learner_steps")

    @property
    def time_left(self) -> float | None:
        """Seconds until the budget that ends first; None without a budget that anything moves towards."""
        if not self._statuses:
            return None
        now = self._statuses[-1]
        budgets = [(now.learner_steps, now.max_learner_steps, self.learner)]
        if not now.is_offline:
            budgets += [(now.actor_steps, now.max_actor_steps, self.actor)]
        if any(limit is not None and steps >= limit for steps, limit, _ in budgets):
            return 0.0
        return min(((limit - steps) / rate for steps, limit, rate in budgets if limit and rate), default=None)

    def _rate(self, field: str) -> float | None:
        if not self._statuses:
            return None
        first, last = self._statuses[0], self._statuses[-1]
        seconds = last.walltime - first.walltime
        return (getattr(last, field) - getattr(first, field)) / seconds if seconds > 0 else None


def _went_back(before: Status, now: Status) -> bool:
    return any(getattr(now, field) < getattr(before, field) for field in ("walltime", "actor_steps", "learner_steps"))


def fraction_done(status: Status) -> float | None:
    """How much of the budget that is nearest its end is used, in [0, 1]; None without a budget."""
    budgets = [(status.learner_steps, status.max_learner_steps)]
    if not status.is_offline:
        budgets += [(status.actor_steps, status.max_actor_steps)]
    done = [min(steps / limit, 1.0) if limit else 1.0 for steps, limit in budgets if limit is not None]
    return max(done, default=None)


def plain_line(status: Status, rates: Rates) -> str:
    """One line with everything the panel shows, for logs; unknown figures are left out."""
    parts = [f"[{_duration(status.walltime)}] {status.phase}"]
    if not status.is_offline:
        parts += [f"env steps {_progress(status.actor_steps, status.max_actor_steps, '/')}{_per_second(rates.actor)}"]
    parts += [f"updates {_progress(status.learner_steps, status.max_learner_steps, '/')}{_per_second(rates.learner)}"]
    if status.episode_return is not None:
        parts += [f"return {_number(status.episode_return)}"]
    if status.evaluation_return is not None:
        parts += [f"evaluation {_number(status.evaluation_return)}"]
    if status.is_offline:
        parts += [f"dataset {_count(status.replay_size)}"]
    elif status.replay_capacity:
        parts += [f"replay {_progress(status.replay_size, status.replay_capacity, '/')}"]
    if status.samples_per_insert is not None:
        parts += [f"samples/insert {_number(status.samples_per_insert)}"]
    if rates.time_left is not None:
        parts += [f"left {_duration(rates.time_left)}"]
    return " | ".join(parts)


def panel(title: str, status: Status, rates: Rates) -> rich.panel.Panel:
    """The live panel, made to fit 80 columns."""
    grid = rich.table.Table.grid(padding=(0, 2), expand=True)
    for justify, ratio in (("left", 15), ("left", 23), ("left", 17), ("right", 10)):
        grid.add_column(justify=justify, ratio=ratio, no_wrap=True)  # type: ignore[arg-type]
    updates = _progress(status.learner_steps, status.max_learner_steps)
    replay = _progress(status.replay_size, status.replay_capacity)
    rows = [
        ("env steps", _progress(status.actor_steps, status.max_actor_steps), "env steps/s", _number(rates.actor)),
        ("updates", updates, "updates/s", _number(rates.learner)),
        ("episode return", _number(status.episode_return), "evaluation return", _number(status.evaluation_return)),
        ("replay", replay, "samples/insert", _number(status.samples_per_insert)),
        ("episodes", _count(status.episodes), "time left", _duration(rates.time_left)),
    ]
    if status.is_offline:
        rows = [
            ("updates", updates, "updates/s", _number(rates.learner)),
            ("dataset", _count(status.replay_size), "evaluation return", _number(status.evaluation_return)),
            ("evaluations", _count(status.evaluations), "time left", _duration(rates.time_left)),
        ]
    for label, value, other_label, other_value in rows:
        dim = [rich.text.Text(text, style="dim") for text in (label, other_label)]
        grid.add_row(dim[0], rich.text.Text(value), dim[1], rich.text.Text(other_value))
    parts: list[rich.console.RenderableType] = [grid]
    done = fraction_done(status)
    if done is not None:
        bar = rich.table.Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", width=4, no_wrap=True)
        bar.add_row(rich.progress_bar.ProgressBar(total=1.0, completed=done), f"{int(100 * done)}%")
        parts.append(bar)
    return rich.panel.Panel(
        rich.console.Group(*parts),
        title=rich.text.Text(title, style="bold"),
        title_align="left",
        subtitle=rich.text.Text(f"{status.phase}, {_duration(status.walltime)}"),
        subtitle_align="right",
        box=rich.box.ROUNDED,
    )


class Display(Protocol):
    """Shows a run's statuses between `__enter__` and `__exit__`. To be called from one thread."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, status: Status) -> None:
        """Shows the newest status; cheap enough to be called several times a second."""

    def message(self, text: str) -> None:
        """Prints a line that stays: above the panel, or among the plain lines."""


def make_display(
    *, title: str, live: bool | None = None, interval: float = 10.0, console: rich.console.Console | None = None
) -> Display:
    """Makes the display that suits where the output goes.

    Args:
      title: what runs, such as "mpo on control:cartpole:swingup".
      live: a panel that is redrawn in place (True), plain lines (False), or as the console can (None).
      interval: seconds of the run between plain lines, when neither the phase nor the evaluation changes.
      console: where to write; standard output by default.
    """
    console = console or rich.console.Console()
    if live is None:
        live = console.is_terminal and not console.is_dumb_terminal
    return _LiveDisplay(title, console) if live else _PlainDisplay(title, interval, console)


class _LiveDisplay:
    def __init__(self, title: str, console: rich.console.Console):
        self._title = title
        self._console = console
        self._rates = Rates()
        self._live = rich.live.Live(console=console, refresh_per_second=4)

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()  # leaves the last panel on the screen

    def update(self, status: Status) -> None:
        self._rates.add(status)
        # Below the panel the cursor has a line of its own: at the panel's end, the terminal's edge, the ^C that is
        # echoed there would move it to another line, and the next panel would not be drawn over this one.
        self._live.update(rich.console.Group(panel(self._title, status, self._rates), rich.text.Text()))

    def message(self, text: str) -> None:
        self._console.print(rich.text.Text(text))


class _PlainDisplay:
    def __init__(self, title: str, interval: float, console: rich.console.Console):
        self._title = title
        self._interval = interval
        self._console = console
        self._rates = Rates()
        self._shown: Status | None = None

    def __enter__(self) -> Display:
        self.message(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, status: Status) -> None:
        self._rates.add(status)
        if self._is_due(status):
            self._shown = status
            self.message(plain_line(status, self._rates))

    def message(self, text: str) -> None:
        try:
            self._console.file.write(text + "\n")
            self._console.file.flush()
        except OSError:
            pass  # the reader of the lines has gone (a closed pipe); the run goes on

    def _is_due(self, status: Status) -> bool:
        if self._shown is None or _went_back(self._shown, status):
            return True
        news = [(s.phase, s.evaluations, s.evaluation_return) for s in (self._shown, status)]
        return news[0] != news[1] or status.walltime - self._shown.walltime >= self._interval


def _count(value: int) -> str:
    if value < 10_000_000:
        return f"{value:,}"
    return f"{value / 1e6:.1f}M" if value < 1_000_000_000 else f"{value / 1e9:.2f}B"


def _progress(value: int, limit: int | None, separator: str = " of ") -> str:
    return _count(value) + (f"{separator}{_count(limit)}" if limit else "")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _per_second(rate: float | None) -> str:
    return "" if rate is None else f" ({_number(rate)}/s)"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}:{second:02}" if days else f"{hour}:{minute:02}:{second:02}"
