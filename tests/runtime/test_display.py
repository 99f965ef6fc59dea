"""The display: rates and time left worked by hand, plain lines, and the panel at 80 columns."""

import contextlib
import io
import os
import pty
import re
import termios
import threading
import time

import pytest
import rich.console

from acme_agents.runtime import display
from acme_agents.runtime.status import Status

FULL = Status(
    phase="training",
    actor_steps=1_234_567,
    max_actor_steps=9_999_999,
    learner_steps=617_283,
    max_learner_steps=None,
    episodes=1_240,
    episode_return=-512.34,
    evaluation_return=12_345.6,
    evaluations=3,
    replay_size=1_000_000,
    replay_capacity=1_000_000,
    samples_per_insert=64.02,
    walltime=3_725.0,
)


def _rates(*statuses):
    rates = display.Rates()
    for status in statuses:
        rates.add(status)
    return rates


def _at(walltime, actor_steps, learner_steps=0, **fields):
    return Status("training", actor_steps, learner_steps=learner_steps, walltime=walltime, **fields)


def _console(width=80, terminal=False):
    return rich.console.Console(file=io.StringIO(), width=width, force_terminal=terminal, record=True)


def test_rates_need_two_statuses():
    assert display.Rates().time_left is None
    rates = _rates(_at(5.0, 100))
    assert rates.actor is None and rates.learner is None and rates.time_left is None


def test_rates_forget_what_is_older_than_the_window():
    # 100 steps/s for ten seconds, then 300: after 20 s the first ten no longer count.
    statuses = [_at(float(t), 100 * min(t, 10) + 300 * max(t - 10, 0), 10 * t) for t in range(21)]
    assert _rates(*statuses[:11]).actor == pytest.approx(100)
    assert _rates(*statuses[:16]).actor == pytest.approx(200)  # seconds 5 to 15
    assert _rates(*statuses).actor == pytest.approx(300)
    assert _rates(*statuses).learner == pytest.approx(10)


def test_rates_span_a_pause_longer_than_the_window():
    assert _rates(_at(0.0, 0), _at(1.0, 10), _at(60.0, 600)).actor == pytest.approx(10)


@pytest.mark.parametrize("resumed", [_at(100.0, 500), _at(250.0, 500), _at(100.0, 2000)])
def test_rates_start_anew_when_a_status_goes_back(resumed):
    rates = _rates(_at(190.0, 900), _at(200.0, 1000), resumed)
    assert rates.actor is None
    rates.add(resumed._replace(actor_steps=resumed.actor_steps + 40, walltime=resumed.walltime + 2))
    assert rates.actor == pytest.approx(20)


def test_time_left_is_that_of_the_budget_that_ends_first():
    # After 10 s: 100 steps/s with 9,000 to go is 90 s; 20 updates/s with 600 to go is 30 s.
    def left(**budgets):
        return _rates(_at(0.0, 0, 0, **budgets), _at(10.0, 1000, 200, **budgets)).time_left

    assert left(max_actor_steps=10_000) == pytest.approx(90)
    assert left(max_actor_steps=10_000, max_learner_steps=800) == pytest.approx(30)
    assert left(max_actor_steps=1000, max_learner_steps=800) == 0
    assert left() is None


def test_time_left_ignores_a_budget_that_nothing_moves_towards():
    budgets = {"max_actor_steps": 2000, "max_learner_steps": 50}
    assert _rates(_at(0.0, 0, 0, **budgets), _at(10.0, 1000, 0, **budgets)).time_left == pytest.approx(10)
    assert _rates(_at(0.0, 9, 0, **budgets), _at(10.0, 9, 0, **budgets)).time_left is None


def test_fraction_done_is_that_of_the_nearest_budget():
    assert display.fraction_done(_at(0.0, 30)) is None
    assert display.fraction_done(_at(0.0, 30, 10, max_actor_steps=100, max_learner_steps=20)) == 0.5
    assert display.fraction_done(_at(0.0, 300, max_actor_steps=100)) == 1.0


