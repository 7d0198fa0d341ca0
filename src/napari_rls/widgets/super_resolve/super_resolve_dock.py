"""The dock widget "Super-resolve cells": a view of the state that passes wishes on."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import PushButton
from qtpy.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget

from napari_rls.widgets.cells.input_dock import InputDock
from napari_rls.widgets.cells.input_state import InputState
from napari_rls.widgets.cells.save_sr import SAVE_TIP, ask_sr_file
from napari_rls.widgets.common.ask_file import ask_where
from napari_rls.widgets.common.background import soon
from napari_rls.widgets.common.fields import ADVANCED, MAIN, SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import TextLabel, UpAndDown, allow, folded
from napari_rls.widgets.common.run_dock import RunWords
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.super_resolve.super_resolve_controller import SuperResolveController

JSON_FILES = "JSON (*.json)"

SAMPLES_TIP = (
    "Show the samples of the last run over its SR image, or hide them; the slider 'sample' goes "
    "through them."
)
TRUST_TIP = (
    "Tint the pixels of the last run's SR image that cannot be trusted, by what the bundle's "
    "held-out cells tell of how its samples spread."
)
KEEP_TIP = (
    "Keep the layers of this result. Otherwise the next run of the same LR layer and method shows "
    "its result in them. Layers that you rename are kept as well."
)


class SuperResolveWidget(InputDock):
    """Super-resolve the cells of a layer with a model bundle.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose layers are offered.
    """

    tab = "Super-resolve"
    words = RunWords(
        run="Super-resolve",
        busy="A run is on: wait for its end, or cancel it.",
        no_work="No run is on.",
        cancel="End the run; keep what it reached.",
    )
    controller: SuperResolveController

    def _make_controller(self) -> SuperResolveController:
        memory = settings_file()
        return SuperResolveController(self._viewer, InputState(), launch, memory, soon)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        super()._build()
        self.bundle = self.bundles.box
        self.main = SettingsForm(MAIN)
        self.advanced = SettingsForm(ADVANCED)
        self.forms = (self.main, self.advanced)
        self.samples = PushButton(text="Samples")
        self.statistics = PushButton(text="Mean and SD of samples")
        self.trust = PushButton(text="Trust mask")
        self.keep = PushButton(text="Keep result")
        self.save_sr = PushButton(text="Save SR...")
        self.save = PushButton(text="Save settings...")
        self.load = PushButton(text="Load settings...")
        self.estimate = TextLabel()
        self.whole.addWidget(self._settings_area(), stretch=1)
        self.whole.addWidget(self.estimate)
        rows = (
            (self.run, self.cancel),
            (self.compare, self.samples),
            (self.statistics, self.trust),
            (self.keep, self.save_sr),
            (self.save, self.load),
        )
        self._add_below(rows, self.bar, self.said, self.device)

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

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        super()._connect()
        control, events = self.controller, self.state.events
        self.samples.changed.connect(control.toggle_samples)
        self.statistics.changed.connect(control.show_sample_statistics)
        self.trust.changed.connect(control.show_trust_mask)
        self.keep.changed.connect(control.keep)
        self.save_sr.changed.connect(self._save_sr)
        self.save.changed.connect(self._save)
        self.load.changed.connect(self._load)
        self.follow(
            (events.estimate, self.estimate.show_text),
            (events.obstacle, self._show_phase),
            (events.lacking, self._show_phase),
        )

    def _save_sr(self) -> None:
        if path := ask_sr_file(self, self.controller.sr_name()):
            self.controller.save_sr(path)

    def _save(self) -> None:
        path = ask_where(self, "Save settings", "settings.json", {JSON_FILES: ".json"})
        if path:
            self.controller.save_settings(path)

    def _load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", "", JSON_FILES)
        if name:
            self.controller.load_settings(Path(name))

    # -- showing the state -------------------------------------------------------------

    def _show_all(self) -> None:
        super()._show_all()
        self.estimate.show_text(self.state.estimate)

    def _allow(self, busy: str) -> None:
        state = self.state
        idle, lacking = state.phase is Phase.IDLE, state.lacking
        self.load.enabled = idle
        allow(self.run, busy or state.obstacle, "Search SR images of all LR cells.")
        shown = state.comparing
        allow(self.compare, "" if shown else lacking.compare, "LR | SR | GT, contrast linked.")
        allow(self.samples, lacking.samples, SAMPLES_TIP)
        allow(self.statistics, lacking.samples, "As layers, of the last run's samples.")
        allow(self.trust, lacking.samples, TRUST_TIP)
        allow(self.keep, lacking.keep, KEEP_TIP, now=idle)
        allow(self.save_sr, lacking.save or busy, SAVE_TIP)
