"""The width of the PSF of the field that is shown, without Qt: estimated, filled in, forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError
from napari_rls.widgets.common.state import Level, Message, RunOutcome
from napari_rls.widgets.fields.field_samples import FieldSamples
from napari_rls.widgets.fields.result_jobs import PsfJob, PsfNews
from napari_rls.workflow.fields.field_settings import FieldSettings

if TYPE_CHECKING:
    from napari_rls.search.psf import PsfEstimate
    from napari_rls.widgets.common.plot_canvas import Screen


class FieldPsf(FieldSamples):
    """Estimate the width of the PSF by the cells of the field.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    _estimating: bool = False
    _estimated_of: tuple[Any, ...] = ()
    _filled_in: PsfEstimate | None = None

    def change_field(self, name: str, value: Any) -> None:
        """Change how the field was seen; a width that the user changes is no longer estimated."""
        super().change_field(name, value)
        if self._width is None:
            self._filled_in = None

    @property
    def _width(self) -> PsfEstimate | None:
        """The estimate that the width is of, None if it is given by the user or not known."""
        filled, optics = self._filled_in, self.state.fields.optics
        return filled if filled and optics.psf_sigma == filled.sigma else None

    def estimate_psf(self, screen: Screen) -> None:
        """Estimate the width of the PSF; its curve is drawn for a screen."""
        self._once(lambda: self._take_estimate(screen))

    def _take_estimate(self, screen: Screen) -> None:
        state = self.state
        self._judge()
        if state.manifest is None or state.obstacle:
            raise InputError(state.obstacle or "Choose a bundle first.")
        image = self._reader()(self._sources()[0].first_cell)
        fields = state.fields.model_copy(update={"noise": self._noise()})
        self._estimating, state.psf = True, None
        self._estimated_of = self._seen()
        self._begin("Estimating the PSF width")
        self._say("")
        self._work_on(PsfJob(image, state.settings, fields, screen))

    def _receive_psf(self, news: PsfNews) -> None:
        state = self.state
        state.psf = news
        if state.fields.optics.na is None:
            values = state.fields.model_dump()
            values["optics"]["psf_sigma"] = news.estimate.sigma
            self._filled_in = news.estimate
            state.fields = FieldSettings.model_validate(values)
        self._settle(RunOutcome.DONE)

    def _say_estimated(self, outcome: RunOutcome, why: str, level: Level) -> None:
        psf, optics = self.state.psf, self.state.fields.optics
        if outcome is not RunOutcome.DONE or psf is None:
            self._say(why or f"{outcome}: the PSF width was not estimated.", level)
            return
        filled = (
            "It is filled in."
            if optics.na is None
            else "It is not filled in, as numerical aperture and wavelength are given."
        )
        worst = Level.WARNING if psf.estimate.doubts else level
        self._say(f"{psf.estimate.words()} {filled}", worst)

    def _judge(self) -> Message | None:
        """Note whether a run can start; what was estimated of another field is forgotten."""
        judged = super()._judge()
        state = self.state
        if state.psf is not None and (state.obstacle or self._seen() != self._estimated_of):
            state.psf = None
        return judged

    def _seen(self) -> tuple[Any, ...]:
        """Return what an estimate is of."""
        state = self.state
        assert state.manifest is not None
        return state.inputs, self._which(), state.optics.ratio, state.manifest.content_hash

    def _ready(self) -> None:
        self._estimating = False
        super()._ready()
