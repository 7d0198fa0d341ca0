"""The trust mask of SR cells: looked up in their record, drawn from their samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.trust_mask import mask
from napari_rls.models.trust import PixelTrust
from napari_rls.workflow.measure.trust_levels import SAMPLING, SEARCH, judge_cells, trust_of


@dataclass(frozen=True, eq=False)
class TrustMask:
    """Which pixels of SR cells can be trusted.

    Parameters
    ----------
    pixels
        (N, C, H, W), True where the pixel can be; None without a mask.
    known
        What it was drawn by.
    unlike
        Cells that are not like the held-out ones, or have no samples: their mask is empty.
    why_not
        Why there is no mask, in a sentence; "" if there is one.
    """

    pixels: NDArray[np.bool_] | None
    known: PixelTrust | None = None
    unlike: int = 0
    why_not: str = ""

    @property
    def told(self) -> str:
        """What the mask says, or why there is none, in sentences."""
        if self.pixels is None or self.known is None:
            return self.why_not
        found = (
            f"Trust mask: the largest error inside it is at most {100 * self.known.alpha:.0f} % "
            "of the intensity range in the mean over cells, as "
            f"{self.known.cells} held-out cells tell."
        )
        if not self.unlike:
            return found
        what = "cell is not" if self.unlike == 1 else "cells are not"
        return f"{found} {self.unlike} {what} like them: nothing there is to be trusted."


def trust_mask(
    sr: NDArray[np.generic], samples: NDArray[np.floating] | None, record: Mapping[str, Any]
) -> TrustMask:
    """Return which pixels of SR cells can be trusted, or why nothing can be said of them.

    Parameters
    ----------
    sr
        SR images (N, C, H, W).
    samples
        Their samples (S, N, C, H, W), if there are any.
    record
        Their record, which has what their bundle knows.

    Examples
    --------
    >>> import numpy as np
    >>> trust_mask(np.zeros((1, 2, 8, 8)), None, {}).told
    'There is no trust mask: it takes at least two samples of each cell.'
    """
    if samples is None or len(samples) < 2:
        return _none("it takes at least two samples of each cell")
    trust, why_not = trust_of(record, (*SEARCH, *SAMPLING))
    if trust is None:
        return _none(why_not)
    if trust.pixels is None:
        return _none(
            "the bundle was not calibrated for one; napari-rls bundles calibrate does that"
        )
    if len(trust.pixels.limits) != sr.shape[1]:
        return _none("what the bundle knows is of another number of channels")
    low, high = record["intensity"]["low"], record["intensity"]["high"]
    verdict = judge_cells(sr, record, trust.domain)
    usable = np.isfinite(samples).all((0, 2, 3, 4)) & np.isfinite(sr).all((1, 2, 3))
    usable &= ~(verdict.poor_fit | verdict.out_of_domain)
    pixels = np.zeros(sr.shape, np.bool_)
    if usable.any():
        pixels[usable] = mask(samples[:, usable], trust.pixels, low, high)
    return TrustMask(pixels, trust.pixels, int((~usable).sum()))


def _none(why_not: str) -> TrustMask:
    return TrustMask(None, why_not=f"There is no trust mask: {why_not}.")
