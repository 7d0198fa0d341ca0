"""From HR crops to a bundle whose searches start at images that look like cells."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_rls.errors import InputError
from napari_rls.models.field_specs import StartSpec
from napari_rls.models.manifest import FORMAT_VERSION, Manifest
from napari_rls.training.start_settings import StartSettings
from napari_rls.workflow.train.network_job import (
    NetworkJob,
    NetworkUpdate,
    crops_of,
    network_training,
    trained,
)
from napari_rls.workflow.train.run_files import save_bundle
from napari_rls.workflow.train.train_fields import LOOKED_AT, nuclear_of

if TYPE_CHECKING:
    from torch import Tensor

    from napari_rls.models.bundle import Bundle
    from napari_rls.models.field_encoder import FieldEncoder

StartJob: TypeAlias = NetworkJob[StartSettings]


@network_training
def train_start(job: StartJob) -> Generator[NetworkUpdate, None, None]:
    """Cut crops, train on them as random microscopes see them, write the bundle with new starts.

    What estimates W+ in the bundle's field encoder is trained on from where it is. All else in the
    bundle stays as it is, bit for bit, expected images and flow matching as well. Closing the
    iteration or Ctrl-C keeps a checkpoint; the same job goes on with it.

    Raises
    ------
    InputError
        If the bundle has no field encoder at whose estimates searches start. What else is raised,
        see :func:`~napari_rls.workflow.train.network_job.network_training`.
    """
    from napari_rls.models.bundle import load_bundle
    from napari_rls.training.drawn_optics import margin_of, middle
    from napari_rls.training.fit_start import train

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    _check_encoder(manifest)
    size = manifest.hr_size
    data = yield from crops_of(job, manifest, settings.batch_size, settings.seed, margin_of(size))
    yield NetworkUpdate("crops", f"Looking at the nuclei of {len(data.crops):,} crops.")
    # Evenly over all images, which crops stand in the order of.
    held_out = data.held_out[:: math.ceil(len(data.held_out) / LOOKED_AT)]
    network, report = yield from trained(
        train(data.crops, held_out, settings, job.folder, bundle, nuclear_of(manifest))
    )
    record = StartSpec(
        **settings.model_dump(include={"steps", "batch_size", "seed", "realism"}),
        images=len(data.crops),
        validation=len(held_out),
        l1=report.held_out_l1,
        data=job.data,
    )
    save_bundle(with_start(bundle, network, record, middle(held_out, size)), job.out)
    assert manifest.field_encoder is not None
    yield NetworkUpdate(
        "done",
        f"L1 on {len(held_out):,} held-out crops: {record.l1:.4f}; of the estimates of least "
        f"error, which are blurred: {manifest.field_encoder.l1:.4f}.",
        bundle=job.out,
    )


def with_start(
    bundle: Bundle, network: FieldEncoder, record: StartSpec, held_out: Tensor
) -> Bundle:
    """Return the bundle with a field encoder whose half that estimates W+ was trained on.

    Parameters
    ----------
    bundle
        The bundle, whose field encoder draws the same expected images.
    network, record
        The encoder and what is known of the training.
    held_out
        HR crops (N, C, S, S), of -1 to 1, that it was not fitted to: they tell what it leaves of
        LR pixels.
    """
    from napari_rls.search.crop_noise import misfit_of_crops

    network = network.cpu().requires_grad_(False).eval()
    spec = bundle.manifest.field_encoder
    assert spec is not None
    misfit = misfit_of_crops(bundle, network, held_out, spec)
    changes = {
        "format_version": FORMAT_VERSION,
        "field_encoder": spec.model_copy(update={"realistic": record, "misfit": misfit}),
    }
    manifest = bundle.manifest.model_copy(update=changes)
    return replace(bundle, manifest=manifest, field_encoder=network)


def _check_encoder(manifest: Manifest) -> None:
    spec = manifest.field_encoder
    if spec is None or not spec.start:
        raise InputError(
            f"The bundle {manifest.name} has no field encoder at whose estimates searches start, "
            "which is what is trained on here; add one by train-fields."
        )
