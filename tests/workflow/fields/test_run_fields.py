"""All fields of a run: those of a file with several, what is kept, one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from field_bench import NOISE, bundle, drawn_field

from napari_rls.measure.cells import MeasureSettings
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.run_fields import RunFields

OPTICS = {"ratio": 8, "psf_sigma": 0.45}


def job(out: Path) -> RunFields:
    made = bundle()
    settings = Settings(steps=2, samples=0, threads=1)
    fields = FieldSettings(optics=OPTICS, noise=NOISE)
    measured = MeasureSettings.model_validate(dict(made.manifest.measurement))
    return RunFields(made, settings, fields, measured, out)


def test_time_points_of_a_file_are_fields_of_which_rows_tell(tmp_path: Path) -> None:
    image = drawn_field(8.0, 1, 2).lr.data[0]
    # Without names of channels.
    tifffile.imwrite(
        tmp_path / "B03.ome.tif",
        np.stack([image, image[:, ::-1]]),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "TCYX", "PhysicalSizeX": 5.2, "PhysicalSizeY": 5.2},
    )
    out = tmp_path / "out"
    told = [update.message for update in job(out).updates([tmp_path / "B03.ome.tif"])]
    assert len([text for text in told if "Each of its 2 time points is taken for" in text]) == 1
    assert any("nuclei found in B03_2." in text for text in told)
    table = pd.read_csv(out / "cells.csv")
    assert set(table["Metadata_Well"]) == {"B03"}
    assert set(table["Metadata_File"]) == {"B03.ome.tif"}
    assert set(table["Metadata_T"]) == {1, 2}
    np.testing.assert_allclose(table["Location_Center_X_um"], 5.2 * table["Location_Center_X"])
    # What is made of a time point is of one file, too, when it is measured again.
    cells = read_stack(out / "fields" / "B03_2_cells_SR8x.ome.tif")
    assert {(crop.file, crop.time) for crop in cells.crops} == {("B03.ome.tif", 2)}
    assert cells.channels == ("DNA", "FKHR-GFP")
