"""Whether nuclei of an LR field are as large as the ratio of pixel sizes says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic_cells import field

from napari_rls.measure.lr_nuclei import find_lr_nuclei
from napari_rls.measure.lr_size import relative_sizes, size_doubt
from napari_rls.workflow.cells.lr_field import degrade_field

DIAMETER = 15


def seen(ratio: float, sigma: float = 0.45) -> NDArray[np.float32]:
    """Return the DNA image of discs of 15 pixels, as a microscope sees them."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.arange(40, 560, 45)] * 2), -1).reshape(-1, 2)
    places = places + rng.uniform(-6, 6, places.shape)
    hr = field([(y, x) for y, x in places], (600, 600), radius=DIAMETER / 2)
    return degrade_field(hr.astype(np.float32), ratio, sigma)[0]


def looked(ratio: float, said: float) -> tuple[tuple[float, float, float], str]:
    dna = seen(ratio)
    optics = {"ratio": said, "psf_sigma": 0.45, "diameter": DIAMETER}
    centres = find_lr_nuclei(dna, **optics).centres
    return relative_sizes(dna, centres, **optics), size_doubt(dna, centres, **optics)


@pytest.mark.parametrize("ratio", [4, 6.4, 8, 10])
def test_a_right_ratio_is_not_doubted(ratio: float) -> None:
    (low, middle, high), told = looked(ratio, ratio)
    assert low <= middle <= high
    # Apart from each other and sharp they are somewhat smaller than in a crowd of cells.
    assert 0.7 < middle < 1.2
    assert told == ""


@pytest.mark.parametrize(("ratio", "said"), [(4, 8), (6.4, 12.8), (8, 4), (8, 16), (10, 5)])
def test_a_wrong_ratio_is_told_with_one_that_would_fit(ratio: float, said: float) -> None:
    (_, middle, _), told = looked(ratio, said)
    assert (middle > 1) == (said > ratio)
    assert told.startswith("Nuclei look ")
    assert f"would at a ratio of {said:g}: is it right?" in told
    fitting = re.search(r"About ([0-9.]+) would fit", told)
    assert fitting is not None
    assert 0.6 * ratio < float(fitting[1]) < 1.7 * ratio


@pytest.mark.parametrize("ratio", [4, 6.4, 8])
def test_sharper_images_than_assumed_are_not_taken_for_small_nuclei(ratio: float) -> None:
    """Without a PSF, or with less than none as of ``bicubic``, if its width is only assumed."""
    dna = seen(ratio, 0.0)
    optics = {"ratio": ratio, "psf_sigma": 0.6, "diameter": DIAMETER}
    centres = find_lr_nuclei(dna, **optics).centres
    assert size_doubt(dna, centres, **optics, psf_known=False) == ""


def test_small_nuclei_are_told_without_a_known_psf() -> None:
    dna = seen(10)
    optics = {"ratio": 4.0, "psf_sigma": 0.45, "diameter": DIAMETER}
    centres = find_lr_nuclei(dna, **optics).centres
    told = size_doubt(dna, centres, **optics, psf_known=False)
    assert told.startswith("Nuclei look 0.")


def test_few_nuclei_tell_nothing() -> None:
    dna = seen(8)
    optics = {"ratio": 16.0, "psf_sigma": 0.45, "diameter": DIAMETER}
    centres = find_lr_nuclei(dna, **optics).centres
    assert size_doubt(dna, centres[:5], **optics) == ""
    assert np.isnan(relative_sizes(dna, centres[:5], **optics)).all()
    assert size_doubt(dna, np.empty((0, 2)), **optics) == ""
