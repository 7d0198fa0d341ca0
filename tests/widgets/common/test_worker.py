from __future__ import annotations

from dataclasses import dataclass
from threading import Event

import pytest
from widget_bench import lr_cells

from napari_rls.errors import BundleError
from napari_rls.search.settings import Settings
from napari_rls.widgets.common.worker import FASTEST, SLOWEST, Pace, messages
from napari_rls.widgets.super_resolve.search_job import SearchJob
from napari_rls.workflow.cells.stack import stack_from_array


@dataclass
class Step:
    number: int
    must_show: bool = False


class FakeJob:
    """A search of ten steps a hundredth of a second each, in two batches."""

    def __init__(self, error: Exception | None = None) -> None:
        self.now = 0.0
        self.made = 0
        self.closed = False
        self.error = error

    def updates(self):
        try:
            for number in range(1, 41):
                self.now += 0.01
                self.made += 1
                yield Step(number, must_show=number in (13, 20, 40))
            if self.error:
                raise self.error
        finally:
            self.closed = True

    def clock(self) -> float:
        return self.now


def test_updates_are_thinned_but_those_that_must_be_shown_come():
    job = FakeJob()
    pace = Pace(job.clock)
    shown = []
    for step in messages(job, Event(), pace):
        shown.append(step.number)
        pace.shown(0.001)
    assert shown[0] == 1
    assert {13, 20, 40} <= set(shown)
    assert len(shown) <= 0.4 / FASTEST + 4
    assert job.closed


def test_an_update_waits_until_the_last_one_is_drawn():
    job = FakeJob()
    shown = [step.number for step in messages(job, Event(), Pace(job.clock))]
    assert shown == [1, 13, 20, 40]  # never told that anything was drawn


def test_slow_drawing_makes_updates_rarer_up_to_a_limit():
    now = [0.0]
    pace = Pace(lambda: now[0])
    for seconds, pause in ((0.001, FASTEST), (0.02, 0.2), (3.0, SLOWEST)):
        pace.sent()
        pace.shown(seconds)
        now[0] += pause - 0.001
        assert not pace.due
        now[0] += 0.002
        assert pace.due


def test_stop_ends_the_search_after_its_step_and_closes_it():
    job, stop = FakeJob(), Event()
    thread = messages(job, stop, Pace(job.clock))
    next(thread)
    stop.set()
    assert list(thread) == []
    assert job.made == 2
    assert job.closed


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("torch")])
def test_an_error_is_the_last_message(error):
    job = FakeJob(error)
    *_, last = messages(job, Event(), Pace(job.clock))
    assert last is error


def test_a_real_job_gives_updates_and_a_missing_bundle_an_error(tiny_bundle_file):
    lr = stack_from_array(lr_cells())
    settings = Settings(bundle=str(tiny_bundle_file), factor=8, steps=2)
    *_, last = messages(SearchJob(lr, settings), Event(), Pace())
    assert last.finished
    assert last.sr.shape == (3, 2, 32, 32)
    (error,) = messages(
        SearchJob(lr, settings.model_copy(update={"bundle": "none"})), Event(), Pace()
    )
    assert isinstance(error, BundleError)
