"""What is measured, and on what, without Qt: the settings and layers of "Measure cells"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.cells import MeasureSettings
from napari_rls.search.settings import first_problem
from napari_rls.widgets.cells.hr_means import AGAIN, why_no_hr_cells
from napari_rls.widgets.cells.layer_facts import layer_crops, layer_wells
from napari_rls.widgets.common.memory import remember
from napari_rls.widgets.common.state import Level
from napari_rls.widgets.common.viewer_controller import ViewerController
from napari_rls.widgets.measure.choose_sets import told_names
from napari_rls.widgets.measure.guess_images import guess_images
from napari_rls.widgets.measure.image_pairs import KINDS, Images, Pair, bundle_record
from napari_rls.widgets.measure.measure_job import MeasureNews
from napari_rls.workflow.cells.stack import Crop
from napari_rls.workflow.cells.wells import told_wells

if TYPE_CHECKING:
    from napari_rls.widgets.measure.measure_state import MeasureState


class MeasureChoice(ViewerController[MeasureNews]):
    """Keep settings and images of a state such that they fit, or say why not.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.common.viewer_controller.ViewerController`; labels
        come one by one, as each takes napari a while.
    """

    state: MeasureState

    def _open(self) -> None:
        self._suggested_by = ""
        self._recall()
        self.follow_layers()

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
        if not isinstance(stored, Mapping):
            return None
        try:
            # Channels are those that are chosen.
            return MeasureSettings.model_validate({**stored, "dna": "", "signal": ""})
        except ValidationError:
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
        self._note_names()
        self._say(complaint, Level.WARNING if complaint else Level.INFO)

    def choose_hr_cells(self, path: Path | None) -> None:
        """Correct means by HR images of a few of the cells, or not."""
        if path is not None and (why := why_no_hr_cells(path, self.state.settings)):
            self._say(why, Level.ERROR)
            return
        # Means are those of the file that is shown, or none.
        self.state.hr_cells, self.state.means = path, None
        self._say(AGAIN if path is not None and self.state.result is not None else "")

    def _note_names(self) -> None:
        """Say what the rows and columns will be called by names of files and of channels.

        The files of one kind of image tell of all.
        """
        from napari_rls.workflow.cells.plate_map import PlateMap

        pairs = self.state.images.values()
        layers = [source.layer for pair in pairs for source in pair.sources if source]
        layer = next(filter(layer_crops, layers), layers[0] if layers else None)
        plate_map = None
        # Where it changed since it was chosen, measuring says so.
        with suppress(InputError):
            plate_map = PlateMap(self.state.plate_map) if self.state.plate_map else None
        guesses = {} if layer is None else layer_wells(layer, plate_map)
        taken = plate_map.said if plate_map else ()
        told = (*taken, *told_wells(guesses), told_names(self.state.images))
        self.state.notes = " ".join(filter(None, told))

    def _crops(self) -> list[Crop]:
        """Return where the cells of the chosen layers come from, as far as it is known."""
        pairs = self.state.images.values()
        chosen = [source.layer for pair in pairs for source in pair.sources if source]
        found = [(layer, crop) for layer in chosen for crop in layer_crops(layer) or (Crop(),)]
        return [replace(crop, file=crop.file or layer.name) for layer, crop in found]

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
        self._note_names()
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
        if suggested is not None and settings.stored() != suggested.stored():
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
        if problem := remember(self._save, self._memory):
            self._say(problem, Level.WARNING)

    def _save(self, path: Path) -> None:
        with whole_file(path) as draft:
            text = self.state.settings.model_dump_json(indent=2)
            draft.write_text(text + "\n", encoding="utf-8")
