from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from tiny_model import random_bundle
from widget_bench import lr_cells

from napari_rls.widgets.cells.input_layers import read_cells
from napari_rls.widgets.cells.input_state import Inputs
from napari_rls.widgets.cells.sources import sources
from napari_rls.widgets.cells.sr_layers import SrLayers
from napari_rls.workflow.cells.upsample import upsample

MANIFEST = random_bundle().manifest


def make(data=None, *, separate=False, **options):
    """Add an LR image (one layer, or one per channel) and the SR layers of it."""
    viewer = ViewerModel()
    data = lr_cells() if data is None else data
    if separate:
        axis = data.ndim - 3
        lr = tuple(viewer.add_image(data.take(k, axis), name=f"LR{k}", **options) for k in (0, 1))
    else:
        lr = (viewer.add_image(data, name="LR", **options),)
    inputs = Inputs(separate, lr, (None,), (0, 1))
    cells = read_cells(inputs, MANIFEST, 32 // data.shape[-1])
    origin = sources(inputs.lr, separate, inputs.channels)
    return viewer, lr, SrLayers(viewer, origin, cells, MANIFEST)


def assert_corners_meet(lr, sr, factor):
    """The outer edges of the first and last pixel lie at the same place in the world."""
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        lr_edge, sr_edge = np.zeros(lr.ndim), np.zeros(sr.ndim)
        lr_edge[-2:] = np.array([y, x]) * lr.data.shape[-2:] - 0.5
        sr_edge[-2:] = np.array([y, x]) * sr.data.shape[-2:] - 0.5
        at_lr, at_sr = np.array(lr.data_to_world(lr_edge)), np.array(sr.data_to_world(sr_edge))
        np.testing.assert_allclose(at_sr[-2:], at_lr[-2:], atol=1e-9)
    assert sr.data.shape[-1] == factor * lr.data.shape[-1]


SPATIAL = [
    {},
    {"scale": (1, 0.5, 0.5), "translate": (3, 10, -4)},
    {"scale": (2, 0.5, 0.25), "rotate": 30, "translate": (0, 5, 7)},
    {"scale": (1, 2, 2), "shear": [0, 0, 0.3]},
    {"affine": [[1, 0, 0, 0], [0, 0.8, 0.2, 5], [0, -0.1, 1.1, 2], [0, 0, 0, 1]]},
]


@pytest.mark.parametrize("options", SPATIAL)
@pytest.mark.parametrize("size", [2, 4, 8])
def test_sr_covers_exactly_the_lr_layer(options, size):
    _, lr, sr = make(lr_cells(size=size), separate=True, **options)
    for layer, own in zip(sr.layers, lr, strict=True):
        assert_corners_meet(own, layer, 32 // size)
        assert layer.data.shape == (3, 32, 32)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_sr_covers_exactly_a_layer_with_a_channel_axis(size):
    _, lr, sr = make(lr_cells(size=size), scale=(1, 1, 0.5, 0.5), translate=(0, 0, 3, 4))
    for layer in sr.layers:
        assert_corners_meet(lr[0], layer, 32 // size)
        assert layer.data.shape == (3, 1, 32, 32)


def test_one_slider_moves_through_the_cells_of_lr_and_sr_whatever_the_channel():
    viewer, _, sr = make()
    viewer.dims.set_current_step(0, 2)
    for channel in (0, 1):
        viewer.dims.set_current_step(1, channel)
        for c, layer in enumerate(sr.layers):
            seen = layer._slice.image.view
            np.testing.assert_array_equal(seen, layer.data[2, 0])
            assert layer.visible
            assert seen.shape == (32, 32)
            assert c < 2


def test_units_axis_labels_and_leading_scale_are_kept():
    _, _, sr = make(
        separate=True,
        axis_labels=("t", "row", "column"),
        units=("s", "um", "um"),
        scale=(5, 0.4, 0.4),
        translate=(10, 0, 0),
    )
    layer = sr.layers[1]
    assert layer.axis_labels == ("t", "row", "column")
    assert [str(unit) for unit in layer.units] == ["second", "micrometer", "micrometer"]
    np.testing.assert_allclose(layer.scale, (5, 0.05, 0.05))
    assert layer.translate[0] == 10


def test_names_colours_blending_and_contrast():
    _, _, sr = make(separate=True, contrast_limits=(3, 77))
    nucleus, protein = sr.layers
    assert nucleus.name == "SR 8x (generated) of LR0 nucleus"
    assert protein.name == "SR 8x (generated) of LR1 protein"
    np.testing.assert_allclose(nucleus.colormap.map(1.0).ravel()[:3], (0, 0, 1))
    np.testing.assert_allclose(protein.colormap.map(1.0).ravel()[:3], (0, 1, 0))
    assert [layer.blending for layer in sr.layers] == ["opaque", "additive"]
    assert nucleus.contrast_limits == [3, 77]


def test_contrast_of_a_layer_with_channels_is_the_range_of_each():
    cells = lr_cells().astype(float)
    cells[:, 1] *= 100
    _, _, sr = make(cells)
    for c, layer in enumerate(sr.layers):
        assert layer.contrast_limits == [cells[:, c].min(), cells[:, c].max()]


def test_the_first_look_is_the_upsampled_lr_image_and_says_so():
    cells = lr_cells()
    _, _, sr = make(cells)
    expected = Image.fromarray(cells[1, 0].astype(np.float32)).resize((32, 32), Image.BICUBIC)
    np.testing.assert_allclose(sr.layers[0].data[1, 0], np.asarray(expected), atol=1e-3)
    assert sr.layers[0].data.dtype == np.float32
    assert sr.layers[0].metadata["napari-rls"]["generated"] is False


def test_upsampling_keeps_pixel_centres_and_constants():
    ramp = np.tile(np.arange(8.0), (8, 1))
    fine = upsample(ramp, 4)
    np.testing.assert_allclose(fine[16, 8:24], (np.arange(8, 24) + 0.5) / 4 - 0.5, atol=0.03)
    np.testing.assert_allclose(upsample(np.full((2, 2), 7.0), 16), 7.0, rtol=1e-5)
    np.testing.assert_allclose(upsample(ramp[:5], 4), fine[:20], atol=1e-5)


def test_cells_are_overwritten_in_place_and_only_those_named():
    _, _, sr = make()
    arrays = [layer.data for layer in sr.layers]
    before = arrays[0].copy()
    sr.show(np.array([2, 0]), np.stack([np.full((2, 32, 32), v, np.float32) for v in (5, 9)]))
    assert all(layer.data is array for layer, array in zip(sr.layers, arrays, strict=True))
    assert (arrays[0][2] == 5).all()
    assert (arrays[0][0] == 9).all()
    np.testing.assert_array_equal(arrays[0][1], before[1])


def test_layers_that_were_removed_or_filled_otherwise_are_left_alone():
    viewer, _, sr = make()
    gone, changed = sr.layers
    viewer.layers.remove(gone)
    own = np.zeros((3, 1, 32, 32), np.float32)
    changed.data = own
    sr.show(np.array([0]), np.ones((1, 2, 32, 32), np.float32))
    assert (own == 0).all()
    assert sr.present
    viewer.layers.remove(changed)
    assert not sr.present
