"""What is done with the result of a search, without Qt: look at its samples, keep it, save it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.errors import SettingsError
from napari_rls.search.settings import Settings
from napari_rls.widgets.cells.input_controller import InputController
from napari_rls.widgets.cells.input_state import Lacking
from napari_rls.widgets.cells.own_layers import KEPT, keep, layers_of_run
from napari_rls.widgets.cells.sample_layers import SAMPLE_AXIS, SampleLayers
from napari_rls.widgets.common.state import Level, Phase
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.super_resolve.sr_files import kind_of
from napari_rls.workflow.super_resolve.updates import Update

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.utils.events import Event


class ResultController(InputController[Update]):
    """Keep the layers of the last result at hand, as long as they are in the viewer.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.common.viewer_controller.ViewerController`.
    """

    def _open(self) -> None:
        self._samples: SampleLayers | None = None
        self._last: tuple[Image, ...] | None = None
        self._sample: int | None = None
        self.viewer.dims.events.current_step.connect(self._dims_moved)
        super()._open()

    def _note_result(self) -> None:
        """Tell the view what there is to compare, to look at and to keep."""
        self._sample = self._sample_in_view()
        kept = self._last and all(KEPT in layer.name for layer in self._last)
        self.state.lacking = Lacking(
            self._comparison.obstacle,
            "" if self._samples else Lacking.samples,
            ("" if self._last else Lacking.keep) or ("This result is kept." if kept else ""),
            "" if self._last else Lacking.save,
        )

    # -- what the user sets ------------------------------------------------------------

    def save_settings(self, path: Path) -> None:
        """Write the settings to a file that the command line takes as well."""
        try:
            self.state.settings.save(path)
        except OSError as error:
            self._say(f"The settings cannot be saved to {path}: {error.strerror}.", Level.ERROR)
        else:
            self._say(f"Settings saved to {path}.")

    def load_settings(self, path: Path) -> None:
        """Read the settings from a file."""
        try:
            settings = Settings.load(path)
        except SettingsError as error:
            self._say(str(error), Level.ERROR)
            return
        self.use_settings(settings)
        self._remember()

    # -- the result --------------------------------------------------------------------

    def show_sample_statistics(self) -> None:
        """Add mean and standard deviation of the last run's samples as layers."""
        if self._samples is None:
            self._say(Lacking.samples, Level.WARNING)
            return
        # Among layers side by side they would cover one of these.
        self._comparison.stop()
        samples = self._samples
        self._in_turns(samples.statistics(), lambda: self._samples is samples)

    def show_trust_mask(self) -> None:
        """Add which pixels of the last run can be trusted as layers, or say why none is known."""
        if self._samples is None:
            self._say(Lacking.samples, Level.WARNING)
            return
        self._comparison.stop()
        found = self._samples.trust()
        if found.pixels is not None:  # it is of the SR image, which the deviation covers
            self._samples.hide_statistics()
        self._say(found.told, Level.INFO if found.pixels is not None else Level.WARNING)

    def toggle_samples(self) -> None:
        """Bring the samples of the last run into view, over the SR image, or hide them."""
        if self._samples is None:
            self._say(Lacking.samples, Level.WARNING)
            return
        self._comparison.stop()
        self._samples.set_visible(not self._samples.visible)

    def _sample_in_view(self) -> int | None:
        dims = self.viewer.dims
        steps = dict(zip(dims.axis_labels, dims.current_step, strict=False))
        return steps.get(SAMPLE_AXIS)

    def _dims_moved(self) -> None:
        """Bring the samples into view when their slider is moved: nothing else moves with it."""
        step = self._sample_in_view()
        moved, self._sample = self._sample not in (None, step), step
        idle = self.state.phase is Phase.IDLE and not self.state.comparing
        if moved and step is not None and idle and self._samples:
            self._samples.set_visible(True)

    def keep(self) -> None:
        """Rename the layers of the last run, so that the next one leaves them as they are."""
        if self._last is None or self.state.phase is not Phase.IDLE:
            return
        keep(layers_of_run(self.viewer, self._last))
        self._say("The layers of this result are kept: the next run makes new ones.")
        self._note_result()

    def sr_name(self) -> str:
        """Return what a file of the last result is called, as the command line calls it."""
        if self._last is None:
            return ""
        record = self._last[0].metadata[PROVENANCE_KEY]
        kind = kind_of(Settings.model_validate(record["settings"]))
        name = Path(record["input"]["name"]).name.removesuffix(".tif").removesuffix(".ome")
        return f"{name}_{kind}.ome.tif"

    def save_sr(self, path: Path) -> None:
        """Write the SR layers of the last run as one file, and beside it record and samples."""
        from napari_rls.widgets.cells.save_sr import save_sr

        layers = [layer for layer in self._last or () if layer in self.viewer.layers]
        if not layers:
            self._say(Lacking.save, Level.WARNING)
            return
        # Samples, mean, deviation and trust mask, as far as they are in the viewer; SR goes first.
        further = [x for x in layers_of_run(self.viewer, layers) if x not in layers]
        self.state.message = save_sr(path, [*layers, *further])

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        super().close()
        self.viewer.dims.events.current_step.disconnect(self._dims_moved)

    def _layer_removed(self, event: Event) -> None:
        super()._layer_removed(event)
        # What the user removed is not held in memory.
        if self._samples and not self._samples.present:
            self._samples = None
        if self._last and not any(layer in self.viewer.layers for layer in self._last):
            self._last = None
        self._note_result()
