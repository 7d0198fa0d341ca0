"""Columns, flags and labels of one cell against images whose answer is known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage
from synthetic_cells import disc

from napari_rls.measure.cells import (
    NO_NUCLEUS,
    NOT_FINITE,
    SATURATED,
    TOUCHES_BORDER,
    MeasuredCell,
    MeasureSettings,
    column_names,
    measure_cell,
)
from napari_rls.measure.spots import SpotSettings
from napari_rls.measure.translocation import TranslocationSettings

SHAPE, CENTRE = (64, 64), (31.5, 31.5)
NUCLEUS = disc(SHAPE, CENTRE, 7)
TRANSLOCATION = MeasureSettings(assay="translocation", dna="DNA", signal="FKHR-GFP")
RATIO = "Math_Ratio_NucleusCytoplasm_FKHRGFP"
LOG2 = "Math_Log2Ratio_NucleusCytoplasm_FKHRGFP"
NUCLEUS_MEAN = "Nuclei_Intensity_MeanIntensity_FKHRGFP"
RING_MEAN = "Cytoplasm_Intensity_MeanIntensity_FKHRGFP"
CORRELATION = "Nuclei_Correlation_Correlation_DNA_FKHRGFP"

SIDE = 128
SPOTS = MeasureSettings(assay="spots", dna="DNA", signal="Golgi")
# What the threshold of spots with sharp edges finds is then known to the pixel.
SHARP = SPOTS.model_copy(update={"spots": SpotSettings(smoothing=0, min_area=1)})


def cell(nucleus: float, cytoplasm: float) -> NDArray[np.float64]:
    """A crop (2, 64, 64): its nucleus a disc of radius 7, the signal's step in the gap."""
    dna = np.where(NUCLEUS, 200.0, 10.0)
    signal = np.where(disc(SHAPE, CENTRE, 7.9), nucleus, cytoplasm)
    return np.stack([dna, signal])


def golgi(spots: list[tuple[float, float, float]]) -> NDArray[np.float64]:
    """A crop (2, 128, 128): nucleus of radius 20, spots (y, x, radius) of 500 on 50."""
    shape = (SIDE, SIDE)
    signal = np.full(shape, 50.0)
    for y, x, radius in spots:
        signal[disc(shape, (y, x), radius)] = 500
    return np.stack([20 + 300.0 * disc(shape, (64, 64), 20), signal])


def measured(
    image: NDArray[np.generic], settings: MeasureSettings = TRANSLOCATION, size: float | None = None
) -> MeasuredCell:
    return measure_cell(image, 0, 1, settings, size)


def raised(found: MeasuredCell) -> set[str]:
    return {name for name, flag in found.flags.items() if flag}


@pytest.mark.parametrize(("nucleus", "cytoplasm"), [(80.0, 10.0), (10.0, 80.0), (7.0, 7.0)])
def test_means_and_ratios_are_those_of_the_image(nucleus: float, cytoplasm: float) -> None:
    found = measured(cell(nucleus, cytoplasm))
    assert found.values[NUCLEUS_MEAN] == pytest.approx(nucleus)
    assert found.values[RING_MEAN] == pytest.approx(cytoplasm)
    assert found.values[RATIO] == pytest.approx(nucleus / cytoplasm)
    assert found.values[LOG2] == pytest.approx(np.log2(nucleus / cytoplasm))
    assert np.isnan(found.values[CORRELATION])  # the signal is constant in the nucleus
    assert raised(found) == set()


def test_values_are_those_of_the_labelled_pixels() -> None:
    image = cell(50, 10) + np.random.default_rng(0).uniform(0, 20, (2, *SHAPE))
    found = measured(image)
    nucleus, ring = (found.labels[part] == 1 for part in ("nucleus", "cytoplasm"))
    assert not (nucleus & ring).any()
    assert found.values["Nuclei_AreaShape_Area"] == nucleus.sum()
    assert found.values[NUCLEUS_MEAN] == pytest.approx(image[1][nucleus].mean())
    assert found.values[RING_MEAN] == pytest.approx(image[1][ring].mean())
    expected = np.corrcoef(image[0][nucleus], image[1][nucleus])[0, 1]
    assert found.values[CORRELATION] == pytest.approx(expected)
    assert abs(expected) > 0.01
    away = ndimage.distance_transform_edt(~nucleus)
    np.testing.assert_array_equal(ring, (away > 1) & (away <= 4))


