"""Cells in their places: LR windows, their D, the start of their search."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from field_bench import COUNTS, GAIN, NOISE, OFFSET, READ, drawn_field

from napari_rls.models.intensity import IntensityMap
from napari_rls.search.noise import MISFIT
from napari_rls.workflow.cells.lr_field import degrade_field
from napari_rls.workflow.fields.placed_cells import PlacedCells
from napari_rls.workflow.fields.sr_field import on_hr_grid

INTENSITY = IntensityMap("match", (OFFSET,) * 2, (OFFSET + 255 * COUNTS,) * 2)


def cut(ratio: float, field: np.ndarray, places: np.ndarray) -> PlacedCells:
    return PlacedCells.cut(
        field, places, hr_size=64, ratio=ratio, sigma=0.45, psf="gaussian", noise=NOISE
    )


@pytest.mark.parametrize("ratio", [4.0, 6.4, 8.0])
def test_d_makes_the_window_of_a_crop_cut_anywhere_in_the_field(ratio: float) -> None:
    drawn = drawn_field(8.0)
    clean = degrade_field(drawn.hr, ratio, 0.45)
    places = on_hr_grid(np.array([(60.2, 70.9), (64.0, 100.5)]) / ratio, 64, ratio)
    cells = cut(ratio, clean, places)
    first = np.round((places + 0.5) * ratio - 0.5 - 31.5).astype(int)
    crops = np.array([drawn.hr[:, y : y + 64, x : x + 64] for y, x in first])
    seen = cells.optics(torch.from_numpy(crops)).numpy()
    # Pixels whose light comes from the crop alone.
    whole = np.broadcast_to(cells.optics.share.numpy()[:, None] > 0.9999, seen.shape)
    assert whole.any()
    np.testing.assert_allclose(seen[whole], cells.lr[whole], atol=0.05)
    assert np.isnan(
        cells.lr[np.broadcast_to(~cells.optics.inside.numpy()[:, None], seen.shape)]
    ).all()


def test_pixels_beyond_the_field_are_not_compared() -> None:
    cells = cut(8.0, drawn_field().lr.data[0], np.array([[1.0, 1.0]]))
    known = np.isfinite(cells.lr[0])
    inside = cells.optics.inside[0].numpy()
    assert known.all(0).sum() == inside.sum() < 0.6 * inside.size
    assert np.isfinite(cells.upsampled).all()


def test_the_deviation_is_that_of_the_noise_and_of_what_the_generator_leaves_out() -> None:
    field = np.full((2, 20, 20), OFFSET + 500.0)
    seen = cut(8.0, field, np.array([[9.5, 9.5]])).seen(np.array([0]), INTENSITY)
    unit = 255 * COUNTS / 2
    expected = np.sqrt((GAIN * 500 + READ**2) / unit**2 + MISFIT**2)
    np.testing.assert_allclose(seen.deviation.numpy(), expected, rtol=1e-5)


def test_the_start_is_the_cell_on_the_grid_of_the_encoder() -> None:
    drawn = drawn_field(8.0)
    cells = cut(8.0, degrade_field(drawn.hr, 8.0, 0.45) * COUNTS + OFFSET, drawn.places)
    seen = cells.seen(np.arange(len(cells)), INTENSITY)
    assert seen.interpolated.shape == (6, 2, 64, 64)
    start = seen.on_grid(8)
    assert start.shape == (6, 2, 8, 8)
    aligned = INTENSITY.encode(cells.lr[:, :, :8, :8])
    # On the same grid, interpolation and downscaling change little.
    assert np.abs(start.numpy() - aligned).mean() < 0.03
