"""What is known of a training job before its images are looked at, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.models.blueprint import Blueprint
from napari_rls.search.settings import first_problem
from napari_rls.training.fit_cost import fit_seconds
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.bundle_card import Card, blueprint_of
from napari_rls.workflow.train.train_job import TrainJob
from napari_rls.workflow.train.train_time import Estimate, estimate

WARMUP = 4.0
"""kimg in which D learns alone after the size has doubled, unless the settings say otherwise."""


def planned(job: TrainJob) -> Blueprint:
    """Return what a job's bundle will be, as far as it is known before its images are seen.

    Raises
    ------
    InputError
        If the job cannot be done, or the user's words cannot stand in a manifest.
    """
    settings, card = job.settings, job.card
    if job.grow_kimg and job.start is not None:
        raise InputError("A run that grows starts from scratch; leave out the start weights.")
    if job.start is not None and not job.start.is_file():
        raise InputError(f"There is no file {job.start} to start from.")
    if job.grow_kimg:
        half_size(job)
        if settings.kimg <= warmup(settings):
            raise InputError(
                f"{settings.kimg:g} kimg at full size are too few: after growing, the "
                f"discriminator learns alone for {warmup(settings):g}; give more kimg."
            )
    if isinstance(card, Card):
        return blueprint_of(card, settings, job.fit_samples)
    if (card.architecture, card.channel_names) != (settings.architecture, settings.channels):
        raise InputError(f"The blueprint of {card.name} is not one of this size and channels.")
    return card


def warmup(settings: TrainSettings) -> float:
    """Return the kimg in which D learns alone in a run that has grown."""
    return settings.warmup_kimg or WARMUP


def grown_settings(settings: TrainSettings) -> TrainSettings:
    """Return the settings at full size of a run that has grown."""
    return settings.model_copy(update={"warmup_kimg": warmup(settings)})


def half_size(job: TrainJob) -> TrainSettings:
    """Return the settings of the first stage: half the size, blocks of the same widths.

    Raises
    ------
    InputError
        If there is no half of the size.
    """
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


def expected(job: TrainJob, speed: float, *, done: bool = False) -> Estimate:
    """Estimate how long a job takes on a machine of a speed, see :func:`train_time.estimate`.

    Parameters
    ----------
    job
        The job.
    speed
        Images a second at the default settings.
    done
        Whether all training is done.

    Raises
    ------
    InputError
        If the user's words cannot stand in a manifest.
    """
    fitting = sum(fit_seconds(planned(job), job.fit_samples, job.fit_epochs))
    times = estimate(job.settings, speed, fitting, grow_kimg=job.grow_kimg)
    return replace(times, half=0.0, full=0.0) if done else times
