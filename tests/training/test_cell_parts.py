"""Nucleus and surroundings of the cell in a crop, and the ratio of what shines in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from synthetic_cells import field

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.cell_parts import NUCLEUS, SURROUNDINGS, Nuclear, cell_parts, ratio_error

NUCLEAR = Nuclear(0, NucleusSettings())


def crops() -> NDArray[np.uint8]:
    """A cell alone, one with a neighbour, and a crop without any in its centre."""
    places = [[(24, 24)], [(24, 24), (24, 41)], [(6, 6)]]
    return np.stack([field(centres, (48, 48), radius=6) for centres in places])


def test_parts_are_those_of_the_nucleus_in_the_centre() -> None:
    alone, beside, none = cell_parts(crops(), NUCLEAR)
    y, x = np.mgrid[:48, :48]
    distance = np.hypot(y - 24, x - 24)
    assert (alone[distance < 5] == NUCLEUS).all()
    assert (alone[(distance > 9.5) & (distance < 12.5)] == SURROUNDINGS).all()
    assert (alone[distance > 15] == 0).all()
    neighbour = np.hypot(y - 24, x - 41)
    assert (beside[neighbour < 6.5] == 0).all()
    assert (beside[(neighbour > 9) & (distance < 12.5) & (distance > 9.5)] == SURROUNDINGS).all()
    assert not none.any()


def test_the_error_is_that_of_log2_of_nucleus_over_surroundings() -> None:
    parts = torch.from_numpy(cell_parts(crops(), NUCLEAR))
    hr = torch.full((3, 2, 48, 48), -0.5)
    images = hr.clone()
    # A nucleus of 0.5 where it is 0.25, and of a quarter of that; the third does not count.
    for k, value in enumerate((0.0, -0.875, 1.0)):
        images[k, 1][parts[k] == NUCLEUS] = value
    images[:, 0] = 0.9  # the channel of nuclei does not count
    expected = [np.log2((v + 0.01) / 0.26) for v in (0.5, 0.0625)]
    found = ratio_error(images, hr, parts, channel=0)
    assert float(found) == pytest.approx(np.mean(np.abs(expected)), rel=1e-5)
    assert float(ratio_error(images, hr, torch.zeros_like(parts), channel=0)) == 0
    assert float(ratio_error(images[:, :1], hr[:, :1], parts, channel=0)) == 0
