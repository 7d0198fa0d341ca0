"""How commands tell of their progress: bars on a terminal, lines elsewhere; names as they are."""

from __future__ import annotations

import copy
import io

import pytest
from rich.progress import TimeRemainingColumn

from napari_rls.cli import reporting
from napari_rls.cli.reporting import Bars, say


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def recorded(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    """Have a copy of the program's console write to a file, which passes for a terminal or not."""
    console = copy.copy(reporting.console)
    console.file = io.StringIO()
    console._force_terminal = console.is_interactive = terminal
    monkeypatch.setattr(reporting, "console", console)
    return console.file


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give what a program says whose stderr is a file."""
    return recorded(monkeypatch, terminal=False)


def lines(log: io.StringIO) -> list[str]:
    return log.getvalue().splitlines()


def test_without_a_terminal_there_is_a_line_at_every_tenth_and_every_minute(
    log: io.StringIO,
) -> None:
    clock = Clock()
    with Bars("cells", clock=clock) as bars:
        bar = bars.start("plate.tif", 1000)
        for done in range(1, 1001):
            clock.now += 1.0 if done <= 400 else 30.0
            bars.show(bar, done, cells=f"{done}/1000 cells")
    told = lines(log)
    assert told[:3] == [
        "plate.tif: 6 %, 60/1000 cells",
        "plate.tif: 10 %, 100/1000 cells",
        "plate.tif: 16 %, 160/1000 cells",
    ]
    assert "plate.tif: 40 %, 400/1000 cells" in told
    # From there a step takes half a minute: every second one has a line.
    assert len(told) == pytest.approx(6 + 300, abs=12)
    assert told[-1] == "plate.tif: 100 %, 1000/1000 cells"


def test_short_work_has_one_line_and_what_is_broken_off_says_how_far_it_was(
    log: io.StringIO,
) -> None:
    with Bars("left", clock=Clock()) as bars:
        done, stopped, never = (bars.start(name, 10) for name in ("a", "b", "c"))
        for k in range(11):
            bars.show(done, k)
        bars.show(done, 10)
        bars.show(stopped, 4, left="3 min left")
        assert never is not None
    assert lines(log) == ["a: 100 %", "b: 40 %, 3 min left"]


def test_work_of_unknown_size_has_a_line_a_minute_and_ends_when_told(log: io.StringIO) -> None:
    clock = Clock()
    with Bars("label", TimeRemainingColumn(), clock=clock) as bars:
        bar = bars.start("search")
        clock.now = 61
        bars.show(bar, 3, label="rls 8x")
        bars.show(bar, None, label="")
    assert lines(log)[0].startswith("search: rls 8x")
    assert lines(log)[-1].startswith("search: 100 %")
    assert len(lines(log)) == 2


def test_the_end_is_told_once(log: io.StringIO) -> None:
    with Bars("label", clock=Clock()) as bars:
        first = bars.start("Searching", 2)
        for k in (1, 2, 2):
            bars.show(first, k, label="rls 8x")
        bars.show(first, None, label="")
        bars.show(bars.start("Measuring", 5), None)
        bars.show(first, None, label="")
    assert lines(log) == ["Searching: 100 %, rls 8x", "Measuring: 100 %"]


def test_items_are_counted_on_their_way(log: io.StringIO) -> None:
    with Bars() as bars:
        assert list(bars.track("Simulating", "abc", 3)) == ["a", "b", "c"]
    assert lines(log) == ["Simulating: 100 %"]


def test_names_are_shown_as_they_are_and_obeyed_by_no_one(log: io.StringIO) -> None:
    name = "[bold]plate[/bold] [1] :cat: \x1b[31m.tif"
    with Bars("label") as bars:
        bars.show(bars.start(name, 1), 1, label="[red]x :cat:")
    say(f"{name}: gone")
    shown = "[bold]plate[/bold] [1] :cat: \\x1b[31m.tif"
    assert lines(log) == [f"{shown}: 100 %, [red]x :cat:", f"{shown}: gone"]


def test_a_terminal_gets_bars_with_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    file = recorded(monkeypatch, terminal=True)
    with Bars("cells") as bars:
        bars.show(bars.start("[1].tif", 2), 1, cells="1/2 cells [x]")
    drawn = file.getvalue()
    assert "[1].tif" in drawn
    assert "1/2 cells [x]" in drawn
    assert "━" in drawn
