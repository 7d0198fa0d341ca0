"""A manifest is made once, of a blueprint and of what training and fits have found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from napari_rls.models.blueprint import Blueprint
from napari_rls.models.camera import CameraNoise
from napari_rls.models.manifest import EncoderShape, EncoderSpec, Intensity, Training

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

SHAPE = EncoderShape(factors=(4, 8), hidden=32, samples=100, seed=3)
FOUND = EncoderSpec(**SHAPE.model_dump(), held_out_error=(0.25, 0.5))


def blueprint(bundle: Bundle, **changes: Any) -> Blueprint:
    """Return the blueprint of a bundle that is there already."""
    said = {name: getattr(bundle.manifest, name, None) for name in Blueprint.model_fields}
    return Blueprint(**said | {"encoder": SHAPE, "data": "none"} | changes)


def test_the_manifest_has_the_words_and_what_was_found(tiny_bundle: Bundle) -> None:
    training = Training(data="none", images=7, kimg=0.5)
    noise = CameraNoise(slope=(0.1, 0.2), floor=(0.0, 0.1))
    own = tiny_bundle.manifest
    made = blueprint(tiny_bundle).manifest(training, own.flow_fit, FOUND, noise)
    assert made.encoder is not None
    assert made.encoder.shape == SHAPE
    assert (made.training, made.flow_fit, made.camera) == (training, own.flow_fit, noise)
    same = ("name", "title", "architecture", "channels", "pixel_size_um", "intensity", "licence")
    assert all(getattr(made, name) == getattr(own, name) for name in same)


def test_no_manifest_without_the_intensities_or_with_other_encoders(tiny_bundle: Bundle) -> None:
    fit, training = tiny_bundle.manifest.flow_fit, Training(data="none")
    unseen = blueprint(tiny_bundle, intensity=None)
    with pytest.raises(ValidationError, match="intensity"):
        unseen.manifest(training, fit, FOUND)
    seen = unseen.model_copy(update={"intensity": Intensity()})
    assert seen.manifest(training, fit, None).encoder is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"channels": ()}, "0 channel names for a generator of 2 channels"),
        (
            {"encoder": EncoderShape(factors=(5,), samples=1, seed=0)},
            "the HR size is no multiple of the encoder's factor 5",
        ),
        ({"name": "/"}, "name"),
    ],
)
def test_what_cannot_be_a_bundle_is_refused_before_anything_is_trained(
    tiny_bundle: Bundle, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        blueprint(tiny_bundle, **changes)
