"""All fields of a run: those of a file with several, what is kept, one table."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from field_bench import NOISE, bundle, drawn_field

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.intensity import IntensityMap
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells import write
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.fields import field_task
from napari_rls.workflow.fields.field_files import FieldFile, FieldPaths, write_field
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.field_task import FieldsUpdate, Pace
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.fields.run_fields import RunFields
from napari_rls.workflow.super_resolve.resolver import SuperResolver

OPTICS = {"ratio": 8, "psf_sigma": 0.45}
QUICK = Settings(steps=2, samples=0, threads=1)

INTENSITY = IntensityMap("bundle", (100.0, 100.0), (2650.0, 2650.0))


def job(out: Path) -> RunFields:
    made = bundle()
    fields = FieldSettings(optics=OPTICS, noise=NOISE)
    measured = MeasureSettings.model_validate(dict(made.manifest.measurement))
    return RunFields(made, QUICK, fields, measured, out)


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


def test_planes_of_time_points_are_fields_of_which_rows_tell_both(tmp_path: Path) -> None:
    image = drawn_field(8.0, 1, 1).lr.data[0]
    frames = np.stack([[np.roll(image, 2 * t + z, axis=-1) for z in (0, 1)] for t in range(3)])
    tifffile.imwrite(
        tmp_path / "B03.ome.tif",
        frames,
        ome=True,
        photometric="minisblack",
        metadata={"axes": "TZCYX", "Channel": {"Name": ["DNA", "FKHR-GFP"]}},
    )
    out = tmp_path / "out"
    told = [update.message for update in job(out).updates([tmp_path / "B03.ome.tif"])]
    assert (
        len([text for text in told if "6 planes (3 time points of 2 planes) is taken" in text]) == 1
    )
    table = pd.read_csv(out / "cells.csv")
    found = table[["Metadata_T", "Metadata_Z"]].drop_duplicates().values.tolist()
    assert found == [[t, z] for t in (1, 2, 3) for z in (1, 2)]
    assert (out / "fields" / "B03_t2z1_SR8x.ome.tif").exists()
    # Each is the plane that it says: rolled by so much.
    cells = read_stack(out / "fields" / "B03_t3z2_cells_SR8x.ome.tif")
    assert {(crop.file, crop.time, crop.plane) for crop in cells.crops} == {("B03.ome.tif", 3, 2)}
    for index, (t, z) in enumerate((t, z) for t in range(3) for z in range(2)):
        read = FieldFile(tmp_path / "B03.ome.tif", index, 6, "B03").read()
        np.testing.assert_array_equal(read.data[0], frames[t, z])
        assert read.crops[0].frame == (t + 1, z + 1)


def test_a_run_that_does_not_fit_on_the_disk_is_told_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 100_000
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    lr = drawn_field(8.0, 1, 2).lr  # SR: 2 channels of 64 x 128 pixels of 4 bytes
    for well in ("B03", "B04"):
        write.write_stack(tmp_path / f"{well}.ome.tif", lr, description="a field")
    files = [tmp_path / "B03.ome.tif", tmp_path / "B04.ome.tif"]
    out = tmp_path / "out"
    assert any("cells of 1 of 1" in update.message for update in job(out).updates(files[:1]))
    refused = "The results take about 131 kB, and 100 kB are free on the disk"
    with pytest.raises(InputError, match=refused):
        list(job(tmp_path / "other").updates(files))
    assert not list((tmp_path / "other").rglob("*.tif"))
    # What is there needs no more space.
    assert any("cells of 2 of 2" in update.message for update in job(out).updates(files))


def test_images_larger_than_a_tile_are_written_tile_by_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = drawn_field()
    resolver = SuperResolver(bundle(), Settings(steps=1, samples=0, threads=1))
    of = FieldResolver(resolver, FieldSettings(optics=OPTICS, noise=NOISE, diameter=15))
    *_, last = of.updates(drawn.lr, places=drawn.places[:2])
    assert last.result is not None
    image, generated = last.result.image.whole()
    kept = []
    for side in (48, 1024):
        monkeypatch.setattr(write, "TILE", side)
        monkeypatch.setattr(write, "_BIG", 100_000)
        paths = FieldPaths.of(tmp_path / str(side), "B03", 8)
        write_field(paths, last.result, last.result.record, {}, INTENSITY)
        with tifffile.TiffFile(paths.image) as tiff:
            assert (tiff.is_bigtiff, tiff.pages[0].is_tiled) == (side == 48, side == 48)
        found = read_stack(paths.image)
        assert found.channels == ("DNA", "FKHR-GFP")
        np.testing.assert_allclose(found.data[0], image, rtol=1e-5, atol=1e-2)
        mask = read_stack(paths.generated).data[0, 0]
        np.testing.assert_array_equal(mask, generated)
        assert mask.dtype == np.uint8
        assert 0.2 < mask.mean() < 0.5
        kept.append(found.data)
    np.testing.assert_allclose(*kept, rtol=1e-5, atol=1e-2)


def fields_of(folder: Path, **pixels: np.ndarray) -> None:
    folder.mkdir()
    lr = drawn_field(8.0, 2, 3).lr
    for well, data in pixels.items():
        write.write_stack(folder / f"{well}.ome.tif", replace(lr, data=data), description="a field")


def estimating(out: Path) -> RunFields:
    """A job that estimates the noise, as what all of its fields share."""
    made = job(out)
    fields = FieldSettings(optics=OPTICS)
    return RunFields(made.resolver.bundle, QUICK, fields, made.measurement, out)


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        (lambda lr: (lr / 20).clip(0, 255).astype(np.uint8), "has pixels that are integers of 8"),
        (lambda lr: (lr / 65535).astype(np.float32), "has pixels that are floats, and those of 2"),
        (lambda lr: (lr // 100).astype(np.uint16), "are as dark as what is no light in the other"),
    ],
)
def test_fields_in_another_unit_change_nothing_of_the_others(
    tmp_path: Path, odd: Callable[[np.ndarray], np.ndarray], sentence: str
) -> None:
    lr = drawn_field(8.0, 2, 3).lr.data
    fields_of(tmp_path / "alike", B03=lr, B04=lr[..., ::-1])
    fields_of(tmp_path / "mixed", A01=odd(lr), B03=lr, B04=lr[..., ::-1])
    tables = {}
    for name in ("alike", "mixed"):
        out = tmp_path / f"{name}-results"
        updates = list(estimating(out).updates([tmp_path / name]))
        errors = [str(update.error) for update in updates if update.error is not None]
        assert [sentence in error for error in errors] == [True] * (name == "mixed")
        assert [error for error in errors if "A01.ome.tif" not in error] == []
        assert "fields, about" not in (out / "report.html").read_text()
        tables[name] = pd.read_csv(out / "cells.csv")
        assert set(tables[name]["Metadata_Well"]) == {"B03", "B04"}
    # Noise and intensities, which all share, are those of the fields of the usual unit.
    pd.testing.assert_frame_equal(tables["alike"], tables["mixed"])


def test_a_dim_field_is_not_taken_for_one_of_another_unit(tmp_path: Path) -> None:
    lr = drawn_field(8.0, 2, 3).lr.data
    dim = (100 + (lr.astype(float) - 100) / 4).round().clip(0).astype(np.uint16)
    fields_of(tmp_path / "plate", A01=dim, B03=lr, B04=lr[..., ::-1])
    updates = list(estimating(tmp_path / "out").updates([tmp_path / "plate"]))
    assert not [update.error for update in updates if update.error is not None]


def test_files_of_somebody_else_are_not_replaced_unless_asked_for(tmp_path: Path) -> None:
    fields_of(tmp_path / "plate", B03=drawn_field(8.0, 2, 3).lr.data)
    out = tmp_path / "out"
    out.mkdir()
    (out / "cells.csv").write_text("counted by hand\n")
    run = job(out)
    with pytest.raises(InputError, match=r"out holds cells\.csv already, .* or --overwrite\."):
        list(run.updates([tmp_path / "plate"]))
    assert (out / "cells.csv").read_text() == "counted by hand\n"
    run.overwrite = True
    assert any("cells of 1 of 1" in update.message for update in run.updates([tmp_path / "plate"]))
    # A start after the kill of another one finds what that wrote.
    run.overwrite = False
    assert any("cells of 1 of 1" in update.message for update in run.updates([tmp_path / "plate"]))


def test_a_run_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((0.0, 60.0, 120.0))
    monkeypatch.setattr(field_task.time, "monotonic", lambda: next(now))
    pace = Pace(4)
    kept, made = FieldsUpdate("B03 is there."), FieldsUpdate("B04.", written=(Path("x"),))
    # What an earlier start has finished says nothing of how long the others take.
    assert pace.tell(kept).message == "B03 is there. (1 of 4 fields)"
    assert pace.tell(made).message == "B04. (2 of 4 fields, about 2 min left)"
    failed = pace.tell(FieldsUpdate("B05 failed.", error=InputError("failed")))
    assert (failed.message, failed.done) == ("B05 failed. (3 of 4 fields, about 60 s left)", 3)
    assert pace.tell(made).message == "B04. (4 of 4 fields)"
