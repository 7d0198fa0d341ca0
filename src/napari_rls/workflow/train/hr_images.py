"""The HR crops of a training job: those that its folder keeps, or newly cut ones."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.cut_crops import Cutting, TrainingCrops, prepare
from napari_rls.workflow.train.fields import find_fields
from napari_rls.workflow.train.run_files import inputs_digest, keep_crops, kept_crops


@dataclass(frozen=True)
class HRImages:
    """Where the HR crops of a training job come from.

    Parameters
    ----------
    images
        Files, folders and glob patterns of whole fields, or of crops of the full size.
    validation
        Images to validate on, as ``images``; if empty, a tenth of the crops is held out.
    pattern
        How files of one channel each are named; see
        :func:`~napari_rls.workflow.train.fields.find_fields`. Empty: all channels in one file.
    sources
        What the files call each channel: names or indices in a file of several, with
        ``pattern`` what stands in the file names. Empty: the channels' own names.
    dna_channel
        Channel that shows nuclei, by name or by index from 0.
    nuclei
        How nuclei are found.
    """

    images: tuple[str, ...]
    validation: tuple[str, ...] = ()
    pattern: str = ""
    sources: tuple[str, ...] = ()
    dna_channel: str = "0"
    nuclei: NucleusSettings = field(default_factory=NucleusSettings)


def kept_or_cut(
    source: HRImages, settings: TrainSettings, folder: Path, margin: int = 0
) -> Generator[Cutting, None, TrainingCrops]:
    """Return the crops that the folder keeps of these very images, or cut and keep them.

    Parameters
    ----------
    source
        The images.
    settings
        Size, channels, intensities, batch size and seed; see
        :func:`~napari_rls.workflow.train.cut_crops.prepare`.
    folder
        The run's folder.
    margin
        Pixels around each crop that are cut too.

    Raises
    ------
    InputError
        As :func:`~napari_rls.workflow.train.cut_crops.prepare`.
    TrainingError
        If the crops cannot be kept.
    """
    find = partial(
        find_fields, channels=settings.channels, sources=source.sources, pattern=source.pattern
    )
    fields = find(source.images)
    apart = find(source.validation) if source.validation else []
    words = {
        "sources": source.sources,
        "pattern": source.pattern,
        **settings.model_dump(include={"size", "channels", "seed", "intensity"}),
        "dna_channel": source.dna_channel,
        "nuclei": source.nuclei.model_dump(),
        "margin": margin,
    }
    digest = inputs_digest(fields, apart, words)
    kept = kept_crops(folder, digest)
    if kept is not None:
        yield Cutting(f"The crops in {folder} are of these images; no new cut.", 1.0)
        return kept
    crops = yield from prepare(
        fields,
        settings,
        validation=apart,
        sources=() if source.pattern else source.sources,
        dna_channel=source.dna_channel,
        nuclei=source.nuclei,
        margin=margin,
    )
    keep_crops(folder, crops, digest)
    return crops
