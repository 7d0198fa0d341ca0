"""Images of several kinds that are not of the same cells in the same order are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_order import own_rank
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import measure

SETTINGS = MeasureSettings(assay="translocation")


@pytest.fixture(scope="module")
def hr() -> CellStack:
    cells = simulate(SimulateSettings(assay="translocation", cells=12, seed=1)).hr
    return replace(cells, crops=(), name="hr.tif", pixel_size_um=0.5)


def warnings(*sets: ImageSet) -> list[str]:
    *_, last = measure(sets, SETTINGS)
    assert last.result is not None
    return last.result.record["warnings"]


def other_order(stack: CellStack, name: str) -> CellStack:
    return replace(stack, data=np.roll(stack.data, 1, 0), name=name)


def test_cells_in_another_order_are_told(hr: CellStack) -> None:
    lr = degrade_stack(hr, DegradeSettings(factor=8, gaussian=3))
    assert warnings(ImageSet("HR", hr), ImageSet("LR", lr)) == []
    said = warnings(ImageSet("HR", hr), ImageSet("LR", other_order(lr, "lr.tif")))
    assert " ".join(said) == (
        "The cells of hr.tif and lr.tif do not look like the same cells in the same order: most of "
        "them are more like others. Give files of the same cells in the same order."
    )
    swapped = replace(hr, data=hr.data[:, ::-1], channels=hr.channels[::-1], name="swapped.tif")
    assert warnings(ImageSet("SR", hr), ImageSet("GT", swapped)) == []


def test_pixels_of_two_sizes_are_told(hr: CellStack) -> None:
    other = replace(hr, pixel_size_um=0.3, name="gt.tif")
    (said,) = warnings(ImageSet("SR", hr), ImageSet("GT", other))
    assert said == (
        "The pixels of hr.tif are 0.5 µm wide and those of gt.tif 0.3 µm, though they are of the "
        "same cells: areas and distances in micrometres cannot be compared; correct the pixel size."
    )
    assert warnings(ImageSet("SR", hr), ImageSet("GT", replace(other, pixel_size_um=None))) == []


@pytest.mark.parametrize("factor", [8, 16])
def test_the_rank_tells_the_same_cells_from_others(hr: CellStack, factor: int) -> None:
    lr = degrade_stack(hr, DegradeSettings(factor=factor)).data.repeat(factor, 2).repeat(factor, 3)
    assert own_rank(hr.data, lr) > 0.95
    assert own_rank(hr.data, lr * 40 + 7) == pytest.approx(own_rank(hr.data, lr), abs=1e-3)
    assert np.mean([own_rank(hr.data, np.roll(lr, k, 0)) for k in range(1, 12)]) < 0.6


def test_cells_that_cannot_be_compared_are_no_reason_for_doubt(hr: CellStack) -> None:
    assert own_rank(hr.data[:1], hr.data[1:2]) == 1
    assert own_rank(np.full((3, 2, 8, 8), np.nan), np.ones((3, 2, 8, 8))) == 1
    assert own_rank(np.ones((3, 2, 8, 8)), np.zeros((3, 2, 8, 8))) == 1
    alike = np.repeat(hr.data[:1], 4, 0)
    assert own_rank(alike, alike) == 1
