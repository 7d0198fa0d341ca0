"""A model bundle in memory: its networks, its manifest, and a discriminator's weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from napari_rls.models import bundle_file
from napari_rls.models.bundle_file import BundleError
from napari_rls.models.catalogue import find_bundle
from napari_rls.models.encoder import LatentEncoder, build_encoders
from napari_rls.models.flow import WFlow
from napari_rls.models.manifest import Manifest
from napari_rls.models.pix2pix import UNet, build_unets
from napari_rls.models.stylegan2 import Generator

MAPPING_BATCH = 10_000

_EXACT = ("generator.", "flow.mean", "flow.std")
"""Names of tensors that are stored in float32."""

_DISCRIMINATOR = "discriminator."
"""Tensors of which a bundle may have none or any: only a training knows what it needs."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """Generator, flow, encoders and manifest of one model bundle; weights take no gradient.

    ``encoders`` holds, by scale factor, what estimates the start of the search, ``pix2pix``
    what draws an SR image without any search.
    ``discriminator`` holds, by its names in the network's state dict, the weights of the
    discriminator that the generator was trained with, if they are known: training starts
    from them, the search has no use for them.
    ``source`` is the name or file that it was loaded from or saved to, "" for neither.
    """

    manifest: Manifest
    generator: Generator
    flow: WFlow
    encoders: Mapping[int, LatentEncoder] = field(default_factory=dict)
    discriminator: Mapping[str, Tensor] = field(default_factory=dict)
    pix2pix: Mapping[int, UNet] = field(default_factory=dict)
    source: str = ""

    @property
    def reference(self) -> str:
        """What settings call it: where it came from, or else its name."""
        return self.source or self.manifest.name

    def draw_z(self, count: int, seed: int) -> Tensor:
        """Draw z ~ N(0, I), shape (count, z_dim), on the CPU so that a seed means one thing."""
        rng = torch.Generator().manual_seed(seed)
        return torch.randn(count, self.manifest.architecture.z_dim, generator=rng)

    @torch.no_grad()
    def draw_w(self, count: int, seed: int) -> Tensor:
        """Draw ``count`` w (count, w_dim) from the mapping network."""
        parts = self.draw_z(count, seed).split(MAPPING_BATCH)
        return torch.cat([self.generator.mapping(part) for part in parts])

    def mean_w(self, count: int = 10_000, seed: int = 0) -> Tensor:
        """Return the mean (w_dim,) of ``count`` random w, the start of the search."""
        return self.draw_w(count, seed).mean(0)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the bundle under its name in the file."""
        tensors = {f"generator.{k}": v for k, v in self.generator.state_dict().items()}
        tensors |= {f"flow.{k}": v for k, v in self.flow.weights().items()}
        for factor, encoder in self.encoders.items():
            tensors |= {
                f"encoder.{factor}.{name}": parameter.detach()
                for name, parameter in encoder.named_parameters()
            }
        for factor, unet in self.pix2pix.items():
            tensors |= {f"pix2pix.{factor}.{k}": v for k, v in unet.state_dict().items()}
        return tensors | {f"{_DISCRIMINATOR}{k}": v for k, v in self.discriminator.items()}

    def digest(self, *parts: str) -> str:
        """Return the SHA-256 of the tensors whose names in the file begin with one of ``parts``."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors().items()):
            if name.startswith(parts):
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> Bundle:
        """Write the bundle to ``path``; return it with its content hash filled in.

        The generator is stored in float32; all else, which only guides the search or a
        training, in float16.
        """
        tensors = {
            name: tensor if name.startswith(_EXACT) else tensor.half()
            for name, tensor in self.tensors().items()
        }
        manifest = bundle_file.write(path, self.manifest, tensors)
        return replace(self, manifest=manifest, source=str(path))


def empty_bundle(manifest: Manifest) -> Bundle:
    """Return a bundle of the manifest's shape whose weights are still to be filled in."""
    dim = manifest.architecture.w_dim
    generator = Generator(manifest.architecture).requires_grad_(False).eval()
    flow = WFlow(manifest.flow, torch.zeros(dim), torch.ones(dim)).requires_grad_(False).eval()
    encoders = build_encoders(manifest, flow.mean, flow.std)
    unets = build_unets(manifest)
    for network in (*encoders.values(), *unets.values()):
        network.requires_grad_(False).eval()
    return Bundle(manifest, generator, flow, encoders, pix2pix=unets)


def load_bundle(name_or_file: str | Path) -> Bundle:
    """Load an embedded bundle by its name, or a bundle file by its path.

    Raises
    ------
    BundleError
        If there is no such bundle, or it is damaged, altered, or of a newer format.
    """
    path = find_bundle(name_or_file)
    manifest = bundle_file.verify(path)
    tensors = bundle_file.read_tensors(path)
    with torch.device("meta"):
        expected = empty_bundle(manifest).tensors()
    judge = {
        name.removeprefix(_DISCRIMINATOR): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(_DISCRIMINATOR)
    }
    expected |= {f"{_DISCRIMINATOR}{name}": tensor for name, tensor in judge.items()}
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in expected or name not in tensors:
            what = "is missing" if name in expected else "does not belong there"
            raise BundleError(f"{path.name}: tensor {name} {what}; make the bundle again.")
        if tensors[name].shape != expected[name].shape:
            raise BundleError(
                f"{path.name}: tensor {name} has the shape {tuple(tensors[name].shape)}, but the "
                f"manifest asks for {tuple(expected[name].shape)}; make the bundle again."
            )
        if not torch.isfinite(tensors[name]).all():
            raise BundleError(
                f"{path.name}: tensor {name} holds NaN or infinite values; make the bundle again."
            )
    bundle = empty_bundle(manifest)
    for name, tensor in bundle.tensors().items():
        tensor.copy_(tensors[name])
    return replace(bundle, discriminator=judge, source=str(name_or_file))
