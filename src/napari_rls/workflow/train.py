"""From whole fields to training crops, and from a trained generator to a bundle."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_rls import __version__
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle import Bundle
from napari_rls.models.manifest import (
    Channel,
    EncoderSpec,
    FlowFit,
    FlowSpec,
    Intensity,
    Manifest,
    Training,
)
from napari_rls.models.whole_file import whole_file
from napari_rls.search.settings import FACTORS, first_problem
from napari_rls.training.assemble import assemble
from napari_rls.training.checkpoint import load_generator, read_numbers
from napari_rls.training.dataset import split_by_file
from napari_rls.training.grid import PALETTE
from napari_rls.training.run_folder import RunFolder
from napari_rls.training.settings import TrainSettings
from napari_rls.workflow.contact_sheet import contact_sheet, write_png
from napari_rls.workflow.crops import cut_crops, join
from napari_rls.workflow.fit import unusable_cells
from napari_rls.workflow.read import channel_index, choose_channels, read_stack
from napari_rls.workflow.stack import CellStack, InputError

_SUFFIXES = (".tif", ".tiff")
_SHOWN = 12
_ENCODED = range(2, 17)
"""Sides of the LR images, in pixels, for which a bundle gets an encoder; a larger LR image
needs more memory than the better start of the search is worth."""
_PERCENTILES = (0.1, 99.9)
_SAMPLED = 100_000


@dataclass(frozen=True, eq=False)
class TrainingCrops:
    """Crops to train and to validate on; no file has crops in both.

    Parameters
    ----------
    training, validation
        Nucleus-centred crops (N, C, size, size) in the files' unit.
    files
        Number of image files.
    at_border
        Nuclei dropped because their crop would reach over the field's border.
    unusable
        Crops dropped because they hold NaN, infinite or only equal values.
    intensity
        Intensities of the generator's -1 and 1; see :func:`intensity_of`.
    """

    training: CellStack
    validation: CellStack
    files: int
    at_border: int
    unusable: int
    intensity: Intensity

    def summary(self) -> str:
        """Say how many crops there are, and how many nuclei were dropped and why."""
        return (
            f"{len(self.training)} crops to train on and {len(self.validation)} to validate on, "
            f"from {self.files} files; dropped: {self.at_border} nuclei whose crop would reach "
            f"over the field's border, {self.unusable} crops of NaN, infinite or only equal values."
        )


@dataclass(frozen=True)
class Card:
    """What the user says of a bundle; the title and the pixel size may be left open."""

    name: str
    title: str
    licence: str
    attribution: str
    pixel_size_um: float | None


def find_images(inputs: Sequence[str]) -> list[Path]:
    """Return the TIFF files that files, folders and glob patterns name, each once.

    Raises
    ------
    InputError
        If one of them names no TIFF file.
    """
    found: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if _is_image(p))
            missing = f"The folder {path} holds no TIFF file; give the folder of the images."
        elif path.is_file():
            files, missing = [path], ""
        else:
            names = glob.glob(text, recursive=True)  # noqa: PTH207  Path.glob takes no absolute one
            files = [p for p in map(Path, sorted(names)) if _is_image(p)]
            missing = f"There is no image {text}; give TIFF files, folders of them or patterns."
        if not files:
            raise InputError(missing)
        found |= dict.fromkeys(files)
    return list(found)


def prepare(
    files: Sequence[Path],
    settings: TrainSettings,
    *,
    dna_channel: str = "0",
    nuclei: NucleusSettings | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> TrainingCrops:
    """Cut the crops of a training run and split them by file.

    Parameters
    ----------
    files
        Whole fields. Channels are taken by the names in ``settings`` where a file has
        all of them, and as they come otherwise.
    settings
        Size and names of the channels of the crops, batch size, seed of the split.
    dna_channel
        Channel of ``settings`` that shows nuclei, by name or by index from 0.
    nuclei
        How nuclei are found.
    report
        Takes a sentence about every file.

    Raises
    ------
    InputError
        If a file cannot be read or does not match the others, or there are too few cells.
    TrainingError
        If all cells lie in one file.
    """
    cuts: list[CellStack] = []
    samples: dict[str, NDArray[np.float64]] = {}
    at_border = unusable = 0
    for path in files:
        field = _field(path, settings.channels)
        dna = channel_index(field, dna_channel)
        cut = cut_crops(field, settings.size, dna_channel=dna, settings=nuclei)
        bad = unusable_cells(cut.stack) if len(cut.stack) else {}
        good = [k for k in range(len(cut.stack)) if k not in bad]
        cuts.append(_take(cut.stack, good))
        samples[field.name] = _sample(field.data)
        at_border += cut.at_border
        unusable += len(bad)
        report(f"{path.name}: {len(good)} crops cut, {cut.at_border + len(bad)} nuclei dropped.")
    crops = join(cuts, name="training crops")
    names = [crop.file for crop in crops.crops]
    _check_number(len(crops), settings.batch_size)
    first, second = split_by_file(names, seed=settings.seed)
    training, validation = _take(crops, first.tolist()), _take(crops, second.tolist())
    _check_number(len(training), settings.batch_size)
    held_out = {names[k] for k in second}
    fields = [sample for name, sample in samples.items() if name not in held_out]
    intensity = intensity_of(fields, crops.data.dtype)
    return TrainingCrops(training, validation, len(files), at_border, unusable, intensity)


def intensity_of(fields: Sequence[NDArray[np.floating]], dtype: np.dtype[np.generic]) -> Intensity:
    """Choose the intensities that become the generator's -1 and 1, the same for all channels.

    8-bit images use 0 to 255. Others use the range from the lowest 0.1th percentile
    of a channel to the highest 99.9th, each over all training fields together;
    brighter and darker pixels go beyond 1 and -1 and are not clipped.

    Parameters
    ----------
    fields
        Pixels of the training fields (C, n), an array for each.
    dtype
        Type of the files' pixels.

    Raises
    ------
    InputError
        If there is no contrast.
    """
    if dtype == np.uint8:
        return Intensity(low=0, high=255, unit="8-bit grey levels")
    pixels = np.concatenate(fields, axis=1)
    low, high = np.nanpercentile(np.where(np.isfinite(pixels), pixels, np.nan), _PERCENTILES, 1)
    if not high.max() > low.min():
        raise InputError("The images have no contrast; are they the right ones?")
    note = "0.1th to 99.9th percentile over all training fields, the widest of the channels."
    return Intensity(low=float(low.min()), high=float(high.max()), note=note)


def write_overview(folder: Path, crops: TrainingCrops) -> Path:
    """Write ``crops.png``, a contact sheet, and ``crops.json``, the split; return the sheet."""
    parts = {"training": crops.training, "validation": crops.validation}
    rows = {label: _spread(stack.data) for label, stack in parts.items()}
    colours = [PALETTE[k % len(PALETTE)] for k in range(len(crops.training.channels))]
    sheet = folder / "crops.png"
    write_png(sheet, contact_sheet(rows, colours, crops.summary()))
    split = {label: sorted({c.file for c in stack.crops}) for label, stack in parts.items()}
    record = {"files": split, "at_border": crops.at_border, "unusable": crops.unusable}
    with whole_file(folder / "crops.json") as draft:
        draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return sheet


def draft_manifest(
    card: Card, crops: TrainingCrops, settings: TrainSettings, samples: int
) -> Manifest:
    """Fill in all of a manifest that is known before training.

    Parameters
    ----------
    card
        What the user says.
    crops, settings
        What the generator is trained on, and how.
    samples
        Number of generated samples that flow and encoders are to be fitted to.

    Raises
    ------
    InputError
        If the user's words cannot stand in a manifest.
    """
    size, names = settings.size, ", ".join(settings.channels)
    factors = tuple(f for f in FACTORS if size % f == 0 and size // f in _ENCODED)
    encoder = EncoderSpec(
        factors=factors, samples=samples, seed=settings.seed, held_out_error=(1.0,) * len(factors)
    )
    try:
        return Manifest(
            name=card.name,
            title=card.title or f"{names}, {size} x {size} pixels",
            architecture=settings.architecture,
            channels=tuple(
                Channel(name=name, colour=PALETTE[k % len(PALETTE)])
                for k, name in enumerate(settings.channels)
            ),
            pixel_size_um=card.pixel_size_um or crops.training.pixel_size_um,
            intensity=settings.intensity,
            flow=FlowSpec(hidden=256),
            flow_fit=FlowFit(
                samples=samples, seed=settings.seed, epochs=0, held_out_nats=0, ks_distance=1
            ),
            encoder=encoder if factors else None,
            training=Training(
                data=f"{crops.files} files of the user's own; {len(crops.validation)} crops, by "
                "file, were held out.",
                images=len(crops.training),
            ),
            licence=card.licence,
            attribution=card.attribution,
            intended_use=f"Nucleus-centred crops ({names}) like those that it was trained on: same "
            "cells, staining, microscope and pixel size.",
            limits="How good its images are was not assessed. SR pixels are generated: details "
            "finer than the LR image are plausible, not measured.",
            created_by=f"napari-rls {__version__}",
        )
    except ValidationError as error:
        raise InputError(f"The bundle cannot be described so: {first_problem(error)}.") from None


def finish(
    folder: Path,
    draft: Manifest,
    out: Path,
    *,
    seed: int = 0,
    epochs: int = 40,
    report: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Make a bundle of the averaged generator in a run's checkpoint and write it to ``out``.

    Raises
    ------
    TrainingError
        If the checkpoint cannot be read.
    """
    checkpoint = RunFolder(folder).checkpoint
    generator = load_generator(checkpoint, draft.architecture, part="average.")
    kimg = read_numbers(checkpoint)["images"] / 1000
    training = draft.training.model_copy(update={"kimg": kimg})
    draft = draft.model_copy(update={"training": training})
    samples = draft.flow_fit.samples
    bundle = assemble(generator, draft, seed=seed, samples=samples, epochs=epochs, report=report)
    return bundle.save(out)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.startswith(".")