def test_channels_that_go_together_and_against_each_other() -> None:
    image = cell(50, 10)
    image[0] += np.arange(64)
    for sign in (1, -1):
        image[1] = 500 + sign * image[0]
        assert measured(image).values[CORRELATION] == pytest.approx(sign)


def test_background_is_subtracted_from_means_and_ratio_alike() -> None:
    image = cell(50, 10)
    image[1][disc(SHAPE, CENTRE, 20) == 0] = 0
    image[1] += 100
    settings = TRANSLOCATION.model_copy(
        update={"translocation": TranslocationSettings(background_percentile=10)}
    )
    found = measured(image, settings)
    assert found.values[NUCLEUS_MEAN] == pytest.approx(50)
    assert found.values[RATIO] == pytest.approx(5)
    assert found.values[LOG2] == pytest.approx(np.log2(5))


def test_touching_nuclei_are_two_cells() -> None:
    image = cell(50, 10)
    image[0][disc(SHAPE, (31.5, 44.5), 7)] = 200
    found = measured(image)
    assert found.values["Nuclei_AreaShape_Area"] == pytest.approx(NUCLEUS.sum(), rel=0.15)
    assert not found.labels["nucleus"][:, 42:].any()
    assert not found.labels["cytoplasm"][28:36, 37:52].any()


@pytest.mark.parametrize("settings", [TRANSLOCATION, SPOTS], ids=["translocation", "spots"])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_blank_image_has_no_cell(settings: MeasureSettings, value: int) -> None:
    found = measured(np.full((2, 40, 40), value, np.uint8), settings, 0.5)
    assert np.isnan(list(found.values.values())).all()
    assert raised(found) == {NO_NUCLEUS}
    assert not any(label.any() for label in found.labels.values())


