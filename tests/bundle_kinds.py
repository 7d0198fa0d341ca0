"""Bundles of every kind that a manifest allows, with random weights, as small as can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from napari_rls.models.architecture import Architecture
from napari_rls.models.bundle import Bundle, empty_bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.models.direct_spec import DirectColumn, DirectSpec
from napari_rls.models.field_specs import FieldEncoderSpec, FlowMatchingSpec, LevelsAt
from napari_rls.models.manifest import (
    Channel,
    EncoderSpec,
    FlowFit,
    FlowSpec,
    Intensity,
    Manifest,
    Pix2PixNetwork,
    Pix2PixSpec,
    Training,
)
from napari_rls.models.trust import (
    Correction,
    Domain,
    LeftOpen,
    NoCells,
    PixelTrust,
    Reliability,
    Trust,
)
from napari_rls.training.discriminator import Discriminator

TINY = {
    "resolution": 8,
    "image_channels": 2,
    "z_dim": 4,
    "w_dim": 4,
    "mapping_layers": 1,
    "channel_base": 32,
    "channel_max": 4,
}
FACTORS = (2, 4)


def kind_of_bundle(
    *,
    flow: dict[str, Any] | None = None,
    encoders: bool = False,
    field_encoder: bool = False,
    flow_matching: bool = False,
    coarse_flow: bool = False,
    pix2pix: bool = False,
    direct: bool = False,
    camera: bool = False,
    trust: bool = False,
    discriminator: bool = False,
    **changes: Any,
) -> Bundle:
    """Return a bundle; ``changes`` are of its architecture."""
    arch = Architecture.model_validate(TINY | changes)
    channels = arch.image_channels
    manifest = Manifest(
        name="kind",
        title="Random weights",
        architecture=arch,
        channels=tuple(Channel(name=f"channel {k}") for k in range(channels)),
        pixel_size_um=0.25,
        intensity=Intensity(low=-1.5, high=4095, unit="counts", note="two\nlines"),
        camera=CameraNoise(slope=(0.01,) * channels, floor=(0.001,) * channels) if camera else None,
        flow=FlowSpec.model_validate({"blocks": 2, "hidden": 6, "hidden_layers": 2} | (flow or {})),
        flow_fit=FlowFit(samples=100, seed=0, epochs=1, held_out_nats=-1.5, ks_distance=0.5),
        encoder=_encoder() if encoders else None,
        field_encoder=_field_encoder(channels, flow_matching)
        if field_encoder or flow_matching
        else None,
        flow_matching=_flow_matching() if flow_matching else None,
        coarse_flow=_flow_matching() if coarse_flow else None,
        pix2pix=Pix2PixSpec(networks=tuple(map(_unet, FACTORS))) if pix2pix else None,
        direct=_direct() if direct else None,
        training=Training(data="none", images=10, kimg=0.5, validation=2, kid=-0.01, fid=12.5),
        measurement={"assay": "translocation", "reach": 6.0, "background": None} if trust else {},
        trust=tuple(map(_trust, FACTORS)) if trust else (),
        licence="CC0-1.0",
        attribution="none",
        intended_use="tests",
        limits="It has never seen a cell.",
        created_by="the tests",
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made = empty_bundle(manifest)
        for name, tensor in made.tensors().items():
            if not name.startswith("generator."):
                # What is not stored in float32 keeps its value in float16.
                drawn = (torch.rand_like(tensor) + 0.5).half()
                drawn *= 1 if name.endswith(("std", "var")) else 0.03 if coarse_flow else 0.1
                tensor.copy_(drawn)
            elif tensor.ndim < 2:
                tensor.add_(0.1 * torch.randn_like(tensor))
        judge = Discriminator(arch).half().float().state_dict() if discriminator else {}
    return replace(made, discriminator=judge)


def outputs(bundle: Bundle) -> dict[str, torch.Tensor]:
    """Return what every network of a bundle makes of the same numbers."""
    with torch.no_grad():
        z = bundle.draw_z(3, seed=1)
        images = bundle.generator(z)
        w = bundle.draw_w(3, seed=1)
        made = {"images": images, "w": w, "density": bundle.flow.log_prob(w)}
        for factor, encoder in bundle.encoders.items():
            made[f"encoder {factor}"] = encoder(torch.nn.functional.avg_pool2d(images, factor))
        if bundle.field_encoder is not None:
            noise = torch.tensor([[0.1] * images.shape[1]] * 3)
            made["field encoder"] = bundle.field_encoder(images, 6.4, 0.45, noise)
            if bundle.flow_matching is not None:
                known = bundle.field_encoder.known(6.4, 0.45, noise)
                made["drawn"] = bundle.flow_matching.draw(images, images, images, known)
            if bundle.coarse_flow is not None:
                small = torch.nn.functional.avg_pool2d(images, 8)
                made["coarse"] = bundle.coarse_flow.draw(small, small, small, known)
        for factor, unet in bundle.pix2pix.items():
            made[f"unet {factor}"] = unet(torch.nn.functional.avg_pool2d(images, factor))
        if bundle.direct is not None:
            small = torch.nn.functional.avg_pool2d(images, 4)
            made["direct"] = bundle.direct.turned(small, 4)
        if bundle.discriminator:
            judge = Discriminator(bundle.manifest.architecture)
            judge.load_state_dict(dict(bundle.discriminator))
            made["judge"] = judge(images)
    return made


def _encoder() -> EncoderSpec:
    return EncoderSpec(factors=FACTORS, hidden=5, samples=10, seed=0, held_out_error=(0.5, 0.75))


def _flow_matching() -> FlowMatchingSpec:
    return FlowMatchingSpec(
        width=2, images=10, validation=2, steps=5, batch_size=4, seed=0, l1=0.5, data="none"
    )


def _field_encoder(channels: int, image: bool) -> FieldEncoderSpec:
    levels = LevelsAt(
        ratio=4, **dict.fromkeys(("least", "dark", "bright", "most"), (1,) * channels)
    )
    return FieldEncoderSpec(
        width=2,
        hidden=3,
        image_width=2 if image else 0,
        images=10,
        validation=2,
        steps=5,
        batch_size=4,
        seed=0,
        ratios=(4, 20),
        l1=0.5,
        levels=(levels,),
        data="none",
    )


def _direct() -> DirectSpec:
    columns = (
        DirectColumn(column="ratio", centre=1.5, scale=0.25, widening=(-0.5, None)),
        DirectColumn(column="area", centre=-100, scale=2000, widening=(12.0, 0.0)),
    )
    return DirectSpec(
        factors=FACTORS,
        width=2,
        measurement={"assay": "translocation"},
        columns=columns,
        images=10,
        validation=4,
        files=2,
        steps=5,
        batch_size=4,
        seed=0,
        data="none",
    )


def _unet(factor: int) -> Pix2PixNetwork:
    return Pix2PixNetwork(
        factor=factor,
        width=2,
        width_max=4,
        images=10,
        validation=2,
        steps=5,
        batch_size=2,
        seed=0,
        l1=0.1,
        bicubic_l1=0.2,
        data="none",
    )


def _trust(factor: int) -> Trust:
    return Trust(
        factor=factor,
        data="none",
        settings={"method": "rls", "steps": 10, "lambda_w": 0.5, "anneal": True},
        measurement={"reach": 6.0, "nucleus": {"classes": 2, "names": ["a", "b"]}},
        domain=Domain(
            cells=3,
            lr_residual=(0.0, 0.5),
            log_density=(-3.0, 2.0),
            distance=(0.0, 4.0),
            centre=(0.0, 1.0),
            precision=((1.0, 0.0), (0.0, 1.0)),
            threshold=0.01,
            false_alarms=0.03,
        ),
        corrections=(
            Correction(
                column="ratio",
                cells=3,
                floor=0.0,
                levels=(0.5, 0.9),
                below=(-1.0, -2.0),
                above=(1.0, 2.0),
                median=0.1,
                reliability=Reliability(
                    cells=3,
                    of="well",
                    parts=2,
                    held_drawn=(0.2, 0.5),
                    width_drawn=(0.1, 0.3),
                    held=(0.5, 1),
                    width=(0.4, 2),
                ),
            ),
        ),
        pixels=PixelTrust(
            cells=50, alpha=0.2, smoothing=1, blur=1, limits=(0.1, None), shares=(0.5, 0)
        ),
        left_open=(LeftOpen(column="ratio", by_samples=0.1, by_truth=0.3),),
        no_cells=(NoCells(kind="noise", crops=10, found=9, flagged=10),),
    )
