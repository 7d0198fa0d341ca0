"""The classifier of phenotypes, and how groups are kept apart for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_rls.evaluation.classifier import PhenotypeClassifier, split_groups


def spots(count: int, *, bright: bool, seed: int) -> np.ndarray:
    """Return images (N, 2, 16, 16) of a spot that is bright in one channel or the other."""
    rng = np.random.default_rng(seed)
    images = rng.normal(-0.9, 0.02, (count, 2, 16, 16))
    images[:, int(bright), 6:10, 6:10] += rng.uniform(0.8, 1.2, (count, 1, 1))
    return images.astype(np.float32)


def test_a_clear_phenotype_is_told_in_cells_never_seen() -> None:
    images = np.concatenate([spots(15, bright=False, seed=0), spots(15, bright=True, seed=1)])
    classifier = PhenotypeClassifier(images, np.arange(30) >= 15)
    others = np.concatenate([spots(20, bright=False, seed=2), spots(10, bright=True, seed=3)])
    truth = np.arange(30) >= 20
    assert (classifier.predict(others) == truth).all()
    found = classifier.test(others, truth)
    assert (found.accuracy, found.balanced, found.high) == (1.0, 1.0, 1.0)
    assert (found.n_negative, found.n_positive) == (20, 10)
    z = 1.959964
    assert found.low == pytest.approx(1 / (1 + z**2 / 30), abs=1e-5)


def test_accuracy_counts_hits_and_its_interval_is_wilsons() -> None:
    images = np.concatenate([spots(15, bright=False, seed=0), spots(15, bright=True, seed=1)])
    classifier = PhenotypeClassifier(images, np.arange(30) >= 15)
    # Three of eight negative cells look positive.
    others = np.concatenate([spots(5, bright=False, seed=4), spots(5, bright=True, seed=5)])
    truth = np.arange(10) >= 8
    found = classifier.test(others, truth)
    assert found.accuracy == pytest.approx(0.7)
    assert found.balanced == pytest.approx((5 / 8 + 1) / 2)
    n, p, z = 10, 0.7, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.low == pytest.approx(centre - reach, abs=1e-5)
    assert found.high == pytest.approx(centre + reach, abs=1e-5)


def test_a_classifier_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes"):
        PhenotypeClassifier(spots(3, bright=True, seed=0), np.ones(3, np.bool_))


def test_groups_are_split_class_by_class_and_share_nothing() -> None:
    groups = [f"n{k % 4}" for k in range(12)] + [f"p{k % 3}" for k in range(9)]
    positive = np.arange(21) >= 12
    train, test = split_groups(groups, positive, seed=3)
    assert not train & test
    assert train | test == set(groups)
    assert sorted(name[0] for name in train) == ["n", "n", "p"]
    assert split_groups(groups, positive, seed=3) == (train, test)
    assert len({split_groups(groups, positive, seed=s)[0] for s in range(8)}) > 1


def test_groups_that_cannot_be_split_are_refused() -> None:
    positive = np.array([False, False, True])
    with pytest.raises(ValueError, match="the positive class has 1"):
        split_groups(["a", "b", "c"], positive)
    with pytest.raises(ValueError, match="b has cells of both"):
        split_groups(["a", "b", "b"], positive)
