"""The samples of the last result, without Qt: in view or hidden, their mean and deviation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_rls.errors import InputError
from napari_rls.widgets.cells.input_state import Lacking
from napari_rls.widgets.cells.sample_layers import SAMPLE_AXIS, SampleLayers
from napari_rls.widgets.cells.save_sr import save_sr
from napari_rls.widgets.cells.sr_writer import file_groups
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress
from napari_rls.widgets.fields.field_table import FieldTable
from napari_rls.widgets.fields.result_jobs import StatisticsJob, StatisticsNews


class FieldSamples(FieldTable):
    """Show the samples of the last result, as long as their layers are there.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    _sample: int | None = None
    _computing: SampleLayers | None = None

    @property
    def _samples(self) -> SampleLayers | None:
        samples = self._last.layers.samples if self._last else None
        return samples if samples is not None and samples.present else None

    def toggle_samples(self) -> None:
        """Bring the samples of the last run into view, over the SR field, or hide them."""
        if (samples := self._samples) is None:
            self._say(Lacking.samples, Level.WARNING)
            return
        self._comparison.stop()
        samples.set_visible(not samples.visible)

    def show_sample_statistics(self) -> None:
        """Add mean and standard deviation of the last run's samples as layers."""
        self._once(self._take_statistics)

    def _take_statistics(self) -> None:
        samples = self._samples
        if samples is None:
            raise InputError(Lacking.samples)
        self._comparison.stop()
        self._computing = samples
        self._begin("Mean and SD of samples")
        self._say("")
        self._work_on(StatisticsJob(samples.pixels))

    def _receive_statistics(self, news: StatisticsNews) -> None:
        self.state.progress = RunProgress(news.done, "Mean and SD of samples")
        if news.statistics and self._computing is not None:
            samples = self._computing
            steps = self._show_statistics(samples, news)
            self._settle(RunOutcome.DONE)
            self._in_turns(steps, lambda: self._samples is samples)

    def _show_statistics(self, samples: SampleLayers, news: StatisticsNews) -> Iterator[None]:
        for _ in samples.statistics(news.statistics):
            self._to_the_top()
            yield

    def sr_name(self) -> str:
        """Return what a file of the last result is called, as the command line calls it."""
        last = self._last
        return f"{file_groups(last.layers.every)[0].name}.ome.tif" if last else ""

    def save_sr(self, path: Path) -> None:
        """Write the SR field of the last run, and beside it its record and samples."""
        last = self._last
        if last is None or not last.layers.present:
            self._say(Lacking.save, Level.WARNING)
            return
        self.state.message = save_sr(path, last.layers.every)

    def _note_result(self) -> None:
        """Tell the view what there is to compare and to look at."""
        self._sample = self._sample_in_view()
        self.state.lacking = Lacking(
            compare=self._comparison.obstacle,
            samples="" if self._samples else Lacking.samples,
            save="" if self._last and self._last.layers.present else Lacking.save,
        )

    def _sample_in_view(self) -> int | None:
        dims = self.viewer.dims
        steps = dict(zip(dims.axis_labels, dims.current_step, strict=False))
        return steps.get(SAMPLE_AXIS)

    def _dims_moved(self) -> None:
        """Bring samples into view when their slider is moved; follow that of fields."""
        super()._dims_moved()
        step = self._sample_in_view()
        moved, self._sample = self._sample not in (None, step), step
        idle = self.state.phase is Phase.IDLE and not self.state.comparing
        if moved and step is not None and idle and (samples := self._samples):
            samples.set_visible(True)

    def _ready(self) -> None:
        self._computing = None
        super()._ready()
