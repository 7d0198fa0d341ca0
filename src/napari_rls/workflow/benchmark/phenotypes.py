"""Table 2: a classifier of phenotypes trained on HR cells, tested on SR cells of other wells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.evaluation.classifier import PhenotypeClassifier, split_groups
from napari_rls.workflow.benchmark.chosen_cells import BenchmarkCells, is_in
from napari_rls.workflow.benchmark.compared_images import FACTOR, LR, Outcome
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.groups import groups_of
from napari_rls.workflow.cells.stack import CellStack, content_digest
from napari_rls.workflow.cells.upsample import upsample

TRAINED, TESTED = "trained_on", "tested_on"


@dataclass(frozen=True, eq=False)
class Split:
    """Cells that the classifier is trained on, and those that it is tested on.

    Parameters
    ----------
    train
        HR cells of either condition.
    train_positive
        Which of them (N,) are positive.
    test
        Indices of other cells among the benchmark's, of either condition.
    test_positive
        Which of them are positive.
    note
        Where they come from, in a sentence.
    """

    train: CellStack
    train_positive: NDArray[np.bool_]
    test: NDArray[np.intp]
    test_positive: NDArray[np.bool_]
    note: str


def split_cells(cells: BenchmarkCells, pair: tuple[str, str], seed: int) -> Split | str:
    """Return cells to train and to test on, or in a sentence why there are none.

    Without cells for the classifier alone, half the wells of each condition are for it, with
    all of their cells, and the benchmark's cells of the other wells for the test.

    Raises
    ------
    InputError
        If cells that are there for the classifier are among those of the test.
    """
    hr = cells.hr
    tested = is_in(hr, pair[0]) | is_in(hr, pair[1])
    if cells.classifier is not None:
        source, keep = cells.classifier, np.ones(len(cells.classifier), np.bool_)
        _check_disjoint(source, hr)
        note = (
            f"The classifier is trained on cells of files of its own ({_named(source)}) and tested "
            f"on those of the benchmark ({_named(hr)})."
        )
    else:
        source = cells.pool
        groups, what = groups_of(source)
        either = is_in(source, pair[0]) | is_in(source, pair[1])
        try:
            train, _ = split_groups(
                [groups[k] for k in np.flatnonzero(either)],
                is_in(source, pair[1])[either],
                seed,
            )
        except ValueError as error:
            return (
                f"There is no classifier: no {what} can be kept apart for it ({error}); "
                "--classifier-hr gives it cells of its own."
            )
        keep = np.isin(groups, sorted(train))
        tested &= ~keep[cells.chosen]
        if what == "cell":
            note = (
                "No well or file tells cells apart, so the cells themselves were split: half are "
                "for the classifier, the others for the test."
            )
        else:
            note = (
                f"The classifier is trained on all cells of the {what}s {', '.join(sorted(train))} "
                f"and tested on the benchmark's cells of the other {what}s of the two conditions."
            )
    both = keep & (is_in(source, pair[0]) | is_in(source, pair[1]))
    chosen = np.flatnonzero(both)
    positive = is_in(source, pair[1])[chosen]
    test = np.flatnonzero(tested)
    test_positive = is_in(hr, pair[1])[test]
    for name, side in (("classifier", positive), ("test", test_positive)):
        if not side.any() or side.all():
            return f"There is no classifier: the {name} has cells of one condition only."
    crops = tuple(source.crops[k] for k in chosen)
    return Split(
        replace(source, data=source.data[chosen], crops=crops), positive, test, test_positive, note
    )


def phenotypes(outcome: Outcome, split: Split) -> pd.DataFrame:
    """Return the accuracy of classifiers: one trained on HR cells, one on LR cells per factor.

    The first is tested on GT and on SR cells of every method, the second on LR cells, which
    are upsampled for both training and test. A row per test: ``factor``, ``trained_on``,
    ``tested_on``, and the fields of :class:`~napari_rls.evaluation.classifier.Accuracy`.
    """
    encode = outcome.intensity.encode
    seed = outcome.settings.seed
    on_hr = PhenotypeClassifier(encode(split.train.data), split.train_positive, seed)
    rows: list[dict[str, Any]] = []

    def test(
        classifier: PhenotypeClassifier, factor: int, names: tuple[str, str], images: NDArray[Any]
    ) -> None:
        own = images[split.test]
        usable = np.isfinite(own).all((1, 2, 3))
        if usable.any():
            accuracy = classifier.test(encode(own[usable]), split.test_positive[usable])
            rows.append({FACTOR: factor, TRAINED: names[0], TESTED: names[1]} | asdict(accuracy))

    for factor in outcome.settings.factors:
        test(on_hr, factor, ("HR", "GT"), outcome.cells.hr.data)
        for job, result in outcome.of("main", factor=factor):
            test(on_hr, factor, ("HR", job.settings.method), result.sr)
        first = next(j for j in outcome.jobs if j.part == "main" and j.settings.factor == factor)
        operator = outcome.settings.operator
        small = upsample(degrade(split.train.data, factor, operator=operator), factor)
        on_lr = PhenotypeClassifier(encode(small), split.train_positive, seed)
        test(on_lr, factor, (LR, LR), outcome.upsampled(first))
    return pd.DataFrame(rows)


def _check_disjoint(own: CellStack, tested: CellStack) -> None:
    shared = {crop.well for crop in own.crops if crop.well} & {crop.well for crop in tested.crops}
    if shared:
        raise InputError(
            f"Well {min(shared)} is both among the classifier's cells and among those of the "
            "benchmark; give files of other wells."
        )
    images = {content_digest(image) for image in own.data}
    if any(content_digest(image) in images for image in tested.data):
        raise InputError(
            "The classifier's files and those of the benchmark have cells in common; give files "
            "of other cells."
        )


def _named(stack: CellStack) -> str:
    wells: Sequence[str] = sorted({crop.well for crop in stack.crops if crop.well})
    return f"wells {', '.join(wells)}" if wells else f"{len(stack)} cells of {stack.name}"
