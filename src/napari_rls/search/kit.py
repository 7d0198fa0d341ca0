"""What methods are made of: the parts that a run shares, and a batch of its cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.flow import FrozenDensity
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.data_terms import CROP_SCALE, FIELD_SCALE, Distance, Likelihood
from napari_rls.search.degradation import Bicubic, Degradation
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.networks import Draws, Networks
from napari_rls.search.objective import OF_EXPECTED, Estimate, Hold
from napari_rls.search.settings import Settings
from napari_rls.search.streams import Purpose, cell_stream, normal
from napari_rls.search.told import Told
from napari_rls.search.turns import TURNS, Turn


@dataclass(frozen=True, eq=False)
class Kit:
    """What methods are made of, the same for all cells of a run.

    Parameters
    ----------
    networks
        Those of the bundle, ready to search with.
    settings
        The run's.
    start
        Where the search really starts: ``encoder``, ``field encoder``, ``mean`` or ``random``.
    degrade
        The operator D; of placed cells that of a batch.
    looks
        How different two images look, for methods that compare that.
    tell
        Says of LR images (n, C, h, w) in -1 to 1 what they tell of a measurement, where a network
        of the bundle knows it; made for one search each time.
    """

    networks: Networks
    settings: Settings
    start: str
    degrade: Degradation | PlacedOptics
    looks: Distance
    tell: Callable[[Tensor], Told | None] = lambda lr: None  # noqa: ARG005

    @property
    def bundle(self) -> Bundle:
        """Generator, encoders and mapping network."""
        return self.networks.bundle

    @property
    def device(self) -> torch.device:
        """Where the search computes."""
        return self.networks.device

    @property
    def fast(self) -> FrozenSynthesis:
        """Synthesis for the search."""
        return self.networks.fast

    @property
    def exact(self) -> FrozenSynthesis:
        """Synthesis in float32, for the final images."""
        return self.networks.exact

    @property
    def log_density(self) -> FrozenDensity:
        """The density log p_F, from latents (..., d) to nats (...)."""
        return self.networks.log_density

    @property
    def draws(self) -> Draws:
        """What random w tell of W."""
        return self.networks.draws(self.settings.seed)

    @torch.no_grad()
    def first_ws(self, batch: Batch) -> Tensor:
        """Return the W+ latents (n, L, d) that a search starts at.

        All rows are equal, except where the bundle's field encoder finds them.
        """
        if self.start == "field encoder":
            assert batch.seen is not None
            assert self.bundle.field_encoder is not None
            return batch.seen.first_ws(self.bundle.field_encoder).to(self.device)
        if self.start == "encoder":
            seen = batch.seen
            if seen is None or seen.optics is None:
                first = batch.lr
            else:
                first = seen.on_grid(self.settings.factor)
            w = self.bundle.encoders[self.settings.factor](first.cpu())
        elif self.start == "mean":
            w = self.draws.mean_w.expand(len(batch.lr), -1)
        else:
            z = batch.normal(self.settings.seed, (self.bundle.manifest.architecture.z_dim,))
            w = self.bundle.generator.mapping(z[0])
        return self.bundle.generator.broadcast(w).to(self.device)

    @torch.no_grad()
    def estimate(self, batch: Batch, first: Tensor) -> Estimate | None:
        """Return what the start (n, L, d) of a search in a field tells, if an encoder found it."""
        seen, encoder = batch.seen, self.bundle.field_encoder
        if self.start != "field encoder" or encoder is None or seen is None:
            return None
        height, width = batch.lr.shape[-2:]
        hold = OF_EXPECTED if encoder.image is not None else Hold.of_drawn(height * width)
        scale = self.bundle.flow.std.to(first)
        # An encoder is wrong in another way of each turned image: the mean is nearer to the truth.
        images = torch.zeros((), device=self.device)
        for turn in TURNS:
            turned = seen.turned(turn)
            if encoder.image is None:
                image = self.exact(turned.first_ws(encoder).to(self.device))
            else:
                image = turned.expected(encoder).to(self.device)
            images = images + turn.back(image)
        return Estimate(first, images / len(TURNS), scale, hold)

    @cached_property
    def camera(self) -> CameraNoise | None:
        """Noise that the final images get, if the bundle knows it and the settings ask for it."""
        return self.bundle.manifest.camera if self.settings.camera_noise else None

    def recorded(self, image: Tensor, batch: Batch, draw: int = 0) -> Tensor:
        """Return final images (n, C, H, W) as the camera of the HR images would record them.

        ``draw`` tells the images of one cell apart, which get different noise.
        """
        if self.camera is None:
            return image
        shape = tuple(image.shape[1:])
        (noise,) = batch.normal(self.settings.seed, shape, purpose=Purpose.CAMERA, draw=draw)
        return self.camera.recorded(image, noise)

    def noise(self, batch: Batch) -> list[Tensor]:
        """Draw a noise map (n, 1, h, w) for each convolution."""
        drawn = batch.normal(self.settings.seed, *self.fast.noise_shapes, purpose=Purpose.NOISE)
        return [noise.to(self.device) for noise in drawn]


@dataclass(frozen=True, eq=False)
class Seen:
    """How an LR microscope saw each cell of a batch, where that is known.

    Parameters
    ----------
    deviation
        Standard deviation of the cells' LR pixels (n, C, h, w), of -1 to 1.
    weight
        Weight of each LR pixel (n, h, w), 0 for those that are not to be compared.
    interpolated
        The cells (n, C, S, S) on the grid of HR pixels, -1 to 1.
    ratio, sigma
        HR pixels along an LR pixel, and the deviation of the PSF in LR pixels.
    optics
        D of each cell, where it is not that of all.
    """

    deviation: Tensor
    weight: Tensor
    interpolated: Tensor
    ratio: float
    sigma: float
    optics: PlacedOptics | None = None

    @property
    def likelihood(self) -> Likelihood:
        """The data term that knows the noise."""
        scale = CROP_SCALE if self.optics is None else FIELD_SCALE
        return Likelihood(self.deviation, self.weight, scale)

    def to(self, device: torch.device) -> Seen:
        """Return the same on another device."""
        return replace(
            self,
            deviation=self.deviation.to(device),
            weight=self.weight.to(device),
            interpolated=self.interpolated.to(device),
            optics=None if self.optics is None else self.optics.to(device),
        )

    def on_grid(self, factor: int) -> Tensor:
        """Return the cells as a bundle's encoder of a factor knows LR images."""
        return Bicubic(factor)(self.interpolated)

    def turned(self, turn: Turn) -> Seen:
        """Return what an encoder sees of the turned cells; D and deviation stay as they are."""
        return replace(self, interpolated=turn(self.interpolated))

    def first_ws(self, encoder: FieldEncoder) -> Tensor:
        """Return the W+ latents (n, L, d) that an encoder estimates."""
        estimate: Tensor = encoder(*self._for_encoder)
        return estimate

    def expected(self, encoder: FieldEncoder) -> Tensor:
        """Return the images (n, C, S, S) that an encoder expects, of -1 to 1."""
        return encoder.expected(*self._for_encoder)

    def known(self, encoder: FieldEncoder) -> Tensor:
        """Return what networks are told of the microscope (n, K)."""
        return encoder.known(*self._for_encoder[1:])

    @property
    def _for_encoder(self) -> tuple[Tensor, float, float, Tensor]:
        deviation = self.deviation.square().mean(dim=(2, 3)).sqrt()
        return self.interpolated.cpu(), self.ratio, self.sigma, deviation.cpu()


@dataclass(frozen=True)
class Batch:
    """Cells that are searched at once.

    Parameters
    ----------
    lr
        LR images (n, C, h, w) in -1 to 1, on the device of the search; 0 where a pixel is not to
        be compared.
    cells
        Their numbers in the run, which random numbers depend on.
    seen
        How the microscope saw them, where that is known.
    """

    lr: Tensor
    cells: tuple[int, ...]
    seen: Seen | None = None

    def streams(self, seed: int, purpose: Purpose, draw: int = 0) -> list[torch.Generator]:
        """Return every cell's own random numbers for a purpose."""
        return [cell_stream(seed, cell, purpose, draw) for cell in self.cells]

    def normal(
        self,
        seed: int,
        *shapes: tuple[int, ...],
        purpose: Purpose = Purpose.METHOD,
        draw: int = 0,
    ) -> list[Tensor]:
        """Draw standard normal tensors (n, *shape) on the CPU, each cell's from its own stream."""
        streams = self.streams(seed, purpose, draw)
        return [normal(streams, *shape) for shape in shapes]