def test_plain_line_says_everything():
    before = FULL._replace(actor_steps=FULL.actor_steps - 20_000, learner_steps=617_083, walltime=3_715.0)
    assert display.plain_line(FULL, _rates(before, FULL)) == (
        "[1:02:05] training | env steps 1,234,567/9,999,999 (2,000/s) | updates 617,283 (20/s) | return -512.3"
        " | evaluation 12,346 | replay 1,000,000/1,000,000 | samples/insert 64.02 | left 1:13:02"
    )


def test_plain_line_leaves_out_what_is_not_known():
    status = Status("filling replay")
    assert display.plain_line(status, _rates(status)) == "[0:00:00] filling replay | env steps 0 | updates 0"


def test_plain_display_prints_every_interval_and_on_news():
    console = _console()
    with display.make_display(title="mpo on probe", interval=10.0, console=console) as shown:
        for t in range(24):  # lines at 0, 10 and 20 s
            shown.update(_at(float(t), 100 * t))
        shown.update(_at(24.0, 2400)._replace(phase="evaluating"))
        shown.update(_at(25.0, 2500)._replace(phase="evaluating", evaluation_return=1.0, evaluations=1))
        shown.update(_at(26.0, 2600)._replace(phase="evaluating", evaluation_return=1.0, evaluations=2))
        shown.update(_at(27.0, 2700)._replace(phase="evaluating", evaluation_return=1.0, evaluations=2))
        shown.message("[checkpoint] saved")
        shown.update(_at(5.0, 500)._replace(phase="evaluating", evaluation_return=1.0, evaluations=2))  # resumed
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "mpo on probe"
    assert lines[-2] == "[checkpoint] saved"
    times = [line.split()[0] for line in lines if line.startswith("[0:")]
    assert times == ["[0:00:00]", "[0:00:10]", "[0:00:20]", "[0:00:24]", "[0:00:25]", "[0:00:26]", "[0:00:05]"]
    assert "env steps 1,000 (100/s)" in lines[2]
    assert "\x1b" not in console.file.getvalue()


def test_plain_display_outlives_its_reader():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with display.make_display(title="mpo", console=rich.console.Console(file=Closed())) as shown:
        shown.update(FULL)


def test_panel_fits_80_columns_and_cuts_nothing_off():
    console = _console()
    before = FULL._replace(actor_steps=FULL.actor_steps - 20_000, learner_steps=617_083, walltime=3_715.0)
    console.print(display.panel("mpo on control:cartpole:swingup", FULL, _rates(before, FULL)))
    text = console.export_text()
    lines = text.splitlines()
    assert {len(line) for line in lines} == {80}
    assert "…" not in text
    words = [" ".join(line.strip("│ ").split()) for line in lines]
    assert words[1:6] == [
        "env steps 1,234,567 of 9,999,999 env steps/s 2,000",
        "updates 617,283 updates/s 20",
        "episode return -512.3 evaluation return 12,346",
        "replay 1,000,000 of 1,000,000 samples/insert 64.02",
        "episodes 1,240 time left 1:13:02",
    ]
    assert words[6].endswith("12%") and "━" in words[6]
    assert "mpo on control:cartpole:swingup" in lines[0]
    assert "training, 1:02:05" in lines[-1]


def test_panel_before_the_first_step_and_with_very_large_counts():
    console = _console()
    console.print(display.panel("mpo", Status("filling replay"), _rates()))
    assert "%" not in console.export_text()  # no budget, no bar
    large = FULL._replace(actor_steps=23_456_789, max_actor_steps=2_000_000_000, walltime=100_000.0)
    console.print(display.panel("mpo", large, _rates(large)))
    text = console.export_text()
    assert "23.5M of 2.00B" in text and "1d 03:46:40" in text and "…" not in text


