"""What docks have in common that work on LR cells: bundle, layers, settings, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import PushButton
from napari.layers import Image

from napari_rls.widgets.cells.bundle_box import BundleBox
from napari_rls.widgets.cells.picker import InputPicker
from napari_rls.widgets.common.parts import TextLabel
from napari_rls.widgets.common.run_dock import RunDock

if TYPE_CHECKING:
    from napari_rls.widgets.cells.input_controller import InputController
    from napari_rls.widgets.cells.input_state import InputState
    from napari_rls.widgets.common.fields import SettingsForm


class InputDock(RunDock):
    """A dock on LR cells; ``forms`` show its settings, the first one the scale factor, too."""

    truth: ClassVar[bool] = True
    """Whether one chooses GT layers."""

    state: InputState
    controller: InputController[Any]
    forms: tuple[SettingsForm, ...]

    def _build(self) -> None:
        """Make the parts that all have; where they go differs."""
        self.bundles = BundleBox()
        self.picker = InputPicker(truth=self.truth)
        self.compare = PushButton(text="Side by side")
        self.compare.native.setCheckable(True)
        self.reading, self.device = TextLabel(), TextLabel()

    def _connect(self) -> None:
        super()._connect()
        control = self.controller
        self.bundles.chosen.connect(self._choose_bundle)
        self.picker.changed.connect(control.choose_inputs)
        self.picker.mode_changed.connect(lambda separate: control.guess_inputs(separate=separate))
        for form in self.forms:
            form.changed.connect(control.change)
        self.compare.changed.connect(self._toggle_compare)
        events = self.state.events
        self.follow(
            (events.settings, self._show_settings),
            (events.factors, self._show_settings),
            (events.manifest, self._show_settings),
            (events.manifest, self._show_inputs),
            (events.inputs, self._show_inputs),
            (events.device, self.device.show_text),
            (events.reading, self.reading.show_text),
            (events.comparing, self._show_comparing),
            (events.comparing, self._show_phase),
        )

    def reset_choices(self, _event: object = None) -> None:
        """Follow the viewer's layers: napari calls this when they change."""
        self.controller.follow_layers()
        self._show_inputs()

    def _choose_bundle(self, name: str) -> None:
        if name:
            self.controller.change("bundle", name)
        self._show_settings()

    def _toggle_compare(self) -> None:
        self.controller.compare()
        self._show_comparing()

    def _show_all(self) -> None:
        self._show_inputs()
        self._show_settings()
        super()._show_all()
        self._show_comparing()
        self.device.show_text(self.state.device)
        self.reading.show_text(self.state.reading)

    def _show_settings(self) -> None:
        settings = self.controller.shown_settings()
        self.bundles.show_bundles(self.controller.bundles, settings.bundle)
        for form in self.forms:
            if "factor" in form.fields:
                form.offer("factor", self.state.factors)
            form.show_settings(settings)

    def _show_inputs(self) -> None:
        manifest = self.state.manifest
        if manifest:
            images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
            self.picker.show_inputs(self.state.inputs, images, manifest.channel_names)
            self.bundles.describe(manifest)

    def _show_comparing(self) -> None:
        with self.compare.changed.blocked():
            self.compare.native.setChecked(self.state.comparing)
