"""What the LR images of a run tell of the nucleus to cytoplasm ratio, for its searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.direct_spec import LEVELS
from napari_rls.search.crop_noise import CropView, quiet
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings
from napari_rls.search.told import Told
from napari_rls.workflow.super_resolve.told_column import told_column

FARTHEST: Final = 0.2
"""Difference of an LR pixel, of -1 to 1, from that of the expected image, above which nothing is
told of a cell: of 224 real crops at 8x and 16x none has more than 0.17."""

_MEDIAN: Final = LEVELS.index(0.5)


def teller(bundle: Bundle, settings: Settings) -> Callable[[Tensor], Told | None]:
    """Return what says of LR images (n, C, h, w) in -1 to 1 which ratios they tell.

    Settings with a ``lambda_m`` above 0 have gone through
    :func:`~napari_rls.workflow.super_resolve.told_column.with_told`.
    """
    told = told_column(bundle.manifest, settings.factor) if settings.lambda_m else None
    network, spec = bundle.direct, bundle.manifest.direct
    if told is None or network is None or spec is None:
        return lambda lr: None  # noqa: ARG005
    column = spec.columns[told.place]
    channels = len(bundle.manifest.channels)
    others = [k for k in range(channels) if k != told.dna]
    nuclear = told.nuclear
    spoilt = _spoilt_by(bundle, settings.factor)

    @torch.no_grad()
    def tell(lr: Tensor) -> Told:
        found = network.turned(lr.cpu(), settings.factor)[:, told.place, _MEDIAN]
        shrunk = found * column.scale + column.centre
        values = torch.full((len(lr), len(others)), torch.nan)
        values[:, others.index(told.signal)] = (
            shrunk - told.shrinkage.offset
        ) / told.shrinkage.slope
        values[spoilt(lr.cpu())] = torch.nan
        return Told(values.to(lr.device), nuclear, settings.lambda_m)

    return tell


def _spoilt_by(bundle: Bundle, factor: int) -> Callable[[Tensor], Tensor]:
    """Return what tells of LR images (n, C, h, w) which have pixels that no cell has, (n,).

    One hot pixel changes what is told, and is no noise to a search, which passes it by. Images that
    a field encoder expects of the others show it; bundles without one tell none.
    """
    manifest, encoder = bundle.manifest, bundle.field_encoder
    spec = manifest.field_encoder
    if encoder is None or encoder.image is None or spec is None or not spec.knows_crops(factor):
        return lambda lr: torch.zeros(len(lr), dtype=torch.bool)
    channels = len(manifest.channels)
    degrade = Bicubic(factor)
    view = CropView(degrade, factor, manifest.hr_size, channels, known=True)

    def spoilt(lr: Tensor) -> Tensor:
        expected = view.seen(lr, quiet(channels)).expected(encoder)
        return (degrade(expected) - lr).abs().amax((1, 2, 3)) > FARTHEST

    return spoilt
