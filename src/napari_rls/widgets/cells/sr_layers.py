"""The SR layers of a run: made at once, sharpened in place, marked as generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_rls.widgets.cells.layer_facts import axis_names, full_resolution
from napari_rls.widgets.cells.own_layers import GENERATED, OwnLayers
from napari_rls.widgets.cells.sources import Source
from napari_rls.widgets.common.view import remove_layers
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.upsample import upsample
from napari_rls.workflow.compare.method_results import BICUBIC

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_rls.models.manifest import Manifest
    from napari_rls.workflow.cells.stack import CellStack

BRIGHT = 99.9
"""Percentile of an SR channel that is drawn brightest."""

PLACEHOLDER = {
    "generated": False,
    "note": "The LR image, upsampled (bicubic), until the search has reached this cell.",
}


class SrLayers:
    """One image layer per channel of the bundle, in the LR layer's place and intensity unit.

    Parameters
    ----------
    viewer
        Where the layers are added.
    origin
        Where each channel of the LR cells was read from.
    lr
        The LR cells.
    manifest
        The bundle's manifest, for colours and the HR size.
    method
        The method, if the layers' names are to tell it; "bicubic" is the LR image, upsampled.
    digest
        SHA-256 of the LR cells: layers of an earlier run of the same cells are taken over,
        see :class:`~napari_rls.widgets.cells.own_layers.OwnLayers`. "" always makes new ones.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        origin: Sequence[Source],
        lr: CellStack,
        manifest: Manifest,
        method: str = "",
        digest: str = "",
    ) -> None:
        self._viewer = viewer
        self._own = OwnLayers(viewer, digest)
        self._channels = manifest.channel_names
        factor = manifest.hr_size // lr.data.shape[-1]
        # Upsampled pixels are those of the LR image: nothing is generated.
        kind = f"SR {f'{factor}x {method}'.rstrip()} {GENERATED}"
        if method == BICUBIC:
            kind = f"Bicubic {factor}x"
        first_look = upsample(lr.data, factor)
        self.layers = channel_layers(
            self._own, origin, lr, manifest, first_look.swapaxes(0, 1), kind, factor, PLACEHOLDER
        )
        self._pixels = [layer.data for layer in self.layers]
        self._contrast = [list(layer.contrast_limits) for layer in self.layers]

    @property
    def present(self) -> bool:
        """Whether any of the layers is still in the viewer."""
        return any(layer in self._viewer.layers for layer in self.layers)

    def show(
        self, cells: NDArray[np.intp], sr: NDArray[np.float32], *, thumbnail: bool = False
    ) -> None:
        """Overwrite some cells (n,) with their SR images (n, C, H, W)."""
        for layer, pixels, images in zip(self.layers, self._pixels, sr.swapaxes(0, 1), strict=True):
            # Whoever put other data into the layer, or took it away, no longer wants ours.
            if layer.data is pixels and layer in self._viewer.layers:
                pixels.reshape(-1, *sr.shape[-2:])[cells] = images
                layer.refresh(thumbnail=thumbnail, highlight=False, extent=False)

    def settle(self, sr: NDArray[np.float32], record: dict[str, Any]) -> None:
        """Show the result (N, C, H, W), NaN where there is none, and attach its record.

        SR images are brighter than LR ones where structures are finer than an LR pixel: the
        contrast is widened for them, unless the user has set it.
        """
        self.show(np.arange(len(sr)), sr, thumbnail=True)
        self.mark(record)
        for c, (layer, known) in enumerate(zip(self.layers, self._contrast, strict=True)):
            finite = sr[:, c][np.isfinite(sr[:, c])]
            bright = float(np.percentile(finite, BRIGHT)) if finite.size else known[1]
            if list(layer.contrast_limits) == known and bright > known[1]:
                layer.contrast_limits = (known[0], bright)

    def mark(self, record: dict[str, Any]) -> None:
        """Attach the record of the run to every layer, and which channel it is."""
        for layer, channel in zip(self.layers, self._channels, strict=True):
            known = {**record, "channels": [channel]}
            layer.metadata = {**layer.metadata, PROVENANCE_KEY: known}

    @property
    def earlier_finished(self) -> int:
        """Cells that were finished in the earlier result whose layers were taken over."""
        return self._own.earlier_finished

    def accept(self) -> None:
        """Let go of the earlier result."""
        self._own.accept()

    def put_back(self) -> None:
        """Show the earlier result again; layers without one are taken out of the viewer."""
        self._own.put_back()

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        remove_layers(self._viewer, self.layers)


