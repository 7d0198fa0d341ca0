from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible
from widget_bench import lr_cells

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.field_notes import KIMG, MICROMETRES, SQUARE_PIXELS, unit_of
from napari_rls.search.settings import Settings
from napari_rls.training.training_settings import TrainSettings
from napari_rls.widgets.common.fields import ADVANCED, MAIN, meaning_of_zero
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.parts import AtMost, TextLabel, UpAndDown, shorten
from napari_rls.widgets.common.state import Message, Phase
from napari_rls.widgets.super_resolve.super_resolve_dock import SuperResolveWidget
from napari_rls.widgets.train.train_plan import TrainPlan


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(qtbot, viewer, tiny_bundle_file):
    Settings(bundle=str(tiny_bundle_file), steps=3, samples=0).save(_made(settings_file()))
    widget = SuperResolveWidget(viewer)
    for event in ("inserted", "removed", "renamed"):
        getattr(viewer.layers.events, event).connect(widget.reset_choices)
    qtbot.addWidget(widget)
    return widget


def _made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run_to_end(qtbot, widget) -> None:
    widget.run.native.click()
    assert widget.state.phase is Phase.RUNNING
    qtbot.waitUntil(lambda: widget.state.phase is Phase.IDLE, timeout=60_000)


# -- fields --------------------------------------------------------------------------------


def test_every_setting_has_one_field_with_its_title_tooltip_and_value(widget):
    fields = widget.main.fields | widget.advanced.fields | {"bundle": widget.bundle}
    assert set(fields) == set(Settings.model_fields)
    labels = {label.text(): label.toolTip() for label in widget.findChildren(QLabel)}
    for name, info in Settings.model_fields.items():
        assert fields[name].tooltip == info.description or name == "bundle"
        if name != "bundle":
            assert labels[info.title] == info.description
            value = getattr(widget.state.settings, name)
            shown = fields[name].value
            assert (shown == "") if value is None else (type(value)(shown) == value)
    assert {"healthy: 1e-6 to 5e-4", "healthy: 0.005 to 0.05"} <= set(labels)


def test_numbers_are_bounded_as_the_settings_are(widget):
    for name in (*MAIN, *ADVANCED):
        field = (widget.main.fields | widget.advanced.fields)[name]
        if Settings.model_fields[name].annotation is int and name != "factor":
            for value in (field.min, field.max):
                Settings.model_validate({name: value})
            with pytest.raises(ValueError, match=name):
                Settings.model_validate({name: field.max + 1})


def test_what_is_typed_becomes_the_setting_and_is_remembered(widget, qtbot):
    field = widget.main.fields["lambda_w"].native
    field.setText("3e-5")
    field.editingFinished.emit()
    widget.main.fields["steps"].value = 50
    widget.advanced.fields["precision"].value = "float32"
    settings = widget.state.settings
    assert (settings.lambda_w, settings.steps, settings.precision) == (3e-5, 50, "float32")
    assert Settings.load(settings_file()) == settings
    again = SuperResolveWidget(ViewerModel())
    qtbot.addWidget(again)
    assert again.main.fields["lambda_w"].value == "3e-05"
    assert again.advanced.fields["precision"].value == "float32"


def test_a_method_that_is_chosen_shows_its_settings(widget):
    widget.main.fields["seed"].value = 7
    widget.main.fields["method"].value = "pulse"
    assert widget.main.fields["steps"].value == 100
    assert widget.main.fields["lambda_c"].value == "0.05"
    assert widget.main.fields["seed"].value == 7
    assert widget.advanced.fields["start"].value == "random"
    widget.main.fields["method"].value = "rls"
    assert widget.advanced.fields["start"].value == "encoder"
    assert widget.main.fields["lambda_w"].value == "5e-05"


def test_a_wrong_number_is_refused_and_the_field_goes_back(widget):
    field = widget.main.fields["lambda_c"].native
    for wrong in ("hello", "-1", "nan"):
        field.setText(wrong)
        field.editingFinished.emit()
        assert field.text() == "0.01"
        assert "lambda_c" in widget.message.text()


def test_settings_are_saved_to_and_loaded_from_a_file(widget, tmp_path, monkeypatch):
    path = tmp_path / "mine.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    widget.main.fields["seed"].value = 7
    widget.save.native.click()
    widget.main.fields["seed"].value = 8
    widget.load.native.click()
    assert widget.main.fields["seed"].value == 7
    assert Settings.load(path).seed == 7


