"""What the file of a layer says of it where napari's own reader has dropped it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_rls.errors import InputError
from napari_rls.widgets.common.background import beside_the_window
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.read import FirstImage, read_first_image

if TYPE_CHECKING:
    from napari.layers import Image

SUFFIXES = (".tif", ".tiff")
READERS = ("napari", "napari-rls")
"""Readers that give the pixels of a TIFF file as they lie in it: ours leaves to napari what it
did not write."""

AT_ONCE = 0.05
"""Seconds that the window may wait for a header."""


@dataclass(frozen=True)
class FileFacts:
    """What a file says of the layer that holds its pixels, or why it cannot be relied on."""

    image: FirstImage | None = None
    problem: str = ""


_NOTHING = FileFacts()

_known: WeakKeyDictionary[Image, Future[FileFacts]] = WeakKeyDictionary()


def file_facts(layer: Image) -> FileFacts:
    """Return what the file of a layer says of its axes; nothing unless it is of these pixels.

    The header is looked at once, beside the window where that takes long.
    """
    if PROVENANCE_KEY in layer.metadata or layer.rgb or layer.multiscale:
        return _NOTHING
    path, reader = layer.source.path, layer.source.reader_plugin
    if not path or reader not in READERS or Path(path).suffix.lower() not in SUFFIXES:
        return _NOTHING
    found = _known.get(layer)
    if found is None:
        found = _known[layer] = _read_beside(Path(path))
    try:
        facts = found.result(AT_ONCE)
    except TimeoutError:
        facts = beside_the_window(found.result)
    if facts.image and facts.image.shape != tuple(layer.data.shape):
        return _NOTHING  # the layer was given other pixels, or the file was
    return facts


def file_name(layers: Iterable[Image]) -> str:
    """Return the name of the file that layers are of, "" unless it is one."""
    paths = {layer.source.path or "" for layer in layers}
    return Path(paths.pop()).name if len(paths) == 1 else ""


def _read_beside(path: Path) -> Future[FileFacts]:
    future: Future[FileFacts] = Future()
    Thread(target=lambda: future.set_result(_read(path)), daemon=True).start()
    return future


def _read(path: Path) -> FileFacts:
    try:
        return FileFacts(read_first_image(path))
    except InputError as error:
        return FileFacts(problem=str(error)) if path.is_file() else _NOTHING
    except OSError:
        return _NOTHING
