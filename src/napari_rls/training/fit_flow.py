"""Fit the normalizing flow of a bundle to samples of its mapping network."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_rls.errors import TrainingError
from napari_rls.models.flow import WFlow
from napari_rls.models.gaussianity import ks_from_chi_squared
from napari_rls.models.manifest import FlowFit, FlowSpec

HELD_OUT = 0.1
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-6


@dataclass(frozen=True)
class FlowProgress:
    """The best flow after one epoch and what is known of its fit."""

    epoch: int
    epochs: int
    flow: WFlow
    fit: FlowFit


def fit_flow(
    w: Tensor, spec: FlowSpec, *, seed: int = 0, epochs: int = 30
) -> Iterator[FlowProgress]:
    """Fit a flow to w (N, d) by maximum likelihood; yield after every epoch.

    Adam with cosine decay of the learning rate; a tenth of the samples is held
    out, and the flow that describes them best is kept. The same samples, spec and
    seed give the same flow on the same machine.

    Raises
    ------
    TrainingError
        If no flow describes the samples.
    """
    torch_state = torch.get_rng_state()
    torch.manual_seed(seed)
    flow = WFlow(spec, w.mean(0), w.std(0))
    torch.set_rng_state(torch_state)
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(w), generator=rng)
    cut = max(1, int(len(w) * HELD_OUT))
    held_out, train = w[order[:cut]], w[order[cut:]]
    adam = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    best = torch.inf
    kept = copy.deepcopy(flow).requires_grad_(False).eval()
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(train), generator=rng).split(BATCH):
            loss = -flow.log_prob(train[rows]).mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
            adam.step()
        decay.step()
        with torch.no_grad():
            nats = float(-flow.log_prob(held_out).mean()) - float(flow.std.log().sum())
        if nats < best:
            best = nats
            kept = copy.deepcopy(flow).requires_grad_(False).eval()
        if not math.isfinite(best):
            raise TrainingError(
                "No flow can be fitted to this generator's w (a number is not finite); train it "
                "longer or with a lower learning rate."
            )
        fit = FlowFit(
            samples=len(w),
            seed=seed,
            epochs=epoch,
            held_out_nats=best,
            ks_distance=ks_from_chi_squared(kept(held_out)[0]),
        )
        yield FlowProgress(epoch, epochs, kept, fit)
