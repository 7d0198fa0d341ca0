"""Samples, labels and the estimated PSF of a field, in a real window."""

from __future__ import annotations

import json

import numpy as np
import pytest
from field_bench import drawn_field
from field_window import add_field, click, give, layers, put_points

from napari_rls.widgets.cells.own_layers import layers_of_run
from napari_rls.widgets.cells.sr_writer import write_sr_layers
from napari_rls.widgets.fields import field_run, field_start
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.write import STATISTIC_KEY
from napari_rls.workflow.fields import psf_of_cells
from napari_rls.workflow.fields.sr_field import SrField

SAMPLES = 3


@pytest.fixture
def sampled(viewer, dock, qtbot):
    """Run a field of two cells with samples."""
    add_field(viewer, units="um")
    give(dock, ratio="8")
    dock.main.fields["samples"].value = SAMPLES
    click(qtbot, dock, dock.look)
    put_points(dock, drawn_field(8.0, 1, 2).places)
    click(qtbot, dock, dock.run)


def blended(dock) -> np.ndarray:
    """Blend each sample as an SR field of its own, (S, C, H, W)."""
    last = dock.controller._last
    (result,) = last.results.values()
    assert result.collector.samples.shape[:2] == (SAMPLES, 2)
    image = result.image
    fields = [SrField(image.lr, one, image.places, image.ratio) for one in result.collector.samples]
    return np.stack([field.whole()[0] for field in fields])


@pytest.mark.usefixtures("sampled")
def test_samples_are_hidden_layers_over_the_sr_field(viewer, dock):
    samples = layers(viewer, "SR samples 8x (generated) of plate")
    assert [layer.data.shape for layer in samples] == [(SAMPLES, 64, 128)] * 2
    assert [layer.axis_labels[0] for layer in samples] == ["sample"] * 2
    assert not any(layer.visible for layer in samples)
    assert f"hidden layer {samples[0].name!r}" in dock.message.text()
    each = blended(dock)
    assert np.abs(each[0] - each[1]).max() > 1
    for channel, layer in enumerate(samples):
        np.testing.assert_allclose(layer.data, each[:, channel], atol=1e-2)
        # In the place of the SR layer.
        sr = layers(viewer, "SR 8x")[channel]
        np.testing.assert_allclose(layer.data_to_world((1, 5, 9))[1:], sr.data_to_world((5, 9)))
        assert layer.metadata[PROVENANCE_KEY]["generated"] is True
        assert layer.metadata[PROVENANCE_KEY]["channels"] == [sr.name.split()[-1]]


@pytest.mark.usefixtures("sampled")
def test_the_button_shows_samples_and_the_other_their_mean_and_deviation(
    viewer, dock, qtbot, tmp_path
):
    assert "Samples" in dock.samples.native.text()
    dock.samples.native.click()
    assert all(layer.visible for layer in layers(viewer, "SR samples"))
    click(qtbot, dock, dock.statistics)
    assert dock.message.text() == "Mean and SD of the samples are layers over the SR field."
    qtbot.waitUntil(lambda: len(layers(viewer, "SR sd of samples")) == 2)
    each = blended(dock)
    means, deviations = layers(viewer, "SR mean of samples"), layers(viewer, "SR sd of samples")
    for channel in (0, 1):
        expected = each[:, channel]
        np.testing.assert_allclose(means[channel].data, expected.mean(0), atol=1e-2)
        np.testing.assert_allclose(deviations[channel].data, expected.std(0, ddof=1), atol=1e-2)
    assert [layer.visible for layer in deviations] == [False, True]
    qtbot.waitUntil(lambda: not any(layer.visible for layer in layers(viewer, "SR samples")))
    said = deviations[0].metadata[PROVENANCE_KEY]
    assert said["generated"] is True
    assert said[STATISTIC_KEY] == "standard deviation of the samples"
    # Points stay in reach, and all of the run is saved.
    assert viewer.layers[-1].name.startswith("Cells of")
    run = layers_of_run(viewer, layers(viewer, "SR 8x"))
    files = {file.name for file in write_sr_layers(tmp_path / "sr.ome.tif", run)}
    assert {"sr_samples.ome.tif", "sr_mean.ome.tif", "sr_sd.ome.tif"} <= files
    # Statistics of samples that are no more are taken away by the next run.
    click(qtbot, dock, dock.run)
    assert not layers(viewer, "SR sd of samples")
    assert len(layers(viewer, "SR samples")) == 2


