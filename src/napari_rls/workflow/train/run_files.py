"""What a training job keeps in its run folder beside the run itself: crops and fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from safetensors import SafetensorError

from napari_rls.errors import InputError, JsonError, TrainingError
from napari_rls.files.json_file import read_model
from napari_rls.files.outputs import write_or_keep
from napari_rls.files.whole_file import sweep
from napari_rls.models.manifest import Intensity
from napari_rls.models.part import Checked, Count
from napari_rls.training.grid import PALETTE
from napari_rls.version import __version__
from napari_rls.workflow.cells.contact_sheet import contact_sheet, write_png
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_json, write_stack
from napari_rls.workflow.train.cut_crops import TrainingCrops
from napari_rls.workflow.train.fields import FieldFiles

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

_SHOWN = 12
_PARTS = ("training", "validation")


class _Crops(Checked):
    """What vouches for the crops that a folder keeps."""

    model_config = ConfigDict(extra="forbid")

    inputs: str
    fields: Count
    at_border: Count
    unusable: Count
    intensity: Intensity
    pixel_type: Literal[
        "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
        "float16", "float32", "float64",
    ]  # fmt: skip
    files: dict[str, list[str]]


def begun(folder: Path) -> bool:
    """Tell whether a folder holds a training job, with crops at least."""
    return (folder / "crops.json").exists() or (folder / "run.json").exists()


def images_shown(folder: Path) -> int:
    """Return how many images the run in a folder has shown, as far as its checkpoint can tell."""
    from napari_rls.training.checkpoint import read_numbers

    path = folder / "checkpoint.safetensors"
    try:
        return int(read_numbers(path)["images"]) if path.exists() else 0
    except TrainingError:
        return 0


def check_free(folder: Path) -> None:
    """Check that a new job can have a folder.

    Raises
    ------
    TrainingError
        If it holds files that are no job's.
    """
    sweep(folder)
    if folder.exists() and any(folder.iterdir()) and not begun(folder):
        raise TrainingError(
            f"{folder} holds files but no training run; choose an empty or new folder."
        )


def inputs_digest(
    fields: Sequence[FieldFiles], validation: Sequence[FieldFiles], words: Mapping[str, Any]
) -> str:
    """Return a digest of files (path, size, time of change) and of how crops are cut."""
    listed = [
        [field.name, *([str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in field.files)]
        for part in (fields, [], validation)
        for field in part
    ]
    text = json.dumps([__version__, len(fields), listed, words], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def keep_crops(folder: Path, crops: TrainingCrops, inputs: str) -> None:
    """Write the crops, a contact sheet and, last, ``crops.json``, which vouches for them.

    Cutting takes long where fields are many, and who resumes a run should not wait for
    it; besides, the crops are there to be looked at.

    Raises
    ------
    TrainingError
        If a file cannot be written.
    """
    parts = {"training": crops.training, "validation": crops.validation}
    record = {
        "inputs": inputs,
        "fields": crops.files,
        "at_border": crops.at_border,
        "unusable": crops.unusable,
        "intensity": crops.intensity.model_dump(),
        "pixel_type": crops.training.data.dtype.name,
        "files": {label: sorted({c.file for c in part.crops}) for label, part in parts.items()},
    }
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "crops.json", {})
        for label, part in parts.items():
            write_stack(_stored(folder, label), part, description=f"Crops: {label}.")
        write_png(overview(folder), _sheet(parts, crops))
        write_json(folder / "crops.json", record)


def kept_crops(folder: Path, inputs: str) -> TrainingCrops | None:
    """Return the crops in a folder if they were cut of these inputs, else None."""
    try:
        record = read_model(folder / "crops.json", _Crops)
        if record.inputs != inputs:
            return None
        stacks = [read_stack(_stored(folder, label)) for label in _PARTS]
        # A type that OME does not know came back as a wider one.
        typed = [
            replace(s, data=s.data.astype(record.pixel_type, copy=False), name="training crops")
            for s in stacks
        ]
        return TrainingCrops(
            typed[0],
            typed[1],
            record.fields,
            record.at_border,
            record.unusable,
            record.intensity,
        )
    except (OSError, JsonError, InputError):
        return None


def overview(folder: Path) -> Path:
    """Return the contact sheet of the crops."""
    return folder / "crops.png"


def save_bundle(bundle: Bundle, out: Path) -> None:
    """Write the bundle of a training, or else keep it in another place.

    Raises
    ------
    KeptError
        If it cannot be written where it is wanted.
    """

    def save(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        bundle.save(path)

    write_or_keep(out, save)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one sentence that something cannot be written.

    Raises
    ------
    TrainingError
        Instead of an error of the file system.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"Cannot write {path} ({error}): free some disk space or choose another place, then "
            "resume."
        ) from None


def _stored(folder: Path, label: str) -> Path:
    return folder / f"crops-{label}.ome.tif"


def _sheet(parts: Mapping[str, CellStack], crops: TrainingCrops) -> Any:
    rows = {label: _spread(stack.data) for label, stack in parts.items()}
    colours = [PALETTE[k % len(PALETTE)] for k in range(len(crops.training.channels))]
    return contact_sheet(rows, colours, crops.summary())


def _spread(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a few images, evenly spaced."""
    chosen: NDArray[np.generic] = images[
        np.unique(np.linspace(0, len(images) - 1, _SHOWN).astype(int))
    ]
    return chosen
