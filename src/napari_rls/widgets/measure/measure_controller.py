"""What the widget "Measure cells" does, without Qt: guesses, checks, measures, exports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.evaluation.tables import IMAGE
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.cells import MeasureSettings
from napari_rls.search.settings import first_problem
from napari_rls.widgets.cells.input_layers import layer_crops, layer_wells
from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.state import Level, Message, Phase, RunProgress
from napari_rls.widgets.measure.cell_link import CellLink
from napari_rls.widgets.measure.measure_inputs import (
    KINDS,
    ChosenSet,
    Images,
    Pair,
    bundle_record,
    choose_sets,
    guess_images,
)
from napari_rls.widgets.measure.measure_layers import DrawnLabels, MeasureLayers, draw_labels
from napari_rls.workflow.cells.stack import Crop
from napari_rls.workflow.cells.wells import told_wells
from napari_rls.workflow.measure.columns import FLAGS

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_rls.widgets.measure.measure_state import MeasureState
    from napari_rls.workflow.measure.image_sets import Kind
    from napari_rls.workflow.measure.measurements import Measurements

# pandas and scikit-image take a second to import: jobs do so in their thread.

Deliver = Callable[[Any], None]
Launch = Callable[["MeasureJob | SaveJob", Deliver, Callable[[], None]], Callable[[], None]]
Later = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, eq=False)
class MeasureNews:
    """A message of the thread: images done of all, and in the last one the result."""

    done: int
    total: int
    result: Measurements | None = None
    labels: DrawnLabels | None = None

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out."""
        return self.result is not None


@dataclass(frozen=True, eq=False)
class MeasureJob:
    """What one run measures."""

    sets: Sequence[ChosenSet]
    images: Images
    settings: MeasureSettings
    plate_map: Path | None
    factor: int | None

    def updates(self) -> Iterator[MeasureNews]:
        """Copy the images and measure."""
        from napari_rls.workflow.cells.plate_map import PlateMap
        from napari_rls.workflow.measure.measurements import measure

        plate_map = PlateMap(self.plate_map) if self.plate_map else None
        sets = [chosen.read() for chosen in self.sets]
        for update in measure(sets, self.settings, plate_map=plate_map, factor=self.factor):
            labels = draw_labels(update.result, self.images) if update.result else None
            yield MeasureNews(update.done, update.total, update.result, labels)


@dataclass(frozen=True, eq=False)
class Saved:
    """What there is to say of a file that was to be written."""

    message: Message
    must_show: bool = True


@dataclass(frozen=True, eq=False)
class SaveJob:
    """A table that is written."""

    path: Path
    table: pd.DataFrame
    record: Mapping[str, Any]

    def updates(self) -> Iterator[Saved]:
        """Write the table and its record."""
        from napari_rls.widgets.common.save_table import save_table

        yield Saved(save_table(self.path, self.table, self.record))


def _at_once(step: Callable[[], None]) -> None:
    step()


