"""The layers of a field: its SR image, filled in cell by cell, samples, where it is generated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from napari_rls.widgets.cells.own_layers import GENERATED, OwnLayers, keep
from napari_rls.widgets.cells.sample_layers import (
    DEVIATION,
    MEAN,
    SAMPLES,
    SampleLayers,
    further_layers,
)
from napari_rls.widgets.cells.sr_layers import BRIGHT, channel_layers, placement
from napari_rls.widgets.common.view import remove_layers, same_view
from napari_rls.widgets.fields.field_patches import paint_samples
from napari_rls.widgets.fields.plane_stack import PlaneStack
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.fields.series_record import series_record

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.field_patches import Patch
    from napari_rls.workflow.cells.stack import CellStack

PLACEHOLDER = {
    "generated": False,
    "note": "The LR field, interpolated (cubic), until the search has reached its cells.",
}

MASK_COLOUR = "#cc79a7"
"""Of where an SR field is generated."""

_SAMPLED = 2_000_000
"""Pixels, spread over a channel, by which its contrast is set."""


class FieldLayers:
    """One SR image layer per channel of the bundle, in the LR layer's place and unit.

    Of several fields, such as time points, a layer has those that were begun.

    Parameters
    ----------
    viewer
        Where the layers are added.
    origin
        Where each channel of the field was read from.
    field
        The field.
    manifest
        The bundle's manifest, for names and colours.
    blank
        The whole SR field before its first cell.
    ratio
        HR pixels along an LR pixel.
    digest
        SHA-256 of the field: the layers of an earlier run of it are taken over; "" for none.
    planes
        How many fields the layers are to have; None for one, wherever it is.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        origin: Sequence[Source],
        field: CellStack,
        manifest: Manifest,
        blank: Patch,
        ratio: float,
        digest: str,
        planes: int | None = None,
    ) -> None:
        self._viewer = viewer
        self._digest, self._several, self._plane = digest, planes is not None, 0
        self._records: dict[int, dict[str, Any]] = {}
        self._own = OwnLayers(viewer, digest)
        self._channels = manifest.channel_names
        self._ratio, self._source = ratio, origin[0]
        self._name = origin[0].layer.name if planes is not None else field.name
        count = planes or 1
        self._stacks = [PlaneStack(origin[0], channel, count) for channel in blank.image]
        self._generated = PlaneStack(origin[0], blank.generated.astype(np.uint8), count)
        self._drawn: list[PlaneStack] = []
        self._mask: Labels | None = None
        self.samples: SampleLayers | None = None
        kind = f"SR {ratio:g}x {GENERATED}"
        if planes is None and origin[0].cell_axis is not None:
            # Beside the layers of all fields, it tells which one it is.
            kind += f" of field {origin[0].first_cell + 1}"
        first = [stack.shown for stack in self._stacks]
        self.layers = channel_layers(
            self._own, origin, field, manifest, first, kind, ratio, PLACEHOLDER
        )
        self._pixels = [layer.data for layer in self.layers]
        self._contrast = [list(layer.contrast_limits) for layer in self.layers]

    @property
    def present(self) -> bool:
        """Whether any of the layers is still in the viewer."""
        return any(layer in self._viewer.layers for layer in self.layers)

    @property
    def begun(self) -> int:
        """How many of several fields were begun."""
        return self._stacks[0].begun

    def begin(self, plane: int, blank: Patch) -> None:
        """Show one field more, as it is before its first cell."""
        self._plane = plane
        self._generated.begin(plane, blank.generated)
        for c, (layer, stack) in enumerate(zip(self.layers, self._stacks, strict=True)):
            stack.begin(plane, blank.image[c])
            if self._is_ours(c):
                layer.data = self._pixels[c] = stack.shown
        if self.samples is not None:
            for channel, drawn in zip(blank.image, self._drawn, strict=True):
                drawn.begin(plane, channel[None])
            self.samples.grow([drawn.shown for drawn in self._drawn])
        self._show_mask()

    def paint(self, patches: Iterable[Patch]) -> None:
        """Draw parts of the field that was begun last."""
        parts = list(patches)
        generated = self._generated.plane(self._plane)
        for part in parts:
            generated[part.rows, part.columns] |= part.generated
        for c, (layer, stack) in enumerate(zip(self.layers, self._stacks, strict=True)):
            if not self._is_ours(c):
                continue
            image = stack.plane(self._plane)
            for part in parts:
                image[part.rows, part.columns] = part.image[c]
            layer.refresh(thumbnail=False, highlight=False, extent=False)
        if self.samples is not None:
            drawn = [each.plane(self._plane) for each in self._drawn]
            for part in parts:
                if part.samples is not None:
                    paint_samples(drawn, part)
            self.samples.refresh()

    def show_samples(self, stacks: Sequence[NDArray[np.float32]]) -> Iterator[None]:
        """Show the samples of the field, an array (S, H, W) a channel, in hidden layers.

        One layer at each step.
        """
        if self.samples is not None:
            for stack, drawn in zip(stacks, self._drawn, strict=True):
                drawn.plane(self._plane)[:] = stack
            self.samples.refresh()
            return
        self._drawn = [self._as_begun(c, stack) for c, stack in enumerate(stacks)]
        self.samples = SampleLayers(
            self._viewer,
            self.layers,
            len(stacks[0]),
            visible=lambda: False,
            digest=self._digest,
            pixels=[drawn.shown for drawn in self._drawn],
        )
        for _ in self._in_the_back(self.samples):
            yield

    def _in_the_back(self, samples: SampleLayers) -> Iterator[None]:
        """Make the layers of samples, none of which becomes the active one."""
        steps = samples.build()
        while True:
            active = self._viewer.layers.selection.active
            made = next(steps, None)
            if made is None:
                return
            self._viewer.layers.selection.active = active
            yield

    def _as_begun(self, channel: int, stack: NDArray[np.float32]) -> PlaneStack:
        """Return samples of the field that was begun last, behind those that have none."""
        if not self._plane:
            return PlaneStack(self._source, stack, self._stacks[channel].planes)
        images = [self._stacks[channel].plane(plane)[None] for plane in range(self._plane)]
        first = np.broadcast_to(images[0], stack.shape)
        drawn = PlaneStack(self._source, first, self._stacks[channel].planes)
        for plane, image in enumerate([*images[1:], stack], 1):
            drawn.begin(plane, image)
        return drawn

    def _is_ours(self, channel: int) -> bool:
        """Whether a layer is there and holds our pixels: else they are no longer wanted."""
        layer = self.layers[channel]
        return layer.data is self._pixels[channel] and layer in self._viewer.layers

    def settle(self, record: dict[str, Any]) -> None:
        """Attach the record, widen the contrast for SR's brighter pixels, and show the mask.

        Contrast that the user has set stays.
        """
        self._records[self._plane] = record
        for c, layer in enumerate(self.layers):
            known, image = self._contrast[c], self._stacks[c].plane(self._plane)
            stride = int(np.ceil(np.sqrt(image.size / _SAMPLED)))
            bright = float(np.percentile(image[::stride, ::stride], BRIGHT))
            if list(layer.contrast_limits) == known and bright > known[1]:
                layer.contrast_limits = (known[0], bright)
                self._contrast[c] = list(layer.contrast_limits)
            layer.refresh(thumbnail=True, highlight=False, extent=False)
        self._show_mask()
        self.mark(complete=False)
        self._own.accept()
        # What was computed of the samples of an earlier run is not of these.
        remove_layers(self._viewer, self._further(MEAN, DEVIATION))
        if self.samples is not None:
            self.samples.forget_statistics()
        if self.samples is None:
            remove_layers(self._viewer, self._further(SAMPLES))
        else:
            self.samples.accept()

    def mark(self, *, complete: bool) -> None:
        """Attach the record, that of several fields with whether no field is left to run."""
        record = self._records[self._plane] if not self._several else None
        if record is None:
            name = self._source.layer.name
            record = series_record(self._records, self.begun, name, complete=complete)
        for layer, channel in zip(self.layers, self._channels, strict=True):
            known = {**record, "channels": [channel]}
            layer.metadata = {**layer.metadata, PROVENANCE_KEY: known}
        if self.samples is not None:
            for _ in self._in_the_back(self.samples):
                pass
            self.samples.settle(record)

    def put_back(self) -> None:
        """Show the earlier result again; layers without one are taken out of the viewer."""
        if self.samples is not None:
            self.samples.put_back()
        self._own.put_back()

    @property
    def every(self) -> list[Image]:
        """The layers of images that are there: SR, its samples, and what is computed of them."""
        there = [layer for layer in self.layers if layer in self._viewer.layers]
        if self._several:
            return there + (self.samples.every if self.samples is not None else [])
        return there + self._further(SAMPLES, MEAN, DEVIATION)

    def _further(self, *words: str) -> list[Image]:
        return further_layers(self._viewer, self.layers, self._digest, *words)

    def keep(self) -> None:
        """Rename the layers such that no later run takes them over."""
        masks = [layer for layer in self._viewer.layers if layer.name == self._mask_name]
        keep([*self.every, *masks])

    @property
    def _mask_name(self) -> str:
        return f"Generated in SR {self._ratio:g}x of {self._name}"

    def _show_mask(self) -> None:
        """Add a hidden layer that is 1 where the image is generated."""
        name = self._mask_name
        mask, shape = self._generated.shown, self.layers[0].data.shape
        if self._mask is not None and self._mask in self._viewer.layers:
            self._mask.data = mask
            return
        for layer in self._viewer.layers:
            if layer.name == name and layer.data.shape == shape and not self._several:
                layer.data, self._mask = mask, layer
                return
        place, active = placement(self._source, self._ratio), self._viewer.layers.selection.active
        with same_view(self._viewer):
            made: Labels = self._viewer.add_labels(
                mask,
                name=name,
                opacity=0.3,
                colormap=CyclicLabelColormap(colors=["transparent", MASK_COLOUR]),
                **place,
            )
        made.visible, self._mask = False, made
        self._viewer.layers.selection.active = active
