"""Simulated fields of the demo: in the docs' optics and noise, with the truth behind them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.simulate.assays import ASSAYS
from napari_rls.workflow.cells.lr_field import degrade_field
from napari_rls.workflow.cells.simulated import SIMULATED_LABEL
from napari_rls.workflow.fields.demo_fields import simulate_plate


@pytest.mark.parametrize(("assay", "ratio"), [("golgi", 8), ("translocation", 6.4)])
def test_lr_fields_are_the_truth_as_a_microscope_sees_it(assay: str, ratio: float) -> None:
    plate = simulate_plate(assay, 8, ratio)
    assert [field.condition for field in plate.fields] == list(ASSAYS[assay].conditions)
    assert [field.well for field in plate.fields] == ["A01", "A02"]
    offset = plate.noise.offset[0]
    for field in plate.fields:
        assert SIMULATED_LABEL in field.lr.name
        light = field.hr.data[0].astype(np.float32) - offset
        clean = degrade_field(light, ratio, 0.45, offset=offset)
        noise = field.lr.data[0] - clean
        assert noise.shape == clean.shape
        # Photons of the light and the camera's own noise, as the plate says of its noise.
        expected = np.sqrt(plate.noise.variance(clean[None])[0])
        assert (noise / expected).std() == pytest.approx(1, abs=0.1)
        assert noise.std() / np.ptp(clean) < 0.05
        size = field.hr.pixel_size_um
        assert field.lr.pixel_size_um == pytest.approx(ratio * size)


def test_as_many_cells_as_are_asked_for_are_simulated_about_and_no_fewer_than_one() -> None:
    one, many = (simulate_plate("golgi", cells).fields[0].hr.data.shape for cells in (1, 16))
    assert one == (1, 2, 128, 128)
    assert many[-1] / one[-1] == pytest.approx(2.3, abs=0.2)
    again = simulate_plate("golgi", 1, seed=1).fields[0].hr.data
    assert not np.array_equal(again, simulate_plate("golgi", 1).fields[0].hr.data)
