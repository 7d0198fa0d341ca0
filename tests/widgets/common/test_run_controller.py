"""What every run does, whatever it computes: it begins once, is settled once, and rests."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from napari.utils.notifications import notification_manager
from widget_bench import Thread

from napari_rls.errors import InputError
from napari_rls.widgets.common.run_controller import RunController
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress, RunState


@dataclass
class Count:
    number: int
    must_show: bool = True


class CountJob:
    def updates(self):
        yield from map(Count, range(1, 4))


class Counter(RunController):
    """Counts to three; ``wrong`` is what goes wrong before a run is on, ``later`` after."""

    what = "counting"
    cut_short = "The counting ended too early."
    wrong = later = None
    busy = False

    def __init__(self, state, launch):
        super().__init__(state, launch)
        self.seen, self.outcomes = [], []

    def _take_on(self):
        if self.wrong:
            raise self.wrong
        self._begin("Counting")
        if self.later:
            raise self.later
        self._work_on(CountJob())

    def _receive(self, news):
        self.seen.append(news.number)
        self.state.progress = RunProgress(news.number / 3, f"{news.number} of 3")
        if news.number == 3:
            self._settle(RunOutcome.DONE)

    def _conclude(self, outcome, why, level):
        self.outcomes.append(outcome)
        self._say(why or f"{outcome} at {self.seen[-1:]}.", level)

    @property
    def _at_rest(self):
        return not self.busy


@pytest.fixture
def state():
    return RunState()


@pytest.fixture
def thread():
    return Thread()


@pytest.fixture
def counter(state, thread):
    return Counter(state, thread.launch)


def test_a_run_shows_how_far_it_is_and_rests_once_its_thread_is_over(counter, state, thread):
    counter.start()
    assert (state.phase, state.progress) == (Phase.RUNNING, RunProgress(0, "Counting"))
    thread.step(2)
    assert state.progress == RunProgress(2 / 3, "2 of 3")
    thread.step()
    assert (state.phase, state.progress) == (Phase.STOPPING, RunProgress(1.0))
    assert state.message.text == "Done at [3]."
    thread.ended()
    assert state.phase is Phase.IDLE
    assert counter.outcomes == [RunOutcome.DONE]


def test_one_run_at_a_time_also_while_one_is_stopping(counter, thread):
    for _ in range(2):
        counter.start()
    counter.cancel()
    counter.start()
    assert (thread.started, thread.stopped) == (1, True)
    thread.ended()
    counter.start()
    assert thread.started == 2


def test_messages_of_a_cancelled_run_and_of_an_earlier_one_are_not_looked_at(counter, thread):
    counter.start()
    late, over = thread.deliver, thread.ended
    thread.step()
    counter.cancel()
    thread.step()
    late(RuntimeError("late"))
    assert counter.seen == [1]
    over()
    counter.start()
    late(Count(2))
    late(RuntimeError("late"))
    over()
    assert counter.seen == [1]
    assert counter.state.phase is Phase.RUNNING
    assert counter.outcomes == [RunOutcome.CANCELLED]


def test_what_ends_a_thread_is_told_once(counter, state, thread):
    counter.start()
    thread.deliver(InputError("The cell is empty."))
    assert (state.message.text, state.message.level) == ("The cell is empty.", Level.ERROR)
    assert (state.phase, state.progress) == (Phase.STOPPING, RunProgress())
    thread.ended()
    assert state.phase is Phase.IDLE
    assert state.message.text == "The cell is empty."
    counter.start()
    thread.ended()
    assert state.message.text == "The counting ended too early."
    assert state.message.level is Level.WARNING


def test_what_keeps_a_run_from_beginning_is_said(counter, state, thread, monkeypatch):
    heard = []
    monkeypatch.setattr(notification_manager, "receive_error", lambda *error: heard.append(error))
    counter.wrong = InputError("Choose a layer.")
    counter.start()
    assert (state.message.text, state.phase) == ("Choose a layer.", Phase.IDLE)
    counter.wrong, counter.later = None, RuntimeError("no room")
    counter.start()
    assert state.message.text == "An unexpected error ended the run: no room"
    assert (state.phase, thread.started, len(heard)) == (Phase.IDLE, 0, 1)
    assert counter.outcomes == [RunOutcome.STOPPED]
    counter.later = None
    counter.start()
    thread.finish()
    assert state.message.text == "Done at [3]."


def test_what_is_left_to_show_keeps_the_next_run_waiting(counter, state, thread):
    counter.busy = True
    counter.start()
    thread.finish()
    assert state.phase is Phase.STOPPING
    counter.busy = False
    counter._rest()
    assert state.phase is Phase.IDLE


def test_to_close_is_to_cancel_once(counter, thread):
    counter.start()
    counter.close()
    thread.ended()
    counter.start()
    counter.close()
    assert counter.outcomes == [RunOutcome.CANCELLED]
    assert thread.started == 2