def _field(path: Path, names: tuple[str, ...]) -> CellStack:
    field = choose_channels(read_stack(path), (), names)
    if len(field.channels) != len(names):
        raise InputError(
            f"{path} has {len(field.channels)} channel(s), but --channels names {len(names)} "
            f"({', '.join(names)}); all images need these channels, in this order."
        )
    # The whole path, since files of one name in several folders are several files.
    return replace(field, channels=names, name=str(path))


def _take(stack: CellStack, cells: Sequence[int]) -> CellStack:
    crops = tuple(stack.crops[k] for k in cells)
    return replace(stack, data=stack.data[np.array(cells, dtype=np.intp)], crops=crops)


def _sample(data: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return evenly spaced pixels (C, n) of fields (N, C, H, W)."""
    pixels = np.moveaxis(data, 1, 0).reshape(data.shape[1], -1)
    return pixels[:, :: max(1, pixels.shape[1] // _SAMPLED)].astype(np.float64)


def _check_number(cells: int, needed: int) -> None:
    if cells < needed:
        raise InputError(
            f"{cells} cells are too few to train on: at least {needed}, a batch, are needed, and a "
            "useful bundle takes a few thousand; give more images."
        )


def _spread(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a few images, evenly spaced."""
    chosen: NDArray[np.generic] = images[
        np.unique(np.linspace(0, len(images) - 1, _SHOWN).astype(int))
    ]
    return chosen
