"""From another program's StyleGAN2 checkpoint to a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Generator as Iterating
from pathlib import Path

from napari_rls.errors import CheckpointError, InputError
from napari_rls.models.bundle import Bundle
from napari_rls.models.import_checkpoint import read_checkpoint
from napari_rls.training.assemble import Fitting, assemble
from napari_rls.workflow.train.import_blueprint import (
    ImportSettings,
    imported_blueprint,
    imported_training,
)


def import_checkpoint(
    checkpoint: Path, channels: tuple[str, ...], settings: ImportSettings
) -> Iterating[Fitting, None, Bundle]:
    """Make a bundle of a checkpoint; yield how far that is.

    Nothing in the checkpoint is run. Its moving average of the generator is taken as
    it is; flow, statistics of w and encoders are fitted to it.

    Parameters
    ----------
    checkpoint
        An official network pickle or a checkpoint of rosinality's stylegan2-pytorch.
    channels
        Names of the image channels, in the generator's order.
    settings
        What the checkpoint does not say, and how to fit.

    Returns
    -------
    Bundle
        The bundle, not yet written.

    Raises
    ------
    InputError
        If the checkpoint is refused, or does not fit the user's words.
    """
    try:
        found = read_checkpoint(checkpoint)
        with checkpoint.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (CheckpointError, OSError) as error:
        raise InputError(str(error)) from None
    arch = found.generator.arch
    origin = f"imported from {checkpoint.name} of {found.program} (SHA-256 {digest})"
    blueprint = imported_blueprint(settings, arch, channels, origin)
    training = imported_training(settings, blueprint)
    yield Fitting(
        0.0,
        f"{checkpoint.name}: a StyleGAN2 generator of {found.program}, {arch.resolution} x "
        f"{arch.resolution} pixels, {arch.image_channels} channel(s), w of {arch.w_dim} dimensions",
    )
    fits = yield from assemble(
        found.generator,
        blueprint,
        seed=settings.seed,
        samples=settings.fit_samples,
        epochs=settings.fit_epochs,
    )
    manifest = blueprint.manifest(training, fits.flow_fit, fits.encoder)
    return Bundle(manifest, found.generator, fits.flow, fits.encoders)
