"""What a bundle will be and say of itself, as far as it is known before anything is trained."""

from __future__ import annotations

from pydantic import Field, model_validator

from napari_rls.models.architecture import Architecture
from napari_rls.models.camera import CameraNoise
from napari_rls.models.manifest import (
    Channel,
    EncoderShape,
    EncoderSpec,
    FlowFit,
    FlowSpec,
    Intensity,
    Manifest,
    Training,
    check_channels,
    check_factors,
    check_flow,
)
from napari_rls.models.part import Line, Name, Part, Text


class Blueprint(Part):
    """The shape of a bundle's networks and the words of its manifest.

    Nothing in it is a guess at what trainings and fits will find: with what they found it
    becomes the manifest, once, by :meth:`manifest`. Fields are called as the manifest's.

    Parameters
    ----------
    pixel_size_um, intensity
        None until the images have been looked at.
    data
        The images that the generator is trained on, in words.
    """

    name: Name
    title: Line
    architecture: Architecture
    channels: tuple[Channel, ...] = Field(max_length=16)
    pixel_size_um: float | None = Field(default=None, ge=1e-6, le=1e6)
    intensity: Intensity | None = None
    flow: FlowSpec
    encoder: EncoderShape | None = None
    data: Text
    licence: Text
    attribution: Text
    intended_use: Text
    limits: Text
    created_by: Line

    @model_validator(mode="after")
    def _parts_fit(self) -> Blueprint:
        check_channels(self.architecture, self.channels)
        check_factors(self.architecture, self.encoder)
        check_flow(self.architecture, self.flow)
        return self

    @property
    def hr_size(self) -> int:
        """Side of the HR image, in pixels."""
        return self.architecture.resolution

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in the generator's order."""
        return tuple(channel.name for channel in self.channels)

    def manifest(
        self,
        training: Training,
        flow_fit: FlowFit,
        encoder: EncoderSpec | None,
        camera: CameraNoise | None = None,
    ) -> Manifest:
        """Return the manifest, with what the training and the fits have found.

        Raises
        ------
        ValidationError
            If they are of other networks than these, or the intensities are not known yet.
        """
        words = {n: getattr(self, n) for n in type(self).model_fields if n not in _FOUND}
        return Manifest(
            **words, training=training, flow_fit=flow_fit, encoder=encoder, camera=camera
        )


_FOUND = frozenset({"encoder", "data"})
"""Parts of which the manifest has what was found."""
