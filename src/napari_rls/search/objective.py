"""What a search minimises, per cell: a data term and priors on W+ latents.

That of Regularized Latent Search (Gheisari & Genovesio 2024, eq. 5), with W+ latents
w = [w_1, ..., w_L]:

    E(w) = ||y - D(G_s(w))||_1 - lambda_w P_w(w) - lambda_c P_cross(w),
    P_w = (1/L) sum_i log p_F(w_i),
    P_cross = - sum_{i<j} ||w_i - w_j||_2^2.

The paper leaves open how the terms are normalised, and its lambdas only mean
something once that is fixed. Five readings are here; see ``docs/method.md`` for
the evidence behind the default. The other methods have other data terms and priors,
in the same two places: one on every latent vector, one on pairs of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_rls.search.data_terms import SCALED_AT, AbsoluteError, DataTerm, Likelihood
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.priors import Prior, pairwise_distance, pairwise_squares
from napari_rls.search.told import Told

Reading = Literal["auto", "likelihood", "scaled", "mean", "sum", "code"]
"""Normalisation of the data term and of P_cross.

``likelihood``: minus the log-likelihood of LR pixels of known noise, on the scale of ``scaled``.
``auto``: that where LR pixels are noisy, else ``scaled``; a run settles which.
``mean``: mean absolute error and mean pairwise distance. ``sum``: sums of absolute errors
and of squared distances, as printed. ``scaled``: as ``mean``, but the data term grows with
the number of LR pixels, as the sum of a likelihood does. ``code``: as ``mean``, the data term
:data:`CODE_WEIGHT` times, as the code of the paper's authors weighs it.
"""

CODE_WEIGHT = 5.0
"""10 times the mean absolute error of images in 0 to 1, in units of -1 to 1."""


@dataclass(frozen=True)
class Terms:
    """Terms of the objective per cell, each of shape (N,).

    ``data`` is the distance from the LR image, ``log_density`` is P_w in nats, whether or
    not the method weighs it, ``cross`` is the method's penalty on pairs of latent vectors,
    for RLS -P_cross; ``total`` is what the search minimises.
    """

    data: Tensor
    log_density: Tensor
    cross: Tensor
    total: Tensor


@dataclass(frozen=True)
class Hold:
    """Weights of the distances from an estimate's latents and from its image."""

    latents: float
    image: float

    @classmethod
    def of_drawn(cls, pixels: int) -> Hold:
        """Return those where the image is drawn of estimates, which say the less of many LR pixels.

        They were chosen on real cells, at 4 x 4 LR pixels and at 8 x 8.
        """
        share = (SCALED_AT / pixels) ** 2
        return cls(13.0 * share, 8.0 * share)


OF_EXPECTED = Hold(latents=40.0, image=0.5)
"""Those where an encoder draws the expected image, which LR pixels of any number have told:
chosen on real cells at ratios from 4 to 16."""

IMAGE_FLOOR, IMAGE_SLOPE = 0.04, 0.1
"""Deviation of a dark pixel of that image, of -1 to 1, and what it grows by with its light."""


@dataclass(frozen=True)
class Estimate:
    """W+ latents that an encoder has estimated of each cell, of real ones, and how sure it is.

    What the rows of an estimate have of their own is what real cells have that random ones lack:
    the priors P_w and P_cross, which are of random ones, are of latents without it.

    Parameters
    ----------
    ws
        The estimates (N, L, d).
    image
        Images (N, C, S, S) in -1 to 1 that cells are expected to have, such as the mean of those
        of several estimates, which no latents need to draw.
    scale
        Standard deviation of w per dimension (d,).
    hold
        What being far from it costs.
    """

    ws: Tensor
    image: Tensor
    scale: Tensor
    hold: Hold

    @property
    def own(self) -> Tensor:
        """What each row has beside the mean of all (N, L, d)."""
        return self.ws - self.ws.mean(1, keepdim=True)

    def far(self, ws: Tensor, image: Tensor, cells: Tensor) -> Tensor:
        """Return what latents (n, L, d) and their images pay for the distance from the estimates.

        A pixel may be off by :data:`IMAGE_FLOOR` and :data:`IMAGE_SLOPE` of its light, so that dim
        surroundings count as much as a bright nucleus.
        """
        squares = ((ws - self.ws[cells]) / self.scale).square().mean((1, 2))
        expected = self.image[cells]
        deviation = IMAGE_FLOOR + IMAGE_SLOPE * (expected + 1).clamp(min=0)
        # Of means over 2 x 2 pixels: which of them has the light is not known.
        apart = F.avg_pool2d((image - expected) / deviation, 2).square().mean((1, 2, 3))
        return self.hold.latents * squares + self.hold.image * apart


