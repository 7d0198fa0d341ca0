"""What all searches with a bundle share: its networks, frozen, and what random w tell of W."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.flow import FrozenDensity
from napari_rls.models.flow_matching import FlowMatching
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.latents import PulseNormal
from napari_rls.search.posterior import Axes
from napari_rls.search.priors import NormalPrior

DRAWS = 10_000
"""Random w whose mean, scale and principal axes the searches take."""

PULSE_DRAWS = 100_000
"""Random w behind PULSE's normal form; the authors take ten times as many."""


@dataclass(frozen=True, eq=False)
class Draws:
    """What random w of one seed tell of W, each made when it is first asked for.

    Parameters
    ----------
    bundle
        Whose W it is.
    seed
        The seed.
    device
        Where all but the mean is put.
    """

    bundle: Bundle
    seed: int
    device: torch.device

    @cached_property
    def mean_w(self) -> Tensor:
        """Mean of random w (d,), on the CPU."""
        return self.bundle.mean_w(DRAWS, self.seed)

    @cached_property
    def normal_prior(self) -> NormalPrior:
        """BRGM's prior on latents."""
        return NormalPrior.of(self.bundle.draw_w(DRAWS, self.seed)).to(self.device)

    @cached_property
    def pulse_normal(self) -> PulseNormal:
        """PULSE's transformation of w."""
        return PulseNormal.of(self.bundle.draw_w(PULSE_DRAWS, self.seed)).to(self.device)

    @cached_property
    def axes(self) -> Axes:
        """Principal axes of W, which scale the samples."""
        return Axes.of(self.bundle.draw_w(DRAWS, self.seed)).to(self.device)


class Networks:
    """Networks of a bundle as searches take them, on one device and in one arithmetic.

    Parameters
    ----------
    bundle
        The bundle; it is left as it is.
    device, dtype
        Where and in which arithmetic to search.

    Attributes
    ----------
    fast, exact
        Synthesis for the search, and in float32 for the final images.
    log_density
        log p_F.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        self.dtype = dtype
        synthesis = bundle.generator.synthesis
        self.exact = FrozenSynthesis(synthesis, torch.float32, self.device)
        exact = dtype == torch.float32
        self.fast = self.exact if exact else FrozenSynthesis(synthesis, dtype, self.device)
        self.log_density = FrozenDensity(bundle.flow, self.device)
        self._draws: Draws | None = None

    @cached_property
    def flow_matching(self) -> FlowMatching | None:
        """The bundle's flow matching on this device."""
        network = self.bundle.flow_matching
        # The bundle's own network stays where it is.
        return None if network is None else copy.deepcopy(network).to(self.device)

    @cached_property
    def coarse_flow(self) -> FlowMatching | None:
        """The same for coarse images."""
        network = self.bundle.coarse_flow
        return None if network is None else copy.deepcopy(network).to(self.device)

    def draws(self, seed: int) -> Draws:
        """Return what random w tell; those of the last seed are kept."""
        if self._draws is None or self._draws.seed != seed:
            self._draws = Draws(self.bundle, seed, self.device)
        return self._draws
