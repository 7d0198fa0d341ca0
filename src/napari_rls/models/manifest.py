"""The manifest of a model bundle: what it is, where it comes from, what it may be used for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field, model_validator

from napari_rls.models.architecture import Architecture
from napari_rls.models.camera import CameraNoise
from napari_rls.models.direct_spec import DirectSpec
from napari_rls.models.field_specs import (
    COARSE,
    LEAST_SIDE,
    FieldEncoderSpec,
    FlowMatchingSpec,
    FlowPart,
)
from napari_rls.models.part import (
    LARGEST,
    Count,
    Factor,
    Line,
    Name,
    NotNegative,
    Number,
    Part,
    PlainSettings,
    Seed,
    Text,
)
from napari_rls.models.trust import Trust

FORMAT_VERSION: Final = 11
"""Version 2 added ``measurement`` and ``trust``, 3 ``pix2pix``, 4 ``camera``, 5 ``field_encoder``,
6 ``flow_matching``, 7 ``direct`` and, in ``trust``, ``pixels``, ``left_open``, ``no_cells`` and
the ``reliability`` of corrections, 8 ``coloured`` in ``flow_matching``, 9 ``coarse_flow``, 10
``shrinkage`` in ``direct``, 11 ``step`` in ``camera``; older files read as before."""

_MOST_FACTORS = 8
"""Scale factors: the powers of two from 2 to 256."""

_LEAST_SPAN = 1e-9
"""An intensity range that is a smaller share of its ends has no digits in float32."""


class Channel(Part):
    """One image channel."""

    name: Name
    colour: str = Field(
        default="#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="Display colour, #rrggbb."
    )


class Intensity(Part):
    """Intensities of the training images and how they map to the generator's -1 to 1."""

    low: Number = Field(default=0.0, description="Intensity that the generator sees as -1.")
    high: Number = Field(default=255.0, description="Intensity that the generator sees as 1.")
    unit: Line = "grey levels"
    note: Text = ""

    @model_validator(mode="after")
    def _high_above_low(self) -> Intensity:
        if not self.high > self.low:
            raise ValueError("intensity.high must be greater than intensity.low")
        span = self.high - self.low
        if span < 1 / LARGEST or span < max(abs(self.low), abs(self.high)) * _LEAST_SPAN:
            raise ValueError("intensity.low and intensity.high are too near each other")
        return self


class FlowSpec(Part):
    """Shape of the normalizing flow over standardised w."""

    kind: Literal["maf", "realnvp"] = "maf"
    blocks: int = Field(default=5, ge=1, le=32)
    hidden: int = Field(default=1024, ge=1, le=8192)
    hidden_layers: int = Field(default=2, ge=1, le=8)


LARGEST_KS = 0.3
"""Distance from which on a flow does not describe the latents: those of our bundles have half."""


class FlowFit(Part):
    """How the flow was fitted and how well it fits."""

    samples: Count = Field(
        ge=1, description="Mapping-network samples used, held-out part included."
    )
    seed: Seed
    epochs: Count
    held_out_nats: Number = Field(
        description="Mean negative log-density of held-out w, standardised, in nats."
    )
    ks_distance: float = Field(
        ge=0,
        le=1,
        description="Kolmogorov-Smirnov distance of the squared norms of F(w) from chi-squared.",
    )


class EncoderShape(Part):
    """Shape of the networks that estimate w from the LR image, one per factor, and their data."""

    factors: tuple[Factor, ...] = Field(max_length=_MOST_FACTORS)
    hidden: int = Field(default=256, ge=1, le=8192)
    samples: Count = Field(ge=1, description="Generated images used, held-out part included.")
    noise: float = Field(
        default=0.04,
        ge=0,
        le=100,
        description="Deviation of the noise on the LR images, of -1 to 1.",
    )
    seed: Seed

    @model_validator(mode="after")
    def _factors_differ(self) -> EncoderShape:
        if len(set(self.factors)) != len(self.factors):
            raise ValueError("each factor can have one encoder")
        return self


