"""A model bundle in memory: its networks, its manifest, and a discriminator's weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from napari_rls.errors import BundleError
from napari_rls.files.json_file import shown
from napari_rls.models import bundle_file
from napari_rls.models.catalogue import find_bundle
from napari_rls.models.direct import Direct, build_direct
from napari_rls.models.encoder import LatentEncoder, build_encoders
from napari_rls.models.field_encoder import FieldEncoder, known_numbers
from napari_rls.models.field_specs import COARSE, FlowMatchingShape, FlowPart
from napari_rls.models.flow import WFlow
from napari_rls.models.flow_matching import FlowMatching
from napari_rls.models.manifest import Manifest
from napari_rls.models.pix2pix import UNet, build_unets
from napari_rls.models.stylegan2 import Generator

MAPPING_BATCH = 10_000

_EXACT = ("generator.", "flow.mean", "flow.std")
"""Names of tensors that are stored in float32."""

_FLOATS = ("F16", "BF16", "F32", "F64")
_LARGEST = 1e9
"""Weights of trained networks, and what they give, stay far below it; NaN is not below it."""

_DISCRIMINATOR = "discriminator."
"""Tensors of which a bundle may have none or any: only a training knows what it needs."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """Generator, flow, encoders and manifest of one model bundle; weights take no gradient.

    ``encoders`` holds, by scale factor, what estimates the start of the search, ``field_encoder``
    is what does so for cells of fields, ``flow_matching`` what draws images at random that a cell
    may have, ``coarse_flow`` what draws coarse ones before where LR pixels are large, ``pix2pix``
    what draws an SR image without any search, ``direct`` what tells
    measurements without any image.
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
    field_encoder: FieldEncoder | None = None
    flow_matching: FlowMatching | None = None
    coarse_flow: FlowMatching | None = None
    direct: Direct | None = None

    @property
    def starting_encoder(self) -> FieldEncoder | None:
        """The field encoder, if searches start at its estimates."""
        spec = self.manifest.field_encoder
        return self.field_encoder if spec is not None and spec.start else None

    @property
    def reference(self) -> str:
        """What settings call it: where it came from, or else its name."""
        return self.source or self.manifest.name

    @property
    def _of_fields(self) -> dict[str, FieldEncoder | FlowMatching]:
        """Networks that know cells of fields, by their names in the file."""
        networks = {
            "field_encoder": self.field_encoder,
            "flow_matching": self.flow_matching,
            "coarse_flow": self.coarse_flow,
        }
        return {name: network for name, network in networks.items() if network is not None}

    def draw_z(self, count: int, seed: int) -> Tensor:
        """Draw z ~ N(0, I), shape (count, z_dim), on the CPU so that a seed means one thing."""
        return draw_z(self.generator, count, seed)

    def draw_w(self, count: int, seed: int) -> Tensor:
        """Draw ``count`` w (count, w_dim) from the mapping network."""
        return draw_w(self.generator, count, seed)

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
        for name, network in self._of_fields.items():
            tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
        for factor, unet in self.pix2pix.items():
            tensors |= {f"pix2pix.{factor}.{k}": v for k, v in unet.state_dict().items()}
        if self.direct is not None:
            tensors |= {f"direct.{k}": v for k, v in self.direct.state_dict().items()}
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


def draw_z(generator: Generator, count: int, seed: int) -> Tensor:
    """Draw z ~ N(0, I), shape (count, z_dim), on the CPU so that a seed means one thing."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator.arch.z_dim, generator=rng)


@torch.no_grad()
def draw_w(generator: Generator, count: int, seed: int) -> Tensor:
    """Draw ``count`` w (count, w_dim) from a generator's mapping network."""
    parts = draw_z(generator, count, seed).split(MAPPING_BATCH)
    return torch.cat([generator.mapping(part) for part in parts])


@torch.random.fork_rng(devices=[])
def empty_bundle(manifest: Manifest) -> Bundle:
    """Return a bundle of the manifest's shape whose weights are still to be filled in."""
    dim = manifest.architecture.w_dim
    generator = Generator(manifest.architecture).requires_grad_(False).eval()
    flow = WFlow(manifest.flow, torch.zeros(dim), torch.ones(dim)).requires_grad_(False).eval()
    encoders = build_encoders(manifest.architecture, manifest.encoder, flow.mean, flow.std)
    spec = manifest.field_encoder
    of_fields = None
    if spec is not None:
        of_fields = FieldEncoder(manifest.architecture, spec.shape, flow.mean, flow.std)
    drawing, coarse = (
        flow_matching_of(manifest, spec.shape, part) if spec is not None else None
        for part, spec in manifest.flows.items()
    )
    unets, direct = build_unets(manifest), build_direct(manifest)
    for network in (*encoders.values(), *unets.values(), of_fields, drawing, coarse, direct):
        if network is not None:
            network.requires_grad_(False).eval()
    return Bundle(
        manifest,
        generator,
        flow,
        encoders,
        pix2pix=unets,
        field_encoder=of_fields,
        flow_matching=drawing,
        coarse_flow=coarse,
        direct=direct,
    )


