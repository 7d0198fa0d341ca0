"""Which field is meant and how it was seen, without Qt: what is missing is said before a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_rls.errors import InputError, SettingsError, called
from napari_rls.files.json_file import first_fault
from napari_rls.measure.lr_nuclei import LrNucleusSettings
from napari_rls.search.optics import Optics
from napari_rls.widgets.cells.guess_layers import possible_fields
from napari_rls.widgets.cells.input_controller import InputController
from napari_rls.widgets.cells.input_layers import outline, read_field
from napari_rls.widgets.cells.input_state import CELLS, Inputs
from napari_rls.widgets.cells.layer_facts import axis_names, cell_in_view
from napari_rls.widgets.cells.layer_reading import read_layers
from napari_rls.widgets.cells.sources import Source, sources
from napari_rls.widgets.common.state import Level, Message
from napari_rls.widgets.fields.news import News
from napari_rls.workflow.fields.field_settings import FieldSettings, parse_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_rls.models.manifest import Manifest
    from napari_rls.search.noise import NoiseModel
    from napari_rls.widgets.fields.field_state import FieldState
    from napari_rls.widgets.fields.planes_job import Read
    from napari_rls.workflow.cells.reading import Reading
    from napari_rls.workflow.cells.stack import CellStack

CALLED = {name: f'"{field.title}"' for name, field in Optics.model_fields.items()}
"""What the dock calls the settings of the optics."""

LARGEST = 4e9
"""Bytes of the SR fields that the window shows."""

_TOLERANCE = 0.1
"""Share by which a given ratio may differ from that of the pixel sizes without a word."""


class FieldChoice(InputController[News]):
    """Keep bundle, layers and microscope of a field such that they fit, or say why not.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    state: FieldState
    of_fields = True
    _refused = False
    """Whether what was typed last was out of range, and is not what is used."""

    def _open(self) -> None:
        self.viewer.dims.events.current_step.connect(self._dims_moved)
        super()._open()

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        super().close()
        self.viewer.dims.events.current_step.disconnect(self._dims_moved)

    def change_field(self, name: str, value: Any) -> None:
        """Change how the field was seen or how cells are found; what is out of range is refused."""
        state, given = self.state, None if value == "" else value
        shown = state.optics.ratio
        if name == "ratio" and shown is not None and given == f"{shown:g}":
            # What it is already, as given or as the pixel sizes tell: the user has not changed it.
            if self._refused:
                self._refused = False
                self.check()
            return
        values = state.fields.model_dump()
        groups = {"optics": Optics.model_fields, "nuclei": LrNucleusSettings.model_fields}
        group = next((key for key, names in groups.items() if name in names), "")
        (values[group] if group else values)[name] = given
        try:
            state.fields = FieldSettings.model_validate(values)
        except ValidationError as error:
            fault = first_fault(error).removeprefix(f"{group}.")
            self._say(f"Settings of the field: {fault}.", Level.ERROR)
            self._refused = True
            state.events.fields.emit(state.fields)
            return
        self._refused = False
        self.check()

    def choose_planes(self, every: bool) -> None:
        """Choose whether a run takes all fields of the LR layer, or the one that is shown."""
        self.state.every = every
        self.check()

    def change_noise(self, text: str) -> None:
        """Take over what is known of the camera's noise, as it was typed."""
        self.state.noise = text
        self.check()

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        """Say something, with what the dock calls the settings."""
        super()._say(called(text, CALLED), level)

    def _noise(self) -> NoiseModel | None:
        assert self.state.manifest is not None
        return parse_noise(self.state.noise, len(self.state.manifest.channels), "The noise")

    def _guess(self, images: Sequence[Image], separate: bool | None) -> Inputs:
        found = super()._guess(images, separate)
        return replace(found, gt=(None,) * len(found.gt))

    def _judge(self) -> Message | None:
        """Note whether a run of the chosen field can start, and return what is to be said."""
        state, manifest = self.state, self.state.manifest
        if manifest is None:
            return None
        state.reading, state.obstacle = "", ""
        self._note_planes()
        if not any(state.inputs.lr):
            state.sizes_ratio = None
            state.obstacle = self._nothing_chosen()
            return Message(state.obstacle, Level.WARNING if self._own_images else Level.INFO)
        reading = self._reading()
        said = list(reading.warnings)
        try:
            blank = outline(state.inputs, manifest)
            state.reading = f"{reading.text} {self._which()}".strip()
            state.sizes_ratio = _ratio_of_sizes(blank, manifest)
            ratio = state.fields.optics.ratio_of(blank.pixel_size_um, manifest.pixel_size_um)
            self._check_size(blank, ratio)
            self._noise()
            said += self._doubts(ratio)
        except (InputError, SettingsError) as error:
            state.obstacle = called(str(error), CALLED)
            said.insert(0, state.obstacle)
        if state.settings.lambda_w and manifest.flow_doubt:
            said.append(manifest.flow_doubt)
        return Message(" ".join(said), Level.WARNING if said else Level.INFO)

    def _doubts(self, ratio: float) -> list[str]:
        known = self.state.sizes_ratio
        if known is None or abs(ratio - known) <= _TOLERANCE * known:
            return []
        told = f"The ratio {ratio:g} is given, but the pixel sizes of image and bundle tell"
        return [f"{told} {known:.4g}: empty the field to use that."]

    def _note_planes(self) -> None:
        """Note how many fields the LR layer holds, and along which axis."""
        state, inputs = self.state, self.state.inputs
        try:
            found = sources(inputs.lr, inputs.separate, inputs.channels) if any(inputs.lr) else []
        except (ValueError, IndexError):  # it is said elsewhere
            found = []
        axis = found[0].cell_axis if found else None
        if axis is None:
            state.planes, state.along, state.every = 1, "", False
            return
        name = axis_names(found[0].layer)[axis]
        state.along = f"along {name}" if name.isalpha() else ""
        state.planes = found[0].shape[axis]

    def _check_size(self, blank: CellStack, ratio: float) -> None:
        _, channels, height, width = blank.data.shape
        planes = self.state.planes if self.state.every else 1
        if 4 * planes * channels * height * width * ratio**2 > LARGEST:
            each = f"{planes} times " if planes > 1 else ""
            raise InputError(
                f"The SR image of {blank.name} would have {each}{round(height * ratio)} x "
                f"{round(width * ratio)} pixels, too many to show: crop the layer, or use the "
                "command napari-rls fields."
            )

    def _nothing_chosen(self) -> str:
        """Return why there is no LR layer, and what to do."""
        manifest = self.state.manifest
        assert manifest is not None
        channels = tuple(range(len(manifest.channels)))
        if other := self._other_bundle():
            return other
        for layer in possible_fields(self._own_images, manifest):
            try:
                outline(Inputs(False, (layer,), (None,), channels), manifest)
            except InputError as error:
                return str(error)
        if self._own_images:
            return (
                "The open images have the size of single cells: choose a field as the LR layer, or "
                f"{CELLS} in the menu of plugins."
            )
        return "Open an image of a whole field and choose it as the LR layer."

    # -- the field ---------------------------------------------------------------------

    def _sources(self) -> list[Source]:
        """Return where the channels of the field that is shown are; of all fields, of the first.

        Raises
        ------
        InputError
            If several are shown at once, or none.
        """
        inputs = self.state.inputs
        found = sources(inputs.lr, inputs.separate, inputs.channels)
        axis, first = found[0].cell_axis, found[0]
        if axis is None:
            return found
        if self.state.every:
            return [replace(source, cells=range(1)) for source in found]
        index = cell_in_view(self.viewer, first.layer, axis)
        if index is None:
            raise InputError(
                f"{first.layer.name} holds {first.shape[axis]} fields, of which not one alone is "
                "shown: move the slider to it, in 2D."
            )
        return [replace(source, cells=range(index, index + 1)) for source in found]

    def _which(self) -> str:
        """Return in a sentence which of several fields is taken, or nothing."""
        first = self._sources()[0]
        if first.cell_axis is None:
            return ""
        fields = f"{self.state.planes} fields {self.state.along}".strip()
        if self.state.every:
            return f"All {fields} are taken, one after the other."
        # As names, rows and messages count fields; napari's slider counts from 0.
        return f"Of {fields} the one that is shown is taken, field {first.first_cell + 1}."

    def _reading(self) -> Reading:
        """Return how the layers are read, as fields."""
        assert self.state.manifest is not None
        reading = read_layers(self.state.inputs, self.state.manifest)
        return replace(reading, axes=reading.axes.replace("cell", "field"), apart="")

    def _reader(self) -> Read:
        """Return what reads a field of the layers that are chosen now."""
        inputs, manifest, reading = self.state.inputs, self.state.manifest, self._reading()
        assert manifest is not None

        def read(plane: int) -> CellStack:
            return replace(read_field(inputs, manifest, plane), reading=reading)

        return read

    def _near(self, layer: Source) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return which LR pixel is in the middle of the view, (2,)."""
        dims = self.viewer.dims
        point = np.array(dims.point)
        shown = list(dims.displayed)
        point[shown] = np.array(self.viewer.scene.camera.center)[-len(shown) :]
        ndim = layer.layer.ndim
        return np.array(layer.layer.world_to_data(point[-ndim:])[-2:], np.float64)

    def _dims_moved(self) -> None:
        """Follow the slider where it shows another field."""
        if self.state.planes > 1 and not self.state.every and self.state.reading:
            self.check()


def _ratio_of_sizes(blank: CellStack, manifest: Manifest) -> float | None:
    """Return the ratio that the pixel sizes tell, None if they tell none that is usable."""
    try:
        return Optics().ratio_of(blank.pixel_size_um, manifest.pixel_size_um)
    except SettingsError:
        return None
