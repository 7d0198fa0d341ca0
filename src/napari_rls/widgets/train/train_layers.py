"""The layers of a training run: some of the crops and, below them, generated samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.training.grid import PALETTE
from napari_rls.widgets.cells.sr_layers import channel_look
from napari_rls.widgets.common.view import all_or_none, fit_view, remove_layers
from napari_rls.workflow.cells.ome import PROVENANCE_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_rls.models.manifest import Intensity
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.train.cut_crops import TrainingCrops

CROPS = "Training crops"
GENERATED = "Generated samples (not real)"
NOTE = "Samples of a generator in training: generated, not measured."

ROWS, COLUMNS, PAGES = 3, 6, 25
"""Images on a page, and greatest number of pages."""

PAGE = ROWS * COLUMNS

GAP = 1 / 16
"""Distance of two images, in their sides."""

CONTRAST = (0.5, 99.8)
"""Percentiles of the crops that are drawn black and bright."""


class TrainLayers:
    """A layer per channel of crops, in pages, and below it one of generated samples.

    Both are in the crops' intensity unit and have the same contrast, so that they can
    be compared by eye. Layers that are still there are used again: removing and adding them
    would keep the window waiting.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.crops: list[Image] = []
        self.samples: list[Image] = []
        self._pixels: list[NDArray[np.float32]] = []
        self._stack: CellStack | None = None
        self._intensity: Intensity | None = None

    def show_crops(self, crops: TrainingCrops) -> None:
        """Show crops, evenly spaced among all, in place of earlier ones."""
        same = self._stack is not None and np.array_equal(self._stack.data, crops.training.data)
        if same and self.crops and all(layer in self._viewer.layers for layer in self.crops):
            return
        remove_layers(self._viewer, self.samples)
        self.samples, self._pixels = [], []
        stack = self._stack = crops.training
        self._intensity = crops.intensity
        with all_or_none(self._viewer):
            self.crops = self._put(
                self.crops,
                CROPS,
                montages(_spread(stack.data)),
                axis_labels=("page", "y", "x"),
                scale=(1, *[self._pixel_size] * 2),
                units=("pixel", *[self._unit] * 2),
                metadata={PROVENANCE_KEY: {"files": crops.files, "training_crops": len(stack)}},
            )
            _write_name(self.crops[0], "top_left")
        self._viewer.dims.set_current_step(self._viewer.dims.ndim - 3, 0)
        fit_view(self._viewer, self.crops)

    def show_samples(self, samples: NDArray[np.float32], images_shown: int) -> None:
        """Show generated images (n, C, H, W), -1 to 1, in place of earlier ones."""
        assert self._stack is not None
        assert self._intensity is not None
        low, high = self._intensity.low, self._intensity.high
        pages = montages((samples + 1) * np.float32((high - low) / 2) + np.float32(low))[0]
        if not self._pixels or self._pixels[0].shape != pages.shape[-2:]:
            self._new_samples(pages, samples.shape[-1])
        record = {"generated": True, "note": NOTE, "images_shown": images_shown}
        for layer, pixels, channel in zip(self.samples, self._pixels, pages, strict=True):
            # Whoever put other data into the layer, or took it away, no longer wants ours.
            if layer.data is pixels and layer in self._viewer.layers:
                pixels[:] = channel
                layer.metadata = {**layer.metadata, PROVENANCE_KEY: record}
                layer.refresh(highlight=False, extent=False)

    def hide(self) -> None:
        """Take the layers out of view, and what else is in view into it."""
        for layer in (*self.crops, *self.samples):
            layer.visible = False
        fit_view(self._viewer, [layer for layer in self._viewer.layers if layer.visible])

    def _new_samples(self, pages: NDArray[np.float32], size: int) -> None:
        assert self._stack is not None
        full = self._stack.data.shape[-1]
        # A generator that is still to grow draws coarser pixels.
        coarse = full / size
        pixel = self._pixel_size
        below = (self.crops[0].data.shape[-2] + 2 * GAP * full) * pixel
        corner = (coarse - 1) / 2 * pixel
        with all_or_none(self._viewer):
            self.samples = self._put(
                self.samples,
                GENERATED,
                pages[None],
                axis_labels=("y", "x"),
                scale=[pixel * coarse] * 2,
                translate=(corner + below, corner),
                units=[self._unit] * 2,
            )
            self._pixels = [layer.data for layer in self.samples]
            for layer, real in zip(self.samples, self.crops, strict=True):
                layer.contrast_limits_range = real.contrast_limits_range
                layer.contrast_limits = real.contrast_limits
                layer.colormap, layer.gamma = real.colormap, real.gamma
            _write_name(self.samples[0], "bottom_left")
        both = [layer for layer in (*self.crops, *self.samples) if layer in self._viewer.layers]
        fit_view(self._viewer, both)

    def _put(
        self, old: Sequence[Image], name: str, pages: NDArray[np.generic], **options: Any
    ) -> list[Image]:
        """Show pages (P, C, H, W), a layer per channel; a single page loses its axis if 2D.

        Old layers get the new pixels and options if all of them are still there.
        """
        assert self._stack is not None
        single = len(options["axis_labels"]) == 2
        names = [f"{name} {channel}" for channel in self._stack.channels]
        again = [layer.name for layer in old if layer in self._viewer.layers] == names
        if not again:
            remove_layers(self._viewer, old)
        layers = []
        for c, title in enumerate(names):
            pixels = np.ascontiguousarray(pages[0, c] if single else pages[:, c])
            if again:
                layer = old[c]
                layer.data = pixels
                for option, value in options.items():
                    setattr(layer, option, value)
                layer.contrast_limits = self._contrast(c)
            else:
                layer = self._viewer.add_image(
                    pixels,
                    name=title,
                    contrast_limits=self._contrast(c),
                    **channel_look(PALETTE[c % len(PALETTE)], bottom=c == 0),
                    **options,
                )
            layers.append(layer)
        return layers

    def _contrast(self, channel: int) -> tuple[float, float]:
        assert self._stack is not None
        values = _spread(self._stack.data)[:, channel]
        low, high = np.percentile(values, CONTRAST)
        return float(low), float(high if high > low else low + 1)

    @property
    def _pixel_size(self) -> float:
        return (self._stack and self._stack.pixel_size_um) or 1.0

    @property
    def _unit(self) -> str:
        return "um" if self._stack and self._stack.pixel_size_um else "pixel"


def montages(images: NDArray[Any]) -> NDArray[Any]:
    """Lay images (N, C, s, s) out on pages (P, C, H, W), as dark as can be between."""
    count, channels, size, _ = images.shape
    gap = round(GAP * size)
    step = size + gap
    pages, rows = math.ceil(count / PAGE), min(ROWS, math.ceil(count / COLUMNS))
    shape = (pages, channels, rows * step - gap, COLUMNS * step - gap)
    laid = np.full(shape, images.min(), images.dtype)
    for k, image in enumerate(images):
        page, place = divmod(k, PAGE)
        top, left = (step * index for index in divmod(place, COLUMNS))
        laid[page, :, top : top + size, left : left + size] = image
    return laid


def _spread(images: NDArray[Any]) -> NDArray[Any]:
    chosen = np.linspace(0, len(images) - 1, min(len(images), PAGE * PAGES)).astype(int)
    spread: NDArray[Any] = images[chosen]
    return spread


def _write_name(layer: Image, where: str) -> None:
    """Write a layer's name into a corner of the canvas: samples are not to pass for real cells."""
    layer.name_overlay.position = where
    layer.name_overlay.visible = True
