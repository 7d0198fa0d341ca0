"""What the widget "Measure cells" runs, without Qt: measures, shows, exports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from napari_rls.measure.cells import MeasureSettings, headline_columns
from napari_rls.measure.columns import FLAGS, IMAGE
from napari_rls.widgets.cells.hr_means import describe_means
from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.state import Level, RunOutcome, RunProgress
from napari_rls.widgets.measure.cell_link import CellLink
from napari_rls.widgets.measure.choose_sets import choose_sets
from napari_rls.widgets.measure.image_pairs import KINDS, Images
from napari_rls.widgets.measure.measure_choice import MeasureChoice
from napari_rls.widgets.measure.measure_job import (
    MeasureJob,
    MeasureNews,
    Saved,
    SaveJob,
)
from napari_rls.widgets.measure.measure_layers import DrawnLabels, MeasureLayers
from napari_rls.widgets.measure.measured_images import MeasuredImages

if TYPE_CHECKING:
    from napari_rls.workflow.measure.image_sets import Kind
    from napari_rls.workflow.measure.measurements import Measurements


CHANGED = "Images have changed since they were measured: table, plots and outlines are of before."
"""What is said when a layer that was measured gets other pixels."""


class MeasureController(MeasureChoice):
    """Turn what the user wants into measurements and layers; views only follow ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.measure.measure_choice.MeasureChoice`.
    """

    what: ClassVar[str] = "measurement"
    more_memory: ClassVar[str] = "measure fewer cells at once"
    cut_short: ClassVar[str] = "The measurement ended before every cell was done."

    _began = 0.0
    _showing: Iterator[None] | None = None
    _shown: MeasuredImages | None = None
    """The images of which the table is."""

    _taken: MeasuredImages | None = None
    """Those that the run that is on measures."""

    # -- a measurement -----------------------------------------------------------------

    def _take_on(self) -> None:
        """Copy the images and measure them."""
        state = self.state
        self.follow_layers()
        sets, (dna, signal) = choose_sets(state.images, self._image_layers)
        settings = state.settings.model_copy(update={"dna": dna, "signal": signal})
        images, factor = dict(state.images), state.factor or None
        self._began = time.monotonic()
        self._begin("Measuring")
        self._say("")
        given = (state.plate_map, factor, state.hr_cells)
        self._watch(images)
        self._work_on(MeasureJob(sets, images, settings, *given))

    def _watch(self, images: Images | None) -> None:
        """Look whether images that are being measured change; None for none any more."""
        if self._taken is not None:
            self._taken.undo()
        self._taken = None if images is None else MeasuredImages(images, self._images_changed)

    def _images_changed(self) -> None:
        if self._is_of_before and self._showing is None:
            self._say("")

    @property
    def _is_of_before(self) -> bool:
        """Whether the images of which the table is have changed since they were measured."""
        return self._shown is not None and self._shown.are_others

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        """Say something, and that images have changed for as long as the table is of before."""
        if self._is_of_before and level is Level.INFO:
            level = Level.WARNING
        super()._say(" ".join(filter(None, (text, CHANGED if self._is_of_before else ""))), level)

    def _receive(self, news: MeasureNews) -> None:
        if news.result is None or news.labels is None:
            text = f"{news.done} of {news.total} images"
            self.state.progress = RunProgress(news.done / news.total, text)
        else:
            self._settle(RunOutcome.DONE)
            self.state.means = news.means
            self._show(news.result, news.labels)
            self._soon(self._show_next)

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:
        if outcome is RunOutcome.DONE:
            if self._shown is not None:
                self._shown.undo()
            self._shown, self._taken = self._taken, None
        self._watch(None)
        before = "what was measured before stays" if self.state.result else "nothing was measured"
        usual = {
            RunOutcome.DONE: "Showing what was measured.",
            RunOutcome.CANCELLED: f"Cancelled: {before}.",
        }
        self._say(why or usual.get(outcome, ""), level)

    def _show(self, result: Measurements, labels: DrawnLabels) -> None:
        """Show the table, and then the labels in the place of those of the last measurement."""
        state = self.state
        if state.link is not None:
            state.link.undo()
            state.link = None
        state.selected = ()
        state.result = result
        if state.layers is None:
            state.layers = MeasureLayers(self.viewer)
        self._showing = state.layers.show_drawn(labels)

    def _show_next(self) -> None:
        """Show another layer, or say what was measured when all are there."""
        showing, state = self._showing, self.state
        if showing is None or state.layers is None or state.result is None:
            return
        try:
            for _ in showing:
                self._soon(self._show_next)
                return
            state.link = CellLink(self.viewer, state, state.layers)
        except Exception as error:  # noqa: BLE001 - whatever napari raises, the table is there
            state.progress = RunProgress()
            self._say(explain(error, self.what, self.more_memory), Level.ERROR)
        else:
            said, warned = describe_means(state.means)
            warned |= bool(state.result.record["warnings"])
            parts = (describe(state.result, time.monotonic() - self._began), said)
            self._say(" ".join(filter(None, parts)), Level.WARNING if warned else Level.INFO)
        self._showing = None
        self._rest()

    @property
    def _at_rest(self) -> bool:
        return self._showing is None

    def close(self) -> None:
        """End the run; the layers and their link with the selection stay."""
        self._showing = None
        super().close()
        if self._shown is not None:
            self._shown.undo()
        self._rest()

    # -- the table ---------------------------------------------------------------------

    def export(self, path: Path) -> None:
        """Write the table and its record, in the background."""
        state, result = self.state, self.state.result
        if result is None:
            self._say("There is no table yet: measure first.", Level.WARNING)
            return
        if state.saving:
            return
        state.saving = True
        self._say(f"Saving the table to {path}.")
        job = SaveJob(path, result.table, result.record, state.means)
        self._launch(job, self._saved, self._saving_ended)

    def _saved(self, news: Saved | Exception) -> None:
        if isinstance(news, Exception):
            self._say(explain(news, "saving of the table"), Level.ERROR)
        else:
            self._say(news.message.text, news.message.level)

    def _saving_ended(self) -> None:
        self.state.saving = False


def describe(result: Measurements, seconds: float) -> str:
    """Return in words what was measured, what is flagged, and what is to be known."""
    table = result.table
    kinds: list[Kind] = [kind for kind in KINDS if kind in result.labels]
    cells = int((table[IMAGE] == kinds[0]).sum())
    flagged = [f"{n} {kind}" for kind in kinds if (n := _flagged(result, kind))]
    what = f"{cells} {'cell' if cells == 1 else 'cells'} in {', '.join(kinds)}"
    parts = [
        f"Done: {what} measured in {seconds:.1f} s.",
        f"Flagged rows: {', '.join(flagged)} (column {FLAGS})." if flagged else "",
        _left_open(result),
        *result.record["warnings"],
    ]
    return " ".join(filter(None, parts))


def _left_open(result: Measurements) -> str:
    """Return what the samples say that LR images leave open, "" without samples."""
    from napari_rls.workflow.measure.table_origin import LEFT_OPEN_KEY

    main = headline_columns(MeasureSettings.model_validate(result.record["settings"]))[0]
    shares = [entry.get(LEFT_OPEN_KEY, {}) for entry in result.record["images"]]
    found = next((share[main] for share in shares if main in share), None)
    if found is None:
        return ""
    return (
        f"By the samples, the LR images leave {100 * found:.0f} % of the variance of {main} over "
        "cells open."
    )


def _flagged(result: Measurements, kind: Kind) -> int:
    table = result.table
    return int(((table[IMAGE] == kind) & (table[FLAGS] != "")).sum())
