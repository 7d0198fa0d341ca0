"""Nuclei of known place are found in LR fields, to a fraction of a pixel, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from lr_maker import lr_field
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from synthetic_cells import disc

from napari_rls.errors import InputError
from napari_rls.measure import lr_image, lr_nuclei
from napari_rls.measure.lr_blobs import Blobs
from napari_rls.measure.lr_nuclei import FoundNuclei, LrNucleusSettings, find_lr_nuclei
from napari_rls.measure.nuclei import find_nuclei

SIZE = 384
RATIOS = [4, 6.4, 8, 16]


def places(step: float = 48) -> NDArray[np.float64]:
    """Return places (K, 2) in HR pixels, each elsewhere on the grid of LR pixels."""
    rng = np.random.default_rng(1)
    steps = np.arange(step / 2, SIZE, step)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    return grid + rng.uniform(-8, 8, grid.shape)


def discs(centres: NDArray[np.float64], size: int = SIZE, radius: float = 7.5) -> NDArray:
    dna = np.full((size, size), 5.0)
    for y, x in centres:
        dna[disc(dna.shape, (y, x), radius)] = 100
    return dna


def found_in(dna: NDArray, ratio: float, settings: LrNucleusSettings | None = None) -> FoundNuclei:
    return find_lr_nuclei(dna, ratio=ratio, psf_sigma=0.45, diameter=15, settings=settings)


def matched(
    centres: NDArray[np.float64], truth: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Match one to one; return which of both, and their distances."""
    distance = cdist(centres, truth)
    found, true = linear_sum_assignment(np.where(distance <= reach, distance, 1e3))
    near = distance[found, true] <= reach
    return found[near], true[near], distance[found, true][near]


def hr(centres: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    return (centres + 0.5) * ratio - 0.5


@pytest.mark.parametrize("ratio", RATIOS)
def test_nuclei_are_where_they_are(ratio: float) -> None:
    truth = places()
    found = found_in(lr_field(discs(truth), ratio), ratio)
    assert len(found) == len(truth) == len(found.scores)
    _, true, distance = matched(hr(found.centres, ratio), truth, reach=8)
    assert len(true) == len(truth)
    assert np.median(distance) < 0.1 * ratio
    assert distance.max() < 0.4 * ratio
    assert found.scores.min() > 4


@pytest.mark.parametrize("ratio", [4, 8])
def test_near_nuclei_are_divided_and_a_long_one_is_not(ratio: float) -> None:
    dna = discs(np.array([(100.0, 100.0), (100.0, 116.0)]))
    y, x = np.ogrid[:SIZE, :SIZE]
    dna[((y - 250) / 6) ** 2 + ((x - 250) / 11) ** 2 <= 1] = 100
    centres = hr(found_in(lr_field(dna, ratio, noise=0.01), ratio).centres, ratio)
    expected = np.array([(100, 100), (100, 116), (250, 250)])
    assert len(centres) == 3
    assert matched(centres, expected, reach=3)[0].size == 3


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 1000.0), (0.01, -5.0), (1e6, 0.0)])
def test_offset_and_gain_do_not_matter(gain: float, offset: float) -> None:
    lr = lr_field(discs(places()), 8).astype(float)
    expected, found = found_in(lr, 8), found_in(gain * lr + offset, 8)
    np.testing.assert_allclose(found.centres, expected.centres, atol=0.02)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3)


@pytest.mark.parametrize("level", [0.0, 100.0, -3.0])
def test_image_without_contrast_has_no_nucleus(level: float) -> None:
    found = found_in(np.full((40, 50), level), 8)
    assert found.centres.shape == (0, 2)
    assert found.scores.shape == (0,)


def test_noise_alone_has_next_to_no_nucleus() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(500, 10, (200, 200)).round().astype(np.uint16)
    for ratio in RATIOS:
        assert len(found_in(noise, ratio)) <= 5
        assert len(found_in(noise, ratio, LrNucleusSettings(contrast=6))) == 0


@pytest.mark.parametrize("ratio", RATIOS)
def test_hot_pixels_are_no_nuclei_and_change_no_other(ratio: float) -> None:
    truth = places(96)
    lr = lr_field(discs(truth), ratio)
    expected = found_in(lr, ratio)
    lr[0, 0] = lr[1, 7] = 60000
    middle = int(48 + 48 / ratio) // int(ratio)
    lr[-1, middle] = 4000
    found = found_in(lr, ratio)
    assert len(found) == len(expected) == len(truth)
    _, _, distance = matched(found.centres, expected.centres, reach=0.1)
    assert len(distance) == len(truth)


