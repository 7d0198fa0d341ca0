"""What the settings of every training of one network tell its loop."""

from __future__ import annotations

import math

from pydantic import ConfigDict, Field

from napari_rls.models.field_notes import Device, Threads
from napari_rls.models.part import Checked

_WARM_UP = 100
"""Steps until the step size is whole; a short training takes a tenth of its steps."""


class LoopSettings(Checked):
    """How long a network is trained, where, and how often it is kept and looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=6000, ge=1, le=10_000_000, description="Steps of training.")
    batch_size: int = Field(default=16, ge=1, le=512, description="Crops in a step.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of every random stream.")
    device: Device = "auto"
    threads: Threads = 0
    checkpoint_minutes: float = Field(
        default=2.0, gt=0, le=1440, description="Minutes between checkpoints."
    )
    report_steps: int = Field(
        default=250, ge=1, le=1_000_000, description="Steps from one look at held-out crops to the "
        "next.",
    )  # fmt: skip


class CosineSettings(LoopSettings):
    """How large the steps of AdamW are."""

    batch_size: int = Field(default=32, ge=1, le=512, description="Crops in a step.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        le=0.1,
        description="Step size of AdamW; it falls to 0 as half a cosine.",
    )

    def rate(self, steps: int) -> float:
        """Return the step size after so many steps."""
        warmth = min(1.0, (steps + 1) / min(_WARM_UP, max(self.steps / 10, 1)))
        return self.learning_rate * warmth * 0.5 * (1 + math.cos(math.pi * steps / self.steps))
