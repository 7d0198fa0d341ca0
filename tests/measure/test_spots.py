"""Spots of the centre cell against images whose answer is known."""

import numpy as np
import pytest
from scipy import ndimage
from synthetic_cells import disc

from napari_rls.measure.spots import SpotSettings, find_spots
from napari_rls.simulate.golgi import CONTROL, NOCODAZOLE, simulate_golgi

SIDE = 128


def cell(
    spots: list[tuple[float, float, float]], background: float = 50, noise: float = 1.0
) -> np.ndarray:
    """A nucleus in the centre and spots (y, x, radius), both blurred a little."""
    rng = np.random.default_rng(0)
    dna = 20 + 300.0 * disc((SIDE, SIDE), (64, 64), 20)
    signal = np.full((SIDE, SIDE), background)
    for y, x, radius in spots:
        signal[disc((SIDE, SIDE), (y, x), radius)] = 500
    image = np.stack([ndimage.gaussian_filter(plane, 0.8) for plane in (dna, signal)])
    return image + rng.normal(0, noise, image.shape)


def test_count_areas_and_distances_of_discs() -> None:
    spots = find_spots(cell([(64, 94, 4), (34, 64, 3), (100, 64, 2.5)]))
    assert len(spots) == 3
    truth = [disc((SIDE, SIDE), (y, x), r).sum() for y, x, r in ((34, 64, 3), (64, 94, 4))]
    np.testing.assert_allclose(spots.areas[:2], truth, rtol=0.3)
    np.testing.assert_allclose(spots.distances, [10, 10, 16], atol=1)
    assert spots.mean_area == pytest.approx(spots.areas.mean())
    assert spots.total_area == spots.areas.sum() == (spots.labels > 0).sum()
    assert spots.largest_share == spots.areas.max() / spots.areas.sum()


def test_the_share_of_light_in_spots() -> None:
    everything = find_spots(cell([(64, 94, 4), (34, 64, 3)], noise=0))
    assert everything.share == pytest.approx(1, abs=0.15)
    image = cell([(64, 94, 4)], noise=0)
    image[1] += 100 * disc((SIDE, SIDE), (40, 64), 12)
    assert find_spots(image).share < everything.share - 0.3


def test_spots_nearer_to_another_nucleus_or_too_far_are_not_counted() -> None:
    image = cell([(64, 94, 4), (16, 24, 4)])
    alone = find_spots(image)
    assert len(alone) == 2
    image[0] += 300.0 * disc((SIDE, SIDE), (10, 10), 9)
    assert len(find_spots(image, settings=SpotSettings(nucleus={"min_area": 100}))) == 1
    assert len(find_spots(image, settings=SpotSettings(cell_radius=20))) == 1


def test_specks_are_dropped_by_their_area() -> None:
    image = cell([(64, 94, 4)])
    image[1, 30, 64] = 500
    unblurred = SpotSettings(smoothing=0, min_area=2)
    assert len(find_spots(image, settings=unblurred.model_copy(update={"min_area": 1}))) == 2
    assert len(find_spots(image, settings=unblurred)) == 1


@pytest.mark.parametrize("unit", [1.0, 1e-4, 40.0])
def test_the_unit_does_not_matter(unit: float) -> None:
    image = cell([(64, 94, 4), (34, 64, 3)])
    np.testing.assert_array_equal(find_spots(image * unit).areas, find_spots(image).areas)


def test_a_cell_without_spots_has_none_and_an_image_without_a_cell_says_so() -> None:
    empty = find_spots(cell([]))
    assert (len(empty), empty.found, empty.total_area) == (0, True, 0)
    assert np.isnan([empty.mean_area, empty.median_area, empty.largest_share]).all()
    flat = find_spots(np.full((2, SIDE, SIDE), 7, np.uint8))
    assert (len(flat), flat.found) == (0, False)
    assert np.isnan([flat.total_area, flat.share]).all()
    constant = cell([])
    constant[1] = 3
    assert (len(find_spots(constant)), find_spots(constant).share) == (0, 0.0)
    constant[1, 0, 0] = np.nan
    assert not find_spots(constant).found


def test_simulated_cells_give_their_true_areas_and_conditions_part() -> None:
    mean: dict[str, list[float]] = {}
    for condition in (CONTROL, NOCODAZOLE):
        cells = [simulate_golgi(condition, np.random.default_rng([9, k])) for k in range(10)]
        spots = [find_spots(c.image) for c in cells]
        truth = np.mean([np.mean(c.areas_um2) for c in cells])
        mean[condition] = [
            s.mean_area * c.pixel_size_um**2 for s, c in zip(spots, cells, strict=True)
        ]
        assert np.mean(mean[condition]) == pytest.approx(truth, rel=0.35)
        counts = np.mean([len(s) for s in spots])
        assert counts == pytest.approx(np.mean([len(c.areas_um2) for c in cells]), rel=0.35)
    assert min(mean[CONTROL]) > max(mean[NOCODAZOLE])
