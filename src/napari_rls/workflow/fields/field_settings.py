"""The settings of a run over LR fields, beside those of the search."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from napari_rls.measure.lr_nuclei import LrNucleusSettings
from napari_rls.models.part import Checked
from napari_rls.search.noise import NoiseModel
from napari_rls.search.optics import Optics


class FieldSettings(Checked):
    """How an LR microscope saw fields, and how their cells are found.

    Examples
    --------
    >>> FieldSettings(optics={"ratio": 8, "psf_sigma": 0.45}).optics.ratio
    8.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optics: Optics = Optics()
    noise: NoiseModel | None = Field(
        default=None,
        title="Noise",
        description="Offset, gain and read noise of the camera. Empty: estimated from each field.",
    )
    nuclei: LrNucleusSettings = LrNucleusSettings()
    diameter: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        title="Nucleus diameter",
        description="Of a usual nucleus in HR pixels. Empty: that of the bundle's cells.",
    )
    scout_steps: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Scouting steps",
        description=(
            "Iterations of a first, short search in whose SR images nuclei are found again; 0 "
            "takes the nuclei of the LR image."
        ),
    )
