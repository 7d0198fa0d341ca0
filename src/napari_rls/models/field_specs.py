"""What a bundle's manifest says of the networks that know cells of LR fields."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from pydantic import Field

from napari_rls.models.part import Count, Factor, NotNegative, Number, Part, Seed, Text


class FieldEncoderShape(Part):
    """Shape of the network that estimates W+ from a cell of an LR field."""

    width: int = Field(default=32, ge=2, le=512, description="Feature maps of the first layer.")
    hidden: int = Field(default=384, ge=1, le=8192, description="Width of the last two layers.")
    image_width: int = Field(
        default=0, ge=0, le=512, description="Feature maps of the expected image; 0: it draws none."
    )


class LevelsAt(Part):
    """What is typical of HR crops at a ratio of pixel sizes, (C,) each, in the bundle's unit.

    They are medians over crops, degraded without noise: of the quantiles 0.1 and 0.9 of a crop's
    pixels, and of its extreme pixels.
    """

    ratio: float = Field(ge=1.5, le=256)
    least: tuple[Number, ...] = Field(max_length=16)
    dark: tuple[Number, ...] = Field(max_length=16)
    bright: tuple[Number, ...] = Field(max_length=16)
    most: tuple[Number, ...] = Field(max_length=16)


class MisfitAt(Part):
    """What images of estimates leave of LR pixels without noise: deviations (C,), of -1 to 1."""

    factor: Factor
    deviation: tuple[NotNegative, ...] = Field(max_length=16)


class FieldEncoderSpec(FieldEncoderShape):
    """The network that estimates W+ from a cell of an LR field: its shape, and how it was fitted.

    ``levels`` are those of the HR crops that it was fitted to: a generator's own cells need not be
    as bright as real ones. ``misfit`` is of held-out crops: what goes beyond it in LR crops is
    noise. Without ``start`` that is all that it is for: no search starts at its estimates.
    """

    images: Count = Field(ge=1, description="Number of HR crops that it was fitted to.")
    validation: Count = Field(ge=1, description="Number of held-out crops.")
    steps: Count
    batch_size: Count = Field(ge=1)
    seed: Seed
    ratios: tuple[float, float] = Field(description="Least and largest ratio that it has seen.")
    crop_factors: tuple[Factor, ...] = Field(
        default=(), max_length=16, description="Factors of the LR crops that it has seen."
    )
    l1: NotNegative = Field(
        description="Mean absolute error of its images of the held-out crops, of -1 to 1."
    )
    levels: tuple[LevelsAt, ...] = Field(max_length=32)
    misfit: tuple[MisfitAt, ...] = Field(default=(), max_length=32)
    start: bool = True
    data: Text = Field(description="The HR crops.")

    def check_channels(self, channels: int) -> None:
        """Check that there is a number for each channel; raise ValueError if not."""
        for levels in self.levels:
            ends = levels.least, levels.dark, levels.bright, levels.most
            if any(len(end) != channels for end in ends):
                raise ValueError("the field encoder's levels need a number for each channel")
        if any(len(misfit.deviation) != channels for misfit in self.misfit):
            raise ValueError("the field encoder's misfit needs a number for each channel")

    def knows(self, ratio: float) -> bool:
        """Tell whether it has seen fields of such a ratio."""
        return self.ratios[0] <= ratio <= self.ratios[1]

    def knows_crops(self, factor: int) -> bool:
        """Tell whether it has seen crops between which the factor lies."""
        return bool(self.crop_factors) and (
            min(self.crop_factors) <= factor <= max(self.crop_factors)
        )

    @property
    def shape(self) -> FieldEncoderShape:
        """The same without what the fit found."""
        return FieldEncoderShape(**self.model_dump(include={*FieldEncoderShape.model_fields}))


COARSE: Final = 8
"""HR pixels along a pixel of coarse images."""

ABOVE: Final = 16.0
"""HR pixels along an LR pixel above which a coarse image is drawn first, and an image of that."""

LEAST_SIDE: Final = 8
"""Side in pixels of the smallest images that networks draw."""

FlowPart: TypeAlias = Literal["image", "coarse"]
"""What flow matching draws: images, or coarse ones that come before where LR pixels are large."""


class FlowMatchingShape(Part):
    """Shape of the network that draws images at random which a cell may have."""

    width: int = Field(default=40, ge=2, le=512, description="Feature maps of the first level.")
    coloured: bool = Field(
        default=False, description="Whether images come from noise with more of coarse parts."
    )


class FlowMatchingSpec(FlowMatchingShape):
    """The network that draws images at random which a cell may have: shape, and how it was fitted.

    It knows the ratios and LR crops that the field encoder knows.
    """

    images: Count = Field(ge=1, description="Number of HR crops that it was fitted to.")
    validation: Count = Field(ge=1, description="Number of held-out crops.")
    steps: Count
    batch_size: Count = Field(ge=1)
    seed: Seed
    l1: NotNegative = Field(
        description="Mean absolute error of an image drawn of each held-out crop, of -1 to 1."
    )
    data: Text = Field(description="The HR crops.")

    @property
    def shape(self) -> FlowMatchingShape:
        """The same without what the fit found."""
        return FlowMatchingShape(**self.model_dump(include={*FlowMatchingShape.model_fields}))
