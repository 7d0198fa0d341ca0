"""How far generated images are from real ones: KID and FID of our own features.

KID leads: it is unbiased, so that few thousand images suffice, while FID grows with
every image that is missing. Neither can be compared with values of other features,
such as the Inception network's; the features' name stands beside every number.

References
----------
Binkowski et al., "Demystifying MMD GANs", 2018 (KID).
Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017 (FID).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_rls.evaluation.features import NAME, features
from napari_rls.models.camera import CameraNoise
from napari_rls.models.intensity import IntensityMap
from napari_rls.models.stylegan2 import Generator

SUBSETS = 50
SUBSET_SIZE = 500
"""KID is the mean over this many random subsets of this size, or of all where there are fewer."""

FEWEST = 10
"""Fewer images than this have no distance worth the name."""

_BATCH = 64


@dataclass(frozen=True)
class Distances:
    """Distances of ``samples`` generated images from real ones; 0 where they cannot be told apart.

    ``kid_std`` is the standard deviation of KID over its subsets; ``features`` names
    the feature network. FID depends on the number of images, KID does not.
    """

    kid: float
    kid_std: float
    fid: float
    samples: int
    features: str


def distances(real: Tensor, generated: Tensor, *, seed: int = 0, named: str = NAME) -> Distances:
    """Return the distances of two sets of features.

    KID is the unbiased squared maximum mean discrepancy with the kernel
    (x.y / F + 1)^3, and FID the Frechet distance of two Gaussians, both by
    torchmetrics in float64.

    Parameters
    ----------
    real, generated
        Features (N, F) and (M, F), as of :func:`~napari_rls.evaluation.features.features`.
    seed
        Seed of the choice of KID's subsets; torch's own stream is left as it is.
    named
        Name of the features.

    Raises
    ------
    ValueError
        If there are fewer than :data:`FEWEST` of either, they do not match, or not all
        of them are finite.
    """
    _check(real, generated)
    # Slow to import, and needed only here.
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    taken = _Given(real.shape[1])
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        size = min(SUBSET_SIZE, len(real), len(generated))
        kid = KernelInceptionDistance(taken, subsets=SUBSETS, subset_size=size)
        fid = FrechetInceptionDistance(taken)
        for given, is_real in ((real, True), (generated, False)):
            kid.update(given.double(), real=is_real)
            fid.update(given.double(), real=is_real)
        mean, deviation = kid.compute()
        frechet = fid.compute()
    return Distances(float(mean), float(deviation), float(frechet), len(generated), named)


class Scorer:
    """Scores a generator by held-out real crops, as a training run asks for.

    The same z and the same noise are drawn at every call, truncation is 1, so that
    two scores differ by their generators alone. No global random stream is touched.

    Parameters
    ----------
    validation
        Held-out HR crops (N, C, H, W) of any real type.
    intensity_low, intensity_high
        Intensities that are the generator's -1 and 1.
    samples
        Number of images to generate.
    seed
        Seed of z, noise and KID's subsets.
    camera
        Noise that generated images get, if the generator leaves it out.

    Raises
    ------
    ValueError
        If there are too few crops, or they are too small.
    """

    def __init__(
        self,
        validation: NDArray[np.generic],
        intensity_low: float,
        intensity_high: float,
        samples: int = 1000,
        seed: int = 0,
        camera: CameraNoise | None = None,
    ) -> None:
        if validation.ndim != 4 or len(validation) < FEWEST:
            raise ValueError(
                f"{len(validation)} held-out crops are too few for KID; at least {FEWEST} are "
                "needed, and some hundred make it a measure."
            )
        channels = validation.shape[1]
        self.validation = validation
        self.map = IntensityMap("bundle", (intensity_low,) * channels, (intensity_high,) * channels)
        self.samples = samples
        self.seed = seed
        self.camera = camera

    @cached_property
    def real(self) -> Tensor:
        """Features of the held-out crops (N, F)."""
        parts = np.array_split(self.validation, max(1, len(self.validation) // _BATCH))
        return torch.cat([features(torch.from_numpy(self.map.encode(part))) for part in parts])

    def __call__(self, generator: Generator) -> Distances:
        """Return the distances of a generator's images from the held-out crops.

        The generator is used as it is, on its device, and not changed.
        """
        found = generated_features(generator, self.samples, self.seed, self.camera)
        return distances(self.real, found)


@torch.no_grad()
def generated_features(
    generator: Generator, samples: int, seed: int = 0, camera: CameraNoise | None = None
) -> Tensor:
    """Return the features (samples, F) of images of a generator, at truncation 1.

    z and the noise of layers and camera come from streams of their own, on the CPU.
    """
    z_stream = torch.Generator().manual_seed(seed)
    noise_stream = torch.Generator().manual_seed(seed + 1)
    device = generator.mapping.w_avg.device
    parts = []
    for z in torch.randn(samples, generator.arch.z_dim, generator=z_stream).split(_BATCH):
        ws = generator.broadcast(generator.mapping(z.to(device)))
        images = generator.synthesis(ws, "random", rng=noise_stream)
        if camera is not None:
            images = camera.drawn(images, noise_stream)
        parts.append(features(images.cpu()))
    return torch.cat(parts)


class _Given(nn.Module):
    """Hands features through where torchmetrics expects a network that finds them."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, given: Tensor) -> Tensor:
        return given


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchmetrics from warning that it stores features, which are small here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance`", UserWarning)
        yield


def _check(real: Tensor, generated: Tensor) -> None:
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"Features of the shapes {tuple(real.shape)} and {tuple(generated.shape)} cannot be "
            "compared; both need as many channels."
        )
    if min(len(real), len(generated)) < FEWEST:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated images are too few for KID; at "
            f"least {FEWEST} of each are needed."
        )
    for name, given in (("real", real), ("generated", generated)):
        bad = int((~given.isfinite().all(1)).sum())
        # The eigenvalues that FID needs end the whole process where there is a NaN.
        if bad:
            raise ValueError(
                f"{bad} of {len(given)} {name} images have features that are not finite, so "
                "there is no distance: pixels are not finite or far too large, as those of a "
                "generator that has diverged."
            )