def test_bright_debris_hides_no_nuclei() -> None:
    truth = places()[:-1]
    dna = discs(truth)
    dna[disc(dna.shape, tuple(places()[-1]), 6)] = 5000
    lr = lr_field(discs(truth), 8).astype(float)
    lr += 40 * (lr_field(dna - discs(truth), 8, noise=0).astype(float) - 100)
    assert matched(hr(found_in(lr, 8).centres, 8), truth, reach=5)[0].size >= len(truth) - 1


def test_pixels_that_are_not_finite_count_as_their_neighbours() -> None:
    truth = places()
    lr = lr_field(discs(truth), 8).astype(float)
    lr[0, :5] = [np.nan, np.inf, -np.inf, np.nan, np.nan]
    lr[20:22, 30] = np.nan
    assert matched(hr(found_in(lr, 8).centres, 8), truth, reach=5)[0].size >= len(truth) - 1


def test_tiles_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    lr = lr_field(discs(places(24)), 4)
    whole = found_in(lr, 4)
    monkeypatch.setattr(lr_nuclei, "_TILE", 40)
    tiled = found_in(lr, 4)
    assert len(whole) == len(tiled) > 200
    _, _, distance = matched(whole.centres, tiled.centres, reach=0.1)
    assert len(distance) == len(whole)
    assert distance.max() < 0.01


def test_tiles_do_not_matter_but_for_the_bins_of_otsus_threshold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    lr = rng.poisson(lr_field(discs(places()), 4)) + rng.normal(10, 2, (SIZE // 4,) * 2)
    # Which of 256 bins is its threshold may depend on rounding.
    monkeypatch.setattr(Blobs, "threshold", lambda *_: 0.1)
    monkeypatch.setattr(lr_nuclei, "_TILE", 10_000)
    whole = found_in(lr, 4)
    monkeypatch.setattr(lr_nuclei, "_TILE", 256)
    monkeypatch.setattr(lr_image, "_STRIP", 1000)
    tiled = found_in(lr, 4)
    _, _, distance = matched(whole.centres, tiled.centres, reach=0.1)
    assert len(distance) == len(whole) == len(tiled) > 40
    assert distance.max() < 1e-4


def test_the_noise_of_a_part_of_a_large_image_is_that_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lr = lr_field(discs(places(24)), 2) + np.random.default_rng(0).normal(0, 4, (SIZE // 2,) * 2)
    whole = found_in(lr, 2)
    monkeypatch.setattr(lr_image, "_SAMPLED", 3 * lr_image._BAND * SIZE // 4)
    part = found_in(lr, 2)
    _, _, distance = matched(whole.centres, part.centres, reach=0.5)
    assert len(distance) == len(whole) == len(part)
    assert np.median(whole.scores / part.scores) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("image", "changed", "words"),
    [
        (np.zeros((3, 4, 5)), {}, "two axes"),
        (np.zeros((0, 5)), {}, "two axes"),
        (np.full((9, 9), np.nan), {}, "No pixel"),
        (np.zeros((9, 9)), {"ratio": 1.2}, "ratio of pixel sizes is 1.2; give"),
        (np.zeros((9, 9)), {"ratio": np.nan}, "ratio of pixel sizes is nan"),
        (np.zeros((9, 9)), {"psf_sigma": -1}, "PSF is -1"),
        (np.zeros((9, 9)), {"diameter": 0}, "diameter of a nucleus is 0"),
    ],
)
def test_what_cannot_be_used_is_refused(
    image: NDArray, changed: dict[str, float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        find_lr_nuclei(image, **{"ratio": 8, "psf_sigma": 0.45, "diameter": 15} | changed)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (3, 70)])
def test_small_images_and_a_sharp_lens_are_no_error(shape: tuple[int, int]) -> None:
    dna = np.random.default_rng(0).normal(100, 3, shape)
    assert len(find_lr_nuclei(dna, ratio=16, psf_sigma=0, diameter=15)) <= dna.size


@pytest.mark.parametrize("wrong", [{"brightness": -1}, {"contrast": True}, {"x": 1}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LrNucleusSettings(**wrong)


@pytest.mark.parametrize(
    ("ratio", "recall", "false"),
    [(4, 0.94, 0.08), (6.4, 0.94, 0.08), (8, 0.94, 0.08), (16, 0.75, 0.12)],
)
def test_nuclei_of_a_real_field(
    data_folder: Path, ratio: float, recall: float, false: float
) -> None:
    dna = tifffile.imread(data_folder / "bbbc013" / "D06.ome.tif")[0]
    truth = find_nuclei(dna).centroids
    inner = ((truth >= 32) & (truth <= 640 - 33)).all(1)
    centres = hr(found_in(lr_field(dna, ratio), ratio).centres, ratio)
    found, true, distance = matched(centres, truth, reach=8 if ratio == 16 else 5)
    assert np.isin(np.flatnonzero(inner), true).mean() >= recall
    assert 1 - len(found) / len(centres) <= false
    assert np.median(distance) < (3 if ratio == 16 else 1.5)
