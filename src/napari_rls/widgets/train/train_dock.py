"""The dock widget "Train a bundle": a view of the state that passes wishes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, PushButton
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.text import for_qt
from napari_rls.training.training_settings import TrainSettings
from napari_rls.widgets.common.docks import SUPER_RESOLVE, open_dock
from napari_rls.widgets.common.fields import SettingsForm
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import (
    COLOURS,
    TextLabel,
    UpAndDown,
    allow,
    folded,
    form_rows,
)
from napari_rls.widgets.common.run_dock import RunDock, RunWords
from napari_rls.widgets.common.state import Level, Message, Phase
from napari_rls.widgets.common.worker import launch
from napari_rls.widgets.train.train_controller import TrainController
from napari_rls.widgets.train.train_plan import TrainPlan
from napari_rls.widgets.train.train_progress import TrainProgress
from napari_rls.widgets.train.train_state import TrainState

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = {"size": (64, 128, 256)}

MAIN = ("size", "kimg")
HIDDEN = frozenset({"channels", "intensity", "camera"})
MORE = tuple(name for name in TrainSettings.model_fields if name not in {*MAIN, *HIDDEN})
ABOUT = ("name", "title", "licence", "attribution", "pixel_size")
MORE_OF_PLAN = ("start", "grow_kimg", "generator", "fit_samples", "fit_epochs")

IMAGES = "Images (*.tif *.tiff *.lif *.czi *.nd2)"


class TrainWidget(RunDock):
    """Train a bundle on images of one's own.

    Parameters
    ----------
    napari_viewer
        The napari viewer that shows crops and samples.
    """

    tab = "Train"
    words = RunWords(
        run="Train",
        busy="Something is at work: wait, or cancel it.",
        no_work="Nothing is at work, or it is stopping.",
        cancel="Stop after this step; a run keeps a checkpoint and can go on",
    )
    state: TrainState
    controller: TrainController

    def _make_controller(self) -> TrainController:
        memory = settings_file().with_name("training.json")
        return TrainController(self._viewer, TrainState(), launch, memory, launch)

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
        self.find_cells = PushButton(text="Find cells")
        self.finish = PushButton(text="Finish now")
        self.open_run = PushButton(text="Open run...")
        self.use = PushButton(text="Use this bundle")
        self.found, self.warnings, self.estimate = TextLabel(), TextLabel(), TextLabel()
        self.warnings.setStyleSheet(COLOURS[Level.WARNING])
        self.progress = TrainProgress()
        self.tabs = QTabWidget()
        self.tabs.addTab(self._settings_area(), "Settings")
        self.tabs.addTab(self.progress, "Progress")
        self.whole.addWidget(self.tabs, stretch=1)
        rows = (
            (self.find_cells, self.run),
            (self.open_run, self.cancel),
            (self.finish, self.use),
        )
        self._add_below(rows, self.estimate, self.bar, self.warnings, self.said)

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

    # -- wishes of the user ------------------------------------------------------------

    def _connect(self) -> None:
        super()._connect()
        control, events = self.controller, self.state.events
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
        self.find_cells.changed.connect(control.find_cells)
        self.finish.changed.connect(control.finish)
        self.open_run.changed.connect(self._choose_run)
        self.use.changed.connect(self._use_bundle)
        allowing = (events.begun, events.bundle, events.stoppable, events.plan)
        self.follow(
            (events.plan, self._show_plan),
            (events.found, self.found.show_text),
            (events.estimate, self.estimate.show_text),
            (events.training, self._show_training),
            (events.warnings, self._show_warnings),
            (events.device, self.progress.show_device),
            (events.curves, self._show_curves),
            (events.scored, self._show_curves),
            *((event, self._show_phase) for event in allowing),
        )

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
        super()._show_all()
        self.found.show_text(state.found)
        self.estimate.show_text(state.estimate)
        self._show_warnings(state.warnings)
        self.progress.show_device(state.device)
        self._show_curves()

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

    def _allow(self, busy: str) -> None:
        state = self.state
        self.run.text = "Resume" if state.begun else "Train"
        run = state.plan.run_folder.name
        begin = f"Go on with the run in {run}" if state.begun else "Begin the run"
        no_images = (
            "" if state.plan.images else "Choose images first: files, a folder, open layers."
        )
        no_run = "" if state.begun else "There is nothing to finish yet: train first."
        if state.phase is Phase.RUNNING:
            no_run = "" if state.stoppable else "There is no step of training to stop after."
        if state.phase is Phase.STOPPING:
            no_run = "The work is stopping."
        no_bundle = "" if state.bundle else "There is no new bundle yet: train, or finish a run."
        allow(self.find_cells, busy or no_images, "Cut the crops and show some of them")
        allow(self.run, busy or no_images, begin)
        allow(self.open_run, busy, "Go on with a run, begun here or by a command: choose NAME-run")
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
        self.warnings.show_text("\n".join(warnings))

    def _show_curves(self, _: object = None) -> None:
        self.progress.show_curves(self.state.curves, self.state.no_score)


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
