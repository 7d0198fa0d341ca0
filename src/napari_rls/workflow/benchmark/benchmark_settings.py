"""The settings of a benchmark: one class for the command line and the record."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, field_validator, model_validator

from napari_rls.models.field_notes import BatchSize, Device, Threads
from napari_rls.models.part import Checked
from napari_rls.search.operators import DEFAULT_OPERATOR, OperatorName
from napari_rls.search.presets import PRESETS
from napari_rls.search.settings import DEFAULT_BUNDLE, METHODS

RLS: Final = "rls"

_LARGEST = PRESETS[RLS].largest_lambda_w

DIRECT: Final = "direct"
"""What tells measurements without any image, which is no method of super-resolution."""

COMPARED = (*METHODS, DIRECT)
"""All that can be compared."""

SAMPLERS = ("rls", "flow")
"""Methods of which samples are drawn: of every cell, at every factor."""

RIVALS = ("rls", "pulse", "brgm", "flow", "pix2pix")
"""Methods that are tried on noisy LR images too, as in Fig. 6."""

ABLATIONS = ("rls", "unregularised", "rls-without-pw", "rls-without-pcross", "rls-without-told")
"""Methods of Fig. 7."""

LAMBDA_W = (1e-6, 1e-5, 5e-5, 1e-4, 5e-4)
LAMBDA_C = (0.005, 0.01, 0.02, 0.05)
"""Values of the sensitivity analysis: the ranges that section 4.1 of the paper calls good."""

QUICK: dict[str, object] = {
    "cells": 2,
    "subset": 10,
    "max_steps": 20,
    "samples": 2,
    "bootstrap": 50,
    "lambda_w": (LAMBDA_W[0], LAMBDA_W[-1]),
    "lambda_c": (LAMBDA_C[0], LAMBDA_C[-1]),
}
"""What ``quick`` sets where nothing else is asked for."""


class BenchmarkSettings(Checked):
    """All that determines a benchmark, beside the images and the bundle's content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str = Field(
        default=DEFAULT_BUNDLE,
        title="Bundle",
        description="Model bundle: the name of an embedded one, or a file.",
    )
    factors: tuple[Annotated[int, Field(ge=2, le=256)], ...] = Field(
        default=(8, 16), min_length=1, title="Factors", description="Scale factors."
    )
    operator: OperatorName = Field(
        default=DEFAULT_OPERATOR,
        title="Operator",
        description="What makes LR images of HR ones, in the data and in the searches.",
    )
    methods: tuple[str, ...] = Field(
        default=COMPARED, min_length=1, title="Methods", description="Methods to compare."
    )
    features: tuple[str, ...] = Field(
        default=("napari-rls",),
        min_length=1,
        title="Features",
        description="Feature networks of the metrics.",
    )
    cells: int = Field(
        default=10,
        ge=1,
        le=100_000,
        title="Cells",
        description="Cells of every well and condition at most, chosen at random.",
    )
    subset: int = Field(
        default=24,
        ge=1,
        le=100_000,
        title="Subset",
        description=(
            "Cells on which noise, blur and other values of lambda are tried; metrics of fewer "
            "than some tens say little."
        ),
    )
    max_steps: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Steps at most",
        description="Upper bound of every method's steps; 0 keeps each method's own.",
    )
    samples: int = Field(
        default=5,
        ge=0,
        le=100,
        title="Samples",
        description=(
            "Samples of a cell, by which methods tell what they do not know; 0 leaves them out."
        ),
    )
    lambda_w: tuple[Annotated[float, Field(ge=0, le=_LARGEST)], ...] = Field(
        default=LAMBDA_W,
        title="Values of lambda_w",
        description="Values of lambda_w in the sensitivity analysis.",
    )
    lambda_c: tuple[Annotated[float, Field(ge=0, le=10)], ...] = Field(
        default=LAMBDA_C,
        title="Values of lambda_c",
        description="Values of lambda_c in the sensitivity analysis.",
    )
    bootstrap: int = Field(
        default=200,
        ge=2,
        le=100_000,
        title="Bootstrap",
        description="Resamplings of the cells behind every interval.",
    )
    negative: str = Field(
        default="",
        title="Negative",
        description=(
            "Condition of the negative cells, in full or some of its parts, as in "
            "control=negative; without it, that or the first of two conditions."
        ),
    )
    positive: str = Field(
        default="", title="Positive", description="Condition of the positive cells, likewise."
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Seed of the choice of cells, of noise, searches, splits and intervals.",
    )
    batch_size: BatchSize = 32
    device: Device = "auto"
    threads: Threads = 0
    quick: bool = Field(
        default=False,
        title="Quick",
        description=(
            "A trial of some minutes: 2 cells a well, 20 steps, few variants. Its numbers say "
            "that all works, not which method is better."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _quick(cls, values: Any) -> Any:
        """Fill in what ``quick`` means; what is given wins."""
        return {**QUICK, **values} if isinstance(values, dict) and values.get("quick") else values

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [method for method in methods if method not in COMPARED]
        if unknown:
            raise ValueError(f"there is no method {unknown[0]!r}; there are {', '.join(COMPARED)}")
        if methods == (DIRECT,):
            raise ValueError(f"{DIRECT} draws no image; name a method beside it that does")
        return methods

    @field_validator("factors", "methods", "features")
    @classmethod
    def _once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("the same entry stands there twice")
        return values

    @property
    def detail_factor(self) -> int:
        """Factor of the figures of one factor: 16, as in the paper, if it is among them."""
        return 16 if 16 in self.factors else self.factors[0]
