"""The dock widget "Super-resolve a field": a view of the state that passes wishes on."""

from __future__ import annotations

from dataclasses import replace

from magicgui.widgets import CheckBox, ComboBox, LineEdit, PushButton
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_rls.measure.dictionary import columns_of
from napari_rls.measure.lr_nuclei import LrNucleusSettings
from napari_rls.search.optics import Optics
from napari_rls.widgets.cells.hr_cells_row import HrCellsRow
from napari_rls.widgets.cells.input_dock import InputDock
from napari_rls.widgets.cells.means_area import MeansArea
from napari_rls.widgets.cells.save_sr import SAVE_TIP, ask_sr_file
from napari_rls.widgets.cells.table_view import TABLES, TableView
from napari_rls.widgets.common.ask_file import ask_where
from napari_rls.widgets.common.background import soon
from napari_rls.widgets.common.fields import ADVANCED, MAIN, SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import UpAndDown, allow, folded, form_rows, there
from napari_rls.widgets.common.plot_canvas import PlotCanvas
from napari_rls.widgets.common.run_dock import RunWords
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.fields.chosen_cells import Which
from napari_rls.widgets.fields.field_controller import FieldController
from napari_rls.widgets.fields.field_state import FieldState
from napari_rls.workflow.fields.field_settings import FieldSettings

NOT_OF_FIELDS = ("factor", "operator", "lambda_m")
"""Settings of the search that the ratio and the PSF stand for, or that are of crops alone."""

FIND_TIP = (
    "Find nuclei in the LR field and show them as points, which napari's own tools add, move and "
    "delete."
)
RUN_TIP = (
    "Super-resolve the cells at the points or, without points, those that are found; what is "
    "nearest to the middle of the view comes first."
)
MEASURE_TIP = "Measure the SR cells of the last run, as the bundle suggests."
EXPORT_TIP = "The table, all columns, as CSV, Parquet or h5ad, and its record beside it."
COMPARE_TIP = "LR | SR, contrast linked."
ESTIMATE_TIP = (
    "Estimate the PSF width by the cells of the field and how sharp those are that the bundle "
    "draws, and fill it in. It holds for cells like the bundle's."
)
EVERY_TIP = (
    "Run all fields of the layer, such as its time points, one after the other; what is done stays "
    "if the run is cancelled, and the next run goes on with the rest."
)
SAMPLES_TIP = (
    "Show the samples of the last run over its SR field, or hide them; the slider 'sample' goes "
    "through them."
)
WHICH_TIP = (
    "All cells at the points; those inside the shapes of a Shapes layer, or inside the selected "
    "ones; or the selected points. Results of other cells stay."
)

MEANS_TAB = 1

PLOT_HEIGHT = 190
"""Pixels down that the curve of the PSF width takes."""

PLOT_WIDTH = 200
"""Pixels across that it needs."""


