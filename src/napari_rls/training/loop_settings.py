"""What the settings of every training of one network tell its loop."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from napari_rls.models.field_notes import Device, Threads
from napari_rls.models.part import Checked


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
