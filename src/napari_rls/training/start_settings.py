"""How an encoder is trained so that searches start at images that look like cells."""

from __future__ import annotations

from pydantic import Field

from napari_rls.training.shown_cells_settings import ShownCellsSettings


class StartSettings(ShownCellsSettings):
    """All that determines the training of starts, beside bundle and HR crops."""

    steps: int = Field(default=4000, ge=1, le=10_000_000, description="Steps of training.")
    learning_rate: float = Field(
        default=5e-4,
        gt=0,
        le=0.1,
        description="Step size of Adam; it falls to 0 as half a cosine. The discriminator's is "
        "twice as large.",
    )
    realism: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="Weight of the discriminator's verdict: more makes images look more like "
        "cells, less brings single pixels nearer to the truth.",
    )
