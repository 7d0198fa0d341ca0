"""Intervals over cells: they are those of cells really drawn again, and cover as they say."""

import numpy as np
import pytest
import torch
from plain_scores import cloud, plain_fid, plain_kid

from napari_rls.evaluation.bootstrap import draw_cells, fid_interval, kid_interval, mean_interval
from napari_rls.evaluation.scores import distances


def test_draws_are_as_many_cells_and_depend_on_the_seed_alone() -> None:
    counts = draw_cells(30, 50, seed=4)
    assert counts.shape == (50, 30)
    assert (counts.sum(1) == 30).all()
    assert np.array_equal(counts, draw_cells(30, 50, seed=4))
    assert not np.array_equal(counts, draw_cells(30, 50, seed=5))


def test_the_interval_of_a_mean_is_about_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=400)
    low, high = mean_interval(values, draw_cells(400, 4000, seed=0))
    reach = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.1 * reach)


def test_the_interval_of_a_mean_covers_as_it_says() -> None:
    samples = np.random.default_rng(1).exponential(size=(300, 60))
    counts = draw_cells(60, 400, seed=0)
    ends = np.array([mean_interval(values, counts) for values in samples])
    covered = ((ends[:, 0] <= 1) & (ends[:, 1] >= 1)).mean()
    # A percentile interval of 60 skewed values covers a little less than 95 %.
    assert 0.88 < covered < 0.98


def test_infinite_values_and_single_cells() -> None:
    counts = draw_cells(20, 200, seed=0)
    infinite = np.full(20, np.inf)
    assert mean_interval(infinite, counts) == (np.inf, np.inf)
    low, high = mean_interval(np.append(np.arange(19.0), np.inf), counts)
    assert np.isfinite(low)
    assert high == np.inf
    assert np.isnan(mean_interval(np.ones(1), draw_cells(1, 200, seed=0))).all()


def test_kid_of_every_cell_once_is_kid() -> None:
    real, generated = cloud(40), cloud(30, shift=0.3, seed=1)
    once = np.ones((3, 30))
    found = kid_interval([(real, generated)], once)
    expected = plain_kid(real.double().numpy(), generated.double().numpy())
    assert found == pytest.approx((expected, expected), rel=1e-9)
    # And torchmetrics' own, where one subset is all of them.
    both = (real[:30], generated)
    assert kid_interval([both], once)[0] == pytest.approx(distances(*both).kid, rel=1e-9)


def test_kid_of_a_draw_leaves_out_pairs_of_a_cell_with_its_copy() -> None:
    x, y = cloud(12).double().numpy(), cloud(5, shift=0.3, seed=1).double().numpy()
    drawn = [0, 0, 0, 1, 4]
    counts = np.array([[3, 1, 0, 0, 1.0]])

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [kernel(y[i], y[j]) for i in drawn for j in drawn if i != j]
    across = [kernel(a, y[j]) for a in x for j in drawn]
    same = [kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    expected = np.mean(same) + np.mean(within) - 2 * np.mean(across)
    found = kid_interval([(torch.from_numpy(x), torch.from_numpy(y))], counts)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_fid_is_the_deviation_of_fid_of_drawn_cells() -> None:
    real, generated = cloud(40), cloud(30, shift=0.3, seed=1)
    counts = draw_cells(30, 8, seed=2)
    x, y = real.double().numpy(), generated.double().numpy()
    drawn = [plain_fid(x, np.repeat(y, count.astype(int), axis=0)) for count in counts]
    low, high = fid_interval(7.0, [(real, generated)], counts)
    assert (high + low) / 2 == pytest.approx(7)
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(drawn, ddof=1), rel=1e-4)


def test_fid_of_more_features_than_cells() -> None:
    real, generated = cloud(20, width=50), cloud(15, width=50, shift=0.2, seed=1)
    counts = draw_cells(15, 6, seed=2)
    x, y = real.double().numpy(), generated.double().numpy()
    drawn = [
        distances(real, torch.from_numpy(np.repeat(y, count.astype(int), axis=0))).fid
        for count in counts
    ]
    low, high = fid_interval(0.0, [(torch.from_numpy(x), generated)], counts)
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(drawn, ddof=1), rel=1e-2)


def test_blocks_are_averaged() -> None:
    pairs = [(cloud(20, seed=k), cloud(20, shift=0.3 * k, seed=k + 9)) for k in (1, 2)]
    once = np.ones((3, 20))
    single = [kid_interval([block], once)[0] for block in pairs]
    assert kid_interval(pairs, once)[0] == pytest.approx(np.mean(single), rel=1e-9)


def test_the_interval_of_kid_covers_kid_of_all_cells_that_could_be_drawn() -> None:
    real = cloud(60)
    truth = kid_interval([(real, cloud(4000, shift=0.25, seed=999))], np.ones((2, 4000)))[0]
    counts = draw_cells(60, 200, seed=0)
    ends = np.array(
        [kid_interval([(real, cloud(60, shift=0.25, seed=k))], counts) for k in range(1, 101)]
    )
    covered = ((ends[:, 0] <= truth) & (ends[:, 1] >= truth)).mean()
    assert 0.85 < covered <= 1
