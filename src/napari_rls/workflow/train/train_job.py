"""What a training job is made of, and its record in the run's folder.

The command line and the widget write the same record, so that each goes on with what the
other began.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from napari_rls.errors import InputError, JsonError
from napari_rls.files.json_file import parse_model
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.blueprint import Blueprint
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.field_notes import KIMG
from napari_rls.training.fit_settings import FitSettings
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.bundle_card import Card

RECORD = "job.json"
"""Name of the record in the run's folder."""

_LARGEST = 10_000_000
"""Bytes of a record at most; one that names a hundred thousand files fits."""


class TrainOptions(FitSettings):
    """What a user chooses of a job beside images, words and the training itself.

    The command line's options, the widget's fields and the job's record are made of it.
    """

    pattern: str = Field(
        default="",
        title="File names",
        description=(
            "If every channel has a file of its own: how the files are named, as in "
            "{field}_{channel}*.tif. {field} is what the files of one field share, {channel} the "
            "channel, * anything; folders may belong to it, as in {channel}/{field}.tif. Empty if "
            "a file holds all channels."
        ),
    )
    grow_kimg: Annotated[float, KIMG] = Field(
        default=0.0,
        ge=0,
        le=100_000,
        title="Half size first",
        description=(
            "Training at half the size first, which is fast; then the generator grows to "
            "full size. 0: none."
        ),
    )
    generator: Literal["best", "last"] = Field(
        default="best",
        title="Generator",
        description=(
            "The bundle is made of the best generator by KID, or of the last one. KID sees grain "
            "and sharpness above all: look at the sheets of samples."
        ),
    )


class TrainJob(TrainOptions):
    """All that a bundle is trained of.

    Parameters
    ----------
    images
        Files, folders and glob patterns of whole fields, or of crops of the full size.
    settings
        How to train; intensities that are left out are taken from the images.
    card
        What the user says of the bundle, or, for one of other networks or more words, its
        blueprint.
    out
        The bundle to write; one that is there is replaced.
    folder
        The run's folder. If it holds this very run, that goes on.
    validation
        Images to validate on, as ``images``; if empty, a tenth of the crops is held out.
    sources
        What the files call each channel: names or indices in a file of several, with
        ``pattern`` what stands in the file names. Empty: the channels' own names.
    dna_channel
        Channel that shows nuclei, by name or by index from 0.
    nuclei
        How nuclei are found.
    start
        Bundle or weights of a generator to start from.
    """

    images: tuple[str, ...]
    settings: TrainSettings
    card: Card | Blueprint
    out: Path
    folder: Path
    validation: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    dna_channel: str = "0"
    nuclei: NucleusSettings = NucleusSettings()
    start: Path | None = None

    def but(self, **changes: Any) -> TrainJob:
        """Return the job with other values, which are not checked."""
        return self.model_copy(update=changes)


def settled(job: TrainJob) -> TrainJob:
    """Return the same job in the words of its record: whole paths, the DNA channel's name."""
    names, dna = job.settings.channels, job.dna_channel
    if dna.isdecimal() and int(dna) < len(names) and not names[int(dna)].isdecimal():
        dna = names[int(dna)]
    return job.but(
        images=tuple(str(Path(text).absolute()) for text in job.images),
        validation=tuple(str(Path(text).absolute()) for text in job.validation),
        out=job.out.absolute(),
        folder=job.folder.absolute(),
        start=job.start and job.start.absolute(),
        dna_channel=dna,
    )


def keep_job(job: TrainJob) -> None:
    """Write the record of a job into its run's folder.

    Raises
    ------
    TrainingError
        If that is not possible.
    """
    from napari_rls.workflow.train.run_files import writing

    path = job.folder / RECORD
    text = record_text(job)
    with writing(path), whole_file(path) as draft:
        draft.write_bytes(text)


def record_text(job: TrainJob) -> bytes:
    """Return the record of a job.

    Raises
    ------
    InputError
        If a path in it is no text, which a record cannot hold.
    """
    job = settled(job)
    paths = [*job.images, *job.validation, *filter(None, (job.out, job.folder, job.start))]
    for path in map(str, paths):
        if path != path.encode("utf-8", "replace").decode():
            raise InputError(
                f"{path} has a name that is not UTF-8, which the record of a training cannot hold; "
                "rename it or choose another place."
            )
    return job.model_dump_json(indent=2).encode() + b"\n"


def kept_job(folder: Path) -> TrainJob:
    """Return the job whose run a folder holds; the folder may have been moved since.

    Raises
    ------
    InputError
        If there is no such record, or it cannot be read.
    """
    path = folder / RECORD
    if not path.exists():
        if (folder / "run.json").exists():
            raise InputError(
                f"The run in {folder} was begun by an earlier version and has no record of its "
                "images; give the images and the settings that it was begun with to go on."
            )
        raise InputError(f"{folder} holds no training run; choose the folder of one (NAME-run).")
    try:
        with path.open("rb") as file:
            job = parse_model(file.read(_LARGEST + 1), TrainJob, most=_LARGEST)
    except JsonError as error:
        raise InputError(f"{path} is no record of a training job: {error}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    return _moved(job, folder.absolute())


def _moved(job: TrainJob, folder: Path) -> TrainJob:
    """Return a job whose run now lies in ``folder``; a bundle beside it is written beside it."""
    if job.folder == folder:
        return job
    out, card = job.out, job.card
    if out.parent == job.folder.parent:
        name = out.name.removesuffix(SUFFIX)
        new = folder.name.removesuffix("-run")
        if job.folder.name == f"{name}-run" and folder.name == f"{new}-run":
            out = out.with_name(f"{new}{SUFFIX}")
            if isinstance(card, Card) and card.name == name:
                card = card.but(name=new)
        out = folder.parent / out.name
    return job.but(folder=folder, out=out, card=card)