class FieldWidget(InputDock):
    """Find the cells of an LR field and super-resolve them in their places.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose layers are offered.
    """

    tab = "Field"
    truth = False
    words = RunWords(
        run="Super-resolve",
        busy="A run is on: wait for its end, or cancel it.",
        no_work="No run is on.",
        cancel="End the run; keep the cells that it has finished.",
    )
    state: FieldState
    controller: FieldController

    def _make_controller(self) -> FieldController:
        memory = settings_file().with_name("field.json")
        return FieldController(self._viewer, FieldState(), launch, memory, soon)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        super()._build()
        self.main = SettingsForm([name for name in MAIN if name not in NOT_OF_FIELDS])
        self.advanced = SettingsForm([name for name in ADVANCED if name not in NOT_OF_FIELDS])
        self.forms = (self.main, self.advanced)
        self.optics = SettingsForm(("ratio", "psf_sigma"), Optics)
        self.lens = SettingsForm(("psf", "na", "wavelength_um"), Optics)
        self.detection = SettingsForm(("scout_steps", "diameter"), FieldSettings)
        self.nuclei = SettingsForm(tuple(LrNucleusSettings.model_fields), LrNucleusSettings)
        self.estimate = PushButton(text="Estimate PSF width")
        self.plot = PlotCanvas((PLOT_WIDTH, PLOT_HEIGHT))
        self.plot.setFixedHeight(PLOT_HEIGHT)
        self.plot.hide()
        self.which = ComboBox(choices=[(str(which), which) for which in Which], tooltip=WHICH_TIP)
        self.every = CheckBox(text="All fields", tooltip=EVERY_TIP)
        self.look = PushButton(text="Find cells")
        self.samples = PushButton(text="Samples")
        self.statistics = PushButton(text="Mean and SD of samples")
        self.noise = _noise_field()
        camera = QWidget()
        row = QFormLayout(camera)
        row.setContentsMargins(0, 0, 0, 0)
        row.addRow(FieldSettings.model_fields["noise"].title, self.noise.native)
        self.measure, self.export = PushButton(text="Measure"), PushButton(text="Export table...")
        self.save_sr = PushButton(text="Save SR...")
        self.table, self.means = TableView(), MeansArea()
        self.hr_cells = HrCellsRow()
        self.results = QTabWidget()
        self.results.addTab(self.table, "Cells")
        self.results.addTab(self.means, "Means")
        # As high as the table of cells, or the settings above would have no room.
        self.means.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        self.results.hide()
        self.settings_area = QWidget()
        column = QVBoxLayout(self.settings_area)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (
            self.bundles,
            self.picker,
            self.reading,
            self.optics,
            self.estimate.native,
            self.plot,
            folded(
                "Lens, camera, nuclei and search",
                self.lens,
                camera,
                QLabel("Nuclei in the LR field"),
                self.nuclei,
                self.detection,
                QLabel("Search"),
                self.main,
                self.advanced,
            ),
        ):
            column.addWidget(part)
        column.addStretch()
        self.whole.addWidget(UpAndDown(self.settings_area), stretch=1)
        runs_on = form_rows()
        which = QHBoxLayout()
        which.addWidget(self.which.native, stretch=1)
        which.addWidget(self.every.native)
        runs_on.addRow("Super-resolve", which)
        runs_on.addRow("HR cells", self.hr_cells)
        self.whole.addLayout(runs_on)
        rows = (
            (self.look, self.run),
            (self.cancel, self.compare),
            (self.samples, self.statistics),
            (self.measure, self.export, self.save_sr),
        )
        self._add_below(rows, self.bar, self.said, self.results, self.device)
        self.whole.setStretchFactor(self.results, 1)

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        super()._connect()
        self.look.changed.connect(self.controller.find)
        self.which.changed.connect(self.controller.choose_cells)
        self.every.changed.connect(self.controller.choose_planes)
        self.samples.changed.connect(self.controller.toggle_samples)
        self.statistics.changed.connect(self.controller.show_sample_statistics)
        self.estimate.changed.connect(self._estimate)
        self.measure.changed.connect(self.controller.measure)
        self.export.changed.connect(self._export)
        self.save_sr.changed.connect(self._save_sr)
        self.table.chosen.connect(self._select)
        self.hr_cells.chosen.connect(self.controller.choose_hr_cells)
        for form in (self.optics, self.lens, self.detection, self.nuclei):
            form.changed.connect(self.controller.change_field)
        self.noise.native.editingFinished.connect(
            lambda: self.controller.change_noise(self.noise.value)
        )
        events = self.state.events
        self.follow(
            (events.fields, self._show_settings),
            (events.fields, self._show_phase),
            (events.sizes_ratio, self._show_settings),
            (events.obstacle, self._show_phase),
            (events.lacking, self._show_phase),
            (events.unmeasured, self._show_phase),
            (events.planes, self._show_planes),
            (events.along, self._show_planes),
            (events.every, self._show_planes),
            (events.measured, self._show_measured),
            (events.hr_cells, self._show_hr_cells),
            (events.means, self._show_means),
            (events.psf, self._show_psf),
            (events.selected, self.table.select_cells),
        )

    def _estimate(self) -> None:
        # The plot has no size before it is shown.
        screen = replace(self.plot.screen_now, width=self.optics.width(), height=PLOT_HEIGHT)
        self.controller.estimate_psf(screen)

    def _select(self, cells: tuple[int, ...]) -> None:
        self.state.selected = cells

    def _export(self) -> None:
        if path := ask_where(self, "Export table", "cells.csv", TABLES):
            self.controller.export(path)

    def _save_sr(self) -> None:
        if path := ask_sr_file(self, self.controller.sr_name()):
            self.controller.save_sr(path)

    # -- showing the state -------------------------------------------------------------

    def _show_settings(self) -> None:
        super()._show_settings()
        fields = self.state.fields
        for form in (self.optics, self.lens):
            form.show_settings(self.state.optics)
        self.detection.show_settings(fields)
        self.nuclei.show_settings(fields.nuclei)

    def _show_all(self) -> None:
        super()._show_all()
        self._show_planes()
        self._show_hr_cells()

    def _show_planes(self) -> None:
        state = self.state
        self.every.text = f"All {state.planes} fields {state.along}".strip()
        with self.every.changed.blocked():
            self.every.value = state.every
        self.every.native.setVisible(state.planes > 1)

    def _show_psf(self) -> None:
        psf = self.state.psf
        self.plot.setVisible(psf is not None)
        if psf is not None:
            self.plot.show_pixels(psf.pixels)

    def _show_hr_cells(self) -> None:
        self.hr_cells.show_file(self.state.hr_cells)

    def _show_measured(self) -> None:
        measured = self.state.measured
        self.results.setVisible(measured is not None)
        self._show_means()
        if measured is not None:
            columns = columns_of(measured.table, measured.record)
            self.table.table.show_table(measured.table, columns, "SR")

    def _show_means(self) -> None:
        means = None if self.state.means is None else self.state.means.table
        self.results.setTabVisible(MEANS_TAB, means is not None)
        there(self.results.tabBar()).setVisible(means is not None)
        if means is not None:
            self.means.show_means(means, str(means["Measurement"].iloc[0]))
        self._show_phase()

    def _allow(self, busy: str) -> None:
        state = self.state
        allow(self.look, busy or state.obstacle, FIND_TIP)
        allow(self.estimate, busy or state.obstacle or self._no_width, ESTIMATE_TIP)
        self.which.enabled = self.every.enabled = not busy
        lacking = state.lacking
        allow(self.samples, busy or lacking.samples, SAMPLES_TIP)
        allow(self.statistics, busy or lacking.samples, "As layers, of the last run's samples.")
        allow(self.run, busy or state.obstacle, RUN_TIP)
        allow(self.save_sr, busy or lacking.save, SAVE_TIP)
        allow(self.measure, busy or state.unmeasured, MEASURE_TIP)
        nothing = "" if state.measured else "There is no table yet: measure first."
        allow(self.export, nothing, EXPORT_TIP)
        allow(self.compare, "" if state.comparing else lacking.compare, COMPARE_TIP)

    @property
    def _no_width(self) -> str:
        """Why there is no width of a PSF to estimate, or nothing."""
        psf = self.state.fields.optics.psf
        return "" if psf == "gaussian" else f"The PSF '{psf}' has no width to estimate."


def _noise_field() -> LineEdit:
    field = LineEdit(tooltip=FieldSettings.model_fields["noise"].description)
    field.native.setObjectName("noise")
    field.native.setPlaceholderText("estimated")
    return field
