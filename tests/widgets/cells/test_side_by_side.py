from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers.utils._link_layers import get_linked_layers
from napari.utils.notifications import notification_manager
from widget_bench import Bench, lr_cells

from napari_rls.widgets.cells import side_by_side
from napari_rls.widgets.cells.comparison import Comparison
from napari_rls.widgets.cells.input_state import InputState
from napari_rls.widgets.common.view import fit_view


@pytest.fixture(params=["one layer", "layer per channel"])
def bench(request, tiny_bundle_file, tmp_path):
    """A bench after a run, with a GT and a layer that has nothing to do with it."""
    bench = Bench(tiny_bundle_file, tmp_path / "settings.json", steps=1)
    hr = np.random.default_rng(1).random((3, 2, 32, 32), np.float32)
    bench.viewer.add_image(np.zeros((9, 9)), name="other")
    if request.param == "one layer":
        bench.viewer.add_image(hr, name="GT", visible=False)
        bench.add_lr()
    else:
        for k, channel in enumerate(("nucleus", "protein")):
            bench.viewer.add_image(hr[:, k], name=f"GT {channel}", visible=False, gamma=0.7)
            bench.viewer.add_image(lr_cells()[:, k], name=f"LR {channel}", blending="additive")
        bench.controller.guess_inputs()
    bench.controller.start()
    bench.thread.finish()
    return bench


def look(bench) -> list:
    """Everything that must be as before, afterwards."""
    viewer = bench.viewer
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return [
        [
            (x.name, x.visible, x.blending, x.gamma, x.contrast_limits, x.contrast_limits_range,
             x.colormap.name, len(get_linked_layers(x)), x.name_overlay.visible)
            for x in viewer.layers
        ],
        (grid.enabled, grid.stride, grid.shape, grid.spacing),
        (camera.center, camera.zoom),
        {x.name for x in viewer.layers.selection},
    ]  # fmt: skip


def columns(bench) -> list[list[str]]:
    layers, grid = bench.viewer.layers, bench.viewer.canvas.grid
    shown = {}
    for index, layer in enumerate(layers):
        if layer.visible:
            shown.setdefault(grid.position(index, layers), []).append(layer.name.split()[0])
    assert list(shown) == [(0, k) for k in range(len(shown))]
    return list(shown.values())


def test_lr_sr_and_gt_lie_side_by_side_with_linked_contrast(bench):
    bench.controller.compare()
    assert bench.state.comparing
    assert columns(bench) == [["LR", "LR"], ["SR", "SR"], ["GT", "GT"]]
    shown = [layer for layer in bench.viewer.layers if layer.visible]
    assert [layer.name_overlay.visible for layer in shown] == [True, False] * 3
    for c in (0, 1):
        mates = shown[c::2]
        assert len({tuple(layer.contrast_limits) for layer in mates}) == 1
        mates[2].contrast_limits = (1, 2)
        assert all(layer.contrast_limits == [1, 2] for layer in mates)
    assert shown[0].colormap.map(1.0).ravel()[2] == 1  # the nucleus is blue everywhere


def test_lr_sr_and_gt_cover_the_same_ground_although_the_gt_layer_has_a_scale_of_its_own(bench):
    bench.controller.compare()
    shown = [layer for layer in bench.viewer.layers if layer.visible]
    extents = [layer._extent_augmented.world[:, -2:] for layer in shown]
    for extent in extents:
        np.testing.assert_allclose(extent, extents[0], atol=1e-9)


def test_a_gt_layer_of_other_cells_is_refused_with_both_shapes(bench):
    inputs = bench.state.inputs
    other = bench.viewer.add_image(np.zeros((2, 2, 32, 32)), name="other GT")
    bench.controller.choose_inputs(replace(inputs, gt=(other,) * len(inputs.gt)))
    bench.controller.compare()
    assert "The GT layer other GT has the shape (2, 2, 32, 32)" in bench.said
    assert not bench.state.comparing


def test_back_again_everything_is_as_before(bench):
    before = look(bench)
    bench.controller.compare()
    assert look(bench) != before
    bench.controller.compare()
    assert look(bench) == before
    assert not bench.state.comparing


def test_the_contrast_of_a_result_that_came_meanwhile_stays(tiny_bundle_file, tmp_path):
    bench = Bench(tiny_bundle_file, tmp_path / "settings.json", steps=1)
    # So dark that SR images, whose structures are finer, are brighter.
    layer = bench.add_lr(contrast_limits=(0, 1))
    layer.contrast_limits_range = (0, 1)
    bench.controller.start()
    bench.controller.compare()
    bench.thread.finish()
    widened = [layer.contrast_limits for layer in bench.sr]
    assert all(high > 255 for _, high in widened)
    bench.controller.compare()
    assert [layer.contrast_limits for layer in bench.sr] == widened


