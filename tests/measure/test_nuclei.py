"""Nuclei of known place and size are found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from synthetic_cells import disc, field

from napari_rls.measure.nuclei import NucleusSettings, find_nuclei

CENTRES = [(15.0, 20.0), (40.0, 70.0), (75.0, 30.0), (80.0, 80.0)]


def test_nuclei_are_where_they_are() -> None:
    nuclei = find_nuclei(field(CENTRES)[0])
    assert len(nuclei) == 4
    found = nuclei.centroids[np.argsort(nuclei.centroids[:, 0])]
    np.testing.assert_allclose(found, CENTRES, atol=0.3)
    areas = np.bincount(nuclei.labels.ravel())[1:]
    np.testing.assert_allclose(areas, np.pi * 7**2, rtol=0.1)


def test_centroids_belong_to_labels() -> None:
    nuclei = find_nuclei(field(CENTRES)[0])
    assert set(np.unique(nuclei.labels)) == {0, 1, 2, 3, 4}
    for k, (y, x) in enumerate(nuclei.centroids):
        assert nuclei.labels[round(y), round(x)] == k + 1


@pytest.mark.parametrize("scale", [(1.0, 0.0), (257.0, 0.0), (1 / 255, 0.0), (3.0, -500.0)])
def test_unit_of_the_image_does_not_matter(scale: tuple[float, float]) -> None:
    dna = field(CENTRES)[0].astype(float)
    expected = find_nuclei(dna).labels
    np.testing.assert_array_equal(find_nuclei(scale[0] * dna + scale[1]).labels, expected)


def test_touching_nuclei_are_divided() -> None:
    nuclei = find_nuclei(field([(40, 40), (40, 53)])[0])
    assert len(nuclei) == 2
    np.testing.assert_allclose(sorted(nuclei.centroids[:, 1]), [40, 53], atol=1)


def test_one_long_nucleus_is_not_divided() -> None:
    dna = np.zeros((60, 60))
    y, x = np.ogrid[:60, :60]
    dna[((y - 30) / 6) ** 2 + ((x - 30) / 10) ** 2 <= 1] = 100
    assert len(find_nuclei(dna)) == 1


def test_specks_are_no_nuclei_and_holes_are_filled() -> None:
    dna = field([(40, 40)], noise=0)[0]
    dna[10:14, 10:14] = 200
    dna[40, 40] = 20
    nuclei = find_nuclei(dna)
    assert len(nuclei) == 1
    assert nuclei.labels[40, 40] == 1
    assert len(find_nuclei(dna, NucleusSettings(min_area=5))) == 2


def test_third_class_leaves_haze_out() -> None:
    dna = np.full((96, 96), 10.0)
    dna[disc((96, 96), (48, 48), 25)] = 70
    dna[disc((96, 96), (48, 48), 7)] = 110
    area = {n: (find_nuclei(dna, NucleusSettings(classes=n)).labels > 0).sum() for n in (2, 3)}
    assert area[2] > 1500  # the haze
    np.testing.assert_allclose(area[3], np.pi * 7**2, rtol=0.15)


@pytest.mark.parametrize("value", [0.0, 255.0, np.nan])
@pytest.mark.parametrize("classes", [2, 3])
def test_image_without_contrast_has_no_nucleus(value: float, classes: int) -> None:
    nuclei = find_nuclei(np.full((20, 20), value), NucleusSettings(classes=classes))
    assert len(nuclei) == 0
    assert not nuclei.labels.any()
    assert nuclei.centroids.shape == (0, 2)


def test_pixels_that_are_not_finite_do_not_hide_nuclei() -> None:
    dna = field(CENTRES)[0].astype(float)
    dna[0, :5] = [np.nan, np.inf, -np.inf, np.nan, np.nan]
    assert len(find_nuclei(dna)) == 4


@pytest.mark.parametrize("wrong", [{"smoothing": -1}, {"classes": 4}, {"min_area": 0}, {"x": 1}])
def test_wrong_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        NucleusSettings(**wrong)
