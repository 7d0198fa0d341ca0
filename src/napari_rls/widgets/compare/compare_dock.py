"""The dock widget "Compare methods": a view of the state that passes wishes on."""

from __future__ import annotations

from functools import partial

import napari
from magicgui.widgets import CheckBox, ComboBox, PushButton, SpinBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_rls.search.presets import PRESETS
from napari_rls.text import for_qt
from napari_rls.widgets.cells.input_dock import InputDock
from napari_rls.widgets.common.ask_file import ask_where
from napari_rls.widgets.common.background import soon
from napari_rls.widgets.common.fields import SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import UpAndDown, allow, folded, form_rows
from napari_rls.widgets.common.run_dock import RunWords
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.compare.compare_controller import CompareController
from napari_rls.widgets.compare.compare_state import Cells, CompareState
from napari_rls.widgets.compare.compare_table import CompareTable
from napari_rls.workflow.compare.method_results import SHARED

ADVANCED = tuple(name for name in SHARED if name not in ("bundle", "factor"))

TABLES = {"CSV (*.csv)": ".csv", "Parquet (*.parquet)": ".parquet"}


class CompareWidget(InputDock):
    """Run several methods on the same cells, side by side, and score them.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose layers are offered.
    """

    tab = "Compare"
    words = RunWords(
        run="Compare",
        busy="A comparison is at work: wait, or cancel it.",
        no_work="Nothing is at work, or it is stopping.",
        cancel="Stop, and keep what was reached",
    )
    state: CompareState
    controller: CompareController

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        self._behind = False
        super().__init__(napari_viewer)

    def _make_controller(self) -> CompareController:
        memory = settings_file().with_name("comparison.json")
        return CompareController(self._viewer, CompareState(), launch, memory, soon)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        super()._build()
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
        self.forms = (self.factor, self.advanced)
        self.export = PushButton(text="Export table...")
        self.tabs = QTabWidget()
        self.tabs.addTab(self._settings_area(), "Settings")
        self.tabs.addTab(self.table, "Table")
        self.whole.addWidget(self.tabs, stretch=1)
        rows = ((self.run, self.cancel), (self.compare, self.export))
        self._add_below(rows, self.bar, self.said, self.device)

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
        super()._connect()
        control, events = self.controller, self.state.events
        self.cells.changed.connect(control.choose_cells)
        self.count.changed.connect(control.choose_count)
        self.max_steps.changed.connect(control.choose_steps)
        for name, box in self.methods.items():
            box.changed.connect(partial(control.choose_method, name))
        self.export.changed.connect(self._export)
        choices = (events.methods, events.cells, events.count, events.max_steps)
        self.follow(
            *((event, self._show_choices) for event in choices),
            (events.inputs, self._show_phase),
            (events.methods, self._show_phase),
            (events.phase, self._catch_up),
            (events.turns, self.table.show_turns),
        )

    def reset_choices(self, _event: object = None) -> None:
        """Follow the viewer's layers: napari calls this when they change.

        Layers that a comparison adds, many, are followed once it is over.
        """
        if self.state.phase is Phase.IDLE:
            super().reset_choices()
            self._show_phase()
        else:
            self._behind = True

    def _catch_up(self, phase: Phase) -> None:
        if phase is Phase.IDLE and self._behind:
            self._behind = False
            self.reset_choices()

    def _start(self) -> None:
        super()._start()
        if self.state.phase is not Phase.IDLE:
            self.tabs.setCurrentWidget(self.table)

    def _export(self) -> None:
        if path := ask_where(self, "Export table", "comparison.csv", TABLES):
            self.controller.export(path)

    # -- showing the state -------------------------------------------------------------

    def _show_all(self) -> None:
        super()._show_all()
        self._show_choices()

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

    def _allow(self, busy: str) -> None:
        state = self.state
        no_input = "" if all(state.inputs.lr) else "Choose the LR layer first."
        no_method = "" if state.methods else "Choose one or more methods first."
        no_table = "" if self.controller.results else "There is no table yet: compare first."
        allow(self.run, busy or no_input or no_method, "Run the methods and score them")
        allow(
            self.compare, self.controller.obstacle, "LR | bicubic | methods | GT, contrast linked"
        )
        allow(self.export, busy or no_table, "With the record of all runs")
