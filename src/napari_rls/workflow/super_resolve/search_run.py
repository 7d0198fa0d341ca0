"""A run that is ready to begin: cells, bundle and settings that go together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.models.bundle import Bundle
from napari_rls.search.contained import contained
from napari_rls.search.degradation import Degradation
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.kit import Seen
from napari_rls.search.networks import Networks
from napari_rls.search.presets import PRESETS
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.super_resolve.draw_batches import drawn_batches
from napari_rls.workflow.super_resolve.search_batches import SearchBatches
from napari_rls.workflow.super_resolve.updates import Run, Update

FLOW: Final = "flow"
"""The method, and the posterior, of images that flow matching draws."""


def searches(settings: Settings) -> bool:
    """Whether the method searches; Pix2Pix and flow matching draw their images at once."""
    return bool(PRESETS[settings.method].stages)


def by_pix2pix(settings: Settings) -> bool:
    """Whether Pix2Pix draws the images, of crops alone."""
    return not searches(settings) and settings.method != FLOW


@dataclass(frozen=True, eq=False)
class Search:
    """A run whose image, bundle and settings go together, not yet begun.

    Parameters
    ----------
    lr
        The LR cells.
    bundle
        The bundle.
    run
        What every update will say of the run.
    device
        Where it computes.
    degrade
        The operator D.
    networks
        Gives the bundle's networks, made if that is still to be done.
    seen
        Tells of cells how the microscope saw them, where D is of each cell its own.
    """

    lr: CellStack
    bundle: Bundle
    run: Run
    device: torch.device
    degrade: Degradation | PlacedOptics
    networks: Callable[[], Networks]
    seen: Callable[[NDArray[np.intp]], Seen] | None = None

    def updates(self, kept: Collection[int] = ()) -> Generator[Update, None, None]:
        """Search, and yield an update after every step of every batch.

        Parameters
        ----------
        kept
            Cells that another call has finished; batches of nothing else are left out.
        """
        return contained(self._updates(kept), self.run.settings.threads)

    def _updates(self, kept: Collection[int]) -> Generator[Update, None, None]:
        run, data = self.run, self.lr.data
        usable = [k for k in range(len(data)) if k not in run.skipped]
        if by_pix2pix(run.settings):
            network = self.bundle.pix2pix[run.settings.factor]
            yield from drawn_batches(run, data, usable, network, self.degrade, self.device, kept)
        else:
            batches = SearchBatches(run, data, self.networks(), self.degrade, self.seen)
            yield from batches.updates(usable, kept)
