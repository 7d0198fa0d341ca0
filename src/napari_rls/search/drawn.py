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


@torch.no_grad()
def drawn(kit: Kit, batch: Batch, draw: int) -> Tensor:
    """Return images (n, C, S, S) in -1 to 1 that flow matching draws of the cells of a batch.

    ``draw`` tells the images of one cell apart. They have the noise of HR images. On the way they
    are held to the LR image, the less the larger its noise beside what no image explains.
    """
    seen, flow, coarse = batch.seen, kit.networks.flow_matching, kit.networks.coarse_flow
    assert seen is not None
    assert flow is not None
    channels, size = seen.interpolated.shape[1:3]
    # The coarse noise comes last, so that images drawn without it stay what they are.
    of_image, of_coarse = batch.normal(
        kit.settings.seed,
        (channels, size, size),
        (channels, size // COARSE, size // COARSE),
        purpose=Purpose.FLOW,
        draw=draw,
    )
    nearer = _nearer(seen, batch.lr, kit.degrade, flow)
    if coarse is None or seen.ratio <= ABOVE:
        return _drawn_of(kit, flow, of_image, seen, nearer)
    small = _drawn_of(kit, coarse, of_coarse, seen, _through_coarse(nearer), Bicubic(COARSE))
    spec = kit.bundle.manifest.field_encoder
    known = spec is not None and spec.knows_crops(COARSE)
    view = CropView(Bicubic(COARSE), COARSE, size, channels, known)
    as_seen = view.seen(small, quiet(channels)).to(small.device)
    nearer_coarse = _nearer(as_seen, small, view.degrade, flow)
    return _drawn_of(kit, flow, of_image, as_seen, lambda images: nearer(nearer_coarse(images)))


def _drawn_of(
    kit: Kit,
    network: FlowMatching,
    noise: Tensor,
    seen: Seen,
    nearer: _Nearer,
    through: Bicubic | None = None,
) -> Tensor:
    """Return what a network draws of normal numbers, ``through`` which it sees all images."""
    encoder = kit.bundle.field_encoder
    assert encoder is not None
    expected, known = _told(seen, encoder, kit.device)
    cells = seen.interpolated
    if through is not None:
        cells, expected = through(cells), through(expected)
    short = kit.networks.dtype == torch.bfloat16
    with torch.autocast(kit.device.type, torch.bfloat16, short):
        return network.draw(noise.to(kit.device), cells, expected, known, nearer)


def _told(seen: Seen, encoder: FieldEncoder, device: torch.device) -> tuple[Tensor, Tensor]:
    return seen.expected(encoder).to(device), seen.known(encoder).to(device)


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
