"""What widgets that work on LR cells share, without Qt: the bundle, the layers, the factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from napari.layers import Image

from napari_rls.errors import BundleError, InputError, SettingsError
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import embedded_bundles, find_bundle
from napari_rls.search.settings import FACTORS, Settings
from napari_rls.widgets.cells.comparison import Comparison
from napari_rls.widgets.cells.guess_layers import guess, unclear_layers
from napari_rls.widgets.cells.input_layers import outline, possible_factors, read_cells
from napari_rls.widgets.cells.input_state import FIELD, Inputs, InputState
from napari_rls.widgets.cells.layer_facts import comes_generated, full_resolution, layer_cells
from napari_rls.widgets.cells.layer_reading import fitting_bundle, read_layers
from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.memory import know_bundle, known_bundles, recall, remember
from napari_rls.widgets.common.state import Level, Message, Phase
from napari_rls.widgets.common.viewer_controller import ViewerController
from napari_rls.widgets.common.worker import NewsT
from napari_rls.workflow.cells.stack import fitting_factor
from napari_rls.workflow.cells.usable import check_fit, check_size, scale_doubt, unusable_cells

if TYPE_CHECKING:
    from napari.utils.events import Event

    from napari_rls.models.manifest import Manifest
    from napari_rls.workflow.cells.stack import CellStack


class InputController(ViewerController[NewsT]):
    """Keep bundle, layers and scale factor of a state such that they fit, or say why not.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.common.viewer_controller.ViewerController`.
    """

    state: InputState
    of_fields: ClassVar[bool] = False
    """Whether LR layers are whole fields."""

    def _open(self) -> None:
        self._comparison = Comparison(self.viewer, self.state, self._soon)
        self.viewer.layers.events.removed.connect(self._layer_removed)
        settings, note = recall(self._memory)
        self.use_settings(settings)
        if note:
            self._say(note, Level.WARNING)

    @property
    def bundles(self) -> tuple[str, ...]:
        """Names of the embedded bundles and the bundle files that were used before or are now."""
        files = known_bundles(self._memory)
        return tuple(dict.fromkeys([*embedded_bundles(), *files, self.state.settings.bundle]))

    def use_settings(self, settings: Settings) -> None:
        """Take over settings as a whole; the bundle stays as it was if it cannot be read."""
        before, problem = self.state.manifest, ""
        try:
            manifest: Manifest | None = read_manifest(find_bundle(settings.bundle))
        except BundleError as error:
            problem = str(error)
            manifest = before
            settings = settings.model_copy(update={"bundle": self.state.settings.bundle})
        self.state.settings = settings
        self.state.manifest = manifest
        if manifest and (before is None or before.channel_names != manifest.channel_names):
            self.guess_inputs()
        self.check()
        if problem:
            self._say(problem, Level.ERROR)

    def change(self, name: str, value: Any) -> None:
        """Change one setting; one that is out of range is refused with a message.

        A method brings its own lambdas, steps, step size, start and samples.
        """
        try:
            if name == "method":
                settings = self.state.settings.with_method(value)
            else:
                given = self.state.settings.model_dump(exclude_unset=True)
                settings = Settings.parse({**given, name: value})
        except SettingsError as error:
            self._say(str(error), Level.ERROR)
            self.state.events.settings.emit(self.state.settings)
            return
        self.use_settings(settings)
        self._remember()

    def shown_settings(self) -> Settings:
        """Return the settings that a run would have: of those not given, what they come to."""
        return self.state.settings

    def choose_inputs(self, inputs: Inputs) -> None:
        """Take over which layers hold the cells; from now on nothing is guessed."""
        self._guessing = False
        self._take_inputs(inputs)

    def guess_inputs(self, *, separate: bool | None = None) -> None:
        """Choose the layers by name and shape, and, unless given, how channels are stored."""
        self._guessing = separate is None
        if self.state.manifest is None:
            return
        manifest = self.state.manifest
        found = self._guess(self._images, separate)
        if separate is None and any(found.lr):
            reading = read_layers(found, manifest)
            doubtful = reading.assumed or reading.differing or not reading.channels
            # Channels of another bundle are not taken for this one's because of their order.
            if doubtful and self._fitting(self._images):
                found = self._guess([], found.separate)
        self._take_inputs(found)

    def _guess(self, images: Sequence[Image], separate: bool | None) -> Inputs:
        assert self.state.manifest is not None
        return guess(images, self.state.manifest, separate=separate, fields=self.of_fields)

    @property
    def _images(self) -> list[Image]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def _fitting(self, images: Sequence[Image]) -> Manifest | None:
        """Return another bundle that has just the channels and a size of these images."""
        current = self.state.manifest
        return fitting_bundle(images, self.bundles, current, fields=self.of_fields)

    def follow_layers(self) -> None:
        """Guess again or, if the user chose, forget layers that left the viewer."""
        if self._guessing:
            self.guess_inputs()
            return
        inputs, layers = self.state.inputs, self.viewer.layers
        lr, gt = (
            tuple(layer if layer in layers else None for layer in chosen)
            for chosen in (inputs.lr, inputs.gt)
        )
        if not any(lr) and any(inputs.lr):
            self.guess_inputs()
        else:
            self._take_inputs(replace(inputs, lr=lr, gt=gt))

    def _take_inputs(self, inputs: Inputs) -> None:
        state = self.state
        if inputs != state.inputs:
            state.inputs = inputs
            self.check()
        elif not any(inputs.lr) and state.manifest and self._nothing_chosen() != state.obstacle:
            self.check()

    def check(self) -> None:
        """Offer the factors that fit and say what is wrong with the chosen layers, if anything."""
        if self.state.phase is Phase.IDLE and (judged := self._judge()):
            self.state.message = judged

    def _ready(self) -> None:
        """Be ready for the next run: what was chosen meanwhile is judged, what was said stays."""
        super()._ready()
        self._judge()

    def compare(self) -> None:
        """Lay LR, SR and GT side by side, or back."""
        try:
            self._comparison.toggle()
        except Exception as error:  # noqa: BLE001 - the viewer is as before; the program goes on
            level = Level.WARNING if isinstance(error, InputError) else Level.ERROR
            self._say(explain(error, "comparison"), level)

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        super().close()
        self._comparison.stop()
        self.viewer.layers.events.removed.disconnect(self._layer_removed)

    def _layer_removed(self, event: Event) -> None:
        self._comparison.forget(event.value)

    def _judge(self) -> Message | None:
        """Note whether a run of the chosen layers can start, and return what is to be said."""
        state = self.state
        if state.manifest is None:
            return None
        state.factors = possible_factors(state.inputs, state.manifest, FACTORS)
        if state.factors and state.settings.factor not in state.factors:
            nearest = 8 if 8 in state.factors else state.factors[0]
            state.settings = state.settings.model_copy(update={"factor": nearest})
        state.reading, state.obstacle = "", ""
        if not any(state.inputs.lr):
            state.obstacle = self._nothing_chosen()
            return Message(state.obstacle, Level.WARNING if self._own_images else Level.INFO)
        reading = read_layers(state.inputs, state.manifest)
        state.reading = reading.text
        said = reading.warnings
        try:
            blank, factor = outline(state.inputs, state.manifest), state.settings.factor
            check_fit(blank, state.manifest, factor)
            said += filter(None, [scale_doubt(blank.pixel_size_um, state.manifest, factor)])
        except InputError as error:
            state.obstacle = f"{error}{self._hint(state.inputs)}"
            said.insert(0, state.obstacle)
        if said and (fitting := self._fitting([x for x in state.inputs.lr if x is not None])):
            said.append(
                f"The bundle {fitting.name} ({', '.join(fitting.channel_names)}) has the "
                "image's channels and a size that fits: choose it if it is meant."
            )
        if state.settings.lambda_w and state.manifest.flow_doubt:
            said.append(state.manifest.flow_doubt)
        return Message(" ".join(said), Level.WARNING if said else Level.INFO)

    @property
    def _own_images(self) -> list[Image]:
        return [layer for layer in self._images if not comes_generated(layer)]

    def _nothing_chosen(self) -> str:
        """Return why there is no LR layer, and what to do."""
        manifest = self.state.manifest
        assert manifest is not None
        if other := self._other_bundle():
            return other
        if unclear := unclear_layers(self._images, manifest):
            return unclear
        for layer in self._own_images:
            channels = tuple(range(len(manifest.channels)))
            inputs = Inputs(False, (layer,), (None,), channels)
            try:
                check_size(layer_cells(layer, pixels=False), manifest)
                outline(inputs, manifest)
            except InputError as error:
                return f"{error}{self._hint(inputs)}"
        return "Open an image with LR cells and choose it as the LR layer."

    def _other_bundle(self) -> str:
        """Return which other bundle the open images fit, in a sentence, or nothing."""
        fitting = self._fitting(self._images)
        if fitting is None:
            return ""
        channels = ", ".join(fitting.channel_names)
        return (
            f"The open images fit the bundle {fitting.name} ({channels}): choose it as the bundle."
        )

    def _hint(self, inputs: Inputs) -> str:
        """Return what to do with layers that fail to be cells but may be a field, or nothing."""
        layer, manifest = inputs.lr[0], self.state.manifest
        assert manifest is not None
        if layer is None or layer.rgb or layer.ndim < 2:
            return ""
        height, width = full_resolution(layer).shape[-2:]
        if fitting_factor(height, width, manifest.hr_size):
            return ""
        return f" If it is a whole field, choose {FIELD} in the menu of plugins."

    def read_lr(self, cells: range | None = None) -> tuple[CellStack, dict[int, str]]:
        """Return a copy of the LR cells, or some, and why some of them cannot be searched.

        Raises
        ------
        InputError
            If the layers do not fit the bundle, or no cell can be searched.
        """
        inputs, manifest = self.state.inputs, self.state.manifest
        assert manifest is not None
        lr = read_cells(inputs, manifest, self.state.settings.factor, cells)
        lr = replace(lr, reading=read_layers(inputs, manifest))
        skipped = unusable_cells(lr)
        if len(skipped) == len(lr):
            raise InputError(
                f"{lr.name}: no cell can be searched ({next(iter(skipped.values()))})."
            )
        return lr, skipped

    def _remember(self) -> None:
        bundle = self.state.settings.bundle
        problem = remember(self.state.settings.save_given, self._memory)
        if bundle not in embedded_bundles():
            problem = know_bundle(bundle, self._memory) or problem
        if problem:
            self._say(problem, Level.WARNING)
