"""The settings of a check: one class for the command line and the record."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, field_validator

from napari_rls.models.field_notes import BatchSize, Device, Threads
from napari_rls.models.part import Checked
from napari_rls.search.operators import DEFAULT_OPERATOR, OperatorName
from napari_rls.search.settings import DEFAULT_BUNDLE, Settings

_STEPS = ("steps", "sample_steps")


class CheckSettings(Checked):
    """All that determines a check, beside the images and the bundle's content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str = Field(
        default=DEFAULT_BUNDLE,
        title="Bundle",
        description="Model bundle: the name of an embedded one, or a file.",
    )
    factors: tuple[Annotated[int, Field(ge=2, le=256)], ...] = Field(
        default=(), title="Factors", description="Scale factors; none for all of the bundle."
    )
    cells: int = Field(
        default=200,
        ge=1,
        le=100_000,
        title="Cells",
        description="Cells in all at most, chosen at random, as many of every well or file.",
    )
    assay: str = Field(
        default="",
        title="Assay",
        description="What is measured, if not what the bundle suggests.",
    )
    operator: OperatorName = Field(
        default=DEFAULT_OPERATOR,
        title="Operator",
        description="What makes LR images of HR ones, in the data and in the searches.",
    )
    max_steps: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Steps at most",
        description="Upper bound of the steps, for a trial; 0 keeps the defaults, which alone tell "
        "what to trust.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Seed of the choice of cells and of the searches.",
    )
    batch_size: BatchSize = 32
    device: Device = "auto"
    threads: Threads = 0

    @field_validator("factors")
    @classmethod
    def _once(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise ValueError("the same factor stands there twice")
        return values

    @property
    def search(self) -> Settings:
        """The settings of the searches: the defaults; the factor is that of each LR file."""
        shared = {"bundle", "operator", "seed", "batch_size", "device", "threads"}
        values = self.model_dump(include=shared)
        if self.max_steps:
            usual = Settings()
            values |= {name: min(getattr(usual, name), self.max_steps) for name in _STEPS}
        return Settings.parse(values)
