"""How a field was seen, as far as it tells itself."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.errors import SettingsError
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.reading import Reading
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.fields import microscope
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.microscope import noise_of, ratio_of


def test_the_noise_of_a_large_field_is_that_of_parts_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    light = np.linspace(0, 500, 512) * np.ones((400, 1))
    pixels = 100 + 2 * rng.poisson(light) + rng.normal(0, 3, light.shape)
    field = CellStack(pixels.round().astype(np.uint16)[None, None], ("DNA",), leading=None)
    monkeypatch.setattr(microscope, "_SIDE", 128)
    monkeypatch.setattr(microscope, "_MOST_PIXELS", 4 * 128**2)
    shapes = [part.shape for part in microscope._parts(field.data[0], 4 * 128**2)]
    assert shapes == [(1, 128, 128)] * 4
    noise, _ = noise_of([field], FieldSettings(), Settings(camera_offset=100))
    assert noise.gain[0] == pytest.approx(2, rel=0.1)


def test_a_ratio_that_an_unknown_unit_hides_is_told_with_the_unit(tiny_bundle) -> None:
    field = CellStack(
        np.zeros((1, 2, 8, 8)), ("a", "b"), leading=None, reading=Reading(unit="furlong")
    )
    words = "given in 'furlong', which is no unit.*The ratio of pixel sizes is not known"
    with pytest.raises(SettingsError, match=words):
        ratio_of(field, tiny_bundle, FieldSettings())
