"""Noise of LR images: estimates against the truth, and what is said where it cannot be told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_rls.errors import InputError, SettingsError
from napari_rls.search.noise import NoiseEstimate, NoiseModel, estimate_noise
from napari_rls.workflow.cells.lr_field import degrade_field

DATA = Path(os.environ.get("NAPARI_RLS_DATA", "none")) / "bbbc013"
RANGE = 1020
"""Counts from black to white of the wells, of which noise is a share."""

WELLS = ("A01", "A12", "D03", "D09", "G05", "H11")


def lr_of_well(well: str, ratio: float, share: float) -> tuple[np.ndarray, float, float]:
    """Return an LR field of 16-bit counts, its gain and its read noise.

    ``share`` of the range is the noise of a signal in its middle; a quarter of the variance there
    is read noise.
    """
    gain = 0.75 * (share * RANGE) ** 2 / (RANGE / 2)
    read = 0.5 * share * RANGE
    hr = tifffile.imread(DATA / f"{well}.ome.tif").astype(np.float32) * (RANGE / 255)
    lr = degrade_field(hr, ratio, 0.45, offset=100, gain=gain, read_noise=read, seed=3)
    return np.rint(lr).clip(0, 65535).astype(np.uint16), gain, read


def errors(found: NoiseEstimate, gain: float, read: float) -> np.ndarray:
    """Return estimated by true standard deviation (C, 3) at dark, middle and bright signals."""
    return np.array(
        [
            np.array(one.deviations)
            / np.sqrt(read**2 + gain * (np.array(one.levels) - 100).clip(0))
            for one in found.channels
        ]
    )


needs_wells = pytest.mark.skipif(not DATA.is_dir(), reason="NAPARI_RLS_DATA has no bbbc013")


@needs_wells
@pytest.mark.parametrize("ratio", [4, 6.4, 8])
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_noise_of_real_wells_is_found(ratio: float, share: float) -> None:
    made = [lr_of_well(well, ratio, share) for well in WELLS]
    ratios = np.concatenate([errors(estimate_noise(lr), *known) for lr, *known in made])
    # In dark and middle places, and in bright ones as a rule: 20 %.
    assert np.abs(ratios[:, :2] - 1).max() < 0.2
    assert np.quantile(np.abs(ratios[:, 2] - 1), 0.75) < 0.2


@needs_wells
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_gain_is_found_where_cells_are_large(share: float) -> None:
    gains = []
    for well in WELLS:
        lr, gain, _ = lr_of_well(well, 4, share)
        gains += [one.gain / gain for one in estimate_noise(lr).channels]
    assert np.median(np.abs(np.array(gains) - 1)) < 0.2


@needs_wells
@pytest.mark.parametrize("ratio", [4, 6.4, 8, 16])
@pytest.mark.parametrize("share", [0.005, 0.02])
def test_intervals_hold_or_say_that_they_are_wide(ratio: float, share: float) -> None:
    covered, silent = [], []
    for well in WELLS:
        lr, gain, read = lr_of_well(well, ratio, share)
        found = estimate_noise(lr)
        for k, one in enumerate(found.channels):
            ends = np.array(one.deviation_intervals)
            true = np.sqrt(read**2 + gain * (np.array(one.levels) - 100).clip(0))
            covered += list((ends[:, 0] <= true) & (true <= ends[:, 1]))
            covered.append(one.gain_interval[0] <= gain <= one.gain_interval[1])
            covered.append(one.offset_interval[0] <= 100 <= one.offset_interval[1])
            if not any(f"Channel {k + 1}:" in doubt for doubt in found.doubts):
                silent += list(np.array(one.deviations) / true)
    assert np.mean(covered) > 0.85
    # What is not doubted is right.
    assert np.abs(np.array(silent or [1.0]) - 1).max() < 0.25


@needs_wells
def test_faint_noise_among_small_cells_is_in_doubt() -> None:
    lr, _, _ = lr_of_well("D03", 16, 0.005)
    doubts = estimate_noise(lr, names=("DNA", "GFP")).doubts
    assert [doubt.split(":")[0] for doubt in doubts] == ["Channel DNA", "Channel GFP"]
    assert "these images tell noise only roughly" in doubts[0]
    assert "or gain and read noise if you know them" in doubts[0]


def gradient(seed: int, side: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth field with gain 2, offset 100 and read noise 4, and what it is of."""
    y = np.linspace(0, 1, side)
    light = np.stack([np.outer(y, y) * 200, np.outer(y[::-1], y) * 60 + 20])
    rng = np.random.default_rng(seed)
    return 100 + 2 * rng.poisson(light / 2) + rng.normal(0, 4, light.shape), light