def placement(source: Source, factor: float) -> dict[str, Any]:
    """Return scale, translation and so on that lay a finer image over a layer.

    With the centre of a pixel at its index, HR pixel k lies at LR position
    ``(k + 0.5) / factor - 0.5``: scale ``s / factor``, shift ``-(factor - 1) / (2 factor) s``.
    The one slice along a channel axis is made as thick as all the layer's channels,
    so that it shows wherever the channel slider stands. Some of the cells lie where they
    do in the layer.
    """
    layer = source.layer
    step = np.ones(layer.ndim)
    shift = np.zeros(layer.ndim)
    step[-2:] = 1 / factor
    shift[-2:] = -(factor - 1) / (2 * factor)
    if source.channel_axis is not None:
        count = full_resolution(layer).shape[source.channel_axis]
        step[source.channel_axis] = count
        shift[source.channel_axis] = (count - 1) / 2
    if source.cell_axis is not None:
        shift[source.cell_axis] = source.first_cell
    linear = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim)
    return {
        "scale": layer.scale * step,
        "translate": layer.translate + linear.linear_matrix @ shift,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": axis_names(layer),
    }


def channel_layers(
    own: OwnLayers,
    origin: Sequence[Source],
    lr: CellStack,
    manifest: Manifest,
    pixels: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    kind: str,
    ratio: float,
    placeholder: Mapping[str, Any],
) -> list[Image]:
    """Make one layer per channel of a bundle in the place of the LR layers, all or none.

    Parameters
    ----------
    own
        Makes them, or takes those of an earlier run over.
    origin
        Where each channel was read from.
    lr
        The LR images.
    manifest
        The bundle's manifest, for names and colours.
    pixels
        First pixels of each channel (..., H, W), as many images as the channel's layer has.
    kind
        What they are, the beginning of their names.
    ratio
        HR pixels along an LR pixel.
    placeholder
        Their record as long as there is no other.
    """
    layers: list[Image] = []
    try:
        for c, (source, channel) in enumerate(zip(origin, manifest.channels, strict=True)):
            first = np.ascontiguousarray(pixels[c])
            layer = own.make(
                first.reshape(*source.shape[:-2], *first.shape[-2:]),
                sr_name(source.layer.name, channel.name, kind, len(manifest.channels)),
                metadata={PROVENANCE_KEY: dict(placeholder)},
                contrast_limits=lr_contrast(source, lr.data[:, c]),
                **channel_look(channel.colour, bottom=c == 0),
                **placement(source, ratio),
            )
            layers.append(layer)
    except BaseException:
        own.put_back()
        raise
    return layers


def channel_look(colour: str, *, bottom: bool) -> dict[str, Any]:
    """Return colour and blending of one channel: the lowest hides what is under it."""
    return {"colormap": colour, "blending": "opaque" if bottom else "additive"}


def lr_contrast(source: Source, pixels: NDArray[np.generic]) -> tuple[float, float]:
    """Return the LR layer's own contrast, or of one with several channels this one's range."""
    if source.channel_axis is None:
        low, high = source.layer.contrast_limits
        return float(low), float(high)
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1


def sr_name(lr: str, channel: str, kind: str, channels: int) -> str:
    """Return what the SR layer of a channel is called."""
    name = f"{kind} of {lr}"
    known = channels == 1 or lr.lower().endswith(channel.lower())
    return name if known else f"{name} {channel}"
