"""Bundles that draw images by flow matching, with random weights."""

from __future__ import annotations

from dataclasses import replace

import torch

from napari_rls.models.bundle import Bundle, empty_bundle
from napari_rls.models.field_specs import FieldEncoderSpec, FlowMatchingSpec, LevelsAt

FIT = {"images": 9, "validation": 2, "steps": 1, "batch_size": 2, "seed": 0, "l1": 0.1}


def with_flow(bundle: Bundle, *, coarse: bool = False) -> Bundle:
    """Return a bundle with a field encoder and flow matching of random weights.

    With that of ``coarse`` images, all its networks know every ratio and factor from 4 on.
    """
    size, channels = bundle.manifest.hr_size, len(bundle.manifest.channels)
    ends = ("least", "dark", "bright", "most")
    encoder = FieldEncoderSpec(
        **FIT,
        width=2,
        hidden=4,
        image_width=4,
        ratios=(4, 40 if coarse else size / 3),
        crop_factors=(4, 8, 16, 32) if coarse else (4, 8),
        levels=(LevelsAt(ratio=4, **dict.fromkeys(ends, (1.0,) * channels)),),
        data="none",
    )
    flow = FlowMatchingSpec(**FIT, width=4, data="none")
    parts = {"field_encoder": encoder, "flow_matching": flow}
    parts |= {"coarse_flow": flow} if coarse else {}
    manifest = bundle.manifest.model_copy(update=parts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = empty_bundle(manifest)
    return replace(
        bundle,
        manifest=manifest,
        field_encoder=made.field_encoder,
        flow_matching=made.flow_matching,
        coarse_flow=made.coarse_flow,
    )
