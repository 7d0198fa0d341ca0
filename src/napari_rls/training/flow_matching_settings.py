"""How the network is trained that draws images at random which a cell may have."""

from __future__ import annotations

from pydantic import Field

from napari_rls.models.field_specs import FlowMatchingShape, FlowPart
from napari_rls.training.shown_cells_settings import ShownCellsSettings


class FlowMatchingSettings(ShownCellsSettings):
    """All that determines the training of flow matching, beside bundle and HR crops."""

    steps: int = Field(default=8000, ge=1, le=10_000_000, description="Steps of training.")
    width: int = Field(default=40, ge=2, le=512, description="Feature maps of the first level.")

    part: FlowPart = Field(
        default="image",
        description="What is drawn: image; or coarse, what comes before it at ratios above 16.",
    )

    @property
    def shape(self) -> FlowMatchingShape:
        """Shape of the network, and the noise that images come from."""
        return FlowMatchingShape(width=self.width, coloured=self.part == "image")
