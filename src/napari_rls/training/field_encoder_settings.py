"""The settings of a field encoder's training: one class for command line, API and checkpoint."""

from __future__ import annotations

from pydantic import Field, model_validator

from napari_rls.training.shown_cells_settings import ShownCellsSettings


class FieldEncoderSettings(ShownCellsSettings):
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
