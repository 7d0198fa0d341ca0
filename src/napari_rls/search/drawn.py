"""Images that flow matching draws of the cells of a batch, held to what the microscope saw.

Where LR pixels are large, a coarse image is drawn first, and the image of what would be seen of it
through smaller pixels: a network that draws all pixels at once decides late, and by halves, whether
light that it cannot place is one large spot or many small ones. On a few pixels it is told sooner.

References
----------
Ho, Saharia, Chan, Fleet, Norouzi & Salimans, "Cascaded Diffusion Models for High Fidelity Image
Generation", 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.field_specs import ABOVE, COARSE
from napari_rls.models.flow_matching import FlowMatching
from napari_rls.search import richardson_lucy
from napari_rls.search.crop_noise import CropView, quiet
from napari_rls.search.degradation import Bicubic
from napari_rls.search.kit import Batch, Kit, Seen
from napari_rls.search.noise import MISFIT
from napari_rls.search.streams import Purpose

_Nearer = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class _View:
    """LR images as networks see them: cells (n, C, S, S), what is expected, what is known."""

    seen: Seen
    expected: Tensor
    known: Tensor

    @classmethod
    def of(cls, seen: Seen, encoder: FieldEncoder, device: torch.device) -> _View:
        return cls(seen, seen.expected(encoder).to(device), seen.known(encoder).to(device))


class Drawer:
    """Draws images of the cells of a batch, as many of each as are asked for.

    They have the noise of HR images. On the way they are held to the LR image, the less the larger
    its noise beside what no image explains.

    Parameters
    ----------
    kit
        Networks and settings; its bundle has flow matching.
    batch
        The cells, of which it is known how the microscope saw them.
    """

    @torch.no_grad()
    def __init__(self, kit: Kit, batch: Batch) -> None:
        encoder, flow = kit.bundle.field_encoder, kit.networks.flow_matching
        assert batch.seen is not None
        assert encoder is not None
        assert flow is not None
        self.kit, self.batch, self._encoder, self._flow = kit, batch, encoder, flow
        self._view = _View.of(batch.seen, encoder, kit.device)
        self._nearer = _nearer(batch.seen, batch.lr, kit.degrade, flow)

    @torch.no_grad()
    def draw(self, draw: int) -> Tensor:
        """Return images (n, C, S, S) in -1 to 1; ``draw`` tells those of one cell apart."""
        kit, view, coarse = self.kit, self._view, self.kit.networks.coarse_flow
        channels, size = view.expected.shape[1:3]
        # The coarse noise comes last, so that images drawn without it stay what they are.
        of_image, of_coarse = self.batch.normal(
            kit.settings.seed,
            (channels, size, size),
            (channels, size // COARSE, size // COARSE),
            purpose=Purpose.FLOW,
            draw=draw,
        )
        if coarse is None or view.seen.ratio <= ABOVE:
            return _drawn_of(kit, self._flow, of_image, view, self._nearer)
        through = _through_coarse(self._nearer)
        small = _drawn_of(kit, coarse, of_coarse, view, through, Bicubic(COARSE))
        spec = kit.bundle.manifest.field_encoder
        known = spec is not None and spec.knows_crops(COARSE)
        crops = CropView(Bicubic(COARSE), COARSE, size, channels, known)
        as_seen = crops.seen(small, quiet(channels)).to(small.device)
        nearer = _nearer(as_seen, small, crops.degrade, self._flow)
        return _drawn_of(
            kit,
            self._flow,
            of_image,
            _View.of(as_seen, self._encoder, kit.device),
            lambda images: self._nearer(nearer(images)),
        )


def _drawn_of(
    kit: Kit,
    network: FlowMatching,
    noise: Tensor,
    view: _View,
    nearer: _Nearer,
    through: Bicubic | None = None,
) -> Tensor:
    """Return what a network draws of normal numbers, ``through`` which it sees all images."""
    cells, expected = view.seen.interpolated, view.expected
    if through is not None:
        cells, expected = through(cells), through(expected)
    short = kit.networks.dtype == torch.bfloat16
    with torch.autocast(kit.device.type, torch.bfloat16, short):
        return network.draw(noise.to(kit.device), cells, expected, view.known, nearer)


def _nearer(
    seen: Seen, lr: Tensor, degrade: Callable[[Tensor], Tensor], network: FlowMatching
) -> _Nearer:
    """Return what makes images more like the LR images (n, C, h, w) that they are to be of."""
    noise_power = (seen.deviation.square() - MISFIT**2).clamp(min=0)
    share = richardson_lucy.share_of_step(noise_power, network.held_steps)
    share = share * seen.weight[:, None]

    def nearer(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return richardson_lucy.nearer(images.float(), lr, degrade, share)

    return nearer


def _through_coarse(nearer: _Nearer) -> _Nearer:
    """Return the same for coarse images, whose pixels are taken for even squares."""

    def of_coarse(small: Tensor) -> Tensor:
        images = F.interpolate(small.float(), scale_factor=float(COARSE))
        return F.avg_pool2d(nearer(images), COARSE)

    return of_coarse
