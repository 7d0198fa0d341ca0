"""What a bundle says of the network that tells measurements of LR images without any image."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, model_validator

from napari_rls.models.part import (
    LARGEST,
    Count,
    Factor,
    Line,
    Number,
    Part,
    PlainSettings,
    Seed,
    Text,
)

LEVELS: Final = (0.05, 0.15, 0.25, 0.35, 0.45, 0.5, 0.55, 0.65, 0.75, 0.85, 0.95)
"""Levels of the quantiles: the first and the last are the ends of the interval of 90 %. All but
the median lie in the middle of tenths, so that they stand for a tenth of the cells each."""

INTERVAL_LEVEL: Final = 0.9
"""Share of cells whose true value the outermost quantiles hold between them."""

_MOST_FACTORS = 8


class Shrinkage(Part):
    """How the medians that are told follow the truth: regressions draw extremes together."""

    offset: Number
    slope: float = Field(ge=-LARGEST, le=LARGEST)


class DirectColumn(Part):
    """One measurement: its usual values, and what held-out crops say of what is told of it."""

    column: Line
    centre: Number = Field(description="Mean over the training crops.")
    scale: float = Field(gt=0, le=LARGEST, description="Standard deviation over the same.")
    widening: Annotated[tuple[Number | None, ...], Field(max_length=_MOST_FACTORS)] = Field(
        description=(
            "What the interval of 90 % gets at either end, at each factor, in the measurement's "
            "unit; None: too few held-out crops were measured."
        )
    )
    shrinkage: Annotated[tuple[Shrinkage | None, ...], Field(max_length=_MOST_FACTORS)] = Field(
        default=(),
        description=(
            "Line by which medians follow the truth of held-out crops, at each factor; None: too "
            "few were measured. Empty: of a version that did not look."
        ),
    )


class DirectShape(Part):
    """Shape of the network."""

    factors: tuple[Factor, ...] = Field(min_length=1, max_length=_MOST_FACTORS)
    width: int = Field(ge=1, le=512, description="Feature maps of the first layer.")

    @model_validator(mode="after")
    def _factors_differ(self) -> DirectShape:
        if len(set(self.factors)) != len(self.factors):
            raise ValueError("the direct network must have each factor once")
        return self


class DirectSpec(DirectShape):
    """The network that tells measurements directly, a rival of what draws images."""

    measurement: PlainSettings = Field(description="Settings of the measurement that it tells.")
    columns: tuple[DirectColumn, ...] = Field(min_length=1, max_length=100)
    images: Count = Field(ge=1, description="Number of training crops.")
    validation: Count = Field(ge=1, description="Number of held-out crops.")
    files: Count = Field(ge=1, description="Number of files that these are of.")
    steps: Count
    batch_size: Count = Field(ge=1)
    seed: Seed
    data: Text = Field(description="The HR crops.")

    @model_validator(mode="after")
    def _one_of_each(self) -> DirectSpec:
        if any(len(column.widening) != len(self.factors) for column in self.columns):
            raise ValueError("a column of the direct network needs a widening for each factor")
        if any(len(column.shrinkage) not in (0, len(self.factors)) for column in self.columns):
            raise ValueError("a column of the direct network needs a shrinkage for each factor")
        if len({column.column for column in self.columns}) != len(self.columns):
            raise ValueError("the direct network must have each column once")
        return self
