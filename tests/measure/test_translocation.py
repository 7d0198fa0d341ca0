"""Nucleus to cytoplasm ratios against images whose ratio is known, and against real wells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from synthetic_cells import disc

from napari_rls.measure.translocation import (
    TranslocationSettings,
    measure_translocation,
    translocation_ratio,
)
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack

SHAPE = (64, 64)
CENTRE = (31.5, 31.5)
NUCLEUS = disc(SHAPE, CENTRE, 7)


def cell(nucleus: float, cytoplasm: float, offset: float = 0.0) -> np.ndarray:
    """Return a crop (2, 64, 64) whose signal has its step in the gap around the nucleus."""
    dna = np.where(NUCLEUS, 200.0, 10.0)
    signal = np.where(disc(SHAPE, CENTRE, 7.9), nucleus, cytoplasm) + offset
    signal[disc(SHAPE, CENTRE, 20) == 0] = offset
    return np.stack([dna, signal])


@pytest.mark.parametrize(("nucleus", "cytoplasm"), [(50.0, 10.0), (10.0, 50.0), (7.0, 7.0)])
def test_ratio_is_that_of_the_image(nucleus: float, cytoplasm: float) -> None:
    measured = measure_translocation(cell(nucleus, cytoplasm))
    assert measured.nucleus == pytest.approx(nucleus)
    assert measured.cytoplasm == pytest.approx(cytoplasm)
    assert measured.ratio == pytest.approx(nucleus / cytoplasm)
    assert measured.nucleus_area == pytest.approx(NUCLEUS.sum(), rel=0.1)


def test_channels_may_come_in_any_order() -> None:
    image = cell(50, 10)
    three = np.stack([image[1], np.zeros(SHAPE), image[0]])
    assert translocation_ratio(three, dna=2, signal=0) == pytest.approx(5)


def test_unit_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    image = cell(50, 10) + rng.uniform(0, 3, (2, *SHAPE))
    ratio = translocation_ratio(image)
    assert translocation_ratio(image * 257) == pytest.approx(ratio)


def test_background_is_subtracted_when_asked() -> None:
    image = cell(50, 10, offset=100)
    assert translocation_ratio(image) == pytest.approx(150 / 110)
    settings = TranslocationSettings(background_percentile=1)
    assert translocation_ratio(image, settings=settings) == pytest.approx(5)


def test_neighbours_are_no_cytoplasm() -> None:
    image = cell(50, 10)
    neighbour = disc(SHAPE, (31.5, 48.5), 7)
    image[0][neighbour] = 200
    image[1][disc(SHAPE, (31.5, 48.5), 7.9) & ~disc(SHAPE, CENTRE, 7.9)] = 5000
    wide = TranslocationSettings(width=10)
    measured = measure_translocation(image, settings=wide)
    assert measured.nucleus == pytest.approx(50)
    assert measured.cytoplasm == pytest.approx(10)


def test_cell_of_the_centre_is_measured() -> None:
    image = cell(50, 10)
    image[0][disc(SHAPE, (10, 10), 7)] = 200
    image[1][disc(SHAPE, (10, 10), 15)] = 255
    assert translocation_ratio(image) == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("distance", [0, 12])
def test_nucleus_must_be_near_the_centre(distance: int) -> None:
    image = np.roll(cell(50, 10), 7 + distance, axis=-1)  # the nucleus' edge is off by distance
    measured = measure_translocation(image)
    assert np.isfinite(measured.ratio) == (distance <= 6)


def test_without_a_nucleus_there_is_no_number() -> None:
    image = cell(50, 10)
    image[0] = 10
    measured = measure_translocation(image)
    assert np.isnan([measured.nucleus, measured.cytoplasm, measured.ratio]).all()


def test_without_a_ring_there_is_no_ratio() -> None:
    image = cell(50, 10)
    inside = np.where(NUCLEUS[20:44, 20:44], 200, 10)[5:19, 5:19]  # all nucleus but the corners
    tight = np.stack([inside, image[1][25:39, 25:39]])
    measured = measure_translocation(tight, settings=TranslocationSettings(width=0.5, gap=3))
    assert np.isnan(measured.ratio)
    assert measured.nucleus_area > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_signal_that_is_not_finite_gives_no_number(value: float) -> None:
    image = cell(50, 10)
    image[1, 0, 0] = value
    assert np.isnan(translocation_ratio(image))


def test_dark_cytoplasm_gives_no_ratio() -> None:
    assert np.isnan(translocation_ratio(cell(50, 0)))


def test_real_controls(data_folder: Path) -> None:
    """BBBC013: FKHR-GFP is outside untreated nuclei and inside treated ones."""
    ratios = {}
    for well in ("B01", "B02", "B12"):
        cut = cut_crops(read_stack(data_folder / "bbbc013" / f"{well}.ome.tif"), 64)
        values = np.array([translocation_ratio(image) for image in cut.stack.data])
        assert np.isnan(values).mean() < 0.05
        ratios[well] = values[np.isfinite(values)]
    assert 0.55 < np.median(ratios["B01"]) < 0.85
    assert 0.55 < np.median(ratios["B02"]) < 0.85
    assert 4 < np.median(ratios["B12"]) < 6.5
    negative = np.concatenate([ratios["B01"], ratios["B02"]])
    positive = ratios["B12"]
    auc = mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert auc > 0.99
