from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image
from tiny_model import random_bundle
from widget_bench import lr_cells

from napari_rls.errors import InputError
from napari_rls.search.settings import FACTORS
from napari_rls.widgets.cells.guess_layers import guess
from napari_rls.widgets.cells.input_layers import possible_factors, read_cells
from napari_rls.widgets.cells.input_state import Inputs

MANIFEST = random_bundle().manifest  # 32 px, channels nucleus and protein


def one_layer(data, channels=(0, 1), **options) -> Inputs:
    return Inputs(False, (Image(data, name="LR", **options),), (None,), channels)


def per_channel(*arrays) -> Inputs:
    layers = tuple(Image(a, name=f"LR{k}") for k, a in enumerate(arrays))
    return Inputs(True, layers, (None,) * len(layers), (0, 1))


def test_one_layer_gives_the_chosen_channels_in_the_order_of_the_bundle():
    cells = lr_cells(channels=3)
    stack = read_cells(one_layer(cells, channels=(2, 0)), MANIFEST, 8)
    np.testing.assert_array_equal(stack.data, cells[:, [2, 0]])
    assert stack.leading == "N"


def test_a_named_channel_axis_may_stand_first():
    cells = lr_cells(5)
    inputs = one_layer(np.moveaxis(cells, 1, 0), axis_labels=("c", "t", "y", "x"))
    stack = read_cells(inputs, MANIFEST, 8)
    np.testing.assert_array_equal(stack.data, cells)
    assert stack.leading == "t"


def test_a_layer_per_channel_gives_the_same_cells_as_one_layer():
    cells = lr_cells()
    stack = read_cells(per_channel(cells[:, 0], cells[:, 1]), MANIFEST, 8)
    np.testing.assert_array_equal(stack.data, cells)
    assert stack.channels == ("nucleus", "protein")
    single = read_cells(per_channel(cells[0, 0], cells[0, 1]), MANIFEST, 8)
    np.testing.assert_array_equal(single.data, cells[:1])
    assert single.leading is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_every_real_type_is_taken_as_it_is(dtype):
    cells = lr_cells().astype(dtype)
    assert read_cells(one_layer(cells), MANIFEST, 8).data.dtype == dtype


def test_lazy_and_multiscale_layers_are_read_at_full_resolution():
    dask = pytest.importorskip("dask.array")
    cells = lr_cells()
    lazy = read_cells(one_layer(dask.from_array(cells, chunks=1)), MANIFEST, 8)
    np.testing.assert_array_equal(lazy.data, cells)
    pyramid = one_layer([cells, cells[..., ::2, ::2]], multiscale=True)
    np.testing.assert_array_equal(read_cells(pyramid, MANIFEST, 8).data, cells)


def test_a_lazy_layer_that_does_not_fit_is_refused_without_being_read():
    dask = pytest.importorskip("dask.array")

    def read(**_):
        raise AssertionError("pixels were read")

    huge = dask.map_blocks(
        read, dtype=np.uint16, chunks=((1,) * 1000, (2,), (50_000,), (50_000,)), meta=np.empty(0)
    )
    layer = Image(huge, name="plate", contrast_limits=(0, 1), multiscale=False, visible=False)
    with pytest.raises(InputError, match="plate has cells of 50000 x 50000 pixels"):
        read_cells(Inputs(False, (layer,), (None,), (0, 1)), MANIFEST, 8)


def test_the_pixels_are_a_copy():
    cells = lr_cells()
    stack = read_cells(one_layer(cells), MANIFEST, 8)
    cells[:] = 0
    assert stack.data.max() == 200


