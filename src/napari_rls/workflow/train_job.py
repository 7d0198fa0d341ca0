"""From whole fields to a bundle: the one training job behind the widget and the CLI."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.manifest import Manifest
from napari_rls.training.settings import TrainSettings
from napari_rls.workflow.stack import InputError
from napari_rls.workflow.train_crops import HRImages, kept_or_cut
from napari_rls.workflow.train_files import check_free, overview, writing
from napari_rls.workflow.train_manifest import Card, draft_manifest, with_crops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_rls.evaluation.scores import Scorer
    from napari_rls.models.bundle import Bundle
    from napari_rls.training.run import Progress
    from napari_rls.workflow.train import TrainingCrops

Stage = Literal["crops", "training", "fitting", "done"]
T = TypeVar("T")

WARMUP = 4.0
"""kimg in which D learns alone after the size has doubled, unless the settings say otherwise."""


@dataclass(frozen=True)
class TrainJob:
    """All that a bundle is trained of.

    Parameters
    ----------
    images
        Files, folders and glob patterns of whole fields, or of crops of the full size.
    settings
        How to train; intensities that are left out are taken from the images.
    card
        What the user says of the bundle, or a manifest whose gaps are to be filled in.
    out
        The bundle to write; one that is there is replaced.
    folder
        The run's folder. If it holds this very run, that goes on.
    validation
        Images to validate on, as ``images``; if empty, a tenth of the crops is held out.
    pattern
        How files of one channel each are named; see
        :func:`~napari_rls.workflow.train_inputs.find_fields`. Empty: all channels in one file.
    sources
        What the files call each channel: names or indices in a file of several, with
        ``pattern`` what stands in the file names. Empty: the channels' own names.
    dna_channel
        Channel that shows nuclei, by name or by index from 0.
    nuclei
        How nuclei are found.
    start
        Bundle or weights of a generator to start from.
    grow_kimg
        Thousands of images to train on at half the size first, in the folder ``half``
        within ``folder``; 0 trains at full size from the start.
    generator
        The generator to make a bundle of: ``best``, of lowest KID where the run has scores,
        or ``last``, the average at the end. KID sees grain and sharpness above all, so
        that the two can differ; look at the sheets of samples.
    fit_samples, fit_epochs
        Generated samples that flow and encoders are fitted to, and the flow's passes
        over them.
    """

    images: tuple[str, ...]
    settings: TrainSettings
    card: Card | Manifest
    out: Path
    folder: Path
    validation: tuple[str, ...] = ()
    pattern: str = ""
    sources: tuple[str, ...] = ()
    dna_channel: str = "0"
    nuclei: NucleusSettings = field(default_factory=NucleusSettings)
    start: Path | None = None
    grow_kimg: float = 0
    generator: Literal["best", "last"] = "best"
    fit_samples: int = 100_000
    fit_epochs: int = 40


@dataclass(frozen=True, eq=False)
class JobUpdate:
    """What a training job has just done.

    Parameters
    ----------
    stage
        What it is at. Training comes twice if the size is doubled on the way.
    message
        A sentence for people, or "".
    crops, overview
        The crops and the contact sheet of them, once they are cut.
    step
        Every step of training.
    size
        Side in pixels of the images that are trained on.
    bundle
        The bundle that was written, at the end.
    """

    stage: Stage
    message: str = ""
    crops: TrainingCrops | None = None
    overview: Path | None = None
    step: Progress | None = None
    size: int | None = None
    bundle: Path | None = None


def train_bundle(job: TrainJob) -> Generator[JobUpdate, None, None]:
    """Cut crops, train a generator, fit flow and encoders, write the bundle.

    Closing the iteration or Ctrl-C keeps a checkpoint; the same job goes on with it and
    ends with the same weights as if it had gone through. Another bundle can be made of a
    run that is done by the same job with another ``generator``.

    Raises
    ------
    InputError
        If an image, the channels or the words cannot be used; nothing is trained then.
    SettingsError
        If the device that was asked for is not there.
    TrainingError
        If the folder holds another run, training diverged, or a file cannot be written.
    """
    from napari_rls.search.threads import with_threads

    yield from with_threads(_train_bundle(job), job.settings.threads)


def _train_bundle(job: TrainJob) -> Generator[JobUpdate, None, None]:
    draft = _draft(job)
    check_free(job.folder)
    crops = yield from _told("crops", kept_or_cut(_source(job), job.settings, job.folder))
    settings = job.settings.model_copy(update={"intensity": crops.intensity})
    draft = with_crops(draft, crops)
    yield JobUpdate("crops", crops.summary(), crops=crops, overview=overview(job.folder))
    start = job.start
    if job.grow_kimg:
        start = yield from _grown(job, settings, crops)
        settings = settings.model_copy(update={"warmup_kimg": _warmup(settings)})
    scorer = yield from _scorer(crops, settings)
    yield from _trained(job.folder, settings, crops.training.data, start, scorer)
    bundle = yield from _fitted(job, draft, crops)
    with writing(job.out):
        job.out.parent.mkdir(parents=True, exist_ok=True)
        bundle.save(job.out)
    yield JobUpdate("done", f"The bundle: {job.out}.", bundle=job.out)


def _draft(job: TrainJob) -> Manifest:
    settings, card = job.settings, job.card
    if job.grow_kimg and job.start is not None:
        raise InputError("A run that grows starts from scratch; leave out the start weights.")
    if job.start is not None and not job.start.is_file():
        raise InputError(f"There is no file {job.start} to start from.")
    if job.grow_kimg:
        _half(job)
        if settings.kimg <= _warmup(settings):
            raise InputError(
                f"{settings.kimg:g} kimg at full size are too few: after growing, the "
                f"discriminator learns alone for {_warmup(settings):g}; give more kimg."
            )
    if isinstance(card, Card):
        return draft_manifest(card, settings, job.fit_samples)
    if (card.architecture, card.channel_names) != (settings.architecture, settings.channels):
        raise InputError(f"The manifest of {card.name} is not one of this size and channels.")
    fit = card.flow_fit.model_copy(update={"samples": job.fit_samples})
    return card.model_copy(update={"flow_fit": fit})


def _source(job: TrainJob) -> HRImages:
    return HRImages(
        job.images, job.validation, job.pattern, job.sources, job.dna_channel, job.nuclei
    )


def _warmup(settings: TrainSettings) -> float:
    return settings.warmup_kimg or WARMUP


def _half(job: TrainJob) -> TrainSettings:
    """Return the settings of the first stage: half the size, blocks of the same widths."""
    from pydantic import ValidationError

    from napari_rls.search.settings import first_problem

    settings = job.settings
    changes = {
        "size": settings.size // 2,
        "channel_last": 2 * settings.channel_last,
        "kimg": job.grow_kimg,
        "warmup_kimg": 0.0,
    }
    try:
        return TrainSettings.model_validate(settings.model_dump() | changes)
    except ValidationError as error:
        raise InputError(
            f"The run cannot start at half the size ({first_problem(error)}); leave that out."
        ) from None


def _grown(
    job: TrainJob, settings: TrainSettings, crops: TrainingCrops
) -> Generator[JobUpdate, None, Path]:
    """Train at half the size and return the weights that the full size starts from."""
    from napari_rls.training.grow import grown_start, halved, kept_start

    folder = job.folder / "half"
    if (job.folder / "run.json").exists():
        return kept_start(folder, job.grow_kimg)
    small = _half(replace(job, settings=settings))
    yield JobUpdate("training", f"First at {small.size} x {small.size} pixels.", size=small.size)
    yield from _trained(folder, small, halved(crops.training.data), None)
    yield JobUpdate("training", f"Now at {settings.size} x {settings.size} pixels.")
    return grown_start(folder, small, settings)


def _scorer(
    crops: TrainingCrops, settings: TrainSettings
) -> Generator[JobUpdate, None, Scorer | None]:
    """Return what compares generated images with the held-out crops, None if that cannot be."""
    from napari_rls.evaluation.features import SMALLEST
    from napari_rls.evaluation.scores import FEWEST, Scorer

    data = crops.validation.data
    if len(data) < FEWEST or data.shape[-1] < SMALLEST:
        yield JobUpdate(
            "training",
            f"Generators are not scored, since that takes at least {FEWEST} held-out crops of at "
            f"least {SMALLEST} x {SMALLEST} pixels; the bundle is made of the last one.",
        )
        return None
    low, high = crops.intensity.low, crops.intensity.high
    return Scorer(data, low, high, camera=settings.camera)


def _trained(
    folder: Path,
    settings: TrainSettings,
    data: NDArray[np.generic],
    start: Path | None,
    scorer: Scorer | None = None,
) -> Generator[JobUpdate, None, None]:
    from napari_rls.training.run import train

    with closing(train(data, settings, folder, start=start, scorer=scorer)) as steps:
        for step in steps:
            yield JobUpdate("training", step.warning, step=step, size=settings.size)


def _fitted(
    job: TrainJob, draft: Manifest, crops: TrainingCrops
) -> Generator[JobUpdate, None, Bundle]:
    from napari_rls.workflow.train_fit import chosen, fitted, judge, with_camera

    generator, draft = chosen(job.folder, draft, job.generator)
    fit = fitted(generator, draft, job.folder, seed=job.settings.seed, epochs=job.fit_epochs)
    bundle = yield from _told("fitting", fit)
    bundle = replace(bundle, discriminator=judge(job.folder, draft))
    return with_camera(bundle, crops.training.data, job.settings.camera)


def _told(stage: Stage, work: Generator[str, None, T]) -> Generator[JobUpdate, None, T]:
    """Pass on the sentences of a part of the job and return its result."""
    while True:
        try:
            message = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        yield JobUpdate(stage, message)
