"""Layers of the samples of a run: one per channel, with an axis over samples before all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from scipy.linalg import block_diag

from napari_rls.widgets.cells.layer_facts import channel_names
from napari_rls.widgets.cells.own_layers import PLACE, OwnLayers
from napari_rls.widgets.common.view import remove_layers
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.write import STATISTIC_KEY, TRUST_MASK

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_rls.workflow.measure.trust_pixels import TrustMask

SAMPLE_AXIS = "sample"

SAMPLES, MEAN, DEVIATION = "SR samples", "SR mean of samples", "SR sd of samples"
TRUST = "SR trust mask"
"""Beginnings of the layers' names."""

_TINT = Colormap([[1.0, 0.35, 0.0, 0.6], [1.0, 1.0, 1.0, 0.0]], name="not trusted")
"""Orange where a pixel cannot be trusted; where it can, what is below shows as it is."""

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
        Tells whether a layer is in view at first.
    digest
        SHA-256 of the LR cells: layers of an earlier run of the same cells are taken over.
    pixels
        What is shown at first, (S, ...) for each SR layer; by default its own image.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        sr: Sequence[Image],
        samples: int,
        *,
        visible: Callable[[], bool],
        digest: str = "",
        pixels: Sequence[NDArray[np.float32]] = (),
    ) -> None:
        self._viewer = viewer
        self._sr = sr
        self._visible = visible
        self._digest = digest
        self._own = OwnLayers(viewer, digest)
        self.layers: list[Image] = []
        self._computed: list[Image] = []
        self._deviation_in_view = True
        # A cell shows its SR image, as upsampled or searched, until its samples form.
        self._pixels = list(pixels) or [
            np.repeat(np.asarray(like.data)[None], samples, 0) for like in sr
        ]

    def build(self) -> Iterator[Image]:
        """Make the layers that are not there yet, one at each step."""
        try:
            while len(self.layers) < len(self._sr):
                like, pixels = self._sr[len(self.layers)], self._pixels[len(self.layers)]
                layer = self._own.make(
                    pixels,
                    _named(like, SAMPLES),
                    metadata=dict(like.metadata),
                    visible=self._visible(),
                    **{name: getattr(like, name) for name in _LOOK},
                    **with_leading_axis(like),
                )
                self.layers.append(layer)
                yield layer
        except Exception:
            self._own.put_back()
            # It is not tried again.
            self._sr, self._pixels, self.layers = (), [], []
            raise

    def show(self, cells: NDArray[np.intp], samples: NDArray[np.float32]) -> None:
        """Overwrite some cells (n,) with their samples (S, n, C, H, W)."""
        for c, pixels in enumerate(self._pixels):
            flat = pixels.reshape(len(pixels), -1, *pixels.shape[-2:])
            flat[:, cells] = samples[:, :, c]
        self.refresh()

    def refresh(self) -> None:
        """Show what was drawn into the pixels."""
        for layer, pixels in zip(self.layers, self._pixels, strict=False):
            if layer.data is pixels and layer in self._viewer.layers:
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def grow(self, pixels: Sequence[NDArray[np.float32]]) -> None:
        """Show more images in layers that show some of them."""
        before, self._pixels = self._pixels, list(pixels)
        # Layers that are not made yet will have these.
        for layer, old, new in zip(self.layers, before, pixels, strict=False):
            if layer.data is old and layer in self._viewer.layers:
                layer.data = new

    def settle(self, record: dict[str, Any]) -> None:
        """Attach the record of the run and give way to the SR layers."""
        for _ in self.build():
            pass
        for layer, like in zip(self.layers, self._sr, strict=True):
            known = {**record, "channels": list(channel_names(like))}
            layer.metadata = {**layer.metadata, PROVENANCE_KEY: known}
            layer.refresh()
            layer.visible = False

    @property
    def present(self) -> bool:
        """Whether any of the layers is still in the viewer."""
        return any(layer in self._viewer.layers for layer in self.layers)

    @property
    def visible(self) -> bool:
        """Whether any of the layers is in view."""
        return any(layer.visible for layer in self.layers if layer in self._viewer.layers)

    def set_visible(self, visible: bool) -> None:
        """Bring the layers into view, or hide them; their statistics would cover them."""
        covering = self._statistics if visible else []
        for layer, wanted in [
            *((x, visible) for x in self.layers),
            *((x, False) for x in covering),
        ]:
            if layer.visible != wanted:
                layer.visible = wanted

    @property
    def _statistics(self) -> list[Image]:
        found = further_layers(self._viewer, self._sr, self._digest, MEAN, DEVIATION)
        return found or [layer for layer in self._computed if layer in self._viewer.layers]

    @property
    def every(self) -> list[Image]:
        """The layers of samples and of what was computed of them, as far as they are there."""
        masks = further_layers(self._viewer, self._sr, self._digest, TRUST)
        shown = [layer for layer in self.layers if layer in self._viewer.layers]
        return shown + self._statistics + masks

    def hide_statistics(self) -> None:
        """Hide what was computed of the samples, also what is still being computed."""
        self._deviation_in_view = False
        for layer in self._statistics:
            layer.visible = False

    def forget_statistics(self) -> None:
        """Take away what was computed of samples that have changed."""
        remove_layers(self._viewer, self._statistics)

    def accept(self) -> None:
        """Let go of the samples of the earlier run."""
        self._own.accept()

    def put_back(self) -> None:
        """Show the samples of the earlier run again, or take the layers away."""
        self._own.put_back()

    @property
    def pixels(self) -> tuple[NDArray[np.float32], ...]:
        """The samples (S, ...) of each channel, as they are shown."""
        return tuple(self._pixels)

    def statistics(
        self, computed: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]] = ()
    ) -> Iterator[Image]:
        """Show mean and standard deviation over the samples as layers in the SR layers' place.

        One layer at each step. The deviation of the last channel is in view, in place of the
        samples; layers that are there already keep their look.

        Parameters
        ----------
        computed
            Both of each channel, where they take long; else they are computed here.
        """
        if not self._digest:  # no layer is taken over by it
            self.forget_statistics()
        self._deviation_in_view = True
        own = OwnLayers(self._viewer, self._digest)
        every = computed or ((pixels.mean(0), pixels.std(0, ddof=1)) for pixels in self._pixels)
        try:
            for like, (mean, deviation) in zip(self._sr, every, strict=True):
                place = {name: getattr(like, name) for name in PLACE}
                look = {name: getattr(like, name) for name in _LOOK}
                shown = own.make(
                    mean,
                    _named(like, MEAN),
                    metadata=_said_of(like, "mean of the samples"),
                    visible=False,
                    **look,
                    **place,
                )
                self._computed.append(shown)
                yield shown
                shown = own.make(
                    deviation,
                    _named(like, DEVIATION),
                    metadata=_said_of(like, "standard deviation of the samples"),
                    colormap="inferno",
                    # One channel at a time: two deviations over each other tell nothing.
                    visible=like is self._sr[-1] and self._deviation_in_view,
                    **place,
                )
                self._computed.append(shown)
                yield shown
        except Exception:
            own.put_back()
            raise
        self.set_visible(False)

    def trust(self) -> TrustMask:
        """Show which pixels of the SR images can be trusted, as layers over them, if any is known.

        One layer per channel: where it is orange, the pixel cannot be trusted. That of the
        last channel is in view; layers that are there already keep their look.
        """
        from napari_rls.workflow.measure.trust_pixels import trust_mask

        images = [np.asarray(like.data) for like in self._sr]
        side = images[0].shape[-2:]
        found = trust_mask(
            np.stack([image.reshape(-1, *side) for image in images], 1),
            np.stack([x.reshape(len(x), -1, *side) for x in self._pixels], 2),
            self._sr[0].metadata.get(PROVENANCE_KEY, {}),
        )
        if found.pixels is None:
            remove_layers(self._viewer, further_layers(self._viewer, self._sr, self._digest, TRUST))
            return found
        own = OwnLayers(self._viewer, self._digest)
        try:
            for channel, like in enumerate(self._sr):
                own.make(
                    found.pixels[:, channel].reshape(like.data.shape).astype(np.uint8),
                    _named(like, TRUST),
                    metadata=_said_of(like, TRUST_MASK),
                    colormap=_TINT,
                    contrast_limits=(0, 1),
                    blending="translucent",
                    interpolation2d="nearest",
                    visible=like is self._sr[-1],
                    **{name: getattr(like, name) for name in PLACE},
                )
        except Exception:
            own.put_back()
            raise
        return found


def further_layers(
    viewer: ViewerModel, sr: Sequence[Image], digest: str, *words: str
) -> list[Image]:
    """Return the layers of samples and their statistics that a run of the same cells has left."""
    own = OwnLayers(viewer, digest)
    found = (own.find(_named(like, word)) for like in sr for word in words)
    return [layer for layer in found if layer is not None]


def _named(like: Image, word: str) -> str:
    """Return the name of a layer of samples or so beside an SR layer, which may be renamed."""
    name: str = like.name
    if not name.startswith("SR "):
        return f"{word}, {name}"
    return name.replace("SR", word, 1)


def _said_of(like: Image, statistic: str) -> dict[Any, Any]:
    """Return the metadata of an SR layer, and what is taken over its samples."""
    record = {**like.metadata.get(PROVENANCE_KEY, {}), STATISTIC_KEY: statistic}
    return {**like.metadata, PROVENANCE_KEY: record}


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
