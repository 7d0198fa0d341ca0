"""From a run to a bundle: which generator, and flow and encoders fitted to it once."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.errors import BundleError, InputError, why_not
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.camera import CameraNoise
from napari_rls.models.intensity import IntensityMap
from napari_rls.models.manifest import Manifest
from napari_rls.models.stylegan2 import Generator as Network
from napari_rls.training.assemble import Fitting, assemble
from napari_rls.training.checkpoint import load_generator, load_start, read_numbers
from napari_rls.training.fit_camera import enough_images, fit_camera, images_to_compare
from napari_rls.training.run_folder import RunFolder
from napari_rls.workflow.train.bundle_card import with_training

Which = Literal["best", "last"]
"""Which generator of a run: the one of lowest KID, or the average at its end."""


def chosen(folder: Path, draft: Manifest, which: Which = "best") -> tuple[Network, Manifest]:
    """Return the generator of a run to make a bundle of, and the manifest that says how good it is.

    Where the run has no scores it is always the last average.

    Raises
    ------
    TrainingError
        If the generator cannot be read.
    """
    place = RunFolder(folder)
    best = place.best_score()
    if best is not None and which == "best":
        generator = load_generator(place.best, draft.architecture)
        return generator, with_training(draft, best.images, best)
    generator = load_generator(place.checkpoint, draft.architecture, part="average.")
    images = read_numbers(place.checkpoint)["images"]
    score = next((s for s in place.scores() if s.images == images), None)
    return generator, with_training(draft, images, score)


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


def judge(folder: Path, draft: Manifest) -> dict[str, Tensor]:
    """Return the weights of a run's discriminator, from which a further run can start.

    A run that was killed before its first checkpoint, but not before its first score, has none.

    Raises
    ------
    TrainingError
        If they cannot be read.
    """
    if not RunFolder(folder).checkpoint.exists():
        return {}
    start = load_start(RunFolder(folder).checkpoint, draft.architecture)
    return {} if start.discriminator is None else start.discriminator.state_dict()


def fitted(
    generator: Network, draft: Manifest, folder: Path, *, seed: int, epochs: int
) -> Generator[Fitting, None, Bundle]:
    """Fit flow and encoders to a generator, or take those that were fitted to it before.

    Parameters
    ----------
    generator, draft
        What to make a bundle of, and its manifest; what the fits say of themselves is
        filled in here.
    folder
        The run's folder, which keeps the fits.
    seed, epochs
        Seed of the fits, and passes over the samples for the flow.

    Returns
    -------
    Bundle
        The bundle, without a discriminator; its text may be another than that of the
        kept one.

    """
    kept = folder / f"fitted{SUFFIX}"
    old = _load(kept)
    fit = draft.flow_fit.model_copy(update={"seed": seed, "epochs": epochs})
    wanted = draft.model_copy(update={"flow_fit": fit})
    if old is not None and _asked(old.manifest) == _asked(wanted) and _same(old, generator):
        found = {"flow_fit": old.manifest.flow_fit, "encoder": old.manifest.encoder}
        return Bundle(draft.model_copy(update=found), old.generator, old.flow, old.encoders)
    bundle = yield from assemble(generator, draft, seed=seed, samples=fit.samples, epochs=epochs)
    try:
        bundle.save(kept)
    except OSError as error:  # it would only have saved another fit
        yield Fitting(
            1.0, f"{kept} cannot be written ({why_not(error, kept)}); it goes on without."
        )
    return bundle


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
        channels, unit = crops.shape[1], bundle.manifest.intensity
        unit_map = IntensityMap("bundle", (unit.low,) * channels, (unit.high,) * channels)
        count = min(len(crops), enough_images(crops.shape[-1]))
        some = np.linspace(0, len(crops) - 1, count).astype(int)
        real = torch.from_numpy(unit_map.encode(crops[some]))
        known = fit_camera(real, images_to_compare(bundle))
    # What was measured on held-out cells held for the noise of before.
    update = {"camera": known, "trust": ()}
    return replace(bundle, manifest=bundle.manifest.model_copy(update=update))


def _load(file: Path) -> Bundle | None:
    try:
        return load_bundle(file)
    except BundleError:
        return None


def _asked(manifest: Manifest) -> tuple[object, ...]:
    """Return what determines the fit of flow and encoders to a generator."""
    fit, spec = manifest.flow_fit, manifest.encoder
    spec = spec and spec.model_copy(update={"held_out_error": ()})
    return manifest.architecture, manifest.flow, fit.samples, fit.seed, fit.epochs, spec


def _same(bundle: Bundle, generator: Network) -> bool:
    now = generator.state_dict()
    return all(torch.equal(now[k], tensor) for k, tensor in bundle.generator.state_dict().items())
