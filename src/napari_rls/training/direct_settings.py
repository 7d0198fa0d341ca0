"""How the network is trained that tells measurements of LR images without any image."""

from __future__ import annotations

from pydantic import Field, model_validator

from napari_rls.training.loop_settings import CosineSettings

_FACTORS = (2, 4, 8, 16, 32, 64, 128, 256)


class DirectSettings(CosineSettings):
    """All that determines the training, beside HR crops and the measurement."""

    factor_low: int = Field(default=8, ge=2, le=256, description="Least scale factor to know.")
    factor_high: int = Field(
        default=32,
        ge=2,
        le=256,
        description="Largest; all powers of two between that divide the HR size are known.",
    )
    steps: int = Field(default=60_000, ge=1, le=10_000_000, description="Steps of training.")
    batch_size: int = Field(default=64, ge=1, le=512, description="Crops in a step.")
    width: int = Field(default=32, ge=1, le=512, description="Feature maps of the first layer.")

    @model_validator(mode="after")
    def _factors_ordered(self) -> DirectSettings:
        if self.factor_low > self.factor_high:
            raise ValueError("factor_low must not be greater than factor_high")
        return self

    def factors(self, size: int) -> tuple[int, ...]:
        """Return the scale factors for HR crops of a size in pixels.

        Examples
        --------
        >>> DirectSettings().factors(64)
        (8, 16, 32)
        """
        between = (f for f in _FACTORS if self.factor_low <= f <= self.factor_high)
        return tuple(factor for factor in between if size % factor == 0)
