"""What the trainings have in common that show crops as random microscopes see them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from napari_rls.training.loop_settings import LoopSettings

_WARM_UP = 100
"""Steps until the step size is whole; a short training takes a tenth of its steps."""


class ShownCellsSettings(LoopSettings):
    """How large their steps are, and in what arithmetic."""

    batch_size: int = Field(default=32, ge=1, le=512, description="Crops in a step.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        le=0.1,
        description="Step size of AdamW; it falls to 0 as half a cosine.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic of what draws images; weights are float32.",
    )

    def rate(self, steps: int) -> float:
        """Return the step size after so many steps."""
        warmth = min(1.0, (steps + 1) / min(_WARM_UP, max(self.steps / 10, 1)))
        return self.learning_rate * warmth * 0.5 * (1 + math.cos(math.pi * steps / self.steps))
