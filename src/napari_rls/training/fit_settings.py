"""How flow and encoders are fitted to a generator: for trainings and for imported checkpoints."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from napari_rls.models.part import Checked


class FitSettings(Checked):
    """What the fits of a bundle take, beside the seed of the job that they belong to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit_samples: int = Field(
        default=100_000,
        ge=100,
        le=10_000_000,
        title="Samples to fit",
        description="Generated samples that flow and encoders are fitted to at the end.",
    )
    fit_epochs: int = Field(
        default=40,
        ge=1,
        le=1000,
        title="Epochs of the flow",
        description="Passes over these samples to fit the flow.",
    )
