"""The settings of a training run: one class for the widget, the CLI and the run folder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from napari_rls.files.changes import changes
from napari_rls.models.architecture import Architecture
from napari_rls.models.camera import CameraNoise
from napari_rls.models.field_notes import KIMG, PIXELS, Device, Threads
from napari_rls.models.manifest import Intensity
from napari_rls.models.part import Checked, Name


class TrainSettings(Checked):
    """All that determines a training run, beside the HR crops and the first weights.

    Defaults are those of StyleGAN2-ADA (Karras et al. 2020) where its recipe does not
    depend on a million images, and smaller where it does: widths, ``ada_kimg``. The side of images
    is in pixels; a kimg is a thousand images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, PIXELS] = Field(default=64, ge=8, le=1024, description="HR image side.")
    channels: tuple[Name, ...] = Field(min_length=1, max_length=16, description="Channel names.")
    intensity: Intensity = Field(
        default=Intensity(), description="Intensities that become the generator's -1 and 1."
    )
    camera: CameraNoise | None = Field(
        default=None,
        description="Noise through which D sees generated images, in the generator's unit; None: "
        "the generator is to learn the noise as well.",
    )
    z_dim: int = Field(default=128, ge=1, le=4096, description="Dimensions of Z.")
    w_dim: int = Field(default=128, ge=1, le=4096, description="Dimensions of W.")
    mapping_layers: int = Field(default=8, ge=1, le=32, description="Layers from Z to W.")
    channel_max: int = Field(
        default=128, ge=1, le=2048, description="Feature maps at the lowest resolutions."
    )
    channel_last: int = Field(
        default=16, ge=1, le=512, description="Feature maps at full size; they double on halving."
    )
    kimg: float = Field(
        default=400, gt=0, le=100_000, description="Length of the run, in thousands of images."
    )
    batch_size: int = Field(default=16, ge=2, le=512, description="Images in a step.")
    learning_rate: float = Field(default=0.0025, gt=0, le=0.1, description="Step size of Adam.")
    decay_after_kimg: float = Field(
        default=0.0,
        ge=0,
        le=100_000,
        description="kimg after which the step size falls, so that a small batch comes to rest; "
        "0: never.",
    )
    decay_half_kimg: float = Field(
        default=25.0, gt=0, le=100_000, description="kimg in which a falling step size halves."
    )
    r1_gamma: float = Field(
        default=0.3, ge=0, le=1000, description="Weight of the gradient penalty R1."
    )
    r1_interval: int = Field(default=16, ge=1, le=1000, description="Steps from R1 to R1.")
    path_weight: float = Field(
        default=2.0, ge=0, le=100, description="Weight of path-length regularisation; 0 turns off."
    )
    path_interval: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="Steps from one path-length regularisation to the next.",
    )
    style_mixing: float = Field(
        default=0.9, ge=0, le=1, description="Share of images that mix two latent vectors."
    )
    ema_kimg: Annotated[float, KIMG] = Field(
        default=10.0, ge=0, le=1000, description="Half-life of the weight average."
    )
    ema_rampup: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The half-life is at most this share of the images so far; 0: no ramp-up.",
    )
    mirror: bool = Field(
        default=True, description="Count the 8 flips and right-angle rotations as training data."
    )
    ada_target: float = Field(
        default=0.6, ge=0, le=1, description="Mean sign of D on real images that ADA steers to."
    )
    ada_kimg: float = Field(
        default=75.0, gt=0, le=10_000, description="kimg in which p may go from 0 to 1."
    )
    ada_interval: int = Field(default=4, ge=1, le=1000, description="Steps between changes of p.")
    ada_start: float = Field(
        default=0.0, ge=0, le=1, description="Augmentation probability p at the start."
    )
    warmup_kimg: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description=(
            "kimg in which D learns alone, for a run that starts from trained weights: about 20, "
            "since a D that knows nothing yet lets a good G drift. In as many kimg after it, G's "
            "step size rises to its full value."
        ),
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of every random stream.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Arithmetic of the feature maps; weights are always float32."
    )
    device: Device = "auto"
    threads: Threads = 0
    checkpoint_minutes: float = Field(
        default=5.0, gt=0, le=1440, description="Minutes between checkpoints."
    )
    report_kimg: float = Field(default=1.0, gt=0, le=1000, description="kimg between reports.")
    sample_kimg: float = Field(
        default=10.0, gt=0, le=1000, description="kimg between sample grids."
    )
    snapshot_kimg: float = Field(
        default=20.0, gt=0, le=1000, description="kimg between kept generators."
    )

    @model_validator(mode="after")
    def _architecture_exists(self) -> TrainSettings:
        _ = self.architecture
        return self

    def decay(self, images: int) -> float:
        """Return the factor of the step size after so many images."""
        beyond = images / 1000 - self.decay_after_kimg
        falls = self.decay_after_kimg and beyond > 0
        return 0.5 ** (beyond / self.decay_half_kimg) if falls else 1.0

    @property
    def architecture(self) -> Architecture:
        """The generator's shape; the discriminator mirrors it."""
        return Architecture(
            resolution=self.size,
            image_channels=len(self.channels),
            z_dim=self.z_dim,
            w_dim=self.w_dim,
            mapping_layers=self.mapping_layers,
            channel_base=self.channel_last * self.size,
            channel_max=self.channel_max,
        )


MAY_CHANGE = frozenset(
    {"kimg", "device", "threads", "checkpoint_minutes"}
    | {"report_kimg", "sample_kimg", "snapshot_kimg"}
)
"""Settings that a resumed run may change: they alter no random number and no weight's path."""


def differing(old: TrainSettings, new: TrainSettings) -> list[str]:
    """Return the settings that forbid to go on with a run: 'name: old, now new'."""
    return changes(old.model_dump(), new.model_dump(), leave_out=MAY_CHANGE)