def test_pixel_size_and_crop_records_come_along():
    crop = {"file": "B01.tif", "well": "B01", "y": 3.5, "x": 7.0, "condition": "dose=3"}
    inputs = one_layer(
        lr_cells(1),
        scale=(1, 1, 0.4, 0.4),
        units=("pixel", "pixel", "um", "um"),
        metadata={"napari-rls": {"crops": [crop]}},
    )
    stack = read_cells(inputs, MANIFEST, 8)
    assert stack.pixel_size_um == pytest.approx(0.4)
    assert stack.crops[0].well == "B01"
    assert stack.crops[0].y == 3.5


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (Inputs(), "Choose the LR layer."),
        (Inputs(True, (None, None), (None, None)), "Choose the LR layer of the channel nucleus."),
        (one_layer(lr_cells(channels=1)), "LR has one channel and the bundle tiny needs 2 "),
        (one_layer(lr_cells(size=5)), "no scale factor brings to the 32 x 32"),
        (
            one_layer(lr_cells(size=32)),
            "these seem to be HR or SR images already; give LR crops of 16 x 16, 8 x 8, 4 x 4",
        ),
        (one_layer(np.zeros((3, 2, 4, 8))), "LR has cells of 4 x 8 pixels"),
        (one_layer(np.zeros((5, 3, 2, 4, 4))), "a stack of cells is (N, channel, y, x)"),
        (one_layer(lr_cells(), channels=(1, 1)), "nucleus and protein are set to the same channel"),
        (one_layer(np.zeros((4, 4, 3), np.uint8), rgb=True), "LR is an RGB picture"),
        (per_channel(lr_cells()[:, 0], lr_cells(4)[:, 0]), "must have the same shape"),
    ],
)
def test_what_does_not_fit_gets_one_clear_sentence(inputs, sentence):
    with pytest.raises(InputError) as caught:
        read_cells(inputs, MANIFEST, 8)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_layer_is_refused():
    with np.errstate(invalid="ignore"):  # napari's own arithmetic of its size
        inputs = one_layer(np.zeros((0, 2, 4, 4)), contrast_limits=(0, 1))
    with pytest.raises(InputError, match="LR is empty"):
        read_cells(inputs, MANIFEST, 8)


def test_only_factors_that_fit_the_size_are_offered():
    assert possible_factors(Inputs(), MANIFEST, FACTORS) == (2, 4, 8, 16, 32)
    for size, factor in ((16, 2), (8, 4), (4, 8), (2, 16), (1, 32)):
        assert possible_factors(one_layer(lr_cells(size=size)), MANIFEST, FACTORS) == (factor,)
    assert possible_factors(one_layer(lr_cells(size=5)), MANIFEST, FACTORS) == ()


def test_layers_named_after_the_channels_are_found():
    cells = lr_cells()
    lr = [Image(cells[:, k], name=f"cells {n}") for k, n in enumerate(("Protein", "nucleus"))]
    hr = [Image(np.zeros((3, 32, 32)), name=f"HR {n}") for n in ("nucleus", "protein")]
    found = guess([*hr, *lr], MANIFEST)
    assert found.separate
    assert [layer.name for layer in found.lr] == ["cells nucleus", "cells Protein"]
    assert [layer.name for layer in found.gt] == ["HR nucleus", "HR protein"]


def test_a_whole_layer_is_found_and_its_channels_matched_by_name():
    names = {"napari-rls": {"channels": ["protein", "actin", "nucleus"]}}
    layer = Image(lr_cells(channels=3), name="LR", metadata=names)
    found = guess([Image(np.zeros((7, 7))), layer], MANIFEST)
    assert (found.separate, found.lr, found.channels) == (False, (layer,), (2, 0))


def test_of_whole_layers_one_with_just_the_channels_of_the_bundle_is_preferred():
    many, fitting = Image(lr_cells(channels=5)), Image(lr_cells(channels=2))
    assert guess([many, fitting], MANIFEST).lr == (fitting,)
    assert guess([many], MANIFEST).lr == (many,)


def test_generated_layers_are_not_taken_for_input():
    layer = Image(lr_cells(), metadata={"napari-rls": {"generated": True}})
    assert guess([layer], MANIFEST).lr == (None,)