def flow_matching_of(
    manifest: Manifest, shape: FlowMatchingShape, part: FlowPart = "image"
) -> FlowMatching:
    """Return a network for a bundle that draws images at random, with weights to be fitted."""
    channels = manifest.architecture.image_channels
    size = manifest.hr_size // (COARSE if part == "coarse" else 1)
    return FlowMatching(channels, size, known_numbers(channels), shape)


def load_bundle(name_or_file: str | Path) -> Bundle:
    """Load an embedded bundle by its name, or a bundle file by its path.

    No memory is taken for tensors before all names, shapes and types are found to be those
    that the manifest asks for. One image is drawn, so that numbers which cannot be
    computed with are noticed here and not after a search.

    Raises
    ------
    BundleError
        If there is no such bundle, or it is damaged, altered, of a newer format, or gives
        images that are not finite.

    Examples
    --------
    >>> from napari_rls import load_bundle
    >>> load_bundle("bbbc013-translocation-64").manifest.channel_names
    ('DNA', 'FKHR-GFP')
    """
    if not isinstance(name_or_file, str | Path):
        raise BundleError(
            f"A bundle has a name or a file, given as text or a path, and not as "
            f"{type(name_or_file).__name__}."
        )
    path = find_bundle(name_or_file)
    manifest = bundle_file.read_manifest(path)
    _check_shapes(path, manifest)
    bundle_file.verify(path)
    tensors = bundle_file.read_tensors(path)
    for name, tensor in tensors.items():
        if not (tensor.abs() <= _LARGEST).all():
            raise _useless(path, f"tensor {name} holds NaN, infinite or huge values")
    bundle = empty_bundle(manifest)
    for name, tensor in bundle.tensors().items():
        tensor.copy_(tensors[name])
    judge = {
        name.removeprefix(_DISCRIMINATOR): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(_DISCRIMINATOR)
    }
    if fault := _fault(bundle):
        raise _useless(path, fault)
    return replace(bundle, discriminator=judge, source=str(name_or_file))


def _check_shapes(path: Path, manifest: Manifest) -> None:
    """Compare what a file says of its tensors with what the manifest asks for."""
    found = bundle_file.read_shapes(path)
    with torch.device("meta"):
        expected = {n: tuple(t.shape) for n, t in empty_bundle(manifest).tensors().items()}
    expected |= {n: e.shape for n, e in found.items() if n.startswith(_DISCRIMINATOR)}
    for name in sorted(expected.keys() | found.keys()):
        if name not in expected or name not in found:
            what = "is missing" if name in expected else "does not belong there"
            raise _useless(path, f"tensor {shown(name)} {what}")
        entry = found[name]
        if entry.shape != expected[name]:
            raise _useless(
                path,
                f"tensor {shown(name)} has the shape {entry.shape}, but the manifest asks for "
                f"{expected[name]}",
            )
        if entry.dtype not in _FLOATS:
            raise _useless(path, f"tensor {shown(name)} holds {shown(entry.dtype)}, not floats")


@torch.no_grad()
def _fault(bundle: Bundle) -> str:
    """Return what of a bundle's networks gives numbers of no use; empty: none does."""
    if not (bundle.flow.std > 0).all():
        return "its flow divides by a deviation that is not above 0"
    w = bundle.draw_w(1, seed=0)
    image = bundle.generator.synthesis(bundle.generator.broadcast(w))
    parts = {"generator": image, "flow": bundle.flow.log_prob(w)}
    if bundle.field_encoder is not None:
        noise = torch.full((1, image.shape[1]), 0.1)
        parts["field encoder"] = bundle.field_encoder(image, 8.0, 0.5, noise)
        known, time = bundle.field_encoder.known(8.0, 0.5, noise), torch.full((1,), 0.5)
        if bundle.flow_matching is not None:
            parts["flow matching"] = bundle.flow_matching(image, time, image, image, known)
        if bundle.coarse_flow is not None:
            small = torch.nn.functional.avg_pool2d(image, COARSE)
            parts["coarse flow matching"] = bundle.coarse_flow(small, time, small, small, known)
    if bundle.direct is not None and bundle.manifest.direct is not None:
        factor = bundle.manifest.direct.factors[0]
        small = torch.nn.functional.avg_pool2d(image, factor)
        parts["direct network"] = bundle.direct(small, factor)
    networks = {"encoder": bundle.encoders, "Pix2Pix network": bundle.pix2pix}
    for kind, of_factor in networks.items():
        for factor, network in of_factor.items():
            lr = torch.nn.functional.avg_pool2d(image, factor)
            parts[f"{kind} of factor {factor}"] = network(lr)
    useless = next((p for p, made in parts.items() if not (made.abs() <= _LARGEST).all()), "")
    return useless and f"its {useless} gives numbers that are not finite or huge"


def _useless(path: Path, fault: str) -> BundleError:
    return BundleError(f"{path.name}: {fault}; make the bundle again.")
