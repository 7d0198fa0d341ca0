"""From HR crops to a bundle with a Pix2Pix network of one scale factor."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_rls.errors import InputError
from napari_rls.models.manifest import FORMAT_VERSION, Manifest, Pix2PixNetwork, Pix2PixSpec
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.workflow.train.cut_crops import TrainingCrops
from napari_rls.workflow.train.network_job import (
    NetworkJob,
    NetworkUpdate,
    crops_of,
    network_training,
    trained,
)
from napari_rls.workflow.train.run_files import save_bundle

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.models.pix2pix import UNet

Pix2PixJob: TypeAlias = NetworkJob[Pix2PixSettings]


@network_training
def train_pix2pix(job: Pix2PixJob) -> Generator[NetworkUpdate, None, None]:
    """Cut crops, train on them and their degraded images, write the bundle with the network.

    Pairs are made by the degradation of the search, antialiased bicubic downscaling. All
    else in the bundle stays as it is, bit for bit; a network of the same factor is
    replaced. Closing the iteration or Ctrl-C keeps a checkpoint; the same job goes on
    with it.

    Raises
    ------
    InputError
        If the factor does not divide the HR size. What else is raised, see
        :func:`~napari_rls.workflow.train.network_job.network_training`.
    """
    from napari_rls.models.bundle import load_bundle
    from napari_rls.training.pix2pix import train
    from napari_rls.training.pix2pix_step import bicubic_l1

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    _check_factor(manifest, settings.factor)
    data = yield from crops_of(job, manifest, settings.batch_size, settings.seed)
    held_out = data.held_out
    network, report = yield from trained(train(data.crops, held_out, settings, job.folder))
    l1 = report.held_out_l1, bicubic_l1(held_out, settings.factor)
    made = with_network(bundle, network, _record(job, data.cut, *l1))
    save_bundle(made, job.out)
    yield NetworkUpdate(
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
