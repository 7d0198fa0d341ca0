"""From whole fields to the crops of a training run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.manifest import Intensity
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.cells.channels import channel_index
from napari_rls.workflow.cells.crops import CropCut, cut_crops, join
from napari_rls.workflow.cells.reading import Reading, told_readings
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.tiff_file import set_of
from napari_rls.workflow.cells.usable import unusable_cells
from napari_rls.workflow.train.fields import FieldFiles, read_field

_PERCENTILES = (0.1, 99.9)
_SAMPLED = 100_000


@dataclass(frozen=True)
class Cutting:
    """How far the cutting of crops is: a sentence, and the share of the fields, 0 to 1."""

    text: str
    share: float


@dataclass(frozen=True, eq=False)
class TrainingCrops:
    """Crops to train and to validate on; no field has crops in both.

    Parameters
    ----------
    training, validation
        Nucleus-centred crops (N, C, K, K) in the files' unit; K is the size, or wider by a margin.
    files
        Number of fields.
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
            f"from {self.files} fields; dropped: {self.at_border} nuclei whose crop would reach "
            f"over the field's border, {self.unusable} crops of NaN, infinite or only equal values."
        )


def prepare(
    fields: Sequence[FieldFiles],
    settings: TrainSettings,
    *,
    validation: Sequence[FieldFiles] = (),
    sources: Sequence[str] = (),
    dna_channel: str = "0",
    nuclei: NucleusSettings | None = None,
    margin: int = 0,
) -> Generator[Cutting, None, TrainingCrops]:
    """Cut the crops of a training run, split by field; yield what every field gave.

    Fields may differ in size, but not in channels, pixel type or pixel size. Images of
    the crops' own size are crops already and are taken as they are.

    Parameters
    ----------
    fields
        Whole fields. Channels are taken by the names in ``settings`` where a file has
        all of them, and as they come otherwise.
    settings
        Size and names of the channels of the crops, batch size, seed of the split, and
        the intensities, which are chosen by :func:`intensity_of` if left out.
    validation
        Fields to validate on; those that are in ``fields`` too are not trained on. If
        empty, a tenth of the crops is held out, by field.
    sources
        Where to find each channel in a file of several, by name or index from 0.
    dna_channel
        Channel of ``settings`` that shows nuclei, by name or by index from 0.
    nuclei
        How nuclei are found.
    margin
        Pixels around each crop that are cut too. Images that are crops already have none; among
        others they get their mirror image.

    Returns
    -------
    TrainingCrops
        The crops.

    Raises
    ------
    InputError
        If a file cannot be read or does not match the others, there are too few cells,
        or all of them lie in one field.
    """
    apart = {field.name for field in validation}
    taken = {set_of(file) for field in validation for file in field.files}
    own = [field for field in fields if not any(set_of(file) in taken for file in field.files)]
    every = [*own, *validation]
    cuts: list[CellStack] = []
    samples: dict[str, NDArray[np.float64]] = {}
    readings: list[tuple[str, Reading]] = []
    ways: set[Reading] = set()
    at_border = unusable = 0
    for number, files in enumerate(every, start=1):
        field = read_field(files, settings.channels, sources)
        dna = channel_index(field, dna_channel)
        readings.append((files.files[0].name, field.reading))
        known = len(ways)
        ways.add(field.reading.way)
        # A way of reading is told as soon as a file is read so, and all of them at the end.
        if len(ways) > known and not (field.reading.certain and number == 1):
            told = " ".join([field.reading.text, *field.reading.warnings])
            yield Cutting(
                f"{files.files[0].name}: {told} Nuclei are looked for in {field.channels[dna]}.",
                (number - 1) / len(every),
            )
        cut = _ready(field, settings.size) or cut_crops(
            field, settings.size, dna_channel=dna, settings=nuclei, margin=margin
        )
        bad = unusable_cells(cut.stack) if len(cut.stack) else {}
        good = [k for k in range(len(cut.stack)) if k not in bad]
        cuts.append(_take(cut.stack, good))
        samples[field.name] = _sample(field.data)
        at_border += cut.at_border
        unusable += len(bad)
        yield Cutting(
            f"{files.files[0].name} ({number} of {len(every)}): {len(good)} crops, "
            f"{cut.at_border + len(bad)} nuclei dropped.",
            number / len(every),
        )
    if len(ways) > 1:
        yield from (Cutting(sentence, 1.0) for sentence in told_readings(readings))
    crops = join(_of_one_side(cuts), name="training crops")
    names = [crop.file for crop in crops.crops]
    _check_number(len(crops), settings.batch_size)
    held_out = apart or _held_out(names, settings.seed)
    first = [k for k, name in enumerate(names) if name not in held_out]
    second = [k for k, name in enumerate(names) if name in held_out]
    _check_number(len(first), settings.batch_size)
    if not second:
        raise InputError("The validation images hold no cell; give others.")
    intensity = settings.intensity
    if intensity == Intensity():
        pixels = [sample for name, sample in samples.items() if name not in held_out]
        intensity = intensity_of(pixels, crops.data.dtype)
    training, validating = _take(crops, first), _take(crops, second)
    return TrainingCrops(training, validating, len(every), at_border, unusable, intensity)


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


def _ready(field: CellStack, size: int) -> CropCut | None:
    """Return images that are crops already; of their records only the file is needed."""
    if field.data.shape[-2:] != (size, size):
        return None
    crops = (Crop(field.name),) * len(field)
    return CropCut(replace(field, leading="N", crops=crops), at_border=0)


def _of_one_side(cuts: Sequence[CellStack]) -> list[CellStack]:
    """Return the crops as wide as the widest, with their mirror images around them."""
    side = max(cut.data.shape[-1] for cut in cuts)

    def widened(cut: CellStack) -> CellStack:
        margin = (side - cut.data.shape[-1]) // 2
        around = ((0, 0), (0, 0), (margin, margin), (margin, margin))
        return replace(cut, data=np.pad(cut.data, around, mode="reflect")) if margin else cut

    return [widened(cut) for cut in cuts]


def _held_out(names: Sequence[str], seed: int) -> set[str]:
    from napari_rls.training.dataset import split_by_file

    if len(set(names)) < 2:
        raise InputError(
            f"All cells lie in the field {names[0]}, and none can be held out to validate on; "
            "give more images, or others to validate on."
        )
    _, second = split_by_file(names, seed=seed)
    return {names[k] for k in second}


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