def test_a_smooth_field_gives_all_of_it() -> None:
    lr, _ = gradient(0)
    found = estimate_noise(lr)
    assert found.doubts == ()
    assert found.model.gain == pytest.approx((2, 2), rel=0.1)
    # All noise of the darkest blocks, which have some light.
    assert found.model.read_noise[0] == pytest.approx(4, rel=0.15)
    assert found.model.offset[0] == pytest.approx(100, abs=4)
    # Background light looks like offset: said by the interval, and mended by what is known.
    low, high = found.channels[1].offset_interval
    assert low < 100
    assert high > 118
    known = estimate_noise(lr, offset=(100, 100))
    assert known.model.offset == (100, 100)
    assert known.model.read_noise == pytest.approx((4, 4), rel=0.2)


def test_several_fields_and_crops_tell_more() -> None:
    fields = [gradient(seed, 64)[0] for seed in range(6)]
    one, all_of_them = estimate_noise(fields[0]), estimate_noise(fields)
    width = [np.ptp(found.channels[0].gain_interval) for found in (one, all_of_them)]
    assert width[1] < width[0] / 1.5
    assert all_of_them.model.gain[0] == pytest.approx(2, rel=0.15)
    assert estimate_noise(np.stack(fields)) == all_of_them


def test_scale_and_holes_and_hot_pixels_change_little() -> None:
    lr, _ = gradient(0)
    plain = estimate_noise(lr).model
    scaled = estimate_noise(lr * 0.01 - 1).model
    expected = plain.in_unit([0.01] * 2, [-1] * 2)
    assert scaled.gain == pytest.approx(expected.gain, rel=1e-3)
    assert scaled.offset == pytest.approx(expected.offset, rel=1e-3)
    assert scaled.read_noise == pytest.approx(expected.read_noise, rel=1e-3)
    rng = np.random.default_rng(1)
    spoilt = lr.copy()
    spoilt[:, rng.integers(0, 192, 40), rng.integers(0, 192, 40)] += 3000
    spoilt[:, :20, :50] = np.nan
    mended = estimate_noise(spoilt).model
    assert mended.gain == pytest.approx(plain.gain, rel=0.15)
    assert mended.read_noise == pytest.approx(plain.read_noise, rel=0.15)


def test_dark_noise_that_was_cut_off_is_told() -> None:
    lr, _ = gradient(0)
    cut = (lr - 100).clip(0)
    (doubt,) = estimate_noise(cut, names=("DNA", "GFP")).doubts
    assert doubt.startswith("Channel DNA: ")
    assert "have the lowest value, 0; dark noise seems to be cut off" in doubt


def test_a_constant_image_has_no_noise() -> None:
    found = estimate_noise(np.full((1, 40, 40), 7.0))
    assert found.model == NoiseModel((0.0,), (7.0,), (0.0,))
    assert "100% of the pixels have the lowest value" in found.doubts[0]


def test_variance_is_the_same_for_arrays_and_tensors() -> None:
    noise = NoiseModel((2.0, 0.5), (100.0, 10.0), (3.0, 1.0))
    signal = np.random.default_rng(0).random((4, 2, 5, 5)).astype(np.float32) * 200
    ours = noise.variance(signal)
    assert ours[1, 1, 2, 3] == pytest.approx(0.5 * max(signal[1, 1, 2, 3] - 10, 0) + 1, rel=1e-5)
    assert np.allclose(noise.variance(torch.from_numpy(signal)).numpy(), ours)
    half = noise.in_unit([0.5, 0.5], [1, 1])
    assert np.allclose(half.variance(signal * np.float32(0.5) + 1), ours / 4, rtol=1e-4)
    assert NoiseModel(**{k: tuple(v) for k, v in noise.record().items()}) == noise


def test_a_record_is_of_plain_values() -> None:
    import json

    found = estimate_noise(gradient(0)[0])
    assert json.loads(json.dumps(found.record())) == found.record()


def test_what_cannot_be_is_a_sentence() -> None:
    with pytest.raises(InputError, match=r"LR images \(C, y, x\) with the same channels"):
        estimate_noise(np.zeros((40, 40)))
    with pytest.raises(InputError, match=r"there are 9 where 60 are needed: take a larger field"):
        estimate_noise(np.random.default_rng(0).random((1, 8, 8)))
    with pytest.raises(InputError, match="no finite pixels"):
        estimate_noise(np.full((1, 8, 8), np.nan))
    with pytest.raises(SettingsError, match="gain and read noise must be numbers from 0"):
        NoiseModel((-1.0,), (0.0,), (1.0,))
    with pytest.raises(SettingsError, match="There are 2 gains, 1 offsets and 1 read noises"):
        NoiseModel((1.0, 1.0), (0.0,), (1.0,))
