"""Layers of results: a new run of the same input shows its result in those of the last one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_rls.widgets.common.view import remove_layers, same_view
from napari_rls.workflow.cells.ome import PROVENANCE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

GENERATED = "(generated)"
"""What the names of all result layers say; of a run that did not end, how it ended as well."""

KEPT = " (kept)"
"""End of the names of layers that no later run takes over."""

_OUTCOME = re.compile(r"\(generated, \w+\)")
_NUMBER = re.compile(r" \[\d+\]$")
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""What says where a layer lies."""


@dataclass(frozen=True, eq=False)
class _Before:
    """What a layer was before it was taken over."""

    layer: Image
    data: NDArray[np.generic]
    name: str
    metadata: dict[Any, Any]
    visible: bool

    def restore(self) -> None:
        """Make it so again."""
        self.layer.data = self.data
        self.layer.name, self.layer.metadata = self.name, self.metadata
        self.layer.visible = self.visible


class OwnLayers:
    """The layers that a run makes or, of an earlier run of the same input, takes over.

    A layer is taken over if it has the name that the new one is to have, the same place and
    shape, and a record that names the same input: layers that were renamed are left alone.

    Parameters
    ----------
    viewer
        Where the layers are.
    digest
        SHA-256 of the input as in the records; "" takes over nothing.
    """

    def __init__(self, viewer: ViewerModel, digest: str = "") -> None:
        self._viewer = viewer
        self._digest = digest
        self._new: list[Image] = []
        self._before: list[_Before] = []

    def find(self, name: str, shape: tuple[int, ...] | None = None) -> Image | None:
        """Return the last layer of an earlier run by the name of the new one, if there is one."""
        wanted = _plain(name)
        for layer in reversed(self._viewer.layers):
            if (
                isinstance(layer, Image)
                and _plain(layer.name) == wanted
                and self._digest
                and input_digest(layer) == self._digest
                and shape in (None, layer.data.shape)
            ):
                return layer
        return None

    def make(self, pixels: NDArray[np.generic], name: str, **options: Any) -> Image:
        """Show pixels in the layer of an earlier run, or else in a new one."""
        layer = self.find(name, pixels.shape)
        if layer is None or not _in_place(layer, options):
            with same_view(self._viewer):
                layer = self._viewer.add_image(pixels, name=name, **options)
            self._new.append(layer)
            return layer
        self._before.append(
            _Before(layer, layer.data, layer.name, dict(layer.metadata), layer.visible)
        )
        layer.data = pixels
        if _NUMBER.sub("", layer.name) != name:
            layer.name = name
        layer.metadata = options["metadata"]
        layer.visible = options.get("visible", True)
        return layer

    @property
    def earlier_finished(self) -> int:
        """Cells that were finished in the results that were taken over."""
        records = (before.metadata.get(PROVENANCE_KEY, {}) for before in self._before)
        return max((finished_cells(record) for record in records), default=0)

    def put_back(self) -> None:
        """Make layers that were taken over what they were before; take away new ones."""
        for before in self._before:
            if before.layer in self._viewer.layers:
                before.restore()
        remove_layers(self._viewer, self._new)
        self.accept()

    def accept(self) -> None:
        """Let go of what was there before."""
        self._new, self._before = [], []


def input_digest(layer: Image) -> str:
    """Return the SHA-256 of the input that a layer's record names, or nothing."""
    record = layer.metadata.get(PROVENANCE_KEY)
    told = record.get("input") if isinstance(record, dict) else None
    return str(told.get("sha256", "")) if isinstance(told, dict) else ""


def layers_of_run(viewer: ViewerModel, some: Sequence[Image]) -> list[Image]:
    """Return the layers of the viewer that have the record of the same run as ``some``."""
    runs = {_run(layer) for layer in some} - {None}
    return [layer for layer in viewer.layers if isinstance(layer, Image) and _run(layer) in runs]


def _run(layer: Image) -> tuple[str, str] | None:
    digest = input_digest(layer)
    return (digest, str(layer.metadata[PROVENANCE_KEY].get("started"))) if digest else None


def finished_cells(record: dict[str, Any]) -> int:
    """Return how many cells were finished, by a record."""
    return sum(cell.get("status") in ("done", "failed") for cell in record.get("cells", ()))


def say_how_it_ended(layers: Sequence[Image], outcome: str) -> None:
    """Write into the names of layers that their run was ``cancelled`` or ``stopped``."""
    for layer in layers:
        layer.name = layer.name.replace(GENERATED, f"({GENERATED.strip('()')}, {outcome})", 1)


def say_it_goes_on(layers: Sequence[Image]) -> None:
    """Take out of the names of layers how their run ended, as another one goes on with it."""
    for layer in layers:
        layer.name = _OUTCOME.sub(GENERATED, layer.name, count=1)


def keep(layers: Sequence[Layer]) -> None:
    """Rename layers such that no later run takes them over."""
    for layer in layers:
        if KEPT not in layer.name:
            layer.name = _NUMBER.sub("", layer.name) + KEPT


def _plain(name: str) -> str:
    """Return a name without napari's number and without how the run ended."""
    return _OUTCOME.sub(GENERATED, _NUMBER.sub("", name), count=1)


def _in_place(layer: Image, options: dict[str, Any]) -> bool:
    """Whether a layer lies where a new one would."""
    place = {name: options[name] for name in PLACE if name in options}
    other = Image(np.zeros((1,) * layer.ndim), contrast_limits=(0, 1), **place)
    return all(
        np.array_equal(getattr(layer, name), getattr(other, name))
        for name in PLACE
        if name != "affine"
    ) and np.array_equal(layer.affine.affine_matrix, other.affine.affine_matrix)