@pytest.mark.parametrize("settings", [TRANSLOCATION, SPOTS], ids=["translocation", "spots"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_of_no_numbers_are_flagged(settings: MeasureSettings, value: float) -> None:
    whole = np.full((2, 40, 40), value)
    assert raised(measured(whole, settings)) == {NOT_FINITE}
    assert np.isnan(list(measured(whole, settings).values.values())).all()
    one = golgi([(64, 94, 4)]) if settings is SPOTS else cell(50, 10)
    assert raised(measured(one, settings)) == set()
    one[1, 0, 0] = value
    assert raised(measured(one, settings)) == {NOT_FINITE}
    assert np.isnan(list(measured(one, settings).values.values())).all()


def test_a_nucleus_far_from_the_centre_is_none() -> None:
    found = measured(np.roll(cell(50, 10), 20, axis=-1))
    assert raised(found) == {NO_NUCLEUS}


@pytest.mark.parametrize(("shift", "axis"), [(0, -1), (-25, -1), (25, -1), (-25, -2), (25, -2)])
def test_a_nucleus_at_the_border_is_flagged(shift: int, axis: int) -> None:
    wide = TranslocationSettings(reach=40)
    image = np.roll(cell(50, 10), shift, axis=axis)
    found = measured(image, TRANSLOCATION.model_copy(update={"translocation": wide}))
    assert raised(found) == ({TOUCHES_BORDER} if shift else set())
    # The outline is less exact where the nucleus goes on outside.
    assert found.values[RATIO] == pytest.approx(5, rel=0.07)


def test_saturation_counts_from_its_level_and_in_what_is_measured_only() -> None:
    image = cell(200, 10)
    settings = TRANSLOCATION.model_copy(update={"saturation": 255.0})
    assert raised(measured(image, settings)) == set()
    far, near, ring, dna = (image.copy() for _ in range(4))
    far[1, 0, 0] = 255
    near[1, 31, 31] = 255
    ring[1, 31, 31 + 10] = 300
    dna[0, 31, 31] = 255
    assert raised(measured(far, settings)) == set()
    for saturated in (near, ring, dna):
        assert raised(measured(saturated, settings)) == {SATURATED}
        assert raised(measured(saturated)) == set()  # no level, no flag
    near[1, 31, 31] = 254.9
    assert raised(measured(near, settings)) == set()


def test_spots_of_known_number_area_share_and_place() -> None:
    where = [(64, 100, 3), (24, 64, 2), (64, 22, 1)]
    found = measured(golgi(where), SHARP, 0.5)
    areas = [float(disc((SIDE, SIDE), (y, x), r).sum()) for y, x, r in where]
    values = found.values
    assert sorted(areas) == [5, 13, 29]
    assert values["Cells_Children_Spots_Count"] == 3
    assert values["Spots_AreaShape_Area_Mean"] == pytest.approx(47 / 3)
    assert values["Spots_AreaShape_Area_Median"] == 13
    assert values["Spots_AreaShape_Area_Total"] == 47
    assert values["Spots_AreaShape_Area_Total_um2"] == 47 * 0.25
    assert values["Spots_Intensity_Share_Golgi"] == 1
    away = ndimage.distance_transform_edt(found.labels["nucleus"] == 0)
    per_spot = [away[disc((SIDE, SIDE), (y, x), r)].mean() for y, x, r in where]
    assert values["Spots_Distance_Nuclei_Mean"] == pytest.approx(np.mean(per_spot))
    assert values["Spots_Distance_Nuclei_Mean_um"] == pytest.approx(0.5 * np.mean(per_spot))
    # The blur takes a pixel off the nucleus.
    assert np.mean(per_spot) == pytest.approx((16 + 20 + 22) / 3, abs=1.1)
    np.testing.assert_array_equal(np.unique(found.labels["spots"]), [0, 1, 2, 3])
    assert values["Nuclei_AreaShape_Area"] == (found.labels["nucleus"] == 1).sum()


def test_spots_of_one_pixel_count_if_they_may() -> None:
    image = golgi([(64, 100, 3), (24, 64, 0)])
    assert measured(image, SHARP).values["Cells_Children_Spots_Count"] == 2
    assert measured(image, SHARP).values["Spots_AreaShape_Area_Median"] == 15
    larger = SHARP.model_copy(update={"spots": SpotSettings(smoothing=0, min_area=2)})
    assert measured(image, larger).values["Cells_Children_Spots_Count"] == 1


def test_a_cell_without_spots_has_none_and_no_mean() -> None:
    values = measured(golgi([]), SPOTS).values
    assert values["Cells_Children_Spots_Count"] == 0
    assert values["Spots_AreaShape_Area_Total"] == 0
    assert np.isnan(values["Spots_AreaShape_Area_Mean"])
    assert np.isnan(values["Spots_Distance_Nuclei_Mean"])


@pytest.mark.parametrize("settings", [TRANSLOCATION, SPOTS], ids=["translocation", "spots"])
@pytest.mark.parametrize("size", [None, 0.325])
def test_columns_are_those_of_the_dictionary(settings: MeasureSettings, size: float | None) -> None:
    names = column_names(settings, micrometres=size is not None)
    for image in (cell(50, 10), golgi([(64, 94, 4)]), np.zeros((2, 30, 30))):
        assert list(measured(image, settings, size).values) == list(names)
    physical = [name for name, column in names.items() if column.micrometres]
    assert bool(physical) == (size is not None)
    values = measured(golgi([(64, 94, 4)]), SPOTS, 0.325).values
    for name in (n for n in values if n.endswith("_um2")):
        assert values[name] == pytest.approx(values[name.removesuffix("_um2")] * 0.325**2)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_type_of_the_image_does_not_matter(kind: type) -> None:
    image = np.round(cell(50, 10) + np.random.default_rng(0).uniform(0, 5, (2, *SHAPE)))
    assert measured(image.astype(kind)).values == pytest.approx(measured(image).values)


def test_channels_are_taken_as_told() -> None:
    image = cell(50, 10)
    swapped = np.stack([image[1], np.zeros(SHAPE), image[0]])
    assert measure_cell(swapped, 2, 0, TRANSLOCATION).values[RATIO] == pytest.approx(5)


@pytest.mark.parametrize(
    ("dna", "signal", "expected"),
    [
        ("", "", "Nuclei_Correlation_Correlation_DNA_Signal"),
        ("DAPI", "p65 (Alexa-488)", "Nuclei_Correlation_Correlation_DAPI_p65Alexa488"),
        ("w 1", "w_2", "Nuclei_Correlation_Correlation_w1_w_2"),
        ("-", "/", "Nuclei_Correlation_Correlation_DNA_Signal"),
    ],
)
def test_names_of_columns_have_no_odd_characters(dna: str, signal: str, expected: str) -> None:
    settings = MeasureSettings(assay="translocation", dna=dna, signal=signal)
    assert list(column_names(settings, micrometres=False))[-1] == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "assay\n  Field required"),
        ({"assay": "other"}, "There is no assay 'other'; choose translocation or spots"),
        ({"assay": "spots", "gap": 1}, "Extra inputs are not permitted"),
        ({"assay": "spots", "saturation": float("nan")}, "finite number"),
        (
            {"assay": "spots", "translocation": {"gap": True}},
            "translocation.gap\n  must be a number, not true or false",
        ),
    ],
)
def test_wrong_settings(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        MeasureSettings(**wrong)
