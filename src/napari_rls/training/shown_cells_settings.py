"""What the trainings have in common that show crops as random microscopes see them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_rls.training.loop_settings import CosineSettings


class ShownCellsSettings(CosineSettings):
    """In what arithmetic they are."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic of what draws images; weights are float32.",
    )