class EncoderSpec(EncoderShape):
    """Shape and fit of the networks that estimate w from the LR image, one per factor."""

    held_out_error: tuple[NotNegative, ...] = Field(
        description="Mean squared error of held-out standardised w for each factor."
    )

    @property
    def shape(self) -> EncoderShape:
        """The same without what the fit found."""
        return EncoderShape.model_validate(self.model_dump(exclude={"held_out_error"}))

    @model_validator(mode="after")
    def _one_of_each(self) -> EncoderSpec:
        if len(self.held_out_error) != len(self.factors):
            raise ValueError("encoder.held_out_error needs a number for each factor")
        return self


class Pix2PixNetwork(Part):
    """Shape and training of the U-Net of one scale factor."""

    factor: Factor
    width: int = Field(ge=1, le=512, description="Feature maps of the first level.")
    width_max: int = Field(ge=1, le=1024, description="Feature maps of a level at most.")
    images: Count = Field(ge=1, description="Number of training crops.")
    validation: Count = Field(ge=1, description="Number of held-out crops.")
    steps: Count = Field(description="Steps of training.")
    batch_size: Count = Field(ge=1, description="Pairs in a step.")
    seed: Seed
    l1: NotNegative = Field(
        description="Mean absolute error on the held-out crops, of -1 to 1, no dropout."
    )
    bicubic_l1: NotNegative = Field(description="The same of bicubic upsampling.")
    data: Text = Field(description="The HR crops.")


class Pix2PixSpec(Part):
    """The networks that draw an SR image at once, a rival of the search."""

    networks: tuple[Pix2PixNetwork, ...] = Field(max_length=_MOST_FACTORS)

    @property
    def factors(self) -> tuple[int, ...]:
        """Scale factors of the networks."""
        return tuple(network.factor for network in self.networks)


class Training(Part):
    """What the generator was trained on, and for how long."""

    data: Text
    images: Count | None = Field(default=None, description="Number of training crops.")
    kimg: NotNegative | None = Field(default=None, description="Thousands of images shown.")
    validation: Count | None = Field(default=None, description="Number of held-out crops.")
    kid: Number | None = Field(
        default=None,
        description="KID between generated images and the held-out crops, the lowest of the run; "
        "None: not scored, the last weight average.",
    )
    fid: Number | None = Field(default=None, description="FID between the same.")
    features: Line | None = Field(
        default=None, description="Network on whose features KID and FID were computed."
    )