def test_live_display_draws_the_panel_and_prints_messages_above_it():
    console = _console(terminal=True)
    with display.make_display(title="mpo [x]", live=True, console=console) as shown:
        shown.update(FULL)
        shown.message("[checkpoint] saved")
    text = console.export_text()
    assert text.index("[checkpoint] saved") < text.rindex("mpo [x]")
    assert "1,234,567 of 9,999,999" in text
    assert max(len(line) for line in text.splitlines()) == 80


def test_display_is_live_on_a_terminal_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for terminal in (True, False):
        console = _console(terminal=terminal)
        with display.make_display(title="mpo", console=console) as shown:
            shown.update(FULL)
        assert ("╭" in console.file.getvalue()) == terminal


def test_a_run_in_which_nobody_acts_speaks_of_its_dataset():
    status = Status(
        phase="learning offline", max_actor_steps=0, learner_steps=250, max_learner_steps=1000, replay_size=43_000,
        replay_capacity=43_000, evaluation_return=12.5, evaluations=2,
    )  # fmt: skip
    rates = _rates(status._replace(learner_steps=150, walltime=9.0), status._replace(walltime=10.0))
    assert display.plain_line(status._replace(walltime=10.0), rates) == (
        "[0:00:10] learning offline | updates 250/1,000 (100/s) | evaluation 12.5 | dataset 43,000 | left 0:00:07"
    )
    assert display.fraction_done(status) == 0.25
    console = _console()
    console.print(display.panel("crr", status, rates))
    text = console.file.getvalue()
    assert "env steps" not in text and "43,000" in text and "12.5" in text


def _screen(written: str) -> list[str]:
    """The lines of a terminal 80 columns wide after it was written to; it knows what our panel uses."""
    lines, row, column = [[" "] * 80 for _ in range(200)], 0, 0
    for code, letter, text in re.findall(r"\x1b\[([\d;?]*)([A-Za-z])|(.)", written, flags=re.DOTALL):
        if letter == "A":
            row -= int(code or 1)
        elif letter == "K":
            lines[row] = [" "] * 80
        elif text == "\n":
            row += 1
        elif text == "\r":
            column = 0
        elif text:
            if column == 80:  # The last column was written before: only now the line ends.
                row, column = row + 1, 0
            lines[row][column] = text
            column += 1
    return [line for line in ("".join(line).rstrip() for line in lines) if line]


def test_an_interrupt_leaves_no_borders_behind(monkeypatch):
    """The terminal echoes ^C where the cursor is."""
    monkeypatch.setenv("TERM", "xterm")
    terminal, ours = pty.openpty()
    attributes = termios.tcgetattr(ours)
    attributes[3] &= ~termios.ISIG  # The key is echoed, and nobody is interrupted.
    termios.tcsetattr(ours, termios.TCSANOW, attributes)
    read: list[bytes] = []

    def keep_reading():
        with contextlib.suppress(OSError):  # The other side is closed.
            while data := os.read(terminal, 4096):
                read.append(data)

    reader = threading.Thread(target=keep_reading)
    reader.start()
    with os.fdopen(ours, "w") as file:
        console = rich.console.Console(file=file, width=80, height=50, force_terminal=True)
        with display.make_display(title="mpo", console=console) as shown:
            for number in range(3):
                shown.update(FULL)
                shown._live.refresh()
                os.write(terminal, b"\x03")
                deadline = time.monotonic() + 60
                while b"".join(read).count(b"^C") == number:  # The echo may come late.
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            shown.update(FULL)
            shown.message("stopping: writing a checkpoint")
    reader.join()
    os.close(terminal)
    written = b"".join(read).decode()
    assert written.count("^C") == 3
    lines = _screen(written)
    assert sum("╭" in line for line in lines) == sum("╰" in line for line in lines) == 1, "\n".join(lines)
    assert lines[0] == "stopping: writing a checkpoint" and lines[-1].startswith("╰")
