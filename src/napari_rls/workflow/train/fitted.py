"""From a run to a bundle: which generator, and flow and encoders fitted to it once."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.errors import BundleError, InputError, why_not
from napari_rls.models.architecture import Architecture
from napari_rls.models.blueprint import Blueprint
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.camera import CameraNoise
from napari_rls.models.intensity import IntensityMap
from napari_rls.models.manifest import Intensity, Manifest, Training
from napari_rls.models.stylegan2 import Generator as Network
from napari_rls.training.assemble import Fits, Fitting, assemble
from napari_rls.training.checkpoint import load_generator, load_start, read_numbers
from napari_rls.training.fit_camera import enough_images, fit_camera, images_to_compare
from napari_rls.training.fit_settings import FitSettings
from napari_rls.training.run_folder import RunFolder, Score
from napari_rls.workflow.train.cut_crops import TrainingCrops

Which = Literal["best", "last"]
"""Which generator of a run: the one of lowest KID, or the average at its end."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The generator of a run that a bundle is made of.

    ``images`` is how many it was shown; ``score`` how good it is, None if it was not scored.
    """

    generator: Network
    images: int
    score: Score | None

    def training(self, data: str, crops: TrainingCrops) -> Training:
        """Return what the manifest says of its training on crops, called ``data`` in words."""
        score = self.score
        return Training(
            data=data,
            images=len(crops.training),
            validation=len(crops.validation),
            kimg=self.images / 1000,
            kid=score.kid if score else None,
            fid=score.fid if score else None,
            features=score.features if score else None,
        )


def chosen(folder: Path, architecture: Architecture, which: Which = "best") -> Chosen:
    """Return the generator of a run to make a bundle of.

    Where the run has no scores it is always the last average.

    Raises
    ------
    TrainingError
        If the generator cannot be read.
    """
    place = RunFolder(folder)
    best = place.best_score()
    if best is not None and which == "best":
        return Chosen(load_generator(place.best, architecture), best.images, best)
    generator = load_generator(place.checkpoint, architecture, part="average.")
    images = read_numbers(place.checkpoint)["images"]
    score = next((s for s in place.scores() if s.images == images), None)
    return Chosen(generator, images, score)


def check_generator(folder: Path) -> None:
    """Check that a run holds a generator that a bundle can be made of.

    Raises
    ------
    InputError
        If it does not.
    """
    place = RunFolder(folder)
    if place.checkpoint.exists() or place.best_score() is not None:
        return
    if (folder / "half" / "run.json").exists():
        raise InputError(
            f"The run in {folder} is still at half the size and no bundle can be made of it yet; "
            "go on with it until it has grown."
        )
    raise InputError(
        f"{folder} holds no generator yet, so that there is nothing to finish; train first."
    )


def judge(folder: Path, architecture: Architecture) -> dict[str, Tensor]:
    """Return the weights of a run's discriminator, from which a further run can start.

    A run that was killed before its first checkpoint, but not before its first score, has none.

    Raises
    ------
    TrainingError
        If they cannot be read.
    """
    if not RunFolder(folder).checkpoint.exists():
        return {}
    start = load_start(RunFolder(folder).checkpoint, architecture)
    return {} if start.discriminator is None else start.discriminator.state_dict()


def fitted(
    generator: Network,
    blueprint: Blueprint,
    training: Training,
    folder: Path,
    *,
    seed: int,
    fit: FitSettings,
) -> Generator[Fitting, None, Fits]:
    """Fit flow and encoders to a generator, or take those that were fitted to it before.

    Parameters
    ----------
    generator, blueprint, training
        What a bundle is made of, what it will be, and how the generator was trained.
    folder
        The run's folder, which keeps the fits as a bundle of their own.
    seed, fit
        Seed of the fits, and what they take.

    """
    kept = folder / f"fitted{SUFFIX}"
    old = _load(kept)
    if old is not None and _same(old, generator):
        said = old.manifest.flow_fit
        asked = (blueprint.architecture, blueprint.flow, blueprint.encoder)
        if _shape(old.manifest) == asked and (said.samples, said.seed, said.epochs) == (
            fit.fit_samples,
            seed,
            fit.fit_epochs,
        ):
            return Fits(old.flow, said, old.encoders, old.manifest.encoder)
    fits = yield from assemble(
        generator, blueprint, seed=seed, samples=fit.fit_samples, epochs=fit.fit_epochs
    )
    manifest = blueprint.manifest(training, fits.flow_fit, fits.encoder)
    try:
        Bundle(manifest, generator, fits.flow, fits.encoders).save(kept)
    except OSError as error:  # it would only have saved another fit
        yield Fitting(
            1.0, f"{kept} cannot be written ({why_not(error, kept)}); it goes on without."
        )
    return fits


def missing_noise(
    generator: Network, crops: NDArray[np.generic], intensity: Intensity
) -> CameraNoise:
    """Return the camera noise that HR crops have and a generator's images lack.

    Parameters
    ----------
    generator
        The generator.
    crops
        HR crops (N, C, H, W) of any real type that it was trained on; those of an integer type
        are of whole grey levels.
    intensity
        Their intensities of the generator's -1 and 1.
    """
    channels = crops.shape[1]
    unit_map = IntensityMap("bundle", (intensity.low,) * channels, (intensity.high,) * channels)
    count = min(len(crops), enough_images(crops.shape[-1]))
    some = np.linspace(0, len(crops) - 1, count).astype(int)
    whole = np.issubdtype(crops.dtype, np.integer) and float(intensity.low).is_integer()
    step = 2 / (intensity.high - intensity.low) if whole else 0.0
    real = torch.from_numpy(unit_map.encode(crops[some]))
    return fit_camera(real, images_to_compare(generator), min(step, 1.0))


def with_camera(
    bundle: Bundle, crops: NDArray[np.generic], known: CameraNoise | None = None
) -> Bundle:
    """Return a bundle that knows the camera noise which its generator leaves out.

    Parameters
    ----------
    bundle
        The bundle.
    crops
        HR crops (N, C, H, W) of any real type that the generator was trained on.
    known
        The noise through which the generator was trained. None finds what the crops have
        and the generator's images lack.
    """
    if known is None:
        known = missing_noise(bundle.generator, crops, bundle.manifest.intensity)
    # What was measured on held-out cells held for the noise of before.
    update = {"camera": known, "trust": ()}
    return replace(bundle, manifest=bundle.manifest.model_copy(update=update))


def _load(file: Path) -> Bundle | None:
    try:
        return load_bundle(file)
    except BundleError:
        return None


def _shape(manifest: Manifest) -> tuple[object, ...]:
    """Return the networks of a manifest as a blueprint has them."""
    encoder = manifest.encoder and manifest.encoder.shape
    return manifest.architecture, manifest.flow, encoder


def _same(bundle: Bundle, generator: Network) -> bool:
    now = generator.state_dict()
    return all(torch.equal(now[k], tensor) for k, tensor in bundle.generator.state_dict().items())