def test_a_bundle_file_is_opened_and_a_wrong_one_refused(widget, tmp_path, monkeypatch):
    before = widget.bundle.value
    wrong = tmp_path / "wrong.rls.safetensors"
    wrong.write_bytes(b"wrong")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(wrong), ""))
    widget.bundle.value = "Open file..."
    assert "wrong.rls.safetensors is not a complete safetensors file" in widget.message.text()
    assert widget.bundle.value == before


# -- layers --------------------------------------------------------------------------------


def test_layers_are_offered_as_they_come_go_and_change_their_name(widget, viewer):
    assert widget.picker.lr[0].value is None
    layer = viewer.add_image(lr_cells(), name="cells")
    assert widget.picker.lr[0].value is layer
    assert [box.value for box in widget.picker.indices] == [0, 1]
    layer.name = "renamed"
    box = widget.picker.lr[0].native
    assert [box.itemText(k) for k in range(box.count())] == ["(none)", "renamed"]
    viewer.layers.remove(layer)
    assert widget.picker.lr[0].value is None


def test_channels_are_mapped_to_indices_or_layers(widget, viewer):
    viewer.add_image(lr_cells(channels=3), name="cells")
    widget.picker.indices[0].value = 2
    assert widget.state.inputs.channels == (2, 1)
    first, second = (viewer.add_image(lr_cells()[:, k], name=f"L{k}") for k in (0, 1))
    widget.picker.mode.value = True
    assert widget.state.inputs.separate
    widget.picker.lr[0].value = second
    widget.picker.lr[1].value = first
    assert widget.state.inputs.lr == (second, first)
    assert widget.message.text() == ""
    widget.picker.lr[1].value = second
    assert "set to the same channel" in widget.message.text()


def test_only_the_fitting_factor_is_offered(widget, viewer):
    assert widget.main.fields["factor"].choices == (2, 4, 8, 16, 32)
    viewer.add_image(lr_cells(size=2))
    assert widget.main.fields["factor"].choices == (16,)
    assert widget.main.fields["factor"].value == 16


# -- a run in a real thread ----------------------------------------------------------------


def test_a_run_in_its_thread_fills_the_sr_layers(widget, viewer, qtbot):
    viewer.add_image(lr_cells(), name="LR")
    run_to_end(qtbot, widget)
    sr = [layer for layer in viewer.layers if layer.name.startswith("SR")]
    assert len(sr) == 2
    assert all(np.isfinite(layer.data).all() for layer in sr)
    assert sr[0].metadata["napari-rls"]["complete"] is True
    assert widget.message.text().startswith("Done: 3 of 3 cells")
    assert "CPU" in widget.device.text()


def test_while_a_run_is_on_only_cancel_can_be_pressed(widget, viewer, qtbot):
    widget.main.fields["steps"].value = 10_000
    viewer.add_image(lr_cells(), name="LR")
    assert not widget.cancel.enabled
    widget.run.native.click()
    assert not widget.run.enabled
    assert not widget.settings_area.isEnabled()
    assert widget.cancel.enabled
    qtbot.waitUntil(lambda: widget.state.progress.share > 0, timeout=60_000)
    widget.cancel.native.click()
    assert not widget.cancel.enabled
    assert widget.message.text().startswith("Cancelled: none of 3 cells was finished, in ")
    qtbot.waitUntil(lambda: widget.run.enabled, timeout=10_000)
    assert widget.settings_area.isEnabled()


