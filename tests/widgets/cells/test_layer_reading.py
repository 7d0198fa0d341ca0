"""What the layers are taken for is shown, kept in the record, and doubted where names differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from tiny_model import random_bundle
from widget_bench import Bench, lr_cells

from napari_rls.widgets.cells.guess_layers import guess
from napari_rls.widgets.cells.input_state import Inputs, InputState
from napari_rls.widgets.cells.layer_facts import layer_wells
from napari_rls.widgets.cells.layer_reading import read_layers
from napari_rls.widgets.common.state import Level
from napari_rls.widgets.super_resolve.estimate import describe_time, note_run
from napari_rls.widgets.super_resolve.super_resolve_controller import SuperResolveController
from napari_rls.workflow.cells.wells import WellGuess

MANIFEST = random_bundle().manifest  # 32 px, channels nucleus and protein


def named(data: np.ndarray, name: str, *channels: str) -> Image:
    return Image(data, name=name, metadata={"napari-rls": {"channels": list(channels)}})


@pytest.fixture
def bench(tiny_bundle_file: Path, tmp_path: Path) -> Bench:
    return Bench(tiny_bundle_file, tmp_path / "settings.json")


@pytest.fixture
def default(tmp_path: Path) -> SuperResolveController:
    """A controller as a new user has it: the default bundle, no layer."""
    return SuperResolveController(
        ViewerModel(), InputState(), lambda *_: lambda: None, tmp_path / "settings.json"
    )


# -- layers that nothing names -------------------------------------------------------------


def test_own_crops_in_two_layers_are_taken_in_their_order_and_it_says_so(bench: Bench) -> None:
    cells = lr_cells(12)
    layers = [bench.viewer.add_image(cells[:, k], name=f"crops_w{k}") for k in (0, 1)]
    bench.controller.follow_layers()
    assert bench.state.inputs.separate
    assert bench.state.inputs.lr == tuple(layers)
    assert bench.state.obstacle == ""
    assert bench.state.reading == (
        "Read as 12 cells of 4 x 4 pixels along axis 0; crops_w0 is nucleus, crops_w1 is protein "
        "(assumed: nucleus, protein)."
    )
    bench.controller.start()
    bench.thread.finish()
    read = bench.sr[0].metadata["napari-rls"]["input"]["read"]
    assert read["axes"] == "12 cells of 4 x 4 pixels along axis 0"
    assert read["channels"] == {"nucleus": "crops_w0", "protein": "crops_w1"}
    assert read["assumed"] == ["nucleus", "protein"]
    json.dumps(bench.sr[0].metadata["napari-rls"])


def test_layers_named_alike_go_together() -> None:
    cells = lr_cells()
    names = ("a protein", "b nucleus", "b protein", "a nucleus")
    layers = [Image(cells[:, 0], name=name) for name in names]
    assert [layer.name for layer in guess(layers, MANIFEST).lr] == ["b nucleus", "b protein"]
    recorded = [named(cells[:, k], f"x{k}", name) for k, name in enumerate(("Protein", "nucleus"))]
    assert guess(recorded, MANIFEST).lr == (recorded[1], recorded[0])


def test_a_layer_of_all_channels_goes_before_layers_in_their_order() -> None:
    cells = lr_cells()
    single = [Image(cells[:, k], name=f"c{k}") for k in (0, 1)]
    whole = Image(cells, name="whole")
    assert guess([*single, whole], MANIFEST).lr == (whole,)
    assert guess([*single, Image(cells[:, 0], name="c2")], MANIFEST).lr != tuple(single)


# -- what is doubted -----------------------------------------------------------------------


def test_channels_that_are_not_used_and_positions_are_told(bench: Bench) -> None:
    bench.add_lr(lr_cells(channels=3))
    assert bench.said == "The bundle has fewer channels than the image: channel 2 is not used."
    assert bench.state.message.level is Level.WARNING
    assert bench.state.obstacle == ""
    assert "channel 0 is nucleus, channel 1 is protein (assumed:" in bench.state.reading
    names = {"napari-rls": {"channels": ["actin", "nucleus", "protein"]}}
    bench.viewer.layers.clear()
    bench.add_lr(lr_cells(channels=3), metadata=names)
    assert bench.said == "The bundle has fewer channels than the image: actin is not used."


def test_channels_of_one_name_are_told(bench: Bench) -> None:
    names = {"napari-rls": {"channels": ["nucleus", "protein", "Protein"]}}
    bench.add_lr(lr_cells(channels=3), metadata=names)
    assert bench.said == (
        "The bundle has fewer channels than the image: Protein is not used. Channels 1, 2 of the "
        "image are all called protein: see that the one that is meant is chosen."
    )
    bench.controller.start()
    bench.thread.finish()
    warnings = bench.sr[0].metadata["napari-rls"]["input"]["read"]["warnings"]
    assert warnings[-1].startswith("Channels 1, 2 of the image are all called protein")


def test_a_mask_is_not_taken_by_itself_and_doubted_if_chosen(bench: Bench) -> None:
    mask = bench.viewer.add_image(lr_cells() > 100, name="mask")
    bench.controller.follow_layers()
    assert bench.state.inputs.lr == (None,)
    bench.controller.choose_inputs(Inputs(False, (mask,), (None,), (0, 1)))
    assert bench.said == (
        "mask holds only True and False, like a mask: the search needs intensities."
    )


def test_other_names_than_the_bundles_are_told() -> None:
    layers = (named(lr_cells()[:, 0], "a", "DAPI"), named(lr_cells()[:, 1], "b", "protein"))
    reading = read_layers(Inputs(True, layers, (None, None), (0, 1)), MANIFEST)
    assert reading.warnings == [
        "The channels' names differ from the bundle's: DAPI is taken for nucleus."
    ]
    swapped = tuple(Image(lr_cells()[:, 0], name=f"LR {n}") for n in ("protein", "nucleus"))
    reading = read_layers(Inputs(True, swapped, (None, None), (0, 1)), MANIFEST)
    assert reading.warnings[0].endswith(
        "LR protein is taken for nucleus, LR nucleus is taken for protein."
    )


def golgi(viewer: ViewerModel, size: int = 8) -> list[Image]:
    cells = lr_cells(size=size)
    return [
        viewer.add_layer(named(cells[:, k], f"LR {name}", name))
        for k, name in enumerate(("DNA", "Golgi"))
    ]


def test_the_bundle_that_fits_is_named_and_no_channel_passes_for_another(
    default: SuperResolveController,
) -> None:
    state = default.state
    layers = golgi(default.viewer)
    default.follow_layers()
    assert not any(state.inputs.lr)
    assert state.message.text == state.obstacle
    assert state.obstacle == (
        "The open images fit the bundle golgi-simulated-128 (DNA, Golgi): choose it as the bundle."
    )
    default.choose_inputs(Inputs(True, tuple(layers), (None, None), (0, 1)))
    assert state.message.text == (
        "The channels' names differ from the bundle's: Golgi is taken for FKHR-GFP. The bundle "
        "golgi-simulated-128 (DNA, Golgi) has the image's channels and a size that fits: choose "
        "it if it is meant."
    )
    assert state.message.level is Level.WARNING
    default.change("bundle", "golgi-simulated-128")
    default.guess_inputs()
    assert state.inputs.lr == tuple(layers)
    assert (state.settings.factor, state.message.text) == (16, "")
    assert state.reading == (
        "Read as 3 cells of 8 x 8 pixels along axis 0; the channels by their names."
    )


def test_an_image_that_fits_nothing_is_told_what_is_wrong(default: SuperResolveController) -> None:
    def said(data: np.ndarray) -> str:
        default.viewer.layers.clear()
        default.viewer.add_image(data, name="mine")
        default.follow_layers()
        assert default.state.obstacle == default.state.message.text
        return default.state.message.text

    assert said(np.zeros((12, 8, 8, 2))).startswith(
        "mine has the shape (12, 8, 8, 2): the channel axis seems to be last"
    )
    assert "mine has cells of 512 x 512 pixels, which no scale" in said(np.zeros((2, 512, 512)))
    assert said(np.zeros((12, 1, 8, 8))) == (
        "mine has one channel and the bundle bbbc013-translocation-64 needs 2 (DNA, FKHR-GFP): "
        "choose a layer that has them, or one layer per channel."
    )


# -- how long it will take -----------------------------------------------------------------


def test_the_time_is_estimated_before_a_run_and_learned_from_it(bench: Bench) -> None:
    assert bench.state.estimate == ""
    bench.add_lr()
    assert bench.state.estimate.startswith("About ")
    assert bench.state.estimate.endswith(" for 3 cells (estimate: a rule of thumb for a CPU).")
    bench.controller.change("steps", 10_000)
    longer = bench.state.estimate
    bench.controller.change("steps", 3)
    assert longer != bench.state.estimate
    bench.controller.start()
    bench.thread.finish()
    assert bench.state.estimate.endswith(" for 3 cells (estimate: from the last run here).")
    bench.viewer.layers.clear()
    bench.controller.follow_layers()
    assert bench.state.estimate == ""


def test_an_estimate_grows_with_the_work(tmp_path: Path) -> None:
    settings = InputState().settings
    memory = tmp_path / "settings.json"
    note_run(settings, MANIFEST, 10, 100.0, memory)
    for cells, told in ((1, "12 s for 1 cell"), (12, "2 min for 12"), (3600, "10.0 h for 3600")):
        assert f"About {told}" in describe_time(settings, MANIFEST, cells, memory)
    fewer = settings.model_copy(update={"samples": 0})
    assert "About 58 s for 10 cells" in describe_time(fewer, MANIFEST, 10, memory)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": "b"}', "[" * 100_000, '{"a": NaN}'])
def test_a_damaged_memory_of_speed_is_no_matter(tmp_path: Path, content: str) -> None:
    (tmp_path / "speed.json").write_text(content)
    memory = tmp_path / "settings.json"
    assert "rule of thumb" in describe_time(InputState().settings, MANIFEST, 3, memory)
    note_run(InputState().settings, MANIFEST, 3, 5.0, memory)
    assert "last run here" in describe_time(InputState().settings, MANIFEST, 3, memory)


def test_wells_of_names_are_shown_before_a_run_and_kept(bench: Bench) -> None:
    crops = [{"file": f"B03_run_{name}.tif", "well": "", "y": 1.0, "x": 1.0} for name in "xyz"]
    guess = {"well": "C05", "others": ["B03"]}
    known = {"crops": crops, "wells_from_names": {"B03_C05.tif": guess}}
    bench.add_lr(metadata={"napari-rls": known})
    assert bench.state.reading.endswith(
        "Wells, from the names of files: C05 (B03_C05.tif). Names with more than one well are "
        "taken so: B03_C05.tif as C05, not B03; a plate map with the columns 'file' and 'well' can "
        "say otherwise."
    )
    bench.controller.start()
    bench.thread.finish()
    record = bench.sr[0].metadata["napari-rls"]
    assert record["input"]["read"]["wells_from_names"]["B03_C05.tif"]["others"] == ["B03"]
    # Whoever cut the cells may not have said; names of files do.
    assert layer_wells(Image(lr_cells(), metadata={"napari-rls": {"crops": crops}})) == {
        f"B03_run_{name}.tif": WellGuess("B03") for name in "xyz"
    }
    hostile = Image(lr_cells(), metadata={"napari-rls": {"wells_from_names": {"a": 3}}})
    assert layer_wells(hostile) == {}