def test_samples_that_are_too_large_to_show_are_told(viewer, dock, qtbot, monkeypatch):
    for module in (field_start, field_run):
        monkeypatch.setattr(module, "MOST_SAMPLES", 1e5)
    add_field(viewer)
    give(dock, ratio="8")
    dock.main.fields["samples"].value = SAMPLES
    click(qtbot, dock, dock.run)
    assert "The samples are not shown" in dock.message.text()
    assert not layers(viewer, "SR samples")
    assert "There are no samples" in dock.samples.native.toolTip()


@pytest.mark.usefixtures("sampled")
def test_labels_lie_over_the_sr_field_and_select_their_rows(viewer, dock, qtbot):
    click(qtbot, dock, dock.measure)
    qtbot.waitUntil(lambda: dock.controller._link is not None)
    (nuclei,) = layers(viewer, "SR nuclei of plate DNA")
    (rings,) = layers(viewer, "SR cytoplasm rings of plate DNA")
    sr = layers(viewer, "SR 8x")[0]
    assert nuclei.data.shape == rings.data.shape == sr.data.shape
    np.testing.assert_allclose(nuclei.data_to_world((3, 4)), sr.data_to_world((3, 4)))
    table = dock.state.measured.table
    assert set(np.unique(nuclei.data)) == {0, 1, 2}
    for cell in (0, 1):
        mine = nuclei.data == cell + 1
        # In its place, of the area that the table tells, and of what is bright.
        place = (np.mean(np.nonzero(mine), axis=1) + 0.5) / 8 - 0.5
        told = table[["Location_Center_Y", "Location_Center_X"]].to_numpy()[cell]
        assert np.hypot(*(place - told)) < 1
        assert mine.sum() == table["Nuclei_AreaShape_Area"][cell]
        assert sr.data[mine].mean() > 2 * sr.data[nuclei.data == 0].mean()
        assert nuclei.features["Metadata_Cell"][cell + 1] == table["Metadata_Cell"][cell]
    (points,) = layers(viewer, "Cells of")
    # A label, a row and a point select each other.
    nuclei.selected_label = 2
    assert dock.state.selected == (1,)
    cell = int(dock.table.table.cells[next(i.row() for i in dock.table.selectedIndexes())])
    assert cell == 1
    dock.table.selectRow(0)
    first = int(dock.table.table.cells[0])
    assert nuclei.selected_label == rings.selected_label == first + 1
    (selected,) = points.selected_data
    points.selected_data = {1 - selected}
    assert nuclei.selected_label == 2 - first
    # Rings give way to the outlines; the tools of the points stay at hand.
    chosen = 1 - selected
    assert np.allclose(points.border_color[chosen], 1)
    assert np.allclose(points.border_color[1 - chosen, 3], 0.35, atol=0.01)
    assert viewer.layers[-1] is points
    assert viewer.layers.selection.active is points
    # Measured again, the labels are those of now.
    before = set(viewer.layers)
    click(qtbot, dock, dock.measure)
    qtbot.waitUntil(lambda: dock.controller._link is not None)
    assert set(viewer.layers) == before


def test_the_record_says_that_the_psf_width_was_estimated(viewer, dock, qtbot, monkeypatch):
    monkeypatch.setattr(psf_of_cells, "_DRAWN", 100)  # no more than it takes
    add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.estimate)
    estimate = dock.state.psf.estimate
    # The field loses the focus as it is: nothing is edited.
    dock.optics.fields["psf_sigma"].native.editingFinished.emit()
    click(qtbot, dock, dock.run)
    assert "PSF width by " in dock.message.text()
    seen = layers(viewer, "SR")[0].metadata[PROVENANCE_KEY]["microscope"]
    assert seen["psf_sigma"] == estimate.sigma
    assert seen["psf_estimate"]["interval"] == list(estimate.interval)
    assert seen["psf_estimate"]["of"] == "plate DNA"
    assert any("of plate DNA" in sentence for sentence in seen["assumed"])
    json.dumps(seen)
    # What the user types is given, though it is changed back.
    give(dock, psf_sigma="0.7")
    give(dock, psf_sigma=f"{estimate.sigma:g}")
    click(qtbot, dock, dock.run)
    seen = layers(viewer, "SR")[0].metadata[PROVENANCE_KEY]["microscope"]
    assert seen["psf_sigma"] == estimate.sigma
    assert seen["psf_estimate"] is None
    assert not any("PSF width by" in sentence for sentence in seen["assumed"])
