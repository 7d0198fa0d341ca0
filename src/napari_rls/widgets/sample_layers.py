"""Layers of the samples of a run: one per channel, with an axis over samples before all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from scipy.linalg import block_diag

from napari_rls.workflow.collect import PROVENANCE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

SAMPLE_AXIS = "sample"

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_LOOK = ("colormap", "blending", "contrast_limits", "gamma")


class SampleLayers:
    """One layer (S, ...) per SR layer (...), in its place and with its look.

    They are in view while they form, unless something else is compared, and hidden once
    the result is there.

    Parameters
    ----------
    viewer
        Where the layers are added.
    sr
        The SR layers of the run, one per channel.
    samples
        Samples per cell.
    visible
        Whether the layers are in view at first.
    """

    def __init__(
        self, viewer: ViewerModel, sr: Sequence[Image], samples: int, *, visible: bool
    ) -> None:
        self._viewer = viewer
        self._sr = sr
        self.layers: list[Image] = []
        self._pixels: list[NDArray[np.float32]] = []
        self._further: list[Image] = []
        for like in sr:
            # A cell shows its SR image, as upsampled or searched, until its samples form.
            pixels = np.repeat(np.asarray(like.data)[None], samples, 0)
            layer = viewer.add_image(
                pixels,
                name=like.name.replace("SR", "SR samples", 1),
                metadata=dict(like.metadata),
                visible=visible,
                **{name: getattr(like, name) for name in _LOOK},
                **with_leading_axis(like),
            )
            self.layers.append(layer)
            self._pixels.append(layer.data)

    def show(self, cells: NDArray[np.intp], samples: NDArray[np.float32]) -> None:
        """Overwrite some cells (n,) with their samples (S, n, C, H, W)."""
        for c, (layer, pixels) in enumerate(zip(self.layers, self._pixels, strict=True)):
            if layer.data is pixels and layer in self._viewer.layers:
                flat = pixels.reshape(len(pixels), -1, *pixels.shape[-2:])
                flat[:, cells] = samples[:, :, c]
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def settle(self, record: dict[str, Any]) -> None:
        """Attach the record of the run and give way to the SR layers."""
        for layer in self.layers:
            layer.metadata = {**layer.metadata, PROVENANCE_KEY: record}
            layer.refresh()
            layer.visible = False

    def show_statistics(self) -> None:
        """Add mean and standard deviation over the samples as layers in the SR layers' place.

        The deviation of the last channel is in view.
        """
        for layer in self._further:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._further = []
        for like, pixels in zip(self._sr, self._pixels, strict=True):
            place = {name: getattr(like, name) for name in _PLACE}
            shared = {"metadata": dict(like.metadata), **place}
            mean = self._viewer.add_image(
                pixels.mean(0),
                name=like.name.replace("SR", "SR mean of samples", 1),
                visible=False,
                **{name: getattr(like, name) for name in _LOOK},
                **shared,
            )
            deviation = self._viewer.add_image(
                pixels.std(0, ddof=1),
                name=like.name.replace("SR", "SR sd of samples", 1),
                colormap="inferno",
                # One channel at a time: two deviations over each other tell nothing.
                visible=like is self._sr[-1],
                **shared,
            )
            self._further += [mean, deviation]


def with_leading_axis(layer: Image) -> dict[str, Any]:
    """Return scale, translation and so on of a layer with one more axis before all others."""
    shear = np.eye(layer.ndim + 1)
    shear[1:, 1:][np.triu_indices(layer.ndim, 1)] = layer.shear
    return {
        "scale": (1, *layer.scale),
        "translate": (0, *layer.translate),
        "rotate": block_diag(1, layer.rotate),
        "shear": shear,
        "affine": layer.affine.expand_dims([0]),
        "units": ("pixel", *layer.units),
        "axis_labels": (SAMPLE_AXIS, *layer.axis_labels),
    }