class MeasureController:
    """Turn what the user wants into measurements and layers; views only follow ``state``.

    Parameters
    ----------
    viewer
        The viewer, or its model alone.
    state
        What the views show.
    launch
        Starts a job in the background, see :func:`napari_rls.widgets.common.worker.launch`.
    memory
        File that remembers the settings.
    later
        Calls a function once the window has drawn; labels come one by one, as each takes
        napari a while.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        state: MeasureState,
        launch: Launch,
        memory: Path,
        later: Later = _at_once,
    ) -> None:
        self.viewer = viewer
        self.state = state
        self._launch = launch
        self._memory = memory
        self._later = later
        self._guessing = True
        self._suggested_by = ""
        self._run = 0
        self._began = 0.0
        self._in_thread = False
        self._showing: Iterator[None] | None = None
        self._stop: Callable[[], None] = lambda: None
        self._recall()
        self.follow_layers()

    # -- what the user sets ------------------------------------------------------------

    def change(self, name: str, value: Any) -> None:
        """Change one of the settings that every assay has."""
        self._attempt(lambda values: values.update({name: value}))

    def change_assay(self, name: str, value: Any) -> None:
        """Change one of the settings of the chosen assay."""
        assay = self.state.settings.assay
        self._attempt(lambda values: values[assay].update({name: value}))

    def change_nucleus(self, name: str, value: Any) -> None:
        """Change how nuclei are found in the chosen assay."""
        assay = self.state.settings.assay
        self._attempt(lambda values: values[assay]["nucleus"].update({name: value}))

    def reset(self) -> None:
        """Take what the bundle of the SR images suggests, or else the assay's own settings."""
        suggested = self.suggestion
        self._take(suggested or MeasureSettings(assay=self.state.settings.assay))

    @property
    def suggestion(self) -> MeasureSettings | None:
        """What the bundle of the chosen SR images suggests, if it does."""
        stored = bundle_record(self.state.images).get("measurement")
        try:
            # Channels are those that are chosen.
            return MeasureSettings.model_validate({**stored, "dna": "", "signal": ""})
        except (TypeError, ValidationError):
            return None

    def choose_images(self, images: Images) -> None:
        """Take over which layers hold what; from now on nothing is guessed."""
        self._guessing = False
        self._take_images(images)

    def guess(self) -> None:
        """Choose the layers by what they say of themselves, their sizes and names."""
        self._guessing = True
        self._take_images(guess_images(self._image_layers))

    def follow_layers(self) -> None:
        """Guess again or, if the user chose, forget layers that left the viewer."""
        if self._guessing:
            self.guess()
            return
        images = {kind: self._still_there(pair) for kind, pair in self.state.images.items()}
        if any(any(pair.sources) for pair in images.values()):
            self._take_images(images)
        else:
            self.guess()

    def choose_factor(self, factor: int) -> None:
        """Upsample LR images by this factor; 0 for the size of the others."""
        self.state.factor = factor

    def choose_plate_map(self, path: Path | None) -> None:
        """Take the conditions from a file, or from nowhere."""
        from napari_rls.workflow.cells.plate_map import PlateMap

        complaint = ""
        try:
            if path is not None:
                places = dict.fromkeys((crop.file, crop.well) for crop in self._crops())
                complaint = PlateMap(path).complaint(places)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        self.state.plate_map = path
        self._note_wells()
        self._say(complaint, Level.WARNING if complaint else Level.INFO)

    def _note_wells(self) -> None:
        """Say which wells the rows will have by names of files: those of one kind tell of all."""
        from napari_rls.workflow.cells.plate_map import PlateMap

        pairs = self.state.images.values()
        layers = [source.layer for pair in pairs for source in pair.sources if source]
        layer = next(filter(layer_crops, layers), layers[0] if layers else None)
        plate_map = None
        # Where it changed since it was chosen, measuring says so.
        with suppress(InputError):
            plate_map = PlateMap(self.state.plate_map) if self.state.plate_map else None
        guesses = {} if layer is None else layer_wells(layer, plate_map)
        self.state.wells = " ".join(told_wells(guesses))

    def _crops(self) -> list[Crop]:
        """Return where the cells of the chosen layers come from, as far as it is known."""
        pairs = self.state.images.values()
        chosen = [source.layer for pair in pairs for source in pair.sources if source]
        found = [(layer, crop) for layer in chosen for crop in layer_crops(layer) or (Crop(),)]
        return [replace(crop, file=crop.file or layer.name) for layer, crop in found]

    # -- a measurement -----------------------------------------------------------------

    def start(self) -> None:
        """Copy the images and measure them; one run at a time."""
        state = self.state
        if state.phase is not Phase.IDLE:
            return
        self.follow_layers()
        try:
            sets, (dna, signal) = choose_sets(state.images, self._image_layers)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        settings = state.settings.model_copy(update={"dna": dna, "signal": signal})
        self._run += 1
        run = self._run
        self._began, self._in_thread = time.monotonic(), True
        state.phase = Phase.RUNNING
        state.progress = RunProgress(0.0, "Measuring")
        self._say("")
        self._stop = self._launch(
            MeasureJob(sets, dict(state.images), settings, state.plate_map, state.factor or None),
            lambda news: self._receive(run, news),
            lambda: self._ended(run),
        )

    def cancel(self) -> None:
        """End the run now; what was measured before stays."""
        if self.state.phase is Phase.RUNNING:
            self._settle("Cancelled: what was measured before stays.")

    def export(self, path: Path) -> None:
        """Write the table and its record, in the background."""
        state, result = self.state, self.state.result
        if result is None:
            self._say("There is no table yet: measure first.", Level.WARNING)
            return
        if state.saving:
            return
        state.saving = True
        self._say(f"Saving the table to {path}.")
        self._launch(SaveJob(path, result.table, result.record), self._saved, self._saving_ended)

    def close(self) -> None:
        """End the run; the layers and their link with the selection stay."""
        self._showing = None
        if self.state.phase is Phase.RUNNING:
            self._settle("")
        elif self.state.phase is Phase.STOPPING:
            self._rest()

    def _saved(self, news: Saved | Exception) -> None:
        if isinstance(news, Exception):
            self._say(explain(news, "saving of the table"), Level.ERROR)
        else:
            self.state.message = news.message

    def _saving_ended(self) -> None:
        self.state.saving = False

    def _receive(self, run: int, news: MeasureNews | Exception) -> None:
        state = self.state
        if run != self._run or state.phase is not Phase.RUNNING:
            return
        if isinstance(news, Exception):
            self._fail(news)
        elif news.result is None or news.labels is None:
            text = f"{news.done} of {news.total} images"
            state.progress = RunProgress(news.done / news.total, text)
        else:
            self._settle("Showing what was measured.", done=True)
            self._show(news.result, news.labels)

    def _fail(self, error: Exception) -> None:
        self._settle(explain(error, "measurement", "measure fewer cells at once"), Level.ERROR)

    def _show(self, result: Measurements, labels: DrawnLabels) -> None:
        """Show the table, and then the labels in the place of those of the last measurement."""
        state = self.state
        if state.link is not None:
            state.link.undo()
            state.link = None
        state.selected = ()
        state.result = result
        if state.layers is None:
            state.layers = MeasureLayers(self.viewer)
        self._showing = state.layers.show(labels)
        self._later(self._show_next)

    def _show_next(self) -> None:
        """Show another layer, or say what was measured when all are there."""
        showing, state = self._showing, self.state
        if showing is None or state.layers is None or state.result is None:
            return
        try:
            for _ in showing:
                self._later(self._show_next)
                return
            state.link = CellLink(self.viewer, state, state.layers)
        except Exception as error:  # noqa: BLE001 - whatever napari raises, the table is there
            self._showing = None
            self._fail(error)
        else:
            self._showing = None
            level = Level.WARNING if state.result.record["warnings"] else Level.INFO
            self._say(describe(state.result, time.monotonic() - self._began), level)
        self._rest()

    def _settle(self, text: str, level: Level = Level.INFO, *, done: bool = False) -> None:
        self.state.phase = Phase.STOPPING
        self._stop()
        self.state.progress = RunProgress(1.0 if done else 0.0)
        self._say(text, level)

    def _ended(self, run: int) -> None:
        if run != self._run:
            return
        self._in_thread = False
        if self.state.phase is Phase.RUNNING:
            self._settle("The measurement ended before every cell was done.", Level.WARNING)
        self._rest()

    def _rest(self) -> None:
        """Be ready for the next run once the thread has ended and everything is shown."""
        if not self._in_thread and self._showing is None:
            self.state.phase = Phase.IDLE

    # -- inside ------------------------------------------------------------------------

    @property
    def _image_layers(self) -> list[Image]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def _still_there(self, pair: Pair) -> Pair:
        gone = {
            role: None
            for role, source in zip(("dna", "signal"), pair.sources, strict=True)
            if source is not None and source.layer not in self.viewer.layers
        }
        return replace(pair, **gone)

    def _take_images(self, images: Images) -> None:
        self.state.images = {kind: images.get(kind, Pair()) for kind in KINDS}
        self._note_wells()
        by = bundle_record(images).get("content_hash", "")
        suggested = self.suggestion
        if by and by != self._suggested_by and suggested is not None:
            self._suggested_by = by
            self._take(suggested)
            self._say(f"Settings as the bundle {bundle_record(images)['name']} suggests.")

    def _attempt(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the settings; what is out of range is refused with a message."""
        values = self.state.settings.model_dump()
        change(values)
        try:
            settings = MeasureSettings.model_validate(values)
        except ValidationError as error:
            self._say(f"Wrong setting: {first_problem(error)}.", Level.ERROR)
            self.state.events.settings.emit(self.state.settings)
            return
        self._take(settings)

    def _take(self, settings: MeasureSettings) -> None:
        self.state.settings = settings
        suggested = self.suggestion
        if suggested is not None and settings != suggested:
            self._say(
                "These are not the settings that the bundle suggests: intervals of SR cells will "
                "be uncorrected.",
                Level.WARNING,
            )
        else:
            self._say("")
        self._remember()

    def _recall(self) -> None:
        if self.state.result is not None or not self._memory.exists():
            return
        try:
            text = self._memory.read_text(encoding="utf-8")
            self.state.settings = MeasureSettings.model_validate_json(text)
        except (OSError, ValueError):
            self._say("The remembered settings were ignored: they cannot be read.", Level.WARNING)

    def _remember(self) -> None:
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._memory) as draft:
                text = self.state.settings.model_dump_json(indent=2)
                draft.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            self._say(
                f"The settings cannot be remembered in {self._memory}: {error.strerror}.",
                Level.WARNING,
            )

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self.state.message = Message(text, level)


def describe(result: Measurements, seconds: float) -> str:
    """Return in words what was measured, what is flagged, and what is to be known."""
    table = result.table
    kinds: list[Kind] = [kind for kind in KINDS if kind in result.labels]
    cells = int((table[IMAGE] == kinds[0]).sum())
    flagged = [f"{n} {kind}" for kind in kinds if (n := _flagged(result, kind))]
    what = f"{cells} {'cell' if cells == 1 else 'cells'} in {', '.join(kinds)}"
    parts = [
        f"Done: {what} measured in {seconds:.1f} s.",
        f"Flagged rows: {', '.join(flagged)} (column {FLAGS})." if flagged else "",
        *result.record["warnings"],
    ]
    return " ".join(filter(None, parts))


def _flagged(result: Measurements, kind: Kind) -> int:
    table = result.table
    return int(((table[IMAGE] == kind) & (table[FLAGS] != "")).sum())
