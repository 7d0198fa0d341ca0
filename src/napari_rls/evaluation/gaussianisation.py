"""How normal the latent vectors of a bundle are, before and after each transformation."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.gaussianity import ks_from_chi_squared
from napari_rls.search.latents import PulseNormal

PULSE_SAMPLES = 100_000


def pulse_gaussianise(w: Tensor, reference: Tensor) -> Tensor:
    """Return PULSE's normal form of w (N, d): leaky ReLU of slope 5, then whitening per dimension.

    Mean and deviation are those of ``reference`` (M, d) after the leaky ReLU, as in the
    search of PULSE.
    """
    return PulseNormal.of(reference).normal(w)


@torch.no_grad()
def transformed(bundle: Bundle, samples: int = 5000, seed: int = 1) -> dict[str, Tensor]:
    """Return fresh latent vectors (samples, d) before and after each transformation.

    Those behind Fig. 1 of Gheisari & Genovesio 2024: ``Z``, ``W`` as it is, ``PULSE``'s
    transformation of it, and the bundle's ``flow``.
    """
    z = bundle.draw_z(samples, seed)
    w = bundle.draw_w(samples, seed)
    reference = bundle.draw_w(PULSE_SAMPLES, seed + 1)
    return {
        "Z": z,
        "W": w,
        "PULSE": pulse_gaussianise(w, reference),
        "flow": bundle.flow(w)[0],
    }


def ks_distances(bundle: Bundle, samples: int = 5000, seed: int = 1) -> dict[str, float]:
    """Return the Kolmogorov-Smirnov distance of squared norms from chi-squared.

    Of the vectors of :func:`transformed`, by their names.
    """
    vectors = transformed(bundle, samples, seed)
    return {name: ks_from_chi_squared(v) for name, v in vectors.items()}
