"""From HR crops to a bundle with a Pix2Pix network of one scale factor."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.models.intensity import Levels, in_range
from napari_rls.models.manifest import FORMAT_VERSION, Manifest, Pix2PixNetwork, Pix2PixSpec
from napari_rls.training.passed_on import passed_on
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.cut_crops import TrainingCrops
from napari_rls.workflow.train.hr_images import HRImages, kept_or_cut
from napari_rls.workflow.train.run_files import check_free, save_bundle

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.models.pix2pix import UNet
    from napari_rls.training.pix2pix import Progress

_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class Pix2PixJob:
    """All that a network is trained of.

    Parameters
    ----------
    hr
        Where the HR crops come from; channels are those of the bundle, in its order.
    bundle
        The bundle that the network is added to: an embedded one's name, or a file.
    settings
        How to train.
    out
        The bundle to write; one that is there is replaced.
    folder
        The training's folder. If it holds this very training, that goes on.
    data
        Name of the HR crops, for the bundle's manifest.
    """

    hr: HRImages
    bundle: str
    settings: Pix2PixSettings
    out: Path
    folder: Path
    data: str = "the user's own images"


@dataclass(frozen=True, eq=False)
class Pix2PixUpdate:
    """What a job has just done.

    Parameters
    ----------
    stage
        What it is at.
    message
        A sentence for people, or "".
    step
        Every step of training.
    bundle
        The bundle that was written, at the end.
    """

    stage: Literal["crops", "training", "done"]
    message: str = ""
    step: Progress | None = None
    bundle: Path | None = None


def train_pix2pix(job: Pix2PixJob) -> Generator[Pix2PixUpdate, None, None]:
    """Cut crops, train on them and their degraded images, write the bundle with the network.

    Pairs are made by the degradation of the search, antialiased bicubic downscaling. All
    else in the bundle stays as it is, bit for bit; a network of the same factor is
    replaced. Closing the iteration or Ctrl-C keeps a checkpoint; the same job goes on
    with it.

    Raises
    ------
    InputError
        If an image cannot be used, is not of the bundle's intensities, or the factor does
        not divide the HR size; nothing is trained then.
    BundleError
        If the bundle cannot be loaded.
    SettingsError
        If the device that was asked for is not there.
    TrainingError
        If the folder holds another training, training diverged, or a file cannot be
        written.
    """
    from napari_rls.search.contained import contained

    yield from contained(_train_pix2pix(job), job.settings.threads)


def _train_pix2pix(job: Pix2PixJob) -> Generator[Pix2PixUpdate, None, None]:
    import torch

    from napari_rls.models.bundle import load_bundle
    from napari_rls.training.dataset import Crops
    from napari_rls.training.pix2pix import train
    from napari_rls.training.pix2pix_step import bicubic_l1

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    _check_factor(manifest, settings.factor)
    check_free(job.folder)
    shape = TrainSettings(
        size=manifest.hr_size,
        channels=manifest.channel_names,
        intensity=manifest.intensity,
        batch_size=max(settings.batch_size, 2),
        seed=settings.seed,
    )
    cutting = kept_or_cut(job.hr, shape, job.folder)
    found = yield from passed_on(cutting, lambda cut: Pix2PixUpdate("crops", cut.text))
    yield Pix2PixUpdate("crops", found.summary())
    _check_intensities(found.training.data, manifest)
    crops = Crops(found.training.data, shape)
    held_out = torch.from_numpy(crops.map.encode(found.validation.data))
    with closing(train(crops, held_out, settings, job.folder)) as steps:
        for step in steps:
            yield Pix2PixUpdate("training", step=step)
    assert step.report is not None
    l1 = step.report.held_out_l1, bicubic_l1(held_out, settings.factor)
    made = with_network(bundle, step.network, _record(job, found, *l1))
    save_bundle(made, job.out)
    yield Pix2PixUpdate(
        "done",
        f"L1 on {len(held_out):,} held-out crops: {l1[0]:.4f}; of bicubic upsampling: {l1[1]:.4f}.",
        bundle=job.out,
    )


def with_network(bundle: Bundle, network: UNet, record: Pix2PixNetwork) -> Bundle:
    """Return the bundle with a network; one of the same factor is replaced."""
    old = bundle.manifest.pix2pix.networks if bundle.manifest.pix2pix else ()
    records = {r.factor: r for r in old} | {record.factor: record}
    networks = {**bundle.pix2pix, record.factor: network.cpu().requires_grad_(False).eval()}
    spec = Pix2PixSpec(networks=tuple(records[factor] for factor in sorted(records)))
    manifest = bundle.manifest.model_copy(
        update={"format_version": FORMAT_VERSION, "pix2pix": spec}
    )
    return replace(bundle, manifest=manifest, pix2pix=networks)


def _record(job: Pix2PixJob, crops: TrainingCrops, l1: float, bicubic: float) -> Pix2PixNetwork:
    settings = job.settings
    return Pix2PixNetwork(
        **settings.model_dump(
            include={"factor", "width", "width_max", "steps", "batch_size", "seed"}
        ),
        images=len(crops.training),
        validation=len(crops.validation),
        l1=l1,
        bicubic_l1=bicubic,
        data=job.data,
    )


def _check_factor(manifest: Manifest, factor: int) -> None:
    if manifest.hr_size % factor:
        raise InputError(
            f"The factor {factor} does not divide the {manifest.hr_size} pixels of the bundle "
            f"{manifest.name}; give one that does."
        )


def _check_intensities(hr: NDArray[np.generic], manifest: Manifest) -> None:
    """Check that crops (N, C, H, W) are in the unit that the bundle was trained in.

    Raises
    ------
    InputError
        If they lie outside its range, or fill almost none of it. Few pixels say nothing: the
        brightest of many crops are much brighter than those of a single one.
    """
    ends = np.percentile(hr.astype(np.float32), _PERCENTILES, axis=(0, 2, 3))
    if not in_range(Levels.of(ends.T[None, :, None]), manifest.intensity):
        unit = manifest.intensity
        raise InputError(
            f"The HR images hold intensities from {hr.min():g} to {hr.max():g}, but the bundle "
            f"{manifest.name} knows {unit.low:g} to {unit.high:g} {unit.unit}; give images in that "
            "unit."
        )
