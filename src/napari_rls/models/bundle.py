"""A model bundle in memory: generator, flow and manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from napari_rls.models import bundle_file
from napari_rls.models.bundle_file import BundleError
from napari_rls.models.catalogue import find_bundle
from napari_rls.models.flow import WFlow
from napari_rls.models.manifest import Manifest
from napari_rls.models.stylegan2 import Generator

MAPPING_BATCH = 10_000


@dataclass(frozen=True, eq=False)
class Bundle:
    """Generator, flow and manifest of one model bundle; weights take no gradient."""

    manifest: Manifest
    generator: Generator
    flow: WFlow

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

    def save(self, path: Path) -> Bundle:
        """Write the bundle to ``path``; return it with its content hash filled in."""
        tensors = {f"generator.{k}": v for k, v in self.generator.state_dict().items()}
        tensors |= {f"flow.{k}": v for k, v in self.flow.weights().items()}
        manifest = bundle_file.write(path, self.manifest, tensors)
        return Bundle(manifest, self.generator, self.flow)


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
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{path.name}: tensor {name} holds NaN or infinite values.")
    with torch.device("meta"):
        generator = Generator(manifest.architecture)
    expected = {f"generator.{k}": v.shape for k, v in generator.state_dict().items()}
    for name, shape in expected.items():
        if name not in tensors or tensors[name].shape != shape:
            raise BundleError(
                f"{path.name}: tensor {name} is missing or does not have the shape "
                f"{tuple(shape)} that the manifest's architecture asks for."
            )
    weights = {k.removeprefix("generator."): tensors[k].float() for k in expected}
    generator.load_state_dict(weights, assign=True)
    rest = {k.removeprefix("flow."): v for k, v in tensors.items() if k not in expected}
    try:
        flow = WFlow.from_weights(manifest.flow, rest)
    except ValueError as error:
        raise BundleError(f"{path.name}: {error}.") from None
    return Bundle(manifest, generator.requires_grad_(False).eval(), flow)
