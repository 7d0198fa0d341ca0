"""From HR crops to a bundle that knows how cells of LR fields look, whatever the microscope."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_rls.errors import InputError
from napari_rls.models.field_specs import FieldEncoderShape, FieldEncoderSpec
from napari_rls.models.manifest import FORMAT_VERSION, Manifest
from napari_rls.search.levels import levels_of_crops
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.workflow.cells.bundle_nuclei import dna_channel, translocation_settings
from napari_rls.workflow.train.network_job import (
    NetworkJob,
    NetworkUpdate,
    crops_of,
    network_training,
    trained,
)
from napari_rls.workflow.train.run_files import save_bundle

if TYPE_CHECKING:
    from torch import Tensor

    from napari_rls.measure.nuclear_ratio import Nuclear
    from napari_rls.models.bundle import Bundle
    from napari_rls.models.field_encoder import FieldEncoder

_LOOKED_AT = 256
"""Held-out crops that are looked at, at most: an image of each is drawn for several ratios."""

_RECORDED = {"steps", "batch_size", "seed", "start"}
"""Settings that the bundle keeps, beside the network's shape."""

_SAME = 0.01
"""Share by which errors of two encoders differ that are as good as each other."""

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
    from napari_rls.training.drawn_optics import crop_views, margin_of, middle
    from napari_rls.training.fit_field_encoder import train

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    _check_ratios(manifest, settings)
    size = manifest.hr_size
    margin = margin_of(size)
    data = yield from crops_of(job, manifest, settings.batch_size, settings.seed, margin)
    yield NetworkUpdate("crops", f"Looking at the nuclei of {len(data.crops):,} crops.")
    # Evenly over all images, which crops stand in the order of.
    held_out = data.held_out[:: math.ceil(len(data.held_out) / _LOOKED_AT)]
    nuclear = _nuclear(manifest)
    network, report = yield from trained(
        train(data.crops, held_out, settings, job.folder, bundle, nuclear)
    )
    views = crop_views(size, len(manifest.channels), settings.ratio_low)
    record = FieldEncoderSpec(
        **settings.model_dump(include={*FieldEncoderShape.model_fields} | _RECORDED),
        images=len(data.crops),
        validation=len(held_out),
        ratios=settings.ratios(size),
        crop_factors=tuple(view.factor for view in views),
        l1=report.held_out_l1,
        levels=levels_of_crops(middle(data.cut.training.data, size), settings.seed),
        data=job.data,
    )
    save_bundle(with_field_encoder(bundle, network, record, middle(held_out, size)), job.out)
    words = f"L1 on {len(held_out):,} held-out crops: {record.l1:.4f}"
    interpolated, replaced = _others_l1(bundle, settings, held_out)
    words += _compared(record.l1, interpolated, replaced if settings.start else None)
    if manifest.flow_matching is not None:
        words += (
            " The bundle's flow matching was of its old field encoder and is left out: run "
            "train-flow."
        )
    yield NetworkUpdate("done", words, bundle=job.out)


def _nuclear(manifest: Manifest) -> Nuclear:
    from napari_rls.measure.nuclear_ratio import Nuclear

    return Nuclear(dna_channel(manifest), translocation_settings(manifest))


def _others_l1(
    bundle: Bundle, settings: FieldEncoderSettings, held_out: Tensor
) -> tuple[float, float | None]:
    """Return the error of interpolated LR images, and of the encoder that the bundle has."""
    import torch

    from napari_rls.training.field_encoder_step import FieldEncoderTrainer

    none, nuclear = torch.empty(0), _nuclear(bundle.manifest)
    trainer = FieldEncoderTrainer(settings, bundle, none, nuclear, torch.device("cpu"))
    interpolated = trainer.interpolated_l1(held_out)
    if bundle.field_encoder is None:
        return interpolated, None
    trainer.network = bundle.field_encoder
    return interpolated, trainer.held_out_l1(held_out)


def _compared(l1: float, interpolated: float, replaced: float | None) -> str:
    """Return the end of the sentence on an error, and one on what is better than the encoder.

    Examples
    --------
    >>> _compared(0.06, 0.09, None)
    ', of the interpolated LR images 0.0900.'
    """
    told = f", of the interpolated LR images {interpolated:.4f}"
    told += "" if replaced is None else f", of the encoder that it replaces {replaced:.4f}"
    better = ["the interpolated LR images"] if l1 >= interpolated else []
    worse = replaced is not None and l1 > (1 + _SAME) * replaced
    better += ["the encoder that it replaces"] if worse else []
    if not better:
        return f"{told}."
    return (
        f"{told}. It is worse than {' and '.join(better)}, and so will be what fields are measured "
        "as: take more --steps, or go on with the bundle as it was."
    )


def with_field_encoder(
    bundle: Bundle, network: FieldEncoder, record: FieldEncoderSpec, held_out: Tensor
) -> Bundle:
    """Return the bundle with a field encoder in place of the one that it had.

    Flow matching, which starts from the expected images of the old one, is left out.

    Parameters
    ----------
    bundle
        The bundle.
    network, record
        The encoder and what is known of it; what it leaves of LR pixels is added here.
    held_out
        HR crops (N, C, S, S), of -1 to 1, that it was not fitted to.
    """
    from napari_rls.search.crop_noise import misfit_of_crops

    network = network.cpu().requires_grad_(False).eval()
    misfit = misfit_of_crops(bundle, network, held_out, record)
    changes = {
        "format_version": FORMAT_VERSION,
        "field_encoder": record.model_copy(update={"misfit": misfit}),
        "flow_matching": None,
        "coarse_flow": None,
    }
    manifest = bundle.manifest.model_copy(update=changes)
    return replace(
        bundle, manifest=manifest, field_encoder=network, flow_matching=None, coarse_flow=None
    )


def _check_ratios(manifest: Manifest, settings: FieldEncoderSettings) -> None:
    low, high = settings.ratios(manifest.hr_size)
    if low > high:
        most = math.floor(high * 10) / 10
        raise InputError(
            f"At the ratio {low:g} fewer than three LR pixels lie along the {manifest.hr_size} "
            f"pixels of the bundle {manifest.name}; give a --ratio-low of {most:g} at most."
        )
