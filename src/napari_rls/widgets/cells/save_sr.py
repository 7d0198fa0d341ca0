"""Ask for a file and write the layers of a result into it, beside the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_rls.errors import InputError, why_not
from napari_rls.widgets.cells.sr_writer import with_ending, write_sr_layers
from napari_rls.widgets.common.background import beside_the_window
from napari_rls.widgets.common.state import Level, Message

if TYPE_CHECKING:
    from napari.layers import Image

SR_FILES = "OME-TIFF (*.ome.tif)"
SAVE_TIP = (
    "All channels of the last result as one OME-TIFF, with the record of the run, the channels' "
    "names and the pixel size, as the command line writes it; samples, their mean and deviation "
    "beside it. In napari's own dialog choose the file type 'Generated cells with their record': "
    "'lossless' leaves names, pixel size and record out."
)


def ask_sr_file(parent: QWidget, name: str) -> Path | None:
    """Return the file that the user names, None for none."""
    chosen, _ = QFileDialog.getSaveFileName(parent, "Save SR", name, SR_FILES)
    return with_ending(chosen) if chosen else None


def save_sr(path: Path, layers: Sequence[Image]) -> Message:
    """Write layers of a result, SR first, and return what is to be said of it."""
    try:
        written = beside_the_window(lambda: write_sr_layers(path, layers))
    except InputError as error:
        return Message(str(error), Level.ERROR)
    except OSError as error:
        why = why_not(error, path)
        return Message(f"SR cannot be saved to {path}: {why}; the layers stay.", Level.ERROR)
    images = [file.name for file in written[2:] if file.suffix != ".json"]
    beside = f"; beside it {', '.join(images)}" if images else ""
    return Message(f"SR saved to {written[0]}, its record to {written[1].name}{beside}.")
