"""SR images that Pix2Pix draws at once, batch after batch: nothing is searched."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.models.pix2pix import UNet
from napari_rls.search.degradation import Recorded
from napari_rls.search.streams import Purpose, cell_stream
from napari_rls.workflow.super_resolve.search_batches import as_numpy
from napari_rls.workflow.super_resolve.updates import Batches, Clock, Run, Update


@torch.no_grad()
def drawn_batches(
    run: Run,
    lr: NDArray[np.generic],
    usable: Sequence[int],
    network: UNet,
    degrade: Recorded,
    device: torch.device,
    kept: Collection[int] = (),
) -> Iterator[Update]:
    """Draw the cells ``usable`` and yield one update per batch.

    The objective is the mean absolute error of the degraded image, in -1 to 1. Dropout,
    in use as published, is drawn for each cell from a stream of its own.

    Parameters
    ----------
    run
        What holds for the whole run.
    lr
        LR images (N, C, h, w) in the run's intensities.
    usable
        Cells to draw.
    network
        The network of the run's factor.
    degrade
        The operator D.
    device
        Where to compute.
    kept
        Cells that are done already; batches of nothing else are left out.
    """
    settings = run.settings
    # The bundle's own network stays where it is.
    network = copy.deepcopy(network).to(device)
    batches = Batches.of(usable, settings.batch_size, kept)
    clock = Clock(len(usable) - batches.done)
    done = batches.done
    for cells in batches.left:
        encoded = torch.from_numpy(run.intensity.encode(lr[cells])).to(device)
        image = torch.cat(
            [
                network(one[None], cell_stream(settings.seed, cell, Purpose.METHOD))
                for one, cell in zip(encoded, cells.tolist(), strict=True)
            ]
        )
        difference = (degrade(image) - encoded).abs().mean((2, 3))
        nothing = np.full(len(cells), np.nan, np.float32)
        done += len(cells)
        seconds, left = clock.read(done - batches.done)
        yield Update(
            run=run,
            cells=cells,
            step=1,
            steps=1,
            sr=run.intensity.decode(as_numpy(image)),
            latents=np.empty((len(cells), 0, 0), np.float32),
            objective=as_numpy(difference.mean(1)),
            log_density=nothing,
            cross=nothing.copy(),
            lr_residual=(as_numpy(difference) * run.intensity.unit_span).astype(np.float32),
            samples=None,
            failed=np.zeros(len(cells), np.bool_),
            unreached=np.zeros(len(cells), np.bool_),
            found=True,
            finished=True,
            cells_done=done,
            seconds=seconds,
            seconds_left=left,
        )
