"""The layers of a field: its SR image, filled in cell by cell, and where it is generated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_rls.widgets.cells.own_layers import GENERATED, OwnLayers, keep
from napari_rls.widgets.cells.sr_layers import BRIGHT, channel_layers, placement
from napari_rls.widgets.common.view import same_view
from napari_rls.workflow.cells.ome import PROVENANCE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.field_job import Patch
    from napari_rls.workflow.cells.stack import CellStack

PLACEHOLDER = {
    "generated": False,
    "note": "The LR field, interpolated (cubic), until the search has reached its cells.",
}

_SAMPLED = 2_000_000
"""Pixels, spread over a channel, by which its contrast is set."""


class FieldLayers:
    """One SR image layer per channel of the bundle, in the LR layer's place and unit.

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
        SHA-256 of the field: the layers of an earlier run of it are taken over.
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
    ) -> None:
        self._viewer = viewer
        self._own = OwnLayers(viewer, digest)
        self._channels = manifest.channel_names
        self._ratio, self._source = ratio, origin[0]
        self._name = field.name
        self._generated = blank.generated.astype(np.uint8)
        kind = f"SR {ratio:g}x {GENERATED}"
        self.layers = channel_layers(
            self._own, origin, field, manifest, blank.image, kind, ratio, PLACEHOLDER
        )
        self._pixels = [layer.data for layer in self.layers]
        self._contrast = [list(layer.contrast_limits) for layer in self.layers]

    @property
    def present(self) -> bool:
        """Whether any of the layers is still in the viewer."""
        return any(layer in self._viewer.layers for layer in self.layers)

    def paint(self, patches: Iterable[Patch]) -> None:
        """Draw parts of the field."""
        parts = list(patches)
        for part in parts:
            self._generated[part.rows, part.columns] |= part.generated
        for c, (layer, pixels) in enumerate(zip(self.layers, self._pixels, strict=True)):
            # Whoever put other data into the layer, or took it away, no longer wants ours.
            if layer.data is not pixels or layer not in self._viewer.layers:
                continue
            image = pixels.reshape(pixels.shape[-2:])
            for part in parts:
                image[part.rows, part.columns] = part.image[c]
            layer.refresh(thumbnail=False, highlight=False, extent=False)

    def settle(self, record: dict[str, Any]) -> None:
        """Attach the record, widen the contrast for SR's brighter pixels, and show the mask.

        Contrast that the user has set stays.
        """
        for layer, channel, known in zip(self.layers, self._channels, self._contrast, strict=True):
            layer.metadata = {
                **layer.metadata,
                PROVENANCE_KEY: {**record, "channels": [channel]},
            }
            image = layer.data.reshape(layer.data.shape[-2:])
            stride = int(np.ceil(np.sqrt(image.size / _SAMPLED)))
            bright = float(np.percentile(image[::stride, ::stride], BRIGHT))
            if list(layer.contrast_limits) == known and bright > known[1]:
                layer.contrast_limits = (known[0], bright)
            layer.refresh(thumbnail=True, highlight=False, extent=False)
        self._show_mask()
        self._own.accept()

    def put_back(self) -> None:
        """Show the earlier result again; layers without one are taken out of the viewer."""
        self._own.put_back()

    def keep(self) -> None:
        """Rename the layers such that no later run takes them over."""
        masks = [layer for layer in self._viewer.layers if layer.name == self._mask_name]
        keep([*(layer for layer in self.layers if layer in self._viewer.layers), *masks])

    @property
    def _mask_name(self) -> str:
        return f"Generated in SR {self._ratio:g}x of {self._name}"

    def _show_mask(self) -> None:
        """Add a hidden layer that is 1 where the image is generated."""
        name = self._mask_name
        mask = self._generated.reshape(self.layers[0].data.shape)
        for layer in self._viewer.layers:
            if layer.name == name and layer.data.shape == mask.shape:
                layer.data = mask
                return
        place, active = placement(self._source, self._ratio), self._viewer.layers.selection.active
        with same_view(self._viewer):
            made: Labels = self._viewer.add_labels(mask, name=name, opacity=0.3, **place)
        made.visible = False
        self._viewer.layers.selection.active = active
