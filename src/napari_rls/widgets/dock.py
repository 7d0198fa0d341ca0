"""The dock widget "Super-resolve cells": a view of the state that passes wishes on."""

from __future__ import annotations

from pathlib import Path

import napari
from magicgui.widgets import PushButton
from napari.layers import Image
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_rls.widgets.bundle_box import BundleBox
from napari_rls.widgets.controller import Controller
from napari_rls.widgets.docks import Dock
from napari_rls.widgets.fields import ADVANCED, MAIN, SettingsForm
from napari_rls.widgets.memory import settings_file
from napari_rls.widgets.parts import RunBar, TextLabel, UpAndDown
from napari_rls.widgets.picker import InputPicker
from napari_rls.widgets.state import Phase, State
from napari_rls.widgets.worker import launch

JSON_FILES = "JSON (*.json)"


class SuperResolveWidget(Dock):
    """Super-resolve the cells of a layer with a model bundle.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose layers are offered.
    """

    tab = "Super-resolve"

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state = State()
        self.controller = Controller(self._viewer, self.state, launch, settings_file())
        self._build()
        self._connect()
        self._show_all()
        self.destroyed.connect(self.controller.close)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        self.bundles = BundleBox()
        self.bundle = self.bundles.box
        self.picker = InputPicker()
        self.main = SettingsForm(MAIN)
        self.advanced = SettingsForm(ADVANCED)
        self.run = PushButton(text="Super-resolve")
        self.cancel = PushButton(text="Cancel")
        self.compare = PushButton(text="Side by side", tooltip="LR | SR | GT, contrast linked")
        self.compare.native.setCheckable(True)
        self.statistics = PushButton(
            text="Mean and SD of samples", tooltip="As layers, of the last run's samples"
        )
        self.save = PushButton(text="Save settings...")
        self.load = PushButton(text="Load settings...")
        self.bar = RunBar()
        self.message, self.device = TextLabel(), TextLabel()

        whole = self.whole
        whole.addWidget(self._settings_area(), stretch=1)
        whole.addLayout(self._buttons())
        for widget in (self.bar, self.message, self.device):
            whole.addWidget(widget)

    def _settings_area(self) -> QScrollArea:
        """Everything one sets; it scrolls where the window is low, the buttons stay."""
        self.settings_area = QWidget()
        column = QVBoxLayout(self.settings_area)
        column.setContentsMargins(0, 0, 0, 0)
        collapsible = QCollapsible("Advanced")
        collapsible.addWidget(self.advanced)
        for widget in (self.bundles, self.picker, self.main, collapsible):
            column.addWidget(widget)
        column.addStretch()
        self.area = UpAndDown(self.settings_area)
        return self.area

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        grid.addWidget(self.run.native, 0, 0)
        grid.addWidget(self.cancel.native, 0, 1)
        grid.addWidget(self.compare.native, 1, 0)
        grid.addWidget(self.statistics.native, 1, 1)
        grid.addWidget(self.save.native, 2, 0)
        grid.addWidget(self.load.native, 2, 1)
        return grid

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        control = self.controller
        self.bundles.chosen.connect(self._choose_bundle)
        self.picker.changed.connect(control.choose_inputs)
        self.picker.mode_changed.connect(lambda separate: control.guess_inputs(separate=separate))
        for form in (self.main, self.advanced):
            form.changed.connect(control.change)
        self.run.changed.connect(control.start)
        self.cancel.changed.connect(control.cancel)
        self.compare.changed.connect(self._toggle_compare)
        self.statistics.changed.connect(control.show_sample_statistics)
        self.save.changed.connect(self._save)
        self.load.changed.connect(self._load)
        events = self.state.events
        events.settings.connect(self._show_settings)
        events.manifest.connect(self._show_inputs)
        events.inputs.connect(self._show_inputs)
        events.factors.connect(self._show_settings)
        events.phase.connect(self._show_phase)
        events.progress.connect(self.bar.show_progress)
        events.message.connect(self.message.show_message)
        events.device.connect(self.device.show_text)
        events.comparing.connect(self._show_comparing)

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

    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save settings", "settings.json", "JSON (*.json)"
        )
        if name:
            self.controller.save_settings(Path(name))

    def _load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", "", JSON_FILES)
        if name:
            self.controller.load_settings(Path(name))

    # -- showing the state -------------------------------------------------------------

    def _show_all(self) -> None:
        self._show_inputs()
        self._show_settings()
        self._show_phase()
        self.bar.show_progress(self.state.progress)
        self.message.show_message(self.state.message)
        self._show_comparing()
        self.device.show_text(self.state.device)

    def _show_settings(self) -> None:
        settings = self.state.settings
        self.bundles.show_bundles(self.controller.bundles, settings.bundle)
        self.main.offer("factor", self.state.factors)
        for form in (self.main, self.advanced):
            form.show_settings(settings)

    def _show_inputs(self) -> None:
        manifest = self.state.manifest
        if manifest:
            images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
            self.picker.show_inputs(self.state.inputs, images, manifest.channel_names)
            self.bundles.describe(manifest)

    def _show_phase(self) -> None:
        phase = self.state.phase
        idle = phase is Phase.IDLE
        self.settings_area.setEnabled(idle)
        for button in (self.run, self.load):
            button.enabled = idle
        self.cancel.enabled = phase is Phase.RUNNING

    def _show_comparing(self) -> None:
        with self.compare.changed.blocked():
            self.compare.native.setChecked(self.state.comparing)
