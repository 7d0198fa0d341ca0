"""From HR crops to a bundle that draws images at random which a cell may have."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_rls.errors import InputError
from napari_rls.models.field_specs import (
    ABOVE,
    COARSE,
    LEAST_SIDE,
    FlowMatchingSpec,
    FlowPart,
)
from napari_rls.models.manifest import FORMAT_VERSION, Manifest
from napari_rls.training.flow_matching_settings import FlowMatchingSettings
from napari_rls.workflow.train.network_job import (
    NetworkJob,
    NetworkUpdate,
    crops_of,
    network_training,
    trained,
)
from napari_rls.workflow.train.run_files import save_bundle
from napari_rls.workflow.train.stale_trust import without_stale_trust

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.models.flow_matching import FlowMatching
    from napari_rls.models.trust import Trust

_LOOKED_AT = 64
"""Held-out crops that are looked at, at most: drawing an image takes many passes."""

FlowMatchingJob: TypeAlias = NetworkJob[FlowMatchingSettings]


@network_training
def train_flow(job: FlowMatchingJob) -> Generator[NetworkUpdate, None, None]:
    """Cut crops, train on them as random microscopes see them, write the bundle with the network.

    All else in the bundle stays as it is, bit for bit; a network of the same kind is replaced.
    Closing the iteration or Ctrl-C keeps a checkpoint; the same job goes on with it.

    Raises
    ------
    InputError
        If the bundle has no field encoder that draws the expected image, or lacks what
        coarse images need. What else is raised, see
        :func:`~napari_rls.workflow.train.network_job.network_training`.
    """
    import torch

    from napari_rls.models.bundle import load_bundle
    from napari_rls.training.drawn_optics import margin_of
    from napari_rls.training.fit_flow_matching import train
    from napari_rls.training.flow_matching_step import FlowMatchingTrainer

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    _check_expected(manifest)
    if settings.part == "coarse":
        _check_coarse(manifest)
    margin = margin_of(manifest.hr_size)
    data = yield from crops_of(job, manifest, settings.batch_size, settings.seed, margin)
    # Evenly over all images, which crops stand in the order of.
    held_out = data.held_out[:: math.ceil(len(data.held_out) / _LOOKED_AT)]
    network, report = yield from trained(train(data.crops, held_out, settings, job.folder, bundle))
    record = FlowMatchingSpec(
        **settings.shape.model_dump(),
        **settings.model_dump(include={"steps", "batch_size", "seed"}),
        images=len(data.crops),
        validation=len(held_out),
        l1=report.held_out_l1,
        data=job.data,
    )
    kept, left_out = without_stale_trust(bundle, lambda trust: _is_of(settings.part, trust))
    save_bundle(with_flow_matching(kept, network, record, settings.part), job.out)
    expected = FlowMatchingTrainer(settings, bundle, torch.device("cpu")).expected_l1(held_out)
    drawn = "an image" if settings.part == "image" else "a coarse image"
    yield NetworkUpdate(
        "done",
        f"L1 of {drawn} drawn of each of {len(held_out):,} held-out crops: {record.l1:.4f}; of "
        f"the expected images, which are blurred: {expected:.4f}. {left_out}".rstrip(),
        bundle=job.out,
    )


def _is_of(part: FlowPart, trust: Trust) -> bool:
    """Tell whether trust is of samples that a part has drawn."""
    return trust.settings.get("posterior") == "flow" and (part == "image" or trust.factor > ABOVE)


def with_flow_matching(
    bundle: Bundle, network: FlowMatching, record: FlowMatchingSpec, part: FlowPart = "image"
) -> Bundle:
    """Return the bundle with a network; one of that part that it has is replaced."""
    name = "flow_matching" if part == "image" else "coarse_flow"
    changes = {"format_version": FORMAT_VERSION, name: record}
    manifest = bundle.manifest.model_copy(update=changes)
    kept = network.cpu().requires_grad_(False).eval()
    if part == "image":
        return replace(bundle, manifest=manifest, flow_matching=kept)
    return replace(bundle, manifest=manifest, coarse_flow=kept)


def _check_coarse(manifest: Manifest) -> None:
    spec = manifest.field_encoder
    lack = ""
    if manifest.flow_matching is None:
        lack = "has no flow matching to draw images of them; add it by train-flow with part image"
    elif not manifest.draws_coarse:
        lack = f"draws cells of {manifest.hr_size} HR pixels, and {COARSE * LEAST_SIDE} are needed"
    elif spec is None or spec.ratios[1] <= ABOVE or not spec.knows(COARSE):
        lack = (
            f"has a field encoder that does not know both the ratio {COARSE} and ratios above "
            f"{ABOVE:g}; add one by train-fields"
        )
    if lack:
        raise InputError(f"For coarse images, the bundle {manifest.name} {lack}.")


def _check_expected(manifest: Manifest) -> None:
    if not manifest.field_encoder or not manifest.field_encoder.image_width:
        raise InputError(
            f"The bundle {manifest.name} has no field encoder that draws the expected image, which "
            "flow matching starts from; add one by train-fields."
        )
