"""Save image layers as napari asks for it: generated ones with their record, others as ever."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import napari
from napari.layers import Image, Layer
from napari.utils.notifications import show_error, show_info
from napari_builtins.io import (
    napari_write_image,
    napari_write_labels,
    napari_write_points,
    napari_write_shapes,
)
from qtpy.QtWidgets import QFileDialog

from napari_rls.errors import InputError, why_not
from napari_rls.widgets.cells.layer_facts import is_generated
from napari_rls.widgets.cells.sr_writer import SUFFIXES, file_groups, with_ending, write_sr_layers

if TYPE_CHECKING:
    from napari_rls.widgets.cells.layer_data import LayerData

_NAPARI = {
    "image": napari_write_image,
    "labels": napari_write_labels,
    "points": napari_write_points,
    "shapes": napari_write_shapes,
}
"""What napari writes a layer of a type with."""

FILES = "OME-TIFF (*.ome.tif)"


def write_image_layers(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write image layers that napari saves; those of others as if this plugin were not there.

    Parameters
    ----------
    path
        A file; without an ending of TIFF, generated layers of one run get .ome.tif, and with
        others among them all go into a folder of that name.
    layers
        Data, metadata and type of image layers.

    Returns
    -------
    list of str
        The files that were written.

    Raises
    ------
    RuntimeError
        If layers of others are to go into the same file, or those of several runs:
        napari takes a ValueError, such as InputError, for a plugin that is not there.
    """
    images = [Layer.create(*layer) for layer in layers]
    generated = [is_generated(image) for image in images]
    if not any(generated) and len(layers) == 1:
        data, options, _ = layers[0]
        return [written for written in [napari_write_image(path, data, options)] if written]
    if not all(generated):
        if Path(path).suffix.lower() not in SUFFIXES:
            return write_into_folder(path, layers)
        raise RuntimeError(
            "Only generated layers of one run go into one file together; save the others each "
            "alone, or give a name without an ending to save all into a folder."
        )
    try:
        return [str(written) for written in write_sr_layers(with_ending(path), images)]
    except InputError as error:
        raise RuntimeError(str(error)) from error


def write_into_folder(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write layers into a folder: generated ones with their records, others as napari does.

    Parameters
    ----------
    path
        The folder.
    layers
        Data, metadata and type of layers.

    Returns
    -------
    list of str
        The files that were written.

    Raises
    ------
    RuntimeError
        If a generated layer cannot be saved.
    """
    ours, others = [], []
    for layer in layers:
        image = Layer.create(*layer) if layer[2] == "image" else None
        if image is not None and is_generated(image):
            ours.append(image)
        else:
            others.append(layer)
    written = _as_napari_does(Path(path), others) if others else []
    taken: set[Path] = set()
    try:
        for group in file_groups(ours):
            name, number = group.name, 1
            while (file := Path(path, f"{name}.ome.tif")) in taken:
                number += 1
                name = f"{group.name}_{number}"
            taken.add(file)
            written += map(str, group.write(file))
    except InputError as error:
        raise RuntimeError(str(error)) from error
    return written


def _as_napari_does(folder: Path, layers: Sequence[LayerData]) -> list[str]:
    """Write layers into a folder, a file each; return the files that were written.

    napari's writers are called as they are: npe2 looks for them by what their commands begin with,
    ``napari``, and takes those of this plugin where it finds it first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as draft:
        for data, meta, kind in layers:
            _NAPARI[kind](str(Path(draft, meta["name"])), data, meta)
        # To a folder, not to a file: a file that is there is an error, and stays.
        return [str(shutil.move(file, folder)) for file in sorted(Path(draft).iterdir())]


def save_generated_cells(viewer: napari.Viewer) -> None:
    """Ask for a file, and write the selected generated layers, or else all, into it."""
    generated = [x for x in viewer.layers if isinstance(x, Image) and is_generated(x)]
    layers = [layer for layer in generated if layer in viewer.layers.selection] or generated
    if not layers:
        show_error("There are no generated layers to save; super-resolve cells first.")
        return
    name = f"{file_groups(layers)[0].name}.ome.tif"
    chosen, _ = QFileDialog.getSaveFileName(None, "Save generated cells", name, FILES)
    if not chosen:
        return
    path = with_ending(chosen)
    try:
        written = write_sr_layers(path, layers)
    except InputError as error:
        show_error(str(error))
    except OSError as error:
        show_error(f"The cells cannot be saved to {path}: {why_not(error, path)}.")
    else:
        show_info(f"Saved: {', '.join(file.name for file in written)}.")
