"""The shape of a StyleGAN2 generator, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from napari_rls.models.part import Part


class Architecture(Part):
    """Shape of a StyleGAN2 generator in the terms of stylegan2-ada-pytorch.

    The upper bounds keep a hostile manifest from asking for more memory than a
    real generator ever needs.
    """

    kind: Literal["stylegan2"] = "stylegan2"
    resolution: int = Field(ge=8, le=1024, description="HR image side, in pixels.")
    image_channels: int = Field(ge=1, le=16, description="Number of image channels.")
    z_dim: int = Field(default=512, ge=1, le=4096, description="Dimensions of Z.")
    w_dim: int = Field(default=512, ge=1, le=4096, description="Dimensions of W.")
    mapping_layers: int = Field(default=8, ge=1, le=32)
    channel_base: int = Field(default=32768, ge=1, le=131072)
    channel_max: int = Field(default=512, ge=1, le=2048)
    conv_clamp: float | None = Field(
        default=None, ge=1e-3, le=1e9, description="Layer outputs are clamped to +- this value."
    )

    @model_validator(mode="after")
    def _resolution_is_a_power_of_two(self) -> Architecture:
        if self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution {self.resolution} is not a power of two")
        return self

    @model_validator(mode="after")
    def _every_block_has_features(self) -> Architecture:
        if not self.width(self.resolution):
            raise ValueError(
                f"channel_base {self.channel_base} leaves no feature maps at {self.resolution} "
                "pixels"
            )
        return self

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides of the synthesis blocks, from 4 to ``resolution``."""
        return tuple(2**k for k in range(2, self.resolution.bit_length()))

    @property
    def num_ws(self) -> int:
        """Number L of latent vectors of W+: two per resolution, 2 log2(n) - 2."""
        return 2 * len(self.resolutions)

    def width(self, resolution: int) -> int:
        """Feature maps of the block at ``resolution``."""
        return min(self.channel_base // resolution, self.channel_max)