def test_a_viewer_shows_one_comparison_at_a_time(bench):
    """Two of them, ended in the order in which they began, left the viewer in a grid."""
    before = look(bench)
    other = Comparison(bench.viewer, state := InputState())
    state.inputs = bench.state.inputs
    other.about(bench.state.inputs, [bench.sr], bench.manifest)
    bench.controller.compare()
    other.start()
    assert state.comparing
    assert not bench.state.comparing
    bench.controller.compare()
    assert bench.state.comparing
    assert not state.comparing
    other.stop()
    assert bench.state.comparing
    bench.controller.compare()
    assert look(bench) == before


def test_without_gt_there_are_two_columns(bench):
    inputs = bench.state.inputs
    bench.controller.choose_inputs(replace(inputs, gt=(None,) * len(inputs.gt)))
    bench.controller.compare()
    assert columns(bench) == [["LR", "LR"], ["SR", "SR"]]


def test_removing_a_compared_layer_ends_the_comparison(bench):
    bench.controller.compare()
    bench.viewer.layers.remove(bench.sr[0])
    assert not bench.state.comparing
    assert not bench.viewer.canvas.grid.enabled
    names = [layer.name for layer in bench.viewer.layers]
    assert not any("side by side" in name for name in names)
    bench.controller.compare()
    assert bench.said.startswith("Super-resolve first")


@pytest.mark.parametrize("kept", [False, True])
def test_a_new_run_is_compared_in_place_of_the_last(bench, kept):
    before = look(bench)
    bench.controller.compare()
    first = bench.sr
    if kept:
        bench.controller.keep()
    bench.controller.start()
    assert bench.state.comparing
    visible = [layer for layer in bench.sr if layer.visible]
    assert len(visible) == 2
    assert bool(set(visible) & set(first)) is not kept
    bench.thread.finish()
    assert columns(bench) == [["LR", "LR"], ["SR", "SR"], ["GT", "GT"]]
    bench.controller.compare()
    if not kept:
        assert look(bench) == before


def test_comparing_before_any_run_says_what_to_do(tiny_bundle_file, tmp_path):
    bench = Bench(tiny_bundle_file, tmp_path / "settings.json")
    bench.controller.compare()
    assert bench.said.startswith("Super-resolve first")
    assert not bench.state.comparing


def test_what_fails_half_way_leaves_the_viewer_as_it_was_and_can_be_tried_again(bench, monkeypatch):
    before, heard = look(bench), []
    notification_manager.notification_ready.connect(heard.append)
    for step in ("link_layers", "fit_view"):
        with monkeypatch.context() as broken:
            broken.setattr(side_by_side, step, lambda *_, **__: 1 / 0)
            bench.controller.compare()
        assert look(bench) == before
        assert not bench.state.comparing
        assert "division by zero" in bench.said
    notification_manager.notification_ready.disconnect(heard.append)
    assert len(heard) == 2
    bench.controller.compare()
    assert columns(bench) == [["LR", "LR"], ["SR", "SR"], ["GT", "GT"]]


def test_names_that_cannot_be_written_leave_the_viewer_as_it_was(bench, monkeypatch):
    before = look(bench)
    monkeypatch.setattr(side_by_side, "NAME_SIZE", "large")
    bench.controller.compare()
    assert look(bench) == before
    assert not bench.state.comparing
    assert bench.said.startswith("An unexpected error ended the comparison")


def test_it_works_beside_layers_of_more_dimensions(tiny_bundle_file, tmp_path):
    bench = Bench(tiny_bundle_file, tmp_path / "settings.json", steps=1, samples=2, sample_steps=2)
    for k, channel in enumerate(("nucleus", "protein")):
        bench.viewer.add_image(lr_cells()[:, k], name=f"LR {channel}", scale=(1, 8, 8))
    bench.controller.guess_inputs()
    bench.controller.start()
    bench.thread.finish()
    assert bench.viewer.dims.ndim == 4  # the samples'
    before = look(bench)
    for _ in range(2):
        bench.controller.compare()
        assert columns(bench) == [["LR", "LR"], ["SR", "SR"]]
        bench.controller.compare()
        assert look(bench) == before


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_layers_are_fitted_into_view_whatever_dimensions_the_viewer_has(ndisplay):
    viewer = ViewerModel()
    own = viewer.add_image(np.zeros((3, 8, 4)), scale=(1, 10, 10), translate=(0, 5, 5))
    viewer.dims.ndisplay = ndisplay
    viewer.fit_to_view(layers=[own])
    centre, zoom = viewer.scene.camera.center, viewer.scene.camera.zoom
    viewer.add_image(np.zeros((2, 3, 500, 500)), visible=False)
    fit_view(viewer, [own])
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], centre[-2:])
    if ndisplay == 2:
        assert viewer.scene.camera.zoom == pytest.approx(zoom)
    viewer.dims.order = (1, 2, 3, 0)  # the samples' axis is one of those displayed
    fit_view(viewer, [own])
    assert np.isfinite(viewer.scene.camera.zoom)