@dataclass(frozen=True)
class Objective:
    """What is minimised for a batch of cells; cells do not influence each other.

    Parameters
    ----------
    lr
        LR images (N, C, h, w) in the generator's units, -1 to 1.
    degrade
        The operator D; one of placed cells is of each cell its own.
    log_density
        log p_F, from (..., d) to (...).
    data
        How far degraded images are from LR images.
    lambda_w, lambda_c
        Weights of the prior on every latent vector and of that on pairs of them.
    single
        The prior on every latent vector; None is -P_w.
    cross
        The prior on pairs.
    estimate
        What is known of the latents from elsewhere, or None.
    told
        What LR images tell of a measurement by themselves, or None.
    """

    lr: Tensor
    degrade: Callable[[Tensor], Tensor]
    log_density: Callable[[Tensor], Tensor]
    data: DataTerm
    lambda_w: float = 0.0
    lambda_c: float = 0.0
    single: Prior | None = None
    cross: Prior = pairwise_distance
    estimate: Estimate | None = None
    told: Told | None = None

    def __call__(self, ws: Tensor, image: Tensor, cells: Tensor) -> Terms:
        """Return the terms for latents (n, L, d) and their images, of the LR images ``cells``."""
        own = self.degrade
        degrade = own.of(cells) if isinstance(own, PlacedOptics) else own
        data = self.data(degrade(image), self.lr[cells], cells)
        far = 0.0 if self.estimate is None else self.estimate.far(ws, image, cells)
        if self.estimate is not None:
            ws = ws - self.estimate.own[cells]
        cross = self.cross(ws)
        weighed = self.single is None and self.lambda_w > 0
        with torch.set_grad_enabled(weighed and torch.is_grad_enabled()):
            density = self.log_density(ws).mean(1)
        total = data
        if self.lambda_w:
            total = total - self.lambda_w * (-self.single(ws) if self.single else density)
        if self.lambda_c:
            total = total + self.lambda_c * cross
        total = total + far
        if self.told is not None:
            total = total + self.told.error(image, cells)
        return Terms(data, density, cross, total)


def rls_objective(
    lr: Tensor,
    degrade: Callable[[Tensor], Tensor],
    log_density: Callable[[Tensor], Tensor],
    *,
    lambda_w: float,
    lambda_c: float,
    reading: Reading = "scaled",
    likelihood: Likelihood | None = None,
    estimate: Estimate | None = None,
    told: Told | None = None,
) -> Objective:
    """Return E(w) of Regularized Latent Search.

    Parameters
    ----------
    lr, degrade, log_density, lambda_w, lambda_c, estimate, told
        As :class:`Objective`.
    reading
        Normalisation of the data term and of P_cross.
    likelihood
        The data term where the noise of LR pixels is known; P_cross is then that of ``scaled``.
    """
    pixels = lr.shape[-2] * lr.shape[-1]
    weight = {"mean": 1.0, "sum": 1.0, "code": CODE_WEIGHT}.get(reading, pixels / SCALED_AT)
    return Objective(
        lr,
        degrade,
        log_density,
        likelihood or AbsoluteError(weight, summed=reading == "sum"),
        lambda_w,
        lambda_c,
        cross=pairwise_squares if reading == "sum" else pairwise_distance,
        estimate=estimate,
        told=told,
    )
