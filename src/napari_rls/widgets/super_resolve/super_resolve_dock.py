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

from napari_rls.widgets.cells.bundle_box import BundleBox
from napari_rls.widgets.cells.input_state import InputState
from napari_rls.widgets.cells.picker import InputPicker
from napari_rls.widgets.common.background import soon
from napari_rls.widgets.common.docks import Dock
from napari_rls.widgets.common.fields import ADVANCED, MAIN, SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import RunBar, TextLabel, UpAndDown, allow, folded
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.super_resolve.super_resolve_controller import SuperResolveController

JSON_FILES = "JSON (*.json)"
SR_FILES = "OME-TIFF (*.ome.tif)"

SAMPLES_TIP = (
    "Show the samples of the last run over its SR image, or hide them; the slider 'sample' goes "
    "through them."
)
SAVE_TIP = (
    "All channels of the last result as one OME-TIFF, with the record of the run, the channels' "
    "names and the pixel size, as the command line writes it; samples, their mean and deviation "
    "beside it. In napari's own dialog choose the file type 'Generated cells with their record': "
    "'lossless' leaves names, pixel size and record out."
)
KEEP_TIP = (
    "Keep the layers of this result. Otherwise the next run of the same LR layer and method shows "
    "its result in them. Layers that you rename are kept as well."
)


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
        self.state = InputState()
        self.controller = SuperResolveController(
            self._viewer, self.state, launch, settings_file(), soon
        )
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
        self.compare = PushButton(text="Side by side")
        self.compare.native.setCheckable(True)
        self.samples = PushButton(text="Samples")
        self.statistics = PushButton(text="Mean and SD of samples")
        self.keep = PushButton(text="Keep result")
        self.save_sr = PushButton(text="Save SR...")
        self.save = PushButton(text="Save settings...")
        self.load = PushButton(text="Load settings...")
        self.bar = RunBar()
        self.reading, self.estimate = TextLabel(), TextLabel()
        self.message, self.device = TextLabel(), TextLabel()

        whole = self.whole
        whole.addWidget(self._settings_area(), stretch=1)
        whole.addWidget(self.estimate)
        whole.addLayout(self._buttons())
        for widget in (self.bar, self.message, self.device):
            whole.addWidget(widget)

    def _settings_area(self) -> QScrollArea:
        """Everything one sets; it scrolls where the window is low, the buttons stay."""
        self.settings_area = QWidget()
        column = QVBoxLayout(self.settings_area)
        column.setContentsMargins(0, 0, 0, 0)
        collapsible = folded("Advanced", self.advanced)
        for widget in (self.bundles, self.picker, self.reading, self.main, collapsible):
            column.addWidget(widget)
        column.addStretch()
        self.area = UpAndDown(self.settings_area)
        return self.area

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        rows = (
            (self.run, self.cancel),
            (self.compare, self.samples),
            (self.statistics,),
            (self.keep, self.save_sr),
            (self.save, self.load),
        )
        for row, buttons in enumerate(rows):
            for column, button in enumerate(buttons):
                grid.addWidget(button.native, row, column)
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
        self.samples.changed.connect(control.toggle_samples)
        self.statistics.changed.connect(control.show_sample_statistics)
        self.keep.changed.connect(control.keep)
        self.save_sr.changed.connect(self._save_sr)
        self.save.changed.connect(self._save)
        self.load.changed.connect(self._load)
        events = self.state.events
        events.settings.connect(self._show_settings)
        events.manifest.connect(self._show_inputs)
        events.inputs.connect(self._show_inputs)
        events.factors.connect(self._show_settings)
        events.reading.connect(self.reading.show_text)
        events.estimate.connect(self.estimate.show_text)
        for event in (events.phase, events.obstacle, events.lacking):
            event.connect(self._show_phase)
        events.progress.connect(self.bar.show_progress)
        events.message.connect(self.message.show_message)
        events.device.connect(self.device.show_text)
        events.comparing.connect(self._show_comparing)
        events.comparing.connect(self._show_phase)

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

    def _save_sr(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save SR cells", self.controller.sr_name(), SR_FILES
        )
        if name:
            from napari_rls.widgets.cells.sr_writer import with_ending

            self.controller.save_sr(with_ending(name))

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
        self.reading.show_text(self.state.reading)
        self.estimate.show_text(self.state.estimate)
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
        state = self.state
        idle, lacking = state.phase is Phase.IDLE, state.lacking
        self.settings_area.setEnabled(idle)
        self.load.enabled = idle
        busy = "" if idle else "A run is on: wait for its end, or cancel it."
        allow(self.run, state.obstacle if idle else busy, "Search SR images of all LR cells.")
        running = state.phase is Phase.RUNNING
        allow(self.cancel, "" if running else "No run is on.", "End the run; keep what it reached.")
        shown = state.comparing
        allow(self.compare, "" if shown else lacking.compare, "LR | SR | GT, contrast linked.")
        allow(self.samples, lacking.samples, SAMPLES_TIP)
        allow(self.statistics, lacking.samples, "As layers, of the last run's samples.")
        allow(self.keep, lacking.keep, KEEP_TIP, now=idle)
        allow(self.save_sr, lacking.save or busy, SAVE_TIP)

    def _show_comparing(self) -> None:
        with self.compare.changed.blocked():
            self.compare.native.setChecked(self.state.comparing)
