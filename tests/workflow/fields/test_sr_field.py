"""The SR image of a field: places on its grid, blending, regions, where it is generated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_rls.workflow.cells.lr_field import degrade_field
from napari_rls.workflow.fields.sr_field import SrField, on_hr_grid

SIZE = 32


def smooth(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, (0, 12, 12)).astype(np.float32) * 1000 + 50


@pytest.mark.parametrize("ratio", [2.0, 6.4, 8.0])
def test_crops_at_their_places_make_the_field_that_they_were_cut_from(ratio: float) -> None:
    hr = smooth((2, 160, 160))
    lr = degrade_field(hr, ratio, 0.45)
    rng = np.random.default_rng(1)
    places = on_hr_grid(rng.uniform(40, 120, (6, 2)) / ratio, SIZE, ratio)
    first = np.round((places + 0.5) * ratio - 0.5 - (SIZE - 1) / 2).astype(int)
    crops = np.array([hr[:, y : y + SIZE, x : x + SIZE] for y, x in first])
    image, generated = SrField(lr, crops, places, ratio).whole()
    covered = np.zeros_like(generated)
    for y, x in first:
        covered[y : y + SIZE, x : x + SIZE] = True
    assert image.shape == (2, *generated.shape)
    np.testing.assert_array_equal(generated, covered)
    inner = ndimage.binary_erosion(covered, iterations=10)
    # The interpolated LR image has a small weight everywhere.
    error = np.abs(image - hr[:, : image.shape[1], : image.shape[2]])[:, inner]
    assert error.max() < 0.1 * hr.std()
    outside = np.abs(image - hr[:, : image.shape[1], : image.shape[2]])[:, ~covered]
    assert np.median(outside) < 0.5 * hr.std()


def test_places_move_by_half_an_hr_pixel_at_most_and_stay_once_they_are_on_the_grid() -> None:
    places = np.random.default_rng(0).uniform(0, 100, (50, 2))
    for ratio in (1.5, 6.4, 16):
        moved = on_hr_grid(places, 64, ratio)
        assert np.abs(moved - places).max() <= 0.5 / ratio + 1e-9
        np.testing.assert_allclose(on_hr_grid(moved, 64, ratio), moved, atol=1e-9)


def test_regions_are_parts_of_the_whole() -> None:
    lr = smooth((2, 20, 25))
    places = on_hr_grid(np.array([[3.0, 4.0], [5.5, 6.0], [19.0, 24.0]]), SIZE, 8)
    field = SrField(lr, smooth((6, SIZE, SIZE), 1).reshape(3, 2, SIZE, SIZE), places, 8)
    whole, generated = field.whole()
    assert field.shape == whole.shape == (2, 160, 200)
    for rows, columns in field.tiles(64):
        part, mask = field.region(rows, columns)
        np.testing.assert_allclose(part, whole[:, rows, columns], rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(mask, generated[rows, columns])


def test_a_cell_without_an_image_leaves_the_lr_image() -> None:
    lr = smooth((1, 16, 16))
    places = on_hr_grid(np.array([[8.0, 8.0]]), SIZE, 4)
    nothing = np.full((1, 1, SIZE, SIZE), np.nan, np.float32)
    image, generated = SrField(lr, nothing, places, 4).whole()
    assert not generated.any()
    assert np.isfinite(image).all()
    # Cubic splines go through the LR pixels, whose centres lie between four HR pixels.
    back = image.reshape(1, 16, 4, 16, 4)[:, 4:12, 1:3, 4:12, 1:3].mean((2, 4))
    np.testing.assert_allclose(back, lr[:, 4:12, 4:12], rtol=0.05)


def test_labels_lie_on_their_cells_and_overlaps_go_to_the_nearer_one() -> None:
    lr = np.zeros((1, 20, 20), np.float32)
    places = on_hr_grid(np.array([[10.0, 6.0], [10.0, 8.0], [0.0, 0.0]]), SIZE, 8)
    labels = np.zeros((3, SIZE, SIZE), np.int32)
    labels[:, 4:28, 4:28] = np.arange(1, 4)[:, None, None]
    field = SrField(lr, np.zeros((3, 1, SIZE, SIZE), np.float32), places, 8)
    image = field.labels(labels)
    (y, x), (_, right), _ = np.round((places + 0.5) * 8 - 0.5 - (SIZE - 1) / 2).astype(int)
    assert image.shape == (160, 160)
    assert set(np.unique(image[y + 4 : y + 28, x + 4 : right + 28])) == {1, 2}
    middle = (x + right + SIZE) // 2
    assert (image[y + 16, x + 4 : middle] == 1).all()
    assert (image[y + 16, middle : right + 28] == 2).all()
    assert image[0, 0] == 3  # of a crop that reaches over the edge


def test_lr_pixels_are_shown_where_they_are_and_as_large() -> None:
    lr = smooth((2, 5, 4))
    field = SrField(lr, np.empty((0, 2, SIZE, SIZE), np.float32), np.empty((0, 2)), 8)
    shown = field.recorded(slice(-3, 40), slice(8, 35))
    np.testing.assert_array_equal(shown[:, 3:, :24], lr.repeat(8, 1).repeat(8, 2)[:, :, 8:])
    assert np.isnan(shown[:, :3]).all()
    assert np.isnan(shown[:, :, 24:]).all()
    # 6.4 HR pixels an LR pixel: each has 6 or 7, the 32nd begins the sixth.
    uneven = SrField(lr[:, :1].repeat(6, 1), field.sr, field.places, 6.4)
    rows = uneven.recorded(slice(0, 26), slice(0, 25))[0, 0]
    assert rows.tolist() == [lr[0, 0, int((k + 0.5) / 6.4)] for k in range(25)]
