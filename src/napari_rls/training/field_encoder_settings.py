"""The settings of a field encoder's training: one class for command line, API and checkpoint."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from napari_rls.training.loop_settings import LoopSettings

_WARM_UP = 100
"""Steps until the step size is whole; a short training takes a tenth of its steps."""


class FieldEncoderSettings(LoopSettings):
    """All that determines the training of a field encoder, beside bundle and HR crops."""

    ratio_low: float = Field(
        default=4.0, ge=1.5, le=256, description="Least ratio of pixel sizes to be trained for."
    )
    ratio_high: float = Field(
        default=20.0,
        ge=1.5,
        le=256,
        description="Largest ratio; an LR pixel is at most a third of the crop all the same.",
    )
    width: int = Field(default=32, ge=2, le=512, description="Feature maps of the first layer.")
    hidden: int = Field(default=384, ge=1, le=8192, description="Width of the last two layers.")
    image_width: int = Field(
        default=32,
        ge=0,
        le=512,
        description="Feature maps of the network that draws the expected image; 0: without it.",
    )
    batch_size: int = Field(default=32, ge=1, le=512, description="Crops in a step.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        le=0.1,
        description="Step size of AdamW; it falls to 0 as half a cosine.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic of the generator and the expected image; weights are float32.",
    )
    start: bool = Field(
        default=True,
        description=(
            "Searches start at its estimates and stay near them in fields; without, it only tells "
            "noise and brightness of LR images. Leave it out where cells have small spots that LR "
            "images do not show: estimates have none."
        ),
    )

    @model_validator(mode="after")
    def _ratios_ordered(self) -> FieldEncoderSettings:
        if self.ratio_low > self.ratio_high:
            raise ValueError("ratio_low must not be greater than ratio_high")
        return self

    def ratios(self, size: int) -> tuple[float, float]:
        """Return least and largest ratio for HR crops of a size in pixels.

        The largest is a third of the size at most; less than the least if none will do.
        """
        return self.ratio_low, min(self.ratio_high, size / 3)

    def rate(self, steps: int) -> float:
        """Return the step size after so many steps."""
        warmth = min(1.0, (steps + 1) / min(_WARM_UP, max(self.steps / 10, 1)))
        return self.learning_rate * warmth * 0.5 * (1 + math.cos(math.pi * steps / self.steps))
