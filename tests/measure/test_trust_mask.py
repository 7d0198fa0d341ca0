"""Trust masks: the risk of fresh cells is what was asked for, and what is left open is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.measure.intervals import left_open, unexplained
from napari_rls.measure.trust_mask import (
    ALPHA,
    FEWEST_CELLS,
    LIMITS,
    errors,
    fit_mask,
    largest_limit,
    losses,
    mask,
    spread,
)

RANGE = ([0.0, 10.0], [100.0, 510.0])
SPAN = np.array([100.0, 500.0])[:, None, None]


def cells(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return SR, samples and truth: what is bright spreads, and is wrong by four times that."""
    rng = np.random.default_rng(seed)
    side = 16
    y, x = np.mgrid[:side, :side] - side / 2
    wide = rng.uniform(0.02, 0.25, (count, 1, 1, 1)) * np.exp(-(y**2 + x**2) / 20)
    wide = wide * np.ones((1, 2, 1, 1)) * SPAN
    truth = 3 * wide + np.array([0.0, 10.0])[:, None, None]
    # Errors over several pixels: those of single pixels are blurred away.
    gain = rng.normal(size=(count, 2, 1, 1))
    sr = truth + 4 * wide * gain
    samples = sr + wide * rng.normal(size=(5, count, 2, 1, 1))
    return sr, samples, truth


def test_the_risk_of_fresh_cells_is_below_alpha_in_the_mean() -> None:
    risks, shares = [], []
    for seed in range(30):
        known = fit_mask(*cells(60, seed), *RANGE)
        assert known is not None
        sr, samples, truth = cells(300, 1000 + seed)
        inside = mask(samples, known, *RANGE)
        risks.append(np.where(inside, errors(sr, truth, *RANGE), 0).max((2, 3)).mean(0))
        shares.append(known.shares)
    risk = np.mean(risks, 0)
    assert (risk <= ALPHA).all()
    # Nor is it held lower than it need be, by masks that hold nothing.
    assert (risk > ALPHA / 2).all()
    assert 0.3 < np.mean(shares) < 1
    # All pixels together are farther off: there is something to leave out.
    assert errors(sr, truth, *RANGE).max((2, 3)).mean() > 1.2 * ALPHA


def test_losses_never_fall_and_have_known_values() -> None:
    scores = np.array([[0.3, 0.1, 0.2]])
    wrong = np.array([[2.0, 0.4, 0.1]])
    found = losses(scores, wrong, np.array([0.05, 0.1, 0.25, 0.3]))
    assert found.tolist() == [[0, 0.4, 0.4, 1]]
    rng = np.random.default_rng(0)
    many = losses(rng.uniform(size=(9, 50)), rng.uniform(size=(9, 50)))
    assert many.shape == (9, len(LIMITS))
    assert (np.diff(many, axis=1) >= 0).all()


def test_the_limit_takes_the_step_of_finite_samples() -> None:
    limits = np.array([0.1, 0.2, 0.3])
    loss = np.tile([0.0, 0.15, 0.3], (9, 1))
    # (9 R + 1) / 10: 0.1, 0.235, 0.37.
    assert largest_limit(loss, limits, 0.235) == 0.2
    assert largest_limit(loss, limits, 0.234) == 0.1
    assert largest_limit(loss, limits, 0.09) is None


def test_masks_grow_with_alpha() -> None:
    sr, samples, truth = cells(60, 0)
    score, wrong = (
        x[:, 0].reshape(60, -1) for x in (spread(samples, *RANGE, 1.0), errors(sr, truth, *RANGE))
    )
    found = [largest_limit(losses(score, wrong), alpha=a) or 0 for a in (0.05, 0.1, 0.2, 0.4)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_nothing_is_fitted_to_few_cells_and_nothing_trusted_of_bad_ones() -> None:
    assert fit_mask(*cells(FEWEST_CELLS - 1, 0), *RANGE) is None
    sr, samples, truth = cells(60, 0)
    assert fit_mask(sr, samples[:1], truth, *RANGE) is None
    # Samples that agree on what is wrong everywhere.
    known = fit_mask(truth + 0.9 * SPAN, samples, truth, *RANGE)
    assert known is not None
    trusted = mask(samples, known, *RANGE)
    assert trusted.mean() < 0.01
    assert known.shares == pytest.approx(trusted.mean((0, 2, 3)), abs=1e-9)


def test_shifts_below_a_pixel_are_forgiven() -> None:
    truth = np.zeros((1, 1, 16, 16))
    truth[..., 8:] = 1
    shifted = truth.copy()
    shifted[..., 8] = 0.6
    plain = errors(shifted, truth, [0.0], [1.0], blur=0).max()
    assert plain == pytest.approx(0.4)
    assert errors(shifted, truth, [0.0], [1.0]).max() < 0.5 * plain


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_variance_that_is_left_open(share: float) -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(0, np.sqrt(1 - share), 4000)
    draws = mean + rng.normal(0, np.sqrt(share), (5, 4000))
    assert left_open(draws) == pytest.approx(share, abs=0.02)
    # Truth and samples are alike: of five samples, a fifth of what is open comes on top.
    truth = mean + rng.normal(0, np.sqrt(share), 4000)
    assert unexplained(draws, truth) == pytest.approx(min(1.2 * share, 1), abs=0.03)


def test_nothing_is_left_open_of_nothing() -> None:
    assert left_open(np.ones((5, 10))) is None
    assert left_open(np.full((5, 10), np.nan)) is None
    assert unexplained(np.ones((5, 10)), np.ones(10)) is None