def test_an_error_in_the_thread_is_shown_in_its_one_sentence(widget, viewer, qtbot, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    widget.advanced.fields["device"].value = "cuda"
    viewer.add_image(lr_cells(), name="LR")
    run_to_end(qtbot, widget)
    assert widget.message.text().startswith("cuda is not available")
    assert len(viewer.layers) == 1


def test_the_widget_may_go_away_during_a_run(viewer, qtbot, tiny_bundle_file):
    Settings(bundle=str(tiny_bundle_file), steps=10_000).save(_made(settings_file()))
    widget = SuperResolveWidget(viewer)
    viewer.add_image(lr_cells(), name="LR")
    widget.controller.guess_inputs()
    widget.run.native.click()
    controller = widget.controller
    qtbot.waitUntil(lambda: controller.state.progress.share > 0, timeout=60_000)
    widget.deleteLater()
    del widget
    qtbot.waitUntil(lambda: controller.state.phase is Phase.IDLE, timeout=10_000)
    assert viewer.layers[-1].metadata["napari-rls"]["complete"] is False


# -- what cannot be done yet ---------------------------------------------------------------


def test_buttons_that_cannot_work_yet_say_why(widget, viewer, qtbot):
    buttons = (widget.run, widget.cancel, widget.compare, widget.samples, widget.statistics)

    def enabled() -> list[bool]:
        return [button.enabled for button in (*buttons, widget.keep)]

    assert enabled() == [False] * 6
    assert "Open an image with LR cells" in widget.run.native.toolTip()
    assert "Super-resolve first" in widget.compare.native.toolTip()
    assert "set Samples to 2 or more" in widget.statistics.native.toolTip()
    assert "There is no result yet" in widget.keep.native.toolTip()
    widget.main.fields["samples"].value = 2
    widget.advanced.fields["sample_steps"].value = 2
    lr = viewer.add_image(lr_cells(), name="LR")
    assert enabled() == [True] + [False] * 5
    run_to_end(qtbot, widget)
    assert enabled() == [True, False, True, True, True, True]
    widget.keep.native.click()
    assert not widget.keep.enabled
    assert "This result is kept" in widget.keep.native.toolTip()
    viewer.layers.remove(lr)
    assert enabled() == [False, False, False, True, True, False]
    assert "The LR layer of the last run is gone" in widget.compare.native.toolTip()
    viewer.layers.clear()
    assert enabled() == [False] * 6


def test_samples_come_into_view_with_their_slider_or_button(widget, viewer, qtbot):
    widget.main.fields["samples"].value = 3
    widget.advanced.fields["sample_steps"].value = 2
    viewer.add_image(lr_cells(), name="LR")
    run_to_end(qtbot, widget)
    samples = [x for x in viewer.layers if x.name.startswith("SR samples")]
    assert not any(layer.visible for layer in samples)
    axis = viewer.dims.axis_labels.index("sample")
    viewer.dims.set_current_step(1, 1)  # the cells' slider
    assert not any(layer.visible for layer in samples)
    viewer.dims.set_current_step(axis, 2)
    assert all(layer.visible for layer in samples)
    widget.samples.native.click()
    assert not any(layer.visible for layer in samples)
    widget.compare.native.click()
    widget.samples.native.click()  # not among layers side by side, which they would cover
    assert not widget.state.comparing
    assert all(layer.visible for layer in samples)


def test_mean_and_deviation_do_not_cover_layers_side_by_side(widget, viewer, qtbot):
    widget.main.fields["samples"].value = 2
    widget.advanced.fields["sample_steps"].value = 2
    viewer.add_image(lr_cells(), name="LR")
    run_to_end(qtbot, widget)
    widget.compare.native.click()
    widget.statistics.native.click()
    assert not widget.state.comparing
    assert not viewer.canvas.grid.enabled
    assert not widget.compare.native.isChecked()
    # The last channel's comes last.
    qtbot.waitUntil(
        lambda: viewer.layers[-1].name.startswith("SR sd") and viewer.layers[-1].visible
    )


def test_layers_that_come_fill_the_boxes_that_are_there(widget, viewer):
    layer = viewer.add_image(lr_cells(), name="LR")
    boxes = [*widget.picker.lr, *widget.picker.gt, *widget.picker.indices]
    other = viewer.add_image(np.zeros((9, 9)), name="other")
    layer.name = "LR of mine"
    assert [*widget.picker.lr, *widget.picker.gt, *widget.picker.indices] == boxes
    offered = [widget.picker.lr[0].native.itemText(k) for k in range(3)]
    assert offered == ["(none)", "LR of mine", "other"]
    assert widget.picker.lr[0].value is layer
    viewer.layers.remove(other)
    assert other not in widget.picker.gt[0].choices


def test_wrapped_texts_have_all_the_height_that_they_need(qtbot):
    text = TextLabel()
    text.setText("crops that are told of in many words " * 9)
    body = QWidget()
    column = QVBoxLayout(body)
    column.addWidget(text)
    column.addStretch()
    area = UpAndDown(body)
    qtbot.addWidget(area)
    area.resize(200, 60)
    area.show()
    qtbot.waitUntil(lambda: text.height() >= text.heightForWidth(text.width()) > 60)


def test_a_long_text_scrolls_and_a_short_one_takes_no_more_than_it_needs(qtbot):
    text = TextLabel()
    area = AtMost(text, 5)
    around = QWidget()
    column = QVBoxLayout(around)
    column.addWidget(area)
    column.addStretch()
    qtbot.addWidget(around)
    around.resize(200, 400)
    around.show()
    line = text.fontMetrics().lineSpacing()
    text.show_message(Message("told in many words " * 60))
    qtbot.waitUntil(lambda: area.height() == 5 * line and text.height() > 9 * line)
    assert text.width() == area.viewport().width()
    text.show_message(Message("short"))
    qtbot.waitUntil(lambda: area.height() == text.height() < 2 * line)
    text.show_message(Message(""))
    qtbot.waitUntil(area.isHidden)
    text.show_message(Message("again"))
    qtbot.waitUntil(area.isVisible)


def test_the_reading_and_the_estimate_are_shown_before_a_run(widget, viewer):
    assert widget.estimate.text() == widget.reading.text() == ""
    viewer.add_image(lr_cells(), name="LR")
    assert widget.reading.text().startswith(
        "Read as 3 cells of 4 x 4 pixels along axis 0, channels"
    )
    assert widget.estimate.text().startswith("About ")


def test_what_0_means_is_said_where_it_is_set(widget):
    hints = widget.main.zeros | widget.advanced.zeros
    assert {name: hint.text() for name, hint in hints.items()} == {
        "samples": "0 makes none",
        "lambda_m": "0 leaves it out",
        "patience": "0 runs every step",
        "threads": "0 leaves the choice to torch",
    }
    assert not hints["patience"].isHidden()
    widget.advanced.fields["patience"].value = 5
    assert hints["patience"].isHidden()


@pytest.mark.parametrize(
    ("model", "name", "zero", "unit"),
    [
        (TrainPlan, "pixel_size", ": what the files say", MICROMETRES),
        (TrainPlan, "grow_kimg", ": none", KIMG),
        (TrainSettings, "decay_after_kimg", ": never", None),
        (TrainSettings, "path_weight", "turns off", None),
        (TrainSettings, "ada_kimg", "", None),
        (TrainSettings, "ema_kimg", "", KIMG),
        (NucleusSettings, "min_area", "", SQUARE_PIXELS),
        (Settings, "seed", "", None),
    ],
)
def test_units_and_zeros_are_those_of_the_fields(model, name, zero, unit):
    info = model.model_fields[name]
    assert (meaning_of_zero(info), unit_of(info)) == (zero, unit)


def test_the_arrow_of_a_section_points_right_until_it_is_open(widget):
    section = widget.findChild(QCollapsible)
    closed = section.toggleButton().icon().cacheKey()
    assert closed == section.collapsedIcon().cacheKey()
    right = section.collapsedIcon().pixmap(32).toImage()
    pixels = np.array(
        [[right.pixelColor(x, y).alpha() for x in range(right.width())]
         for y in range(right.height())]
    )  # fmt: skip
    # A triangle that points right has its widest column at its left.
    filled = np.flatnonzero((pixels > 128).any(0))
    heights = (pixels > 128).sum(0)[filled]
    assert heights[0] > heights[-1]


@pytest.mark.parametrize("ending", ["DNA", "FKHR-GFP"])
def test_a_box_shows_the_end_of_a_long_name(qtbot, ending):
    """The names of a cell's channels differ there."""

    def drawn(name: str, *, short: bool = True) -> np.ndarray:
        box = QComboBox()
        qtbot.addWidget(box)
        box.addItem(name)
        if short:
            shorten(box, 6)
        box.setFixedWidth(160)
        box.show()
        image = box.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        pixels = image.constBits()
        pixels.setsize(image.sizeInBytes())
        return np.frombuffer(bytes(pixels), np.uint8).reshape(image.height(), -1)

    long = "LR (simulated, not real) of a plate "
    assert (drawn(long + ending) != drawn(long + "other")).any()
    assert (drawn(long + ending, short=False) == drawn(long + "other", short=False)).all()
