"""From whole fields to a bundle: the one training job behind the widget and the CLI."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_rls.models.blueprint import Blueprint
from napari_rls.training.passed_on import passed_on
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.bundle_card import described
from napari_rls.workflow.train.expected import expected, grown_settings, half_size, planned
from napari_rls.workflow.train.hr_images import HRImages, kept_or_cut
from napari_rls.workflow.train.run_files import check_free, images_shown, overview, save_bundle
from napari_rls.workflow.train.train_job import TrainJob, keep_job, record_text, settled
from napari_rls.workflow.train.train_time import USUAL, Estimate, measured, recalled, remember

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_rls.evaluation.scores import Scorer
    from napari_rls.models.bundle import Bundle
    from napari_rls.training.assemble import Fitting
    from napari_rls.training.run import Progress
    from napari_rls.workflow.train.cut_crops import TrainingCrops

Stage = Literal["crops", "training", "fitting", "done"]

CUTTING = 0.02
"""Share of the bar that is for the cutting of crops."""

WRITING = 0.01
"""The same for what comes after the fits: camera noise, writing the bundle."""

SURE = 0.1
"""Share of the fits from which on the time that is left is known better than estimated."""


@dataclass(frozen=True, eq=False)
class JobUpdate:
    """What a training job has just done.

    Parameters
    ----------
    stage
        What it is at. Training comes twice if the size is doubled on the way.
    message
        A sentence for people, or "".
    share
        The share of the whole job that is done, 0 to 1, as far as it can be estimated.
    part
        The same of the stage.
    seconds_left
        About how long the rest of the job takes, once that is known.
    crops, overview
        The crops and the contact sheet of them, once they are cut.
    step
        Every step of training.
    size
        Side in pixels of the images that are trained on.
    unscored
        Why generators are not scored, a sentence, where they are not.
    bundle
        The bundle that was written, at the end.
    doubts
        What speaks against using it, in sentences.
    """

    stage: Stage
    message: str = ""
    share: float = 0.0
    part: float = 0.0
    seconds_left: float | None = None
    crops: TrainingCrops | None = None
    overview: Path | None = None
    step: Progress | None = None
    size: int | None = None
    unscored: str = ""
    bundle: Path | None = None
    doubts: tuple[str, ...] = ()


def train_bundle(job: TrainJob, *, finish: bool = False) -> Generator[JobUpdate, None, None]:
    """Cut crops, train a generator, fit flow and encoders, write the bundle.

    Closing the iteration or Ctrl-C keeps a checkpoint; the same job goes on with it and
    ends with the same weights as if it had gone through. Another bundle can be made of a
    run that is done by the same job with another ``generator``.

    Parameters
    ----------
    job
        What to train. Once training begins, the run's folder holds its record.
    finish
        Make the bundle of what the run has so far, and train no more; it can go on later.

    Raises
    ------
    InputError
        If an image, the channels or the words cannot be used, or there is nothing to finish;
        nothing is trained then.
    SettingsError
        If the device that was asked for is not there.
    TrainingError
        If the folder holds another run, training diverged, or a file cannot be written.
    """
    from napari_rls.search.contained import contained

    yield from contained(_train_bundle(job, finish=finish), job.settings.threads)


def _train_bundle(job: TrainJob, *, finish: bool) -> Generator[JobUpdate, None, None]:
    job = settled(job)
    blueprint = planned(job)
    record_text(job)  # it is written once training has begun
    check_free(job.folder)
    if finish:
        from napari_rls.workflow.train.fitted import check_generator

        check_generator(job.folder)
    crops = yield from _cut(job)
    settings = job.settings.model_copy(update={"intensity": crops.intensity})
    yield JobUpdate(
        "crops", crops.summary(), CUTTING, 1.0, crops=crops, overview=overview(job.folder)
    )
    if finish:
        _check_same(job, settings, crops)
        times = expected(job, recalled(settings) or USUAL, done=True)
    else:
        times = yield from _told_time(job)
        yield from _trained(job, settings, crops, times)
    blueprint, early = looked_at(blueprint, crops), ""
    shown, wanted = images_shown(job.folder) / 1000, job.settings.kimg
    if finish and shown < wanted:
        early = f"Its training was finished early, at {shown:g} of {wanted:g} thousand images."
        words = dict(blueprint) | {"limits": f"{blueprint.limits} {early}"}
        blueprint = described(lambda: Blueprint(**words))
    bundle = yield from _fitted(job, blueprint, crops, times)
    doubts = tuple(filter(None, (early, bundle.manifest.flow_doubt)))
    save_bundle(bundle, job.out)
    told = " ".join((f"The bundle: {job.out}.", *doubts))
    yield JobUpdate("done", told, 1.0, 1.0, bundle=job.out, doubts=doubts)


def _cut(job: TrainJob) -> Generator[JobUpdate, None, TrainingCrops]:
    """Cut the crops, or take those that the folder keeps."""
    source = HRImages(
        job.images, job.validation, job.pattern, job.sources, job.dna_channel, job.nuclei
    )
    return passed_on(
        kept_or_cut(source, job.settings, job.folder),
        lambda cut: JobUpdate("crops", cut.text, CUTTING * cut.share, cut.share),
    )


def _told_time(job: TrainJob) -> Generator[JobUpdate, None, Estimate]:
    """Estimate how long the training takes, and say so."""
    speed = recalled(job.settings)
    if speed is None:
        yield JobUpdate("training", "Measuring how fast this machine trains.", CUTTING)
        speed = measured(job.settings)
    shown = images_shown(job.folder)
    left = job.settings.model_copy(update={"kimg": job.settings.kimg - shown / 1000})
    if left.kimg > 0:
        grow = 0.0 if (job.folder / "run.json").exists() else job.grow_kimg
        rest = expected(job.but(settings=left, grow_kimg=grow), speed)
        yield JobUpdate("training", str(rest), CUTTING, seconds_left=rest.seconds)
    return expected(job, speed)


def _trained(
    job: TrainJob, settings: TrainSettings, crops: TrainingCrops, times: Estimate
) -> Generator[JobUpdate, None, None]:
    """Train, at half the size first if that is asked for."""
    from napari_rls.training.grow import grown_start, halved, kept_start

    start, data, half = job.start, crops.training.data, job.folder / "half"
    if job.grow_kimg and (job.folder / "run.json").exists():
        start = kept_start(half, job.grow_kimg)
    elif job.grow_kimg:
        small = half_size(job.but(settings=settings))
        yield JobUpdate(
            "training", f"First at {small.size} x {small.size} pixels.", CUTTING, size=small.size
        )
        yield from _run(job, half, small, halved(data), None, None, times)
        yield JobUpdate(
            "training",
            f"Now at {settings.size} x {settings.size} pixels.",
            _whole(times.share(1, 0, 0)),
        )
        start = grown_start(half, small, settings)
    if job.grow_kimg:
        settings = grown_settings(settings)
    scorer = yield from _scorer(crops, settings, times)
    yield from _run(job, job.folder, settings, data, start, scorer, times)


def _check_same(job: TrainJob, settings: TrainSettings, crops: TrainingCrops) -> None:
    """Check that the folder holds this very run, and that no other process trains in it."""
    from napari_rls.training.dataset import Crops
    from napari_rls.training.grow import kept_start
    from napari_rls.training.run_folder import RunFolder

    start, data = job.start, crops.training.data
    if job.grow_kimg:
        start = kept_start(job.folder / "half", job.grow_kimg)
        settings = grown_settings(settings)
    digest = Crops(data, settings).digest()
    with RunFolder(job.folder).opened(settings, len(data), digest, start):
        pass


def _scorer(
    crops: TrainingCrops, settings: TrainSettings, times: Estimate
) -> Generator[JobUpdate, None, Scorer | None]:
    """Return what compares generated images with the held-out crops, None if that cannot be."""
    from napari_rls.evaluation.features import SMALLEST
    from napari_rls.evaluation.scores import FEWEST, Scorer

    data = crops.validation.data
    if len(data) < FEWEST or data.shape[-1] < SMALLEST:
        why = (
            f"Generators are not scored, since that takes at least {FEWEST} held-out crops of at "
            f"least {SMALLEST} x {SMALLEST} pixels; the bundle is made of the last one."
        )
        yield JobUpdate("training", why, _whole(times.share(1, 0, 0)), unscored=why)
        return None
    low, high = crops.intensity.low, crops.intensity.high
    return Scorer(data, low, high, camera=settings.camera)


def _run(
    job: TrainJob,
    folder: Path,
    settings: TrainSettings,
    data: NDArray[np.generic],
    start: Path | None,
    scorer: Scorer | None,
    times: Estimate,
) -> Generator[JobUpdate, None, None]:
    """Train at one size; keep the record of the job with the first step, and how fast it was."""
    from napari_rls.training.run import train

    full = folder == job.folder
    later = times.fitting if full else times.full + times.fitting
    begun, speed = False, 0.0
    with closing(train(data, settings, folder, start=start, scorer=scorer)) as steps:
        for step in steps:
            if not begun:
                keep_job(job)
                begun = True
            if step.report:
                speed = step.report.images_per_second
            part = min(step.images / step.images_planned, 1.0)
            yield JobUpdate(
                "training",
                step.warning,
                _whole(times.share(1, part, 0) if full else times.share(part, 0, 0)),
                part,
                step.seconds_left + later,
                step=step,
                size=settings.size,
            )
    remember(settings, speed)


def looked_at(blueprint: Blueprint, crops: TrainingCrops) -> Blueprint:
    """Add what is known once the crops have been cut; words on the same intensities stay."""
    own, found = blueprint.intensity, crops.intensity
    same = own is not None and (own.low, own.high) == (found.low, found.high)
    return blueprint.model_copy(
        update={
            "pixel_size_um": blueprint.pixel_size_um or crops.training.pixel_size_um,
            "intensity": own if same else found,
        }
    )


def _fitted(
    job: TrainJob, blueprint: Blueprint, crops: TrainingCrops, times: Estimate
) -> Generator[JobUpdate, None, Bundle]:
    """Fit flow and encoders to the generator that is chosen, and make the bundle of it all."""
    from napari_rls.models.bundle import Bundle
    from napari_rls.workflow.train.fitted import chosen, fitted, judge, missing_noise

    choice = chosen(job.folder, blueprint.architecture, job.generator)
    generator, training = choice.generator, choice.training(blueprint.data, crops)
    seed = job.settings.seed
    fitting = fitted(generator, blueprint, training, job.folder, seed=seed, fit=job)
    began = time.monotonic()

    def told(fit: Fitting) -> JobUpdate:
        took = time.monotonic() - began
        whole = took / fit.share if fit.share > SURE else times.fitting
        return JobUpdate(
            "fitting",
            fit.text if fit.news else "",
            _whole(times.share(1, 1, fit.share)),
            fit.share,
            whole * (1 - fit.share),
        )

    fits = yield from passed_on(fitting, told)
    camera = job.settings.camera or missing_noise(generator, crops.training.data, crops.intensity)
    manifest = blueprint.manifest(training, fits.flow_fit, fits.encoder, camera)
    discriminator = judge(job.folder, blueprint.architecture)
    return Bundle(manifest, generator, fits.flow, fits.encoders, discriminator)


def _whole(share: float) -> float:
    """Return the share of the job where this is the one of training and fits."""
    return CUTTING + (1 - CUTTING - WRITING) * share
