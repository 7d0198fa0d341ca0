"""Nuclei found again in SR crops: recentred, added, merged, dropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_rls.workflow.fields.look_again import look_again

RATIO, DIAMETER, SIZE = 8.0, 15.0, 64


def crops(nuclei: list[tuple[float, float]], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return SR crops at places that show nuclei, given in LR pixels."""
    grid = (np.arange(SIZE) - (SIZE - 1) / 2) / RATIO
    images = []
    for y, x in places:
        yy, xx = (y + grid)[:, None], (x + grid)[None]
        away = [np.hypot(yy - a, xx - b) * RATIO for a, b in nuclei]
        images.append(100.0 * (np.min(away, axis=0) < DIAMETER / 2))
    return np.array(images)


def look(nuclei: list[tuple[float, float]], places: list[tuple[float, float]], **how: object):
    spots = np.array(places, np.float64)
    images = how.pop("images", None)
    return look_again(
        crops(nuclei, spots) if images is None else images,  # type: ignore[arg-type]
        spots,
        ratio=RATIO,
        diameter=DIAMETER,
        shape=(40, 40),
    )


def test_nuclei_are_centred_where_their_crops_show_them() -> None:
    found = look([(10.3, 12.4), (25.0, 20.1)], [(10.0, 12.0), (25.5, 20.0)])
    np.testing.assert_allclose(found.places, [(10.3, 12.4), (25.0, 20.1)], atol=0.05)
    assert found.origin.tolist() == [0, 1]
    assert found.empty == found.twice == ()


def test_a_nucleus_that_all_crops_around_it_show_becomes_a_cell() -> None:
    found = look([(10, 10), (10, 13)], [(10, 10)])
    np.testing.assert_allclose(found.places, [(10, 10), (10, 13)], atol=0.05)
    assert (found.origin.tolist(), found.new) == ([0, -1], 1)


def test_a_nucleus_that_few_of_the_crops_around_it_show_is_none() -> None:
    places = np.array([(10, 10), (12, 11), (11, 12.5), (9, 12)], np.float64)
    nuclei = [tuple(place) for place in places.tolist()]
    images = crops(nuclei, places)
    # The first crop alone shows one more.
    images[0] = crops([*nuclei, (8.2, 9.0)], places[:1])[0]
    found = look(nuclei, nuclei, images=images)
    assert found.new == 0
    assert len(found.places) == 4


def test_two_crops_of_one_nucleus_are_one_cell() -> None:
    found = look([(10, 10)], [(10.0, 10.2), (10.1, 9.5)])
    np.testing.assert_allclose(found.places, [(10, 10)], atol=0.05)
    assert (found.origin.tolist(), found.twice) == ([0], (1,))


def test_crops_without_a_nucleus_of_their_own_are_named() -> None:
    found = look([(10, 10)], [(10, 10), (30, 30), (10, 13)])
    assert found.empty == (1, 2)
    assert found.origin.tolist() == [0]


def test_no_nucleus_lies_outside_the_field() -> None:
    found = look([(1, 1), (-1.5, 3)], [(1, 1)])
    np.testing.assert_allclose(found.places, [(1, 1)], atol=0.05)