class Manifest(Part):
    """Everything that a bundle says of itself.

    ``content_hash`` is the SHA-256 over the manifest's other fields and all
    tensors; see :mod:`napari_rls.models.bundle_file`.
    """

    format_version: Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] = FORMAT_VERSION
    name: Name
    title: Line
    architecture: Architecture
    channels: tuple[Channel, ...] = Field(max_length=16)
    pixel_size_um: float | None = Field(
        default=None, ge=1e-6, le=1e6, description="Side of an HR pixel in micrometres, if known."
    )
    intensity: Intensity = Intensity()
    camera: CameraNoise | None = Field(
        default=None,
        description="Noise that the generator leaves out and HR images have, in its unit; None: "
        "not known, and none is drawn.",
    )
    flow: FlowSpec
    flow_fit: FlowFit
    encoder: EncoderSpec | None = None
    field_encoder: FieldEncoderSpec | None = None
    flow_matching: FlowMatchingSpec | None = None
    coarse_flow: FlowMatchingSpec | None = None
    pix2pix: Pix2PixSpec | None = None
    direct: DirectSpec | None = None
    training: Training
    measurement: PlainSettings = Field(
        default={}, description="Settings of the measurement that suits the cells."
    )
    trust: tuple[Trust, ...] = Field(
        default=(),
        max_length=_MOST_FACTORS,
        description="What held-out crops say of the results, by scale factor.",
    )
    licence: Text
    attribution: Text
    intended_use: Text
    limits: Text
    created_by: Line
    content_hash: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _channels_fit(self) -> Manifest:
        check_channels(self.architecture, self.channels)
        check_factors(self.architecture, self.encoder)
        if self.camera and len(self.camera.slope) != len(self.channels):
            raise ValueError("the camera's noise needs a number for each channel")
        if self.field_encoder:
            self.field_encoder.check_channels(len(self.channels))
        factors = self.pix2pix.factors if self.pix2pix else ()
        for factor in factors:
            if self.architecture.resolution % factor:
                raise ValueError(f"the HR size is no multiple of the Pix2Pix factor {factor}")
        if len(set(factors)) != len(factors):
            raise ValueError("each factor can have one Pix2Pix network")
        for factor in self.direct.factors if self.direct else ():
            if self.architecture.resolution % factor:
                raise ValueError(f"the HR size is no multiple of the direct factor {factor}")
        if len({trust.factor for trust in self.trust}) != len(self.trust):
            raise ValueError("each factor can have one entry of trust")
        check_flow(self.architecture, self.flow)
        return self

    @model_validator(mode="after")
    def _flows_fit(self) -> Manifest:
        if self.flow_matching and not (self.field_encoder and self.field_encoder.image_width):
            raise ValueError("flow matching needs a field encoder that draws the expected image")
        if self.coarse_flow and not (self.flow_matching and self.draws_coarse):
            raise ValueError(
                f"coarse images need flow matching and {COARSE * LEAST_SIDE} HR pixels along a cell"
            )
        return self

    @property
    def flows(self) -> dict[FlowPart, FlowMatchingSpec | None]:
        """The networks of flow matching, by what they draw."""
        return {"image": self.flow_matching, "coarse": self.coarse_flow}

    @property
    def draws_coarse(self) -> bool:
        """Whether coarse images of its cells have as many pixels as a network takes."""
        return self.hr_size // COARSE >= LEAST_SIDE

    @property
    def hr_size(self) -> int:
        """Side of the HR image, in pixels."""
        return self.architecture.resolution

    @property
    def flow_doubt(self) -> str:
        """Why lambda_w has little to go by, in a sentence; "" where the flow fits."""
        distance = self.flow_fit.ks_distance
        if distance <= LARGEST_KS:
            return ""
        return (
            f"The flow of the bundle {self.name} does not describe its generator "
            f"(Kolmogorov-Smirnov distance {distance:.2f}, usual: below {LARGEST_KS:g}): lambda_w "
            "has nothing to go by, so that results may be no cells; fit it to more samples or for "
            "longer."
        )

    def trust_at(self, factor: int) -> Trust | None:
        """Return what is known of the results at a scale factor, or None."""
        return next((trust for trust in self.trust if trust.factor == factor), None)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in the generator's order."""
        return tuple(c.name for c in self.channels)


def check_channels(architecture: Architecture, channels: Sequence[Channel]) -> None:
    """Check that a generator's channels have a name each; raise ValueError if not."""
    if len(channels) != architecture.image_channels:
        raise ValueError(
            f"{len(channels)} channel names for a generator of "
            f"{architecture.image_channels} channels"
        )
    if len({channel.name for channel in channels}) != len(channels):
        raise ValueError("channel names must differ")


def check_factors(architecture: Architecture, encoder: EncoderShape | None) -> None:
    """Check that encoders are of factors that divide the HR size; raise ValueError if not."""
    for factor in encoder.factors if encoder else ():
        if architecture.resolution % factor:
            raise ValueError(f"the HR size is no multiple of the encoder's factor {factor}")


def check_flow(architecture: Architecture, flow: FlowSpec) -> None:
    """Check that a flow can be one of a generator's w; raise ValueError if not."""
    if flow.kind == "realnvp" and architecture.w_dim < 2:
        raise ValueError("a flow of kind realnvp needs 2 dimensions of w")
