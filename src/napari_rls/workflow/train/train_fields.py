"""From HR crops to a bundle that knows how cells of LR fields look, whatever the microscope."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_rls.errors import InputError
from napari_rls.models.manifest import FORMAT_VERSION, FieldEncoderSpec, Manifest
from napari_rls.search.levels import levels_of_crops
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.workflow.cells.bundle_nuclei import dna_channel, nucleus_settings
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
    from napari_rls.models.field_encoder import FieldEncoder

_LOOKED_AT = 256
"""Held-out crops that are looked at, at most: an image of each is drawn for several ratios."""

FieldEncoderJob: TypeAlias = NetworkJob[FieldEncoderSettings]


@network_training
def train_fields(job: FieldEncoderJob) -> Generator[NetworkUpdate, None, None]:
    """Cut crops, train on them as random microscopes see them, write the bundle with the network.

    The generator stays as it is, as does all else in the bundle, bit for bit; a field encoder
    that it had is replaced. Closing the iteration or Ctrl-C keeps a checkpoint; the same job
    goes on with it.

    Raises
    ------
    InputError
        If no ratio leaves three LR pixels along a crop. What else is raised, see
        :func:`~napari_rls.workflow.train.network_job.network_training`.
    """
    from napari_rls.models.bundle import load_bundle
    from napari_rls.training.cell_parts import Nuclear
    from napari_rls.training.fit_field_encoder import train

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    _check_ratios(manifest, settings)
    data = yield from crops_of(job, manifest, settings.batch_size, settings.seed)
    yield NetworkUpdate("crops", f"Looking at the nuclei of {len(data.crops):,} crops.")
    # Evenly over all images, which crops stand in the order of.
    held_out = data.held_out[:: math.ceil(len(data.held_out) / _LOOKED_AT)]
    nuclear = Nuclear(dna_channel(manifest), nucleus_settings(manifest))
    network, report = yield from trained(
        train(data.crops, held_out, settings, job.folder, bundle, nuclear)
    )
    l1 = report.held_out_l1
    save_bundle(
        with_field_encoder(bundle, network, _record(job, data.cut, len(held_out), l1)), job.out
    )
    yield NetworkUpdate(
        "done", f"L1 on {len(held_out):,} held-out crops: {l1:.4f}.", bundle=job.out
    )


def with_field_encoder(bundle: Bundle, network: FieldEncoder, record: FieldEncoderSpec) -> Bundle:
    """Return the bundle with a field encoder in place of the one that it had."""
    manifest = bundle.manifest.model_copy(
        update={"format_version": FORMAT_VERSION, "field_encoder": record}
    )
    network = network.cpu().requires_grad_(False).eval()
    return replace(bundle, manifest=manifest, field_encoder=network)


def _record(
    job: FieldEncoderJob, crops: TrainingCrops, held_out: int, l1: float
) -> FieldEncoderSpec:
    settings, hr = job.settings, crops.training.data
    return FieldEncoderSpec(
        **settings.model_dump(include={"width", "hidden", "steps", "batch_size", "seed"}),
        images=len(hr),
        validation=held_out,
        ratios=settings.ratios(hr.shape[-1]),
        l1=l1,
        levels=levels_of_crops(hr, settings.seed),
        data=job.data,
    )


def _check_ratios(manifest: Manifest, settings: FieldEncoderSettings) -> None:
    low, high = settings.ratios(manifest.hr_size)
    if low > high:
        most = math.floor(high * 10) / 10
        raise InputError(
            f"At the ratio {low:g} fewer than three LR pixels lie along the {manifest.hr_size} "
            f"pixels of the bundle {manifest.name}; give a --ratio-low of {most:g} at most."
        )
