"""Means of what the steps between two reports saw."""

from __future__ import annotations

import time

import torch

from napari_rls.training.run_folder import Report
from napari_rls.training.trainer import Losses, Trainer


class Means:
    """Losses since the last report, of a run that had shown ``images`` images."""

    def __init__(self, images: int) -> None:
        self.losses: list[Losses] = []
        self.images = images
        self.time = time.monotonic()

    def add(self, losses: Losses) -> None:
        """Take a step into account."""
        self.losses.append(losses)

    def report(self, trainer: Trainer) -> Report:
        """Return the means and begin anew."""
        now = time.monotonic()
        report = Report(
            images=trainer.images,
            images_per_second=(trainer.images - self.images) / max(now - self.time, 1e-9),
            discriminator_loss=_mean([x.discriminator for x in self.losses]),
            generator_loss=_nanmean([x.generator for x in self.losses]),
            r1=_nanmean([x.r1 for x in self.losses]),
            path_length=_nanmean([x.path_length for x in self.losses]),
            ada_p=trainer.ada.p,
            real_sign=_mean([x.real_sign for x in self.losses]),
        )
        self.losses, self.images, self.time = [], trainer.images, now
        return report


def _mean(values: list[torch.Tensor]) -> float:
    return float(torch.stack([v.cpu() for v in values]).mean())


def _nanmean(values: list[torch.Tensor]) -> float:
    return float(torch.stack([v.cpu() for v in values]).nanmean())
