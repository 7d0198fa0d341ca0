"""Simulated cells: their truth is exact, their noise is what it says, and they look like cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_rls.measure.nuclei import NucleusSettings, find_nuclei
from napari_rls.measure.translocation import translocation_ratio
from napari_rls.simulate.assays import ASSAYS
from napari_rls.simulate.golgi import CONTROL, NOCODAZOLE, GolgiSettings, simulate_golgi
from napari_rls.simulate.optics import FINE, FineGrid, Optics, to_labels, to_pixels
from napari_rls.simulate.outline import random_outline
from napari_rls.simulate.scene import Population, SimulatedCell
from napari_rls.simulate.translocation import (
    TREATED,
    TranslocationAssay,
    draw_translocation,
    simulate_translocation,
)

SHARP = Optics(
    pixel_size_um=1.0, emission_um=(1e-6, 1e-6), haze=0, background=0, read_noise=0, offset=0
)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def golgi() -> dict[str, list[SimulatedCell]]:
    settings = GolgiSettings(size=96)
    return {
        condition: [simulate_golgi(condition, rng(0, k), settings) for k in range(10)]
        for condition in (CONTROL, NOCODAZOLE)
    }


def single_stack(diameter: float) -> SimulatedCell:
    """Return a control cell without neighbours whose Golgi is one stack."""
    settings = GolgiSettings(
        size=96, stacks=(1, 1), stack_um=(diameter, diameter), population=Population(density=0)
    )
    return simulate_golgi(CONTROL, rng(3), settings)


@pytest.mark.parametrize("diameter", [1.0, 1.9, 5.0])
def test_the_area_of_a_single_disc_is_that_of_a_disc(diameter: float) -> None:
    cell = single_stack(diameter)
    # Points along the outline decide: the error is of the order of the outline's length in points.
    step = cell.pixel_size_um / FINE
    tolerance = step**2 * math.sqrt(math.pi * diameter / step)
    assert len(cell.areas_um2) == 1
    assert cell.areas_um2[0] == pytest.approx(math.pi * diameter**2 / 4, abs=tolerance)


def test_labels_of_a_large_spot_have_its_area() -> None:
    cell = single_stack(5.0)
    labelled = (cell.spots == 1).sum() * cell.pixel_size_um**2
    assert labelled == pytest.approx(cell.areas_um2[0], rel=0.05)
    assert set(np.unique(cell.spots)) == {0, 1}


def test_a_spot_is_where_its_light_is() -> None:
    cell = single_stack(5.0)
    centre = ndimage.center_of_mass(cell.spots == 1)
    brightest = np.unravel_index(cell.expected[1].argmax(), cell.expected[1].shape)
    assert math.dist(centre, brightest) < 2


def test_areas_are_those_of_the_labelled_spots_of_the_middle_cell(
    golgi: dict[str, list[SimulatedCell]],
) -> None:
    for cell in golgi[NOCODAZOLE] + golgi[CONTROL]:
        fine_total = sum(cell.areas_um2)
        count = len(cell.areas_um2)
        labelled = ((cell.spots > 0) & (cell.spots <= count)).sum() * cell.pixel_size_um**2
        assert labelled == pytest.approx(fine_total, rel=0.1)


def test_conditions_differ_in_number_and_size_of_spots(
    golgi: dict[str, list[SimulatedCell]],
) -> None:
    counts = {c: [len(cell.areas_um2) for cell in cells] for c, cells in golgi.items()}
    means = {c: [np.mean(cell.areas_um2) for cell in cells] for c, cells in golgi.items()}
    assert np.median(counts[NOCODAZOLE]) > 2 * np.median(counts[CONTROL])
    assert np.median(means[CONTROL]) > 2 * np.median(means[NOCODAZOLE])


def test_default_golgi_cells_stay_what_bundles_were_trained_on() -> None:
    cells = [simulate_golgi((CONTROL, NOCODAZOLE)[k], rng(7, k)) for k in range(2)]
    assert [len(cell.areas_um2) for cell in cells] == [6, 25]
    known = [(36.4406, 141.0655, 66.9175), (64.1378, 101.2961, 60.1471)]
    for cell, (total, dna, signal) in zip(cells, known, strict=True):
        assert sum(cell.areas_um2) == pytest.approx(total, rel=1e-3)
        means = cell.expected.mean(axis=(1, 2))
        np.testing.assert_allclose(means, (dna, signal), rtol=1e-4)
        np.testing.assert_allclose(cell.image.mean(axis=(1, 2)) - 100, means, rtol=0.01)


def test_the_ratio_is_exact_on_the_drawing() -> None:
    settings = TranslocationAssay(optics=SHARP)
    for k, condition in enumerate((CONTROL, "dose=1", TREATED)):
        scene, ratio = draw_translocation(condition, rng(4, k), settings)
        own, nucleus = scene.cells == 1, scene.nuclei == 1
        light = scene.light[1]
        assert light[own & nucleus].mean() / light[own & ~nucleus].mean() == pytest.approx(ratio)


def test_the_ratio_is_seen_in_an_image_without_blur_and_noise() -> None:
    cell = simulate_translocation(TREATED, rng(5), TranslocationAssay(optics=SHARP))
    nucleus = cell.nuclei == 1
    cytoplasm = (cell.cells == 1) & ~nucleus
    signal = cell.expected[1]
    # Pixels that an outline crosses belong to two sides.
    assert signal[nucleus].mean() / signal[cytoplasm].mean() == pytest.approx(cell.ratio, rel=0.05)


def test_protein_moves_and_none_is_made() -> None:
    settings = TranslocationAssay(optics=SHARP)
    totals = []
    for condition in (CONTROL, TREATED):
        scene, _ = draw_translocation(condition, rng(6), settings)
        totals.append(scene.light[1][scene.cells == 1].sum())
    assert totals[0] == pytest.approx(totals[1])


def test_a_cell_lies_nowhere_but_where_it_is_labelled() -> None:
    scene, _ = draw_translocation(TREATED, rng(8), TranslocationAssay())
    assert (scene.light[1][scene.cells == 0] == 0).all()
    inside = scene.nuclei > 0
    np.testing.assert_array_equal(scene.cells[inside], scene.nuclei[inside])


def test_the_hill_equation() -> None:
    settings = TranslocationAssay(untreated=1, saturated=5, hill=2)
    assert settings.ratio_at(0) == 1
    assert settings.ratio_at(1) == 3
    assert settings.ratio_at(math.inf) == 5
    assert settings.ratio_at(3) == pytest.approx(1 + 4 * 9 / 10)


def test_ratios_follow_the_dose_and_vary_as_asked() -> None:
    settings = TranslocationAssay(size=32, ratio_variation=0.3)
    logs = [
        math.log(simulate_translocation("dose=2", rng(9, k), settings).ratio) for k in range(200)
    ]
    assert np.mean(logs) == pytest.approx(math.log(settings.ratio_at(2)), abs=4 * 0.3 / 200**0.5)
    assert np.std(logs) == pytest.approx(0.3, rel=0.25)


def test_the_measurement_tells_the_conditions_apart() -> None:
    measured: dict[str, list[float]] = {}
    for condition in (CONTROL, TREATED):
        cells = [simulate_translocation(condition, rng(10, k)) for k in range(12)]
        measured[condition] = [translocation_ratio(cell.image) for cell in cells]
        assert np.isfinite(measured[condition]).all()
    assert min(measured[TREATED]) > max(measured[CONTROL])


@pytest.mark.parametrize(
    ("assay", "settings", "reach"),
    [
        ("golgi", NucleusSettings(smoothing=2, min_area=400, min_distance=12), 3),
        ("translocation", NucleusSettings(), 2),
    ],
)
def test_the_nucleus_is_found_in_the_middle(
    assay: str, settings: NucleusSettings, reach: float
) -> None:
    model = ASSAYS[assay]
    for k, condition in enumerate(model.conditions):
        cell = model.simulate(condition, rng(11, k), model.size)
        nuclei = find_nuclei(cell.image[0], settings)
        middle = (model.size - 1) / 2
        distances = np.hypot(*(nuclei.centroids - middle).T)
        assert distances.min() < reach
        found = nuclei.labels == 1 + distances.argmin()
        true = cell.nuclei == 1
        assert (found & true).sum() / (found | true).sum() > 0.8


@pytest.mark.parametrize("assay", list(ASSAYS))
def test_a_seed_makes_the_same_cell_again(assay: str) -> None:
    model = ASSAYS[assay]

    def image(seed: int) -> NDArray[np.uint16]:
        return model.simulate(model.conditions[0], rng(seed), 48).image

    np.testing.assert_array_equal(image(1), image(1))
    assert (image(1) != image(2)).any()
    assert image(1).shape == (2, 48, 48)
    assert image(1).dtype == np.uint16


@pytest.mark.parametrize("assay", list(ASSAYS))
@pytest.mark.parametrize("condition", ["DMSO", "dose=", "dose=-1", "dose=nan"])
def test_there_is_no_such_condition(assay: str, condition: str) -> None:
    with pytest.raises(ValueError, match=rf"^There is no condition '{condition}'; take control"):
        ASSAYS[assay].simulate(condition, rng(0), 32)


def test_width_of_the_psf() -> None:
    optics = Optics(pixel_size_um=0.25, aperture=0.5, emission_um=(0.4, 0.5))
    assert optics.psf_sigma(1) == pytest.approx(0.2251 * 0.5 / 0.5 / 0.25, rel=1e-3)
    point = np.zeros((2, 65, 65))
    point[:, 32, 32] = 1000
    seen = optics.model_copy(update={"haze": 0.0, "background": 0.0}).expected(point)
    offsets = np.arange(65) - 32
    for channel in (0, 1):
        profile = seen[channel].sum(axis=0)
        assert profile.sum() == pytest.approx(1000, rel=1e-6)
        variance = (profile * offsets**2).sum() / 1000
        # The kernel is sampled at pixels and cut at four deviations.
        assert math.sqrt(variance) == pytest.approx(optics.psf_sigma(channel), rel=0.02)


def test_noise_is_that_of_photons_and_camera() -> None:
    optics = Optics(gain=2.0, read_noise=3.0, offset=50)
    levels = optics.recorded(np.full((2, 300, 300), 100.0), rng(12)).astype(float)
    assert levels.mean() == pytest.approx(50 + 2 * 100, rel=0.005)
    # gain^2 (photons + read noise^2), and the rounding to whole grey levels.
    assert levels.var() == pytest.approx(4 * (100 + 9) + 1 / 12, rel=0.03)


def test_the_camera_saturates() -> None:
    levels = Optics(white=255).recorded(np.full((2, 8, 8), 1e4), rng(13))
    assert (levels == 255).all()


def test_an_outline_without_waves_is_an_ellipse_of_its_diameter() -> None:
    outline = random_outline(rng(14), (20.0, 20.0), 16.0, elongation=1.4, unevenness=0)
    grid = FineGrid(160, 0.25)
    _, y, x = grid.window(20, 20, 20)
    area = (outline.depth(y, x) <= 1).sum() * grid.step**2
    assert area == pytest.approx(math.pi * 64, rel=2e-3)


def test_fine_points_become_pixels() -> None:
    fine = np.zeros((2 * FINE, 2 * FINE), np.int32)
    fine[:FINE, :FINE] = 3
    fine[0, 0] = 7
    fine[FINE, FINE:] = 5  # three of nine points: not more than half
    np.testing.assert_array_equal(to_labels(fine), [[3, 0], [0, 0]])
    np.testing.assert_allclose(to_pixels(fine), [[(8 * 3 + 7) / 9, 0], [0, 5 / 3]])
