"""The dock widget "Train a bundle": a view of the state that passes wishes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from magicgui.widgets import ComboBox, PushButton
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.text import for_qt
from napari_rls.training.training_settings import TrainSettings
from napari_rls.widgets.common.docks import SUPER_RESOLVE, Dock, open_dock
from napari_rls.widgets.common.fields import SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import (
    COLOURS,
    RunBar,
    TextLabel,
    UpAndDown,
    allow,
    folded,
    form_rows,
)
from napari_rls.widgets.common.state import Level, Message, Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.train.train_controller import TrainController
from napari_rls.widgets.train.train_curves import CurvesPlot
from napari_rls.widgets.train.train_plan import TrainPlan
from napari_rls.widgets.train.train_state import Curves, TrainState

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = {"size": (64, 128, 256)}

MAIN = ("size", "kimg")
HIDDEN = frozenset({"channels", "intensity", "camera"})
MORE = tuple(name for name in TrainSettings.model_fields if name not in {*MAIN, *HIDDEN})
ABOUT = ("name", "title", "licence", "attribution", "pixel_size")
MORE_OF_PLAN = ("start", "grow_kimg", "generator", "fit_samples", "fit_epochs")

IMAGES = "Images (*.tif *.tiff *.lif *.czi *.nd2)"
FACTS = {
    "Images/s": (0, 0, 1),
    "ADA p": (0, 2, 1),
    "KID": (1, 0, 3),
    "Best KID": (2, 0, 3),
    "Device": (3, 0, 3),
}
"""What is told of a run, and where: row, column, columns that the value may take."""

EM_DASH = "\N{EM DASH}"


class TrainWidget(Dock):
    """Train a bundle on images of one's own.

    Parameters
    ----------
    napari_viewer
        The napari viewer that shows crops and samples.
    """

    tab = "Train"

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state = TrainState()
        memory = settings_file().with_name("training.json")
        self.controller = TrainController(self._viewer, self.state, launch, memory, launch)
        self._build()
        self._connect()
        self._show_all()
        self.destroyed.connect(self.controller.close)

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        self.images = TextLabel()
        self.files = PushButton(text="Files...", tooltip="Files of whole fields")
        self.whole_folder = PushButton(text="Folder...", tooltip="All images of a folder")
        self.open_layers = PushButton(text="Open layers", tooltip="Files of the open image layers")
        self.channels = SettingsForm(("channels", "pattern"), TrainPlan)
        self.dna = ComboBox(tooltip="The channel that shows nuclei, which cells are centred on.")
        self.nuclei = SettingsForm(tuple(NucleusSettings.model_fields), NucleusSettings, {})
        self.main = SettingsForm(MAIN, TrainSettings, SIZES)
        self.more = SettingsForm(MORE, TrainSettings, {})
        self.more_of_plan = SettingsForm(MORE_OF_PLAN, TrainPlan, {})
        self.about = SettingsForm(ABOUT, TrainPlan, {})
        self.place = TextLabel()
        self.choose_place = PushButton(text="Choose...", tooltip="Folder of the bundle and its run")
        self.find = PushButton(text="Find cells")
        self.train = PushButton(text="Train")
        self.cancel = PushButton(text="Cancel")
        self.finish = PushButton(text="Finish now")
        self.open_run = PushButton(text="Open run...")
        self.use = PushButton(text="Use this bundle")
        self.bar = RunBar()
        self.message, self.found, self.warnings = TextLabel(), TextLabel(), TextLabel()
        self.estimate = TextLabel()
        self.warnings.setStyleSheet(COLOURS[Level.WARNING])
        self.facts = {name: TextLabel() for name in FACTS}
        self.curves = CurvesPlot()

        self.tabs = QTabWidget()
        self.tabs.addTab(self._settings_area(), "Settings")
        self.tabs.addTab(self._training_area(), "Progress")
        whole = self.whole
        whole.addWidget(self.tabs, stretch=1)
        whole.addLayout(self._buttons())
        for widget in (self.estimate, self.bar, self.warnings, self.message):
            whole.addWidget(widget)

    def _settings_area(self) -> QWidget:
        self.settings_area = QWidget()
        column = QVBoxLayout(self.settings_area)
        column.setContentsMargins(0, 0, 0, 0)
        dna = form_rows()
        dna.addRow("DNA channel", self.dna.native)
        place = form_rows()
        place.addRow("Folder", self.choose_place.native)
        sources = (self.files.native, self.whole_folder.native, self.open_layers.native)
        column.addWidget(
            _group(
                "Images",
                _side_by_side(*sources),
                self.images,
                self.found,
                self.channels,
                dna,
                folded("Finding nuclei", self.nuclei),
            )
        )
        more = folded("More settings", self.more, self.more_of_plan)
        column.addWidget(_group("Training", self.main, more))
        column.addWidget(_group("Bundle", self.about, place, self.place))
        column.addStretch()
        self.area = UpAndDown(self.settings_area)
        return self.area

    def _training_area(self) -> QWidget:
        facts = QGridLayout()
        for name, (row, column, span) in FACTS.items():
            facts.addWidget(QLabel(name), row, column)
            facts.addWidget(self.facts[name], row, column + 1, 1, span)
        facts.setColumnStretch(1, 1)
        facts.setColumnStretch(3, 1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(facts)
        column.addWidget(self.curves, stretch=1)
        return UpAndDown(content)

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        buttons = (self.find, self.train, self.open_run, self.cancel, self.finish, self.use)
        for k, button in enumerate(buttons):
            grid.addWidget(button.native, k // 2, k % 2)
        return grid

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        control = self.controller
        self.files.changed.connect(self._choose_files)
        self.whole_folder.changed.connect(self._choose_folder)
        self.open_layers.changed.connect(control.choose_open_images)
        for form in (self.channels, self.about, self.more_of_plan):
            form.changed.connect(control.change)
        self.dna.changed.connect(lambda name: control.change("dna_channel", name))
        self.nuclei.changed.connect(control.change_nuclei)
        for form in (self.main, self.more):
            form.changed.connect(control.change_setting)
        self.choose_place.changed.connect(self._choose_place)
        self.find.changed.connect(control.find_cells)
        self.train.changed.connect(control.train)
        self.cancel.changed.connect(control.cancel)
        self.finish.changed.connect(control.finish)
        self.open_run.changed.connect(self._choose_run)
        self.use.changed.connect(self._use_bundle)
        events = self.state.events
        events.plan.connect(self._show_plan)
        events.found.connect(self._show_found)
        events.estimate.connect(self._show_estimate)
        events.phase.connect(self._show_phase)
        events.training.connect(self._show_training)
        events.progress.connect(self.bar.show_progress)
        events.message.connect(self.message.show_message)
        events.warnings.connect(self._show_warnings)
        events.device.connect(self._show_device)
        events.curves.connect(self._show_curves)
        events.scored.connect(lambda _: self._show_curves(self.state.curves))
        for event in (events.begun, events.bundle, events.stoppable, events.plan):
            event.connect(self._show_phase)

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Images to train on", "", IMAGES)
        if names:
            self.controller.choose_images(names)

    def _choose_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Folder of the images to train on"):
            self.controller.choose_images([name])

    def _choose_place(self) -> None:
        before = str(self.state.plan.folder)
        if name := QFileDialog.getExistingDirectory(self, "Where the bundle goes", before):
            self.controller.change("folder", Path(name))

    def _choose_run(self) -> None:
        before = str(self.state.plan.folder)
        if name := QFileDialog.getExistingDirectory(self, "Folder of the run", before):
            self.controller.open_run(Path(name))

    def _use_bundle(self) -> None:
        """Choose the bundle in the widget that super-resolves, which is opened if need be."""
        widget = open_dock(self._viewer, SUPER_RESOLVE)
        if widget.state.phase is not Phase.IDLE:
            text = "Super-resolve cells is at work; choose the bundle there when it is done."
            self.message.show_message(Message(text, Level.WARNING))
            return
        widget.controller.change("bundle", str(self.state.bundle))
        self.controller.put_away()

    # -- showing the state -------------------------------------------------------------

    def _show_all(self) -> None:
        state = self.state
        self._show_plan(state.plan)
        self._show_found(state.found)
        self._show_estimate(state.estimate)
        self._show_phase()
        self.bar.show_progress(state.progress)
        self.message.show_message(state.message)
        self._show_warnings(state.warnings)
        self._show_device(state.device)
        self._show_curves(state.curves)

    def _show_plan(self, plan: TrainPlan) -> None:
        self.images.setText(_listed(plan.images, plan.validation))
        self.images.setToolTip(for_qt("\n".join((*plan.images, *plan.validation)[:30])))
        for form in (self.channels, self.about, self.more_of_plan):
            form.show_settings(plan)
        for form in (self.main, self.more):
            form.show_settings(plan.settings)
        self.nuclei.show_settings(plan.nuclei)
        with self.dna.changed.blocked():
            self.dna.choices = ()
            self.dna.choices = plan.channel_names
            if plan.dna_channel in plan.channel_names:
                self.dna.value = plan.dna_channel
        self.place.setText(str(plan.folder))
        self.place.setToolTip(for_qt(f"{plan.bundle}\n{plan.run_folder}"))

    def _show_found(self, text: str) -> None:
        self.found.setText(text)
        self.found.setVisible(bool(text))

    def _show_estimate(self, text: str) -> None:
        self.estimate.setText(text)
        self.estimate.setVisible(bool(text))

    def _show_phase(self, _: Any = None) -> None:
        state = self.state
        idle = state.phase is Phase.IDLE
        self.settings_area.setEnabled(idle)
        self.train.text = "Resume" if state.begun else "Train"
        run = state.plan.run_folder.name
        begin = f"Go on with the run in {run}" if state.begun else "Begin the run"
        no_images = (
            "" if state.plan.images else "Choose images first: files, a folder, open layers."
        )
        busy = "" if idle else "Something is at work: wait, or cancel it."
        no_run = "" if state.begun else "There is nothing to finish yet: train first."
        if state.phase is Phase.RUNNING:
            no_run = "" if state.stoppable else "There is no step of training to stop after."
        if state.phase is Phase.STOPPING:
            no_run = "The work is stopping."
        no_work = "" if state.phase is Phase.RUNNING else "Nothing is at work, or it is stopping."
        no_bundle = "" if state.bundle else "There is no new bundle yet: train, or finish a run."
        allow(self.find, busy or no_images, "Cut the crops and show some of them")
        allow(self.train, busy or no_images, begin)
        allow(self.open_run, busy, "Go on with a run, begun here or by a command: choose NAME-run")
        allow(self.cancel, no_work, "Stop after this step; a run keeps a checkpoint and can go on")
        allow(
            self.finish,
            no_run,
            "Train no more: make a bundle of what the run has so far; it can still go on later",
        )
        allow(self.use, busy or no_bundle, "Choose it in Super-resolve cells")

    def _show_training(self, training: bool) -> None:
        if training:
            self.tabs.setCurrentIndex(1)

    def _show_warnings(self, warnings: Sequence[str]) -> None:
        self.warnings.setText("\n".join(warnings))
        self.warnings.setVisible(bool(warnings))

    def _show_device(self, text: str) -> None:
        self.facts["Device"].setText(text or EM_DASH)

    def _show_curves(self, curves: Curves) -> None:
        none = self.state.no_score
        self.curves.show_curves(curves, none)
        report = curves.reports[-1] if curves.reports else None
        score = curves.measured[-1] if curves.measured else None
        texts = {
            "Images/s": f"{report.images_per_second:.1f}" if report else EM_DASH,
            "ADA p": f"{report.ada_p:.3f}" if report else EM_DASH,
            "KID": f"{score.kid:.3g} \N{PLUS-MINUS SIGN} {score.kid_std:.2g}" if score else none,
            "Best KID": none,
        }
        if best := curves.best:
            texts["Best KID"] = f"{best.kid:.3g} at {best.images / 1000:.1f} kimg"
        for name, text in texts.items():
            self.facts[name].setText(text)


def _side_by_side(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for k, widget in enumerate(widgets):
        row.addWidget(widget, stretch=1 if k == 0 else 0)
    return row


def _group(title: str, *parts: QWidget | QFormLayout | QHBoxLayout) -> QGroupBox:
    group = QGroupBox(title)
    column = QVBoxLayout(group)
    for part in parts:
        if isinstance(part, QWidget):
            column.addWidget(part)
        else:
            column.addLayout(part)
    return group


def _listed(images: Sequence[str], validation: Sequence[str]) -> str:
    if not images:
        return "None chosen"
    text = images[0]
    if len(images) > 1:
        text = f"{len(images)} files, from {Path(images[0]).name} to {Path(images[-1]).name}"
    return f"{text}; to validate on: {_listed(validation, ())}" if validation else text
