"""The dock widget "Compare methods": a view of the state that passes wishes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import napari
from magicgui.widgets import CheckBox, ComboBox, PushButton, SpinBox
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_rls.search.presets import PRESETS
from napari_rls.text import for_qt
from napari_rls.widgets.cells.bundle_box import BundleBox
from napari_rls.widgets.cells.picker import InputPicker
from napari_rls.widgets.common.background import soon
from napari_rls.widgets.common.docks import Dock
from napari_rls.widgets.common.fields import SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import RunBar, TextLabel, UpAndDown, allow, folded, form_rows
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.compare.compare_controller import CompareController
from napari_rls.widgets.compare.compare_state import Cells, CompareState
from napari_rls.widgets.compare.compare_table import CompareTable
from napari_rls.workflow.compare.method_results import SHARED

ADVANCED = tuple(name for name in SHARED if name not in ("bundle", "factor"))

TABLES = {"CSV (*.csv)": ".csv", "Parquet (*.parquet)": ".parquet"}


class CompareWidget(Dock):
    """Run several methods on the same cells, side by side, and score them.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose layers are offered.
    """

    tab = "Compare"

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state = CompareState()
        self._behind = False
        memory = settings_file().with_name("comparison.json")
        self.controller = CompareController(self._viewer, self.state, launch, memory, soon)
        self._build()
        self._connect()
        self._show_all()
        self.destroyed.connect(self.controller.close)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        self.bundles = BundleBox()
        self.picker = InputPicker()
        self.factor = SettingsForm(("factor",))
        self.cells = ComboBox(
            choices=[(choice.value, choice) for choice in Cells],
            tooltip="Which cells of the LR image are compared; KID and FID need 10 or more.",
        )
        self.count = SpinBox(min=1, max=100_000, tooltip="How many cells")
        self.methods = {
            name: CheckBox(text=name, tooltip=for_qt(preset.title))
            for name, preset in PRESETS.items()
        }
        self.max_steps = SpinBox(
            min=0,
            max=10_000,
            tooltip="Upper bound of every method's steps, for a quick look.",
        )
        self.own_steps = QLabel("0: those of each method")
        self.own_steps.setEnabled(False)
        self.advanced = SettingsForm(ADVANCED)
        self.table = CompareTable()
        self.run = PushButton(text="Compare")
        self.cancel = PushButton(text="Cancel")
        self.compare = PushButton(text="Side by side")
        self.compare.native.setCheckable(True)
        self.export = PushButton(text="Export table...")
        self.bar = RunBar()
        self.reading, self.message, self.device = TextLabel(), TextLabel(), TextLabel()

        self.tabs = QTabWidget()
        self.tabs.addTab(self._settings_area(), "Settings")
        self.tabs.addTab(self.table, "Table")
        buttons = QGridLayout()
        for k, button in enumerate((self.run, self.cancel, self.compare, self.export)):
            buttons.addWidget(button.native, k // 2, k % 2)
        whole = self.whole
        whole.addWidget(self.tabs, stretch=1)
        whole.addLayout(buttons)
        for widget in (self.bar, self.message, self.device):
            whole.addWidget(widget)

    def _settings_area(self) -> QWidget:
        self.settings_area = QWidget()
        column = QVBoxLayout(self.settings_area)
        cells = QHBoxLayout()
        cells.addWidget(self.cells.native, stretch=1)
        cells.addWidget(self.count.native)
        rows = form_rows()
        rows.addRow("Cells", cells)
        rows.addRow("Steps at most", self.max_steps.native)
        rows.addRow("", self.own_steps)
        for widget in (self.bundles, self.picker, self.reading, self.factor):
            column.addWidget(widget)
        column.addLayout(self._method_rows())
        column.addLayout(rows)
        column.addWidget(folded("Advanced", self.advanced))
        column.addStretch()
        self.area = UpAndDown(self.settings_area)
        return self.area

    def _method_rows(self) -> QGridLayout:
        """Return a row per method: whether it is compared, and what it is."""
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        for k, (name, box) in enumerate(self.methods.items()):
            title = QLabel(PRESETS[name].title.partition(" (")[0])
            title.setWordWrap(True)
            title.setTextFormat(Qt.TextFormat.PlainText)
            title.setToolTip(for_qt(PRESETS[name].title))
            grid.addWidget(box.native, k, 0)
            grid.addWidget(title, k, 1)
        return grid

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        control = self.controller
        self.bundles.chosen.connect(self._choose_bundle)
        self.picker.changed.connect(control.choose_inputs)
        self.picker.mode_changed.connect(lambda separate: control.guess_inputs(separate=separate))
        for form in (self.factor, self.advanced):
            form.changed.connect(control.change)
        self.cells.changed.connect(control.choose_cells)
        self.count.changed.connect(control.choose_count)
        self.max_steps.changed.connect(control.choose_steps)
        for name, box in self.methods.items():
            box.changed.connect(partial(control.choose_method, name))
        self.run.changed.connect(self._start)
        self.cancel.changed.connect(control.cancel)
        self.compare.changed.connect(self._toggle_compare)
        self.export.changed.connect(self._export)
        events = self.state.events
        events.settings.connect(self._show_settings)
        events.factors.connect(self._show_settings)
        events.manifest.connect(self._show_inputs)
        events.inputs.connect(self._show_inputs)
        events.methods.connect(self._show_choices)
        events.cells.connect(self._show_choices)
        events.count.connect(self._show_choices)
        events.max_steps.connect(self._show_choices)
        for event in (events.phase, events.inputs, events.methods, events.comparing):
            event.connect(self._show_phase)
        events.phase.connect(self._catch_up)
        events.progress.connect(self.bar.show_progress)
        events.message.connect(self.message.show_message)
        events.device.connect(self.device.show_text)
        events.reading.connect(self.reading.show_text)
        events.comparing.connect(self._show_comparing)
        events.turns.connect(self.table.show_turns)

    def reset_choices(self, _event: object = None) -> None:
        """Follow the viewer's layers: napari calls this when they change.

        Layers that a comparison adds, many, are followed once it is over.
        """
        if self.state.phase is Phase.IDLE:
            self.controller.follow_layers()
            self._show_inputs()
            self._show_phase()
        else:
            self._behind = True

    def _catch_up(self, phase: Phase) -> None:
        if phase is Phase.IDLE and self._behind:
            self._behind = False
            self.reset_choices()

    def _choose_bundle(self, name: str) -> None:
        if name:
            self.controller.change("bundle", name)
        self._show_settings()

    def _start(self) -> None:
        self.controller.start()
        if self.state.phase is not Phase.IDLE:
            self.tabs.setCurrentWidget(self.table)

    def _toggle_compare(self) -> None:
        self.controller.compare()
        self._show_comparing()

    def _export(self) -> None:
        name, wanted = QFileDialog.getSaveFileName(
            self, "Export table", "comparison.csv", ";;".join(TABLES)
        )
        if name:
            path = Path(name)
            self.controller.export(path if path.suffix else path.with_suffix(TABLES[wanted]))

    # -- showing the state -------------------------------------------------------------

    def _show_all(self) -> None:
        self._show_inputs()
        self._show_settings()
        self._show_choices()
        self._show_phase()
        self.bar.show_progress(self.state.progress)
        self.message.show_message(self.state.message)
        self._show_comparing()
        self.device.show_text(self.state.device)
        self.reading.show_text(self.state.reading)

    def _show_settings(self) -> None:
        settings = self.state.settings
        self.bundles.show_bundles(self.controller.bundles, settings.bundle)
        self.factor.offer("factor", self.state.factors)
        for form in (self.factor, self.advanced):
            form.show_settings(settings)

    def _show_inputs(self) -> None:
        manifest = self.state.manifest
        if manifest:
            images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
            self.picker.show_inputs(self.state.inputs, images, manifest.channel_names)
            self.bundles.describe(manifest)

    def _show_choices(self) -> None:
        state = self.state
        shown = [
            (self.cells, state.cells),
            (self.count, state.count),
            (self.max_steps, state.max_steps),
            *((box, name in state.methods) for name, box in self.methods.items()),
        ]
        for field, value in shown:
            with field.changed.blocked():
                field.value = value
        self.count.visible = state.cells is Cells.FIRST
        self.own_steps.setVisible(state.max_steps == 0)

    def _show_phase(self, _: object = None) -> None:
        state = self.state
        idle = state.phase is Phase.IDLE
        self.settings_area.setEnabled(idle)
        busy = "" if idle else "A comparison is at work: wait, or cancel it."
        no_input = "" if all(state.inputs.lr) else "Choose the LR layer first."
        no_method = "" if state.methods else "Choose one or more methods first."
        no_work = "" if state.phase is Phase.RUNNING else "Nothing is at work, or it is stopping."
        no_table = "" if self.controller.results else "There is no table yet: compare first."
        allow(self.run, busy or no_input or no_method, "Run the methods and score them")
        allow(self.cancel, no_work, "Stop, and keep what was reached")
        allow(
            self.compare, self.controller.obstacle, "LR | bicubic | methods | GT, contrast linked"
        )
        allow(self.export, busy or no_table, "With the record of all runs")

    def _show_comparing(self) -> None:
        with self.compare.changed.blocked():
            self.compare.native.setChecked(self.state.comparing)
