"""A bundle small enough for tests that need the machinery but no real cells."""

from __future__ import annotations

import torch

from napari_rls.models.architecture import Architecture
from napari_rls.models.bundle import Bundle
from napari_rls.models.flow import WFlow
from napari_rls.models.manifest import Channel, FlowFit, FlowSpec, Manifest, Training
from napari_rls.models.stylegan2 import Generator

CHANNELS = (Channel(name="nucleus", colour="#0000ff"), Channel(name="protein", colour="#00ff00"))


def random_bundle(
    *,
    flow_kind: str = "maf",
    seed: int = 0,
    size: int = 32,
    channels: tuple[Channel, ...] = CHANNELS,
) -> Bundle:
    """Return a bundle of random weights: 2 channels, 32 px, 16 dimensions of W, no hash.

    Biases and noise strengths, which start at 0 or 1, are random too, so that
    leaving one out shows.
    """
    arch = Architecture(
        resolution=size,
        image_channels=len(channels),
        z_dim=16,
        w_dim=16,
        mapping_layers=2,
        channel_base=256,
        channel_max=16,
    )
    spec = FlowSpec.model_validate(
        {"kind": flow_kind, "blocks": 2, "hidden": 16, "hidden_layers": 2}
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        generator = Generator(arch)
        for parameter in generator.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
        w = generator.mapping(torch.randn(1000, arch.z_dim))
        generator.mapping.w_avg.copy_(w.mean(0))
        flow = WFlow(spec, w.mean(0), w.std(0))
    manifest = Manifest(
        name="tiny",
        title="Random weights for tests",
        architecture=arch,
        channels=channels,
        pixel_size_um=0.5,
        flow=spec,
        flow_fit=FlowFit(samples=1000, seed=seed, epochs=0, held_out_nats=0.0, ks_distance=0.1),
        training=Training(data="none", images=0, kimg=0.0),
        licence="CC0-1.0",
        attribution="none",
        intended_use="tests",
        limits="It has never seen a cell.",
        created_by="the tests",
    )
    return Bundle(
        manifest, generator.requires_grad_(False).eval(), flow.requires_grad_(False).eval()
    )
