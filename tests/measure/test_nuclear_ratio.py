"""What is in the nucleus of a crop's cell, as it is measured of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from synthetic_cells import field

from napari_rls.measure.nuclear_ratio import Nuclear, log_ratios
from napari_rls.measure.translocation import TranslocationSettings, measure_translocation

NUCLEAR = Nuclear(0, TranslocationSettings())


def crops() -> NDArray[np.uint8]:
    """A cell alone, one with a neighbour, and a crop without any in its centre; bright nuclei."""
    places = [[(24, 24)], [(24, 24), (24, 41)], [(6, 6)]]
    made = np.stack([field(centres, (48, 48), radius=6) for centres in places])
    made[:, 1] += np.where(made[:, 0] > 100, 100, 0).astype(np.uint8)
    return made


def test_ratios_are_those_that_are_measured() -> None:
    hr = crops()
    found = log_ratios(hr, NUCLEAR)
    measured = [measure_translocation(crop) for crop in hr]
    ratios = [one.log2_ratio for one in measured[:2]]
    np.testing.assert_allclose(found[:2, 0], ratios, atol=0.01)
    assert found.shape == (3, 1)
    assert found[2].isnan()


def test_an_image_is_measured_within_its_own_outlines() -> None:
    hr = torch.from_numpy(crops()[:1] / 127.5 - 1).float()
    wanted = NUCLEAR.log_ratios(hr)
    # Both channels are moved, to where the nucleus of the HR image is not.
    moved = torch.roll(hr, (3, 3), (2, 3))
    assert float(NUCLEAR.error(moved, wanted)) == pytest.approx(0, abs=0.02)
    signal = hr.clone()
    signal[:, 1] = moved[:, 1]
    assert float(NUCLEAR.error(signal, wanted)) > 0.1


def test_the_error_pulls_at_the_light_of_nucleus_and_ring_alone() -> None:
    hr = torch.from_numpy(crops() / 127.5 - 1).float()
    images = hr.clone().requires_grad_()
    wanted = NUCLEAR.log_ratios(hr) + 0.5
    error = NUCLEAR.error(images, wanted)
    assert float(error.detach()) == pytest.approx(0.5, abs=1e-4)
    error.backward()
    assert images.grad is not None
    assert (images.grad[:, 0] == 0).all()
    assert (images.grad[2] == 0).all()  # no nucleus in its centre
    measured = measure_translocation(crops()[0])
    inside = torch.from_numpy(measured.nucleus_mask)
    ring = torch.from_numpy(measured.ring_mask)
    assert (images.grad[0, 1][inside] < 0).all()
    assert (images.grad[0, 1][ring] > 0).all()
    assert (images.grad[0, 1][~inside & ~ring] == 0).all()


def test_far_errors_count_as_two_and_nothing_as_none() -> None:
    hr = torch.from_numpy(crops() / 127.5 - 1).float()
    wanted = NUCLEAR.log_ratios(hr)
    assert float(NUCLEAR.error(hr, wanted + 9)) == 2
    assert float(NUCLEAR.error(hr, torch.full_like(wanted, torch.nan))) == 0
    assert float(NUCLEAR.error(torch.zeros_like(hr), wanted)) == 0
    assert float(NUCLEAR.error(hr[:, :1], wanted[:, :0])) == 0


def test_a_ring_without_any_light_can_still_be_made_brighter() -> None:
    hr = torch.from_numpy(crops()[:1] / 127.5 - 1).float()
    black = hr.clone()
    black[:, 1] = -1.02
    images = black.requires_grad_()
    ratio = NUCLEAR.log_ratios(images)
    assert float(ratio.detach()) == pytest.approx(0, abs=1e-3)
    ratio.sum().backward()
    assert images.grad is not None
    ring = torch.from_numpy(measure_translocation(crops()[0]).ring_mask)
    assert (images.grad[0, 1][ring] < 0).all()
