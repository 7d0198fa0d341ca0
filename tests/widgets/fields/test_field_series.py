"""All fields of a layer in a real window: time points, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from field_bench import drawn_field
from field_window import click, give, layers

from napari_rls.widgets.cells.sr_writer import write_sr_layers
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.fields.chosen_cells import Which
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.read import read_stack

STARTS = (0, 3, 6)
"""First columns of the time points, which are parts of a field of four cells."""


@pytest.fixture
def series(viewer, dock):
    """Open a series (T, C, y, x) and choose all of it."""
    wide = drawn_field(8.0, 1, 4).lr.data[0]
    stack = np.stack([wide[..., first : first + 16] for first in STARTS])
    layer = viewer.add_image(
        stack, name="series", axis_labels=("t", "c", "y", "x"), scale=(2, 1, 0.5, 0.5)
    )
    give(dock, ratio="8")
    assert not dock.every.native.isHidden()
    assert dock.every.text == "All 3 fields along t"
    dock.every.value = True
    return layer


def test_all_fields_are_run_shown_and_measured(viewer, dock, qtbot, series, tmp_path):
    assert "All 3 fields along t are taken, one after the other." in dock.reading.text()
    dock.main.fields["samples"].value = 2
    click(qtbot, dock, dock.run)
    text = dock.message.text()
    assert text.startswith("Done: ")
    assert "in 3 of 3 fields" in text
    sr = layers(viewer, "SR 8x")
    assert [layer.name for layer in sr] == [
        "SR 8x (generated) of series DNA",
        "SR 8x (generated) of series FKHR-GFP",
    ]
    assert [layer.data.shape for layer in sr] == [(3, 1, 64, 128)] * 2
    assert [layer.data.shape for layer in layers(viewer, "SR samples")] == [(2, 3, 1, 64, 128)] * 2
    (mask,) = layers(viewer, "Generated in SR 8x of series")
    assert mask.data.shape == (3, 1, 64, 128)
    for plane in range(3):
        # Each is of its own LR field, in its place.
        lr = series.data[plane, 0].astype(float)
        means = sr[0].data[plane, 0].reshape(8, 8, 16, 8).mean((1, 3))
        assert np.corrcoef(means.ravel(), lr.ravel())[0, 1] > 0.8
        expected = series.data_to_world((plane, 0, (5 + 0.5) / 8 - 0.5, (9 + 0.5) / 8 - 0.5))
        place = np.array(sr[0].data_to_world((plane, 0, 5, 9)))
        np.testing.assert_allclose(place[[0, 2, 3]], np.array(expected)[[0, 2, 3]])
        assert mask.data[plane].mean() > 0.5
    record = sr[0].metadata[PROVENANCE_KEY]
    assert record["complete"] is True
    assert [each["input"]["name"] for each in record["fields"]] == [
        f"series_{k}" for k in (1, 2, 3)
    ]
    assert len({each["input"]["sha256"] for each in record["fields"]}) == 3
    # They share noise and intensities, as fields of the command do.
    assert len({str(each["intensity"]["low"]) for each in record["fields"]}) == 1
    (points,) = layers(viewer, "Cells of series")
    counts = [len(each["places"]) for each in record["fields"]]
    assert [int((points.data[:, 0] == plane).sum()) for plane in range(3)] == counts
    files = write_sr_layers(tmp_path / "sr.ome.tif", sr)
    saved = read_stack(files[0])
    np.testing.assert_array_equal(saved.data[:, 0], sr[0].data[:, 0])

    click(qtbot, dock, dock.measure)
    qtbot.waitUntil(lambda: dock.controller._link is not None)
    table = dock.state.measured.table
    assert [int((table["Metadata_T"] == k).sum()) for k in (1, 2, 3)] == counts
    assert table["Metadata_Cell"].is_unique
    (nuclei,) = layers(viewer, "SR nuclei of series")
    for plane in range(3):
        rows = np.flatnonzero(table["Metadata_T"] == plane + 1) + 1
        assert set(np.unique(nuclei.data[plane])) <= {0, *rows}
    # A selected row is brought into view where it is.
    last = int(np.flatnonzero(table["Metadata_T"] == 3)[0])
    viewer.dims.set_current_step(viewer.dims.axis_labels.index("t"), 0)
    dock.state.selected = (last,)
    assert viewer.dims.current_step[viewer.dims.axis_labels.index("t")] == 2
    (point,) = points.selected_data
    assert points.data[point, 0] == 2
    # Moving the slider leaves the message of the run alone.
    assert dock.message.text().startswith("Done: ")


@pytest.mark.usefixtures("series")
def test_what_is_done_stays_when_a_run_is_cancelled_and_the_next_goes_on(viewer, dock, qtbot):
    dock.main.fields["steps"].value = 40
    dock.run.native.click()
    qtbot.waitUntil(lambda: "Field 2 of 3" in dock.bar.format(), timeout=120_000)
    dock.cancel.native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30_000)
    assert dock.message.text().startswith("Cancelled: ")
    assert "in 1 of 3 fields" in dock.message.text()
    sr = layers(viewer, "SR 8x (generated, cancelled) of series")
    assert len(sr) == 2
    assert 1 <= len(sr[0].data) <= 2
    first = sr[0].data[0].copy()
    record = sr[0].metadata[PROVENANCE_KEY]
    assert record["complete"] is False
    assert record["fields"][0]["complete"] is True
    # The one that is done can be measured.
    click(qtbot, dock, dock.measure)
    assert "Measured are the 1 of 3 fields that are done." in dock.message.text()
    assert set(dock.state.measured.table["Metadata_T"]) == {1}

    click(qtbot, dock, dock.run)
    assert "Done already: 1 of 3 fields." in dock.message.text()
    assert "in 3 of 3 fields" in dock.message.text()
    assert layers(viewer, "SR 8x (generated) of series") == sr
    np.testing.assert_array_equal(sr[0].data[0], first)
    fields = sr[0].metadata[PROVENANCE_KEY]["fields"]
    assert fields[0]["started"] == record["fields"][0]["started"]
    assert all(each["complete"] for each in fields)
    # Once all is done, a new run has layers of its own, and so have its samples.
    click(qtbot, dock, dock.run)
    assert "stay, in layers of their own" in dock.message.text()
    assert [layer.name.endswith("(kept)") for layer in layers(viewer, "SR 8x")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.usefixtures("series")
def test_samples_of_all_fields_are_named_kept_and_saved_with_them(viewer, dock, qtbot, tmp_path):
    dock.main.fields["samples"].value = 2
    click(qtbot, dock, dock.run)
    for _ in range(2):
        click(qtbot, dock, dock.statistics)
        qtbot.waitUntil(lambda: len(layers(viewer, "SR sd of samples")) == 2)
    assert [len(layers(viewer, f"SR {x} of samples")) for x in ("mean", "sd")] == [2, 2]
    dock.controller.save_sr(tmp_path / "all.ome.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"all{end}" for end in (".json", ".ome.tif", "_mean.json", "_mean.ome.tif")
    ] + [f"all{end}" for end in ("_samples.ome.tif", "_sd.json", "_sd.ome.tif")]
    click(qtbot, dock, dock.run)
    samples = [layer.name for layer in layers(viewer, "SR samples")]
    assert [name.endswith("(kept)") for name in samples] == [True, True, False, False]
    assert all("[" not in name for name in samples)
    # One field of the series is told from all of them.
    dock.every.value = False
    viewer.dims.set_current_step(viewer.dims.axis_labels.index("t"), 0)
    click(qtbot, dock, dock.run)
    assert len(layers(viewer, "SR 8x (generated) of field 1 of series")) == 2


def test_a_field_without_cells_is_told_and_does_not_stop_the_others(viewer, dock, qtbot, series):
    data = series.data.copy()
    data[1] = 100
    series.data = data
    click(qtbot, dock, dock.run)
    assert "in 2 of 3 fields" in dock.message.text()
    assert "Field 2 is left out: No nucleus was found in series_2" in dock.message.text()
    sr = layers(viewer, "SR 8x")[0]
    assert sr.metadata[PROVENANCE_KEY]["fields"][1] is None
    # It shows the LR field, of which nothing is generated.
    np.testing.assert_allclose(sr.data[1], 100, atol=1e-3)
    (mask,) = layers(viewer, "Generated in SR")
    assert not mask.data[1].any()
    click(qtbot, dock, dock.measure)
    assert set(dock.state.measured.table["Metadata_T"]) == {1, 3}


@pytest.mark.usefixtures("series")
def test_points_of_each_field_are_its_own(viewer, dock, qtbot):
    click(qtbot, dock, dock.look)
    (points,) = layers(viewer, "Cells of series")
    assert "cells in the layer Cells of series" in dock.message.text()
    # One point by hand in the last field; the others as they are.
    kept = points.data[points.data[:, 0] < 2]
    points.data = np.concatenate([kept, [[2, 0, 4.0, 8.0]]])
    click(qtbot, dock, dock.run)
    fields = layers(viewer, "SR 8x")[0].metadata[PROVENANCE_KEY]["fields"]
    assert [len(each["places"]) for each in fields] == [
        *(int((kept[:, 0] == plane).sum()) for plane in (0, 1)),
        1,
    ]
    np.testing.assert_allclose(fields[2]["places"], [[4.0, 8.0]], atol=0.5 / 8)


@pytest.mark.usefixtures("series")
def test_selected_points_of_all_fields(viewer, dock, qtbot):
    click(qtbot, dock, dock.look)
    (points,) = layers(viewer, "Cells of series")
    chosen = [int(np.flatnonzero(points.data[:, 0] == plane)[0]) for plane in (0, 2)]
    points.selected_data = set(chosen)
    dock.which.native.setCurrentText(str(Which.SELECTED))
    click(qtbot, dock, dock.run)
    fields = layers(viewer, "SR 8x")[0].metadata[PROVENANCE_KEY]["fields"]
    assert [None if each is None else len(each["places"]) for each in fields] == [1, None, 1]
