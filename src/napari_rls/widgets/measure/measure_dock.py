"""The dock widget "Measure cells": a view of the state that passes wishes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

import napari
from magicgui.widgets import ComboBox, PushButton
from napari.layers import Image
from napari.utils import progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.dictionary import columns_of
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.measure.registry import registry
from napari_rls.search.settings import FACTORS
from napari_rls.text import for_qt
from napari_rls.widgets.cells.hr_cells_row import HrCellsRow
from napari_rls.widgets.cells.means_area import MeansArea
from napari_rls.widgets.cells.table_view import TABLES
from napari_rls.widgets.common.ask_file import ask_where
from napari_rls.widgets.common.background import import_soon
from napari_rls.widgets.common.docks import PLOTS, open_dock
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import FULL, TextLabel, UpAndDown, allow, form_rows
from napari_rls.widgets.common.run_dock import RunDock, RunWords
from napari_rls.widgets.common.state import Level, Message, Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.measure.measure_controller import MeasureController
from napari_rls.widgets.measure.measure_form import ImagePicker, MeasureForm
from napari_rls.widgets.measure.measure_state import MeasureState, state_of
from napari_rls.widgets.measure.table_area import TableArea

NO_PLATE_MAP, CROPS_TELL = "none", "Conditions are those of the crops."
MEANS_TAB = 2
NO_IMAGES = "Open images of single cells and choose them above."
NUCLEI = "Nuclei"
SLOW_MODULES = ("pandas", "scipy.ndimage", "scipy.stats", "skimage.filters", "skimage.color")
FITTING = ("to the size of the others", 0)

PAUSE = 10
"""Milliseconds between two layers that are shown, in which the window draws."""


class MeasureWidget(RunDock):
    """Measure the cells of LR, SR and HR layers alike.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose layers are offered.
    """

    tab = "Measure"

    words = RunWords(
        run="Measure",
        busy="A measurement is on: wait for its end, or cancel it.",
        no_work="No measurement is on.",
        cancel="Stop; nothing is kept",
    )
    state: MeasureState
    controller: MeasureController

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        self._next: Callable[[], None] | None = None
        self._followed: WeakSet[Image] = WeakSet()
        self._activity: progress | None = None
        super().__init__(napari_viewer)
        if refused := registry().problems.values():
            self.state.message = Message(" ".join(refused), Level.WARNING)
        # What measures and shows tables takes a second to import: not when it is asked for.
        import_soon(*SLOW_MODULES)

    def _make_controller(self) -> MeasureController:
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)
        memory = settings_file().with_name("measurement.json")
        state = state_of(self._viewer)
        return MeasureController(self._viewer, state, launch, memory, self._later)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        self.assay = ComboBox(
            choices=tuple((assay.title, name) for name, assay in registry().assays.items()),
            tooltip=MeasureSettings.model_fields["assay"].description,
        )
        self.picker = ImagePicker()
        self.factor = ComboBox(
            choices=[FITTING, *((f"{factor}x", factor) for factor in FACTORS)],
            tooltip="How much LR images are upsampled bicubically before they are measured.",
        )
        self.common = MeasureForm(MeasureSettings, ("saturation", "camera_offset"))
        self.assays = {
            name: MeasureForm(assay.settings) for name, assay in registry().assays.items()
        }
        self.nuclei = MeasureForm(NucleusSettings)
        self.reset = PushButton(
            text="Reset settings", tooltip="As the bundle of the SR images suggests, or the assay's"
        )
        self.plate_map, self.notes = TextLabel(), TextLabel()
        self.choose_map = PushButton(text="Choose...", tooltip="CSV with a column well or file")
        self.no_map = PushButton(text="Remove", tooltip=CROPS_TELL)
        self.hr_cells = HrCellsRow()
        self.shown, self.means = TableArea(), MeansArea()
        self.table = self.shown.table
        self.export = PushButton(text="Export table...")
        self.plots = PushButton(text="Show plots")
        self.tabs = QTabWidget()
        self.tabs.addTab(self._settings_area(), "Settings")
        self.tabs.addTab(self.shown, "Table")
        self.tabs.addTab(self.means, "Means")
        self.tabs.setTabVisible(MEANS_TAB, False)
        self.whole.addWidget(self.tabs, stretch=1)
        rows = ((self.run, self.cancel), (self.export, self.plots))
        self._add_below(rows, self.bar, self.said)

    def _settings_area(self) -> QWidget:
        self.settings_area = QWidget()
        column = QVBoxLayout(self.settings_area)
        top = form_rows()
        top.addRow("Assay", self.assay.native)
        column.addLayout(top)
        column.addWidget(self.picker)
        column.addWidget(self.notes)
        given = form_rows()
        given.addRow("Upsample LR", self.factor.native)
        place = QHBoxLayout()
        place.addWidget(self.plate_map, stretch=1)
        place.addWidget(self.choose_map.native)
        place.addWidget(self.no_map.native)
        given.addRow("Plate map", place)
        given.addRow("HR cells", self.hr_cells)
        column.addLayout(given)
        self.headings: dict[str, QLabel] = {}
        for title, forms in (
            (NUCLEI, [self.nuclei]),
            ("Measurement (lengths in pixels of SR and HR images)", self.assays.values()),
            ("Quality", [self.common]),
        ):
            heading = self.headings[title] = QLabel(title)
            heading.setWordWrap(True)
            heading.setStyleSheet("font-weight: bold")
            column.addWidget(heading)
            for form in forms:
                column.addWidget(form)
        column.addWidget(self.reset.native)
        column.addStretch()
        self.area = UpAndDown(self.settings_area)
        return self.area

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        super()._connect()
        control, events = self.controller, self.state.events
        self.assay.changed.connect(lambda name: control.change("assay", name))
        self.picker.changed.connect(control.choose_images)
        self.factor.changed.connect(control.choose_factor)
        for form, change in (
            (self.common, control.change),
            (self.nuclei, control.change_nucleus),
            *((form, control.change_assay) for form in self.assays.values()),
        ):
            form.changed.connect(lambda name, value, to=change: to(name, _number(value)))
        self.reset.changed.connect(control.reset)
        self.choose_map.changed.connect(self._choose_map)
        self.no_map.changed.connect(lambda: control.choose_plate_map(None))
        self.hr_cells.chosen.connect(control.choose_hr_cells)
        self.table.chosen.connect(self._select)
        self.export.changed.connect(self._export)
        self.plots.changed.connect(self._show_plots)
        self.follow(
            (events.settings, self._show_settings),
            (events.images, self._show_images),
            (events.images, self._show_phase),
            (events.factor, self._show_given),
            (events.plate_map, self._show_given),
            (events.hr_cells, self._show_given),
            (events.means, self._show_means),
            (events.phase, self._show_activity),
            (events.progress, self._follow_activity),
            (events.notes, self.notes.show_text),
            (events.saving, self._show_phase),
            (events.result, self._show_result),
            (events.selected, self.table.select_cells),
        )

    def reset_choices(self, _event: object = None) -> None:
        """Follow the viewer's layers: napari calls this when they change."""
        self.controller.follow_layers()
        for layer in self._viewer.layers:
            if isinstance(layer, Image) and layer not in self._followed:
                # SR layers say only later that they are, and of which bundle.
                layer.events.metadata.connect(self._follow_record)
                self._followed.add(layer)
        self._show_images()

    def _follow_record(self, _event: object = None) -> None:
        self.controller.follow_layers()

    def _choose_map(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Plate map", "", "CSV (*.csv)")
        if name:
            self.controller.choose_plate_map(Path(name))

    def _export(self) -> None:
        if path := ask_where(self, "Export table", "measurements.csv", TABLES):
            self.controller.export(path)

    def _select(self, cells: tuple[int, ...]) -> None:
        self.state.selected = cells

    def _show_plots(self) -> None:
        open_dock(self._viewer, PLOTS)

    def _later(self, step: Callable[[], None]) -> None:
        """Call a function once the window has drawn, unless this panel is gone by then."""
        self._next = step
        self._timer.start(PAUSE)

    def _go_on(self) -> None:
        step, self._next = self._next, None
        if step is not None:
            step()

    # -- showing the state -------------------------------------------------------------

    def _show_all(self) -> None:
        self._show_settings()
        self.reset_choices()
        self.notes.show_text(self.state.notes)
        self._show_given()
        super()._show_all()
        if self.state.result is not None:
            self._show_result()
        self._show_means()

    def _show_settings(self) -> None:
        settings = self.state.settings
        with self.assay.changed.blocked():
            self.assay.value = settings.assay
        self.common.show_settings(settings)
        for part in (self.nuclei, self.headings[NUCLEI]):
            part.setVisible(settings.of.finds_nuclei)
        if settings.of.finds_nuclei:
            self.nuclei.show_settings(settings.own.nucleus)
        for assay, form in self.assays.items():
            form.setVisible(assay == settings.assay)
            form.show_settings(getattr(settings, assay))

    def _show_images(self) -> None:
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self.picker.show_images(self.state.images, images)

    def _show_given(self) -> None:
        with self.factor.changed.blocked():
            self.factor.value = self.state.factor
        path = self.state.plate_map
        self.plate_map.setText(NO_PLATE_MAP if path is None else path.name)
        self.plate_map.setToolTip(CROPS_TELL if path is None else for_qt(str(path)))
        self.no_map.enabled = path is not None
        self.hr_cells.show_file(self.state.hr_cells)

    def _allow(self, busy: str) -> None:
        none = "" if self.state.result is not None else "There is no table yet: measure first."
        saving = "The table is being written." if self.state.saving else ""
        chosen = any(pair.sources != (None, None) for pair in self.state.images.values())
        allow(self.run, busy or ("" if chosen else NO_IMAGES), "Measure the chosen images")
        allow(self.plots, busy or none, "Beside this panel, or in a tab where it is narrow")
        allow(self.export, busy or none or saving, "As CSV, Parquet or AnnData")

    def _show_activity(self, phase: Phase) -> None:
        """Show in napari's own list of what is at work that a measurement is."""
        if phase is Phase.RUNNING:
            self._activity = progress(total=FULL, desc="Measuring cells")
        elif self._activity is not None:
            self._activity.close()
            self._activity = None

    def _follow_activity(self) -> None:
        if self._activity is not None:
            self._activity.update(self.bar.value() - self._activity.n)

    def _show_result(self) -> None:
        result = self.state.result
        if result is not None:
            self.shown.show_table(result.table, columns_of(result.table, result.record))
            self.tabs.setCurrentIndex(1)

    def _show_means(self) -> None:
        table = None if self.state.means is None else self.state.means.table
        self.tabs.setTabVisible(MEANS_TAB, table is not None)
        if table is not None:
            self.means.show_means(table, str(table["Measurement"].iloc[0]))


def _number(value: object) -> object:
    """Return what a field says: left empty, it says nothing."""
    return None if value == "" else value
