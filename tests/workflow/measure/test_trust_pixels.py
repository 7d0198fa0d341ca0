"""Trust masks of SR cells by their record, and what a bundle makes of crops without cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_rls import load_bundle
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.trust import PixelTrust, Trust
from napari_rls.search.settings import Settings
from napari_rls.workflow.measure.no_cells import crops_without_cells, search_without_cells
from napari_rls.workflow.measure.trust_pixels import trust_mask

SIDE = 64


@pytest.fixture(scope="module")
def known() -> Trust:
    """Return what the embedded bundle knows at 16x, and limits of a trust mask."""
    found = load_bundle("bbbc013-translocation-64").manifest.trust_at(16)
    assert found is not None
    pixels = PixelTrust(
        cells=72, alpha=0.2, smoothing=0, blur=1, limits=(0.1, None), shares=(0.5, 0)
    )
    return found.model_copy(update={"pixels": pixels})


def ordinary(trust: Trust, cells: int = 3) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return SR images, samples and the record of cells like the held-out ones.

    The samples of every other column differ by 40 grey levels, those between by 4.
    """
    bundle = load_bundle("bbbc013-translocation-64")
    image = bundle.generator(bundle.draw_z(cells, 1)).detach().numpy()
    sr = (127.5 * (image + 1)).astype(np.float32)
    apart = np.where(np.arange(SIDE) % 2, 20, 2) * np.array([-1, 1])[:, None]
    samples = sr + apart[:, None, None, None].astype(np.float32)
    record = {
        "settings": {**trust.settings, "factor": 16},
        "start": trust.settings["start"],
        "intensity": {"low": [0.0, 0.0], "high": [255.0, 255.0]},
        "cells": [
            {
                "lr_residual": [255 * trust.domain.lr_residual[50]] * 2,
                "log_density": trust.domain.log_density[50],
            }
        ]
        * cells,
        "bundle": {"trust": trust.model_dump(mode="json")},
    }
    return sr, samples, record


def test_a_mask_holds_the_pixels_whose_samples_lie_close_together(known: Trust) -> None:
    found = trust_mask(*ordinary(known))
    assert found.pixels is not None
    assert found.pixels[:, 0, :, ::2].all()
    assert not found.pixels[:, 0, :, 1::2].any()
    # No limit of the second channel is safe.
    assert not found.pixels[:, 1].any()
    assert found.told == (
        "Trust mask: the largest error inside it is at most 20 % of the intensity range in the "
        "mean over cells, as 72 held-out cells tell."
    )


def test_nothing_is_trusted_of_cells_that_the_bundle_does_not_know(known: Trust) -> None:
    sr, samples, record = ordinary(known)
    record["cells"] = [record["cells"][0], {"lr_residual": [99.0, 99.0], "log_density": 0.0}] * 2
    record["cells"] = record["cells"][:3]
    samples[0, 2, 0, 0, 0] = np.nan
    found = trust_mask(sr, samples, record)
    assert found.pixels is not None
    assert found.pixels.any((1, 2, 3)).tolist() == [True, False, False]
    assert found.told.endswith("2 cells are not like them: nothing there is to be trusted.")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"method": "pulse"}}, "it holds for other settings (method)"),
        ({"settings": {"posterior": "bound"}}, "it holds for other settings (posterior)"),
        ({"settings": {"samples": 9}}, "it holds for other settings (samples)"),
        ({"bundle": {"trust": None}}, "the bundle has none for this scale factor"),
        ({"bundle": {"trust": {"pixels": None}}}, "the bundle was not calibrated for one; "),
        ({"bundle": {"trust": {"domain": 1}}}, "that of the bundle cannot be read"),
    ],
)
def test_without_a_calibration_that_holds_there_is_a_reason(
    known: Trust, changes: dict[str, Any], said: str
) -> None:
    sr, samples, record = ordinary(known)
    if "settings" in changes:
        record["settings"] |= changes["settings"]
    elif (of_trust := changes["bundle"]["trust"]) is None:
        record["bundle"] = {}
    else:
        record["bundle"]["trust"] |= of_trust
    found = trust_mask(sr, samples, record)
    assert found.pixels is None
    assert found.told.startswith(f"There is no trust mask: {said}")
    assert found.told.endswith(".")


def test_one_sample_is_not_enough(known: Trust) -> None:
    sr, samples, record = ordinary(known)
    for some in (None, samples[:1]):
        told = trust_mask(sr, some, record).told
        assert told == "There is no trust mask: it takes at least two samples of each cell."


def test_a_record_of_an_older_bundle_is_read(known: Trust) -> None:
    stored = known.model_dump(mode="json")
    for name in ("pixels", "left_open", "no_cells"):
        del stored[name]
    back = Trust.model_validate(stored)
    assert (back.pixels, back.left_open, back.no_cells) == (None, (), ())


@pytest.mark.parametrize("kind", ["noise", "background"])
def test_crops_without_cells_are_what_they_are_called(kind) -> None:
    bundle = load_bundle("bbbc013-translocation-64")
    crops = crops_without_cells(bundle, Settings(factor=16), kind, 50)
    again = crops_without_cells(bundle, Settings(factor=16), kind, 50)
    np.testing.assert_array_equal(crops.data, again.data)
    assert crops.data.shape == (50, 2, 4, 4)
    if kind == "noise":
        assert crops.data.std() == pytest.approx(255 / np.sqrt(12), rel=0.05)
    else:
        assert (crops.data.mean((0, 2, 3)) < 255 / 8).all()
        assert crops.data.std((0, 2, 3)) == pytest.approx(2.55, rel=0.1)


def test_noise_and_empty_background_become_cells_and_are_flagged() -> None:
    bundle = load_bundle("bbbc013-translocation-64")
    trust = bundle.manifest.trust_at(16)
    assert trust is not None
    settings = Settings(factor=16, steps=20)
    measurement = MeasureSettings.model_validate(trust.measurement)
    tried = search_without_cells(bundle, settings, measurement, trust.domain, crops=4)
    assert [one.kind for one in tried] == ["noise", "background"]
    assert [one.flagged for one in tried] == [4, 4]
    # Whoever looked for nuclei alone would take them for cells.
    assert all(one.found >= 2 for one in tried)
