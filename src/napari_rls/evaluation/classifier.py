"""A small classifier of two phenotypes, to see whether SR keeps what tells them apart.

Gheisari & Genovesio 2024, Table 2, say nothing of their classifier. This one is a logistic
regression with an l2 penalty on standardised features of the network that comes with the
package, so that a few hundred cells suffice to train it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from napari_rls.evaluation.features import features

PENALTY = 0.01
"""scikit-learn's C, the inverse of the penalty's weight: there are more features than cells."""


@dataclass(frozen=True)
class Accuracy:
    """Share of cells in the right class, with a Wilson interval that takes cells for independent.

    ``n_negative`` and ``n_positive`` count the cells tested; ``balanced`` is the mean of the
    shares in the two classes.
    """

    accuracy: float
    low: float
    high: float
    balanced: float
    n_negative: int
    n_positive: int


class PhenotypeClassifier:
    """Tells two phenotypes apart by features of images.

    Parameters
    ----------
    images
        Training images (N, C, H, W), float, black -1 and white 1.
    positive
        Which of them (N,) are of the positive phenotype.
    seed
        Seed of the solver.

    Raises
    ------
    ValueError
        If either class has no image.
    """

    def __init__(
        self, images: NDArray[np.floating], positive: NDArray[np.bool_], seed: int = 0
    ) -> None:
        # Slow to import, and needed only here.
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if positive.all() or not positive.any():
            raise ValueError("a classifier needs images of both classes")
        regression = LogisticRegression(
            C=PENALTY, class_weight="balanced", max_iter=1000, random_state=seed
        )
        self._model = make_pipeline(StandardScaler(), regression)
        self._model.fit(_features(images), positive)

    def predict(self, images: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which images (N,) look positive."""
        return np.asarray(self._model.predict(_features(images)), np.bool_)

    def test(
        self, images: NDArray[np.floating], positive: NDArray[np.bool_], level: float = 0.95
    ) -> Accuracy:
        """Return how often the classifier is right on other images."""
        right = self.predict(images) == positive
        hits = stats.binomtest(int(right.sum()), len(right))
        low, high = hits.proportion_ci(level, method="wilson")
        return Accuracy(
            float(right.mean()),
            float(low),
            float(high),
            float(np.mean([right[side].mean() for side in (positive, ~positive) if side.any()])),
            int((~positive).sum()),
            int(positive.sum()),
        )


def split_groups(
    groups: Sequence[str], positive: NDArray[np.bool_], seed: int = 0
) -> tuple[frozenset[str], frozenset[str]]:
    """Split groups, such as wells, into those to train on and those to test on.

    Of each class, half the groups, rounded down, are trained on; which ones is random.

    Parameters
    ----------
    groups
        Group of each cell (N,).
    positive
        Class of each cell (N,).
    seed
        Seed of the choice.

    Raises
    ------
    ValueError
        If a class has fewer than two groups, or a group has cells of both.
    """
    names = np.array(groups)
    both = set(names[positive]) & set(names[~positive])
    if both:
        raise ValueError(f"{min(both)} has cells of both classes")
    rng = np.random.default_rng(seed)
    train: set[str] = set()
    for side, name in ((~positive, "negative"), (positive, "positive")):
        own = np.unique(names[side])
        if len(own) < 2:
            raise ValueError(f"the {name} class has {len(own)} of them, and two are needed")
        train |= {str(group) for group in rng.permutation(own)[: len(own) // 2]}
    return frozenset(train), frozenset(map(str, names)) - train


def _features(images: NDArray[np.floating]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = features(torch.from_numpy(np.asarray(images, np.float32))).numpy()
    return found.astype(np.float64)
