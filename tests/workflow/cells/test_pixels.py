"""Masked, lazy and foreign pixels become the values that they stand for, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import torch
from tiny_model import CHANNELS, random_bundle
from widget_bench import Bench, lr_cells

from napari_rls import degrade, load_bundle, super_resolve
from napari_rls.errors import InputError
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import stack_from_array

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

SETTINGS = Settings(factor=4, steps=2, samples=0, precision="float32", threads=1)
CELLS = np.random.default_rng(0).integers(0, 250, (2, 2, 8, 8), dtype=np.uint8)


def zarr_array(data: np.ndarray) -> Any:
    return pytest.importorskip("zarr").array(data)


KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda data: data.tolist(),
    "dask": lambda data: da.from_array(data, chunks=1),
    "zarr": zarr_array,
    "torch": torch.from_numpy,
    "gradients": lambda data: torch.from_numpy(data.astype(np.float32)).requires_grad_(),
    "masked": lambda data: np.ma.MaskedArray(data, mask=False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_any_library_give_the_same(kind: str, tiny_bundle: Bundle) -> None:
    pixels = KINDS[kind](CELLS)
    np.testing.assert_array_equal(as_pixels(pixels, "it"), CELLS)
    np.testing.assert_array_equal(degrade(pixels, 2), degrade(CELLS, 2))
    *_, one = super_resolve(CELLS, tiny_bundle, SETTINGS)
    *_, two = super_resolve(pixels, tiny_bundle, SETTINGS)
    np.testing.assert_array_equal(one.sr, two.sr)


@pytest.mark.parametrize("lazy", [False, True])
def test_masked_pixels_are_nan(lazy: bool, tiny_bundle: Bundle) -> None:
    mask = np.zeros(CELLS.shape, bool)
    mask[1, 0, 2:4, 2] = True
    pixels: Any = np.ma.MaskedArray(np.where(mask, 7, CELLS).astype(np.uint16), mask, fill_value=3)
    pixels = da.from_array(pixels) if lazy else pixels
    found = as_pixels(pixels, "it")
    np.testing.assert_array_equal(found, np.where(mask, np.nan, CELLS))
    updates = list(super_resolve(pixels, tiny_bundle, SETTINGS))
    assert updates[0].run.skipped == {1: "it holds NaN or infinite values"}
    assert np.isnan(degrade(pixels, 2)[1, 0]).any()
    assert np.isfinite(degrade(pixels, 2)[0]).all()


@dask.delayed
def broken() -> np.ndarray:
    raise OSError("chunk 0.0.0 is gone.\nretry")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            da.from_delayed(broken(), (2, 2, 8, 8), np.uint8),
            "The pixels of image cannot be read: chunk 0.0.0 is gone. retry.",
        ),
        ([[1, 2], [3]], "The pixels of image cannot be read: "),
        ([["a", "b"]], "image holds <U1 values; intensities must be real numbers."),
        (None, "image holds object values; intensities must be real numbers."),
        (torch.zeros(1, 2, 8, 8, dtype=torch.bfloat16), "The pixels of image cannot be read: "),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    pixels: Any, message: str, tiny_bundle: Bundle
) -> None:
    with pytest.raises(InputError) as caught:
        super_resolve(pixels, tiny_bundle, SETTINGS)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        degrade(pixels, 2)


# -- in the viewer ---------------------------------------------------------------------------


@pytest.fixture
def bench(tiny_bundle_file: Path, tmp_path: Path) -> Bench:
    return Bench(tiny_bundle_file, tmp_path / "settings.json")


def test_a_lazy_layer_that_cannot_be_read_is_one_sentence(bench: Bench) -> None:
    there = True

    def block() -> np.ndarray:
        if not there:
            raise OSError("chunk 0.0.0 is gone.\nretry")
        return lr_cells()

    data = da.from_delayed(dask.delayed(block, pure=False)(), (3, 2, 4, 4), np.uint8)
    bench.add_lr(data, contrast_limits=(0, 255), cache=False)
    there = False
    bench.controller.start()
    assert bench.said == "The pixels of LR cannot be read: chunk 0.0.0 is gone. retry."
    assert bench.thread.started == 0
    assert bench.sr == []


def test_a_masked_layer_is_not_searched_where_pixels_are_masked(bench: Bench) -> None:
    data = np.ma.MaskedArray(lr_cells(), mask=False)
    data[1, 0, 0, 0] = np.ma.masked
    bench.add_lr(data, contrast_limits=(0, 255))
    bench.controller.start()
    np.testing.assert_array_equal(bench.thread.job.lr.data[[0, 2]], lr_cells()[[0, 2]])
    assert np.isnan(bench.thread.job.lr.data[1, 0, 0, 0])
    bench.thread.finish()
    assert "1 of 3 cells" in bench.said or "cell 1" in bench.said


# -- axes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        (
            (5, 3, 8, 8),
            "TZYX",
            (
                "x has axes of time (5) and planes (3) and none of channels; give one plane or "
                "time point of each cell, as in (N, channel, y, x), and name the axis of channels "
                "C."
            ),
        ),
        (
            (50, 8, 8),
            None,
            (
                "x has the shape (50, 8, 8): its axis 0 of 50 seems to run over cells, time points "
                "or planes, not over channels; give (channel, y, x) or (N, channel, y, x), or name "
                "the axis of channels C."
            ),
        ),
        ((2, 50, 8, 8), None, "x has the shape (2, 50, 8, 8): its axis 1 of 50 seems to run over"),
    ],
)
def test_other_axes_are_not_taken_for_channels(
    tmp_path: Path, shape: tuple[int, ...], axes: str | None, message: str
) -> None:
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    with pytest.raises(InputError) as caught:
        stack_from_array(data, axes=axes, name="x")
    assert str(caught.value).startswith(message)
    path = tmp_path / "x.ome.tif"
    if axes:
        tifffile.imwrite(path, data, metadata={"axes": axes})
    else:
        path = tmp_path / "x.tif"
        tifffile.imwrite(path, data, photometric="minisblack", metadata=None)
    if len(shape) == 3 or axes:  # pages without a word are one axis
        with pytest.raises(InputError, match=r"seems to run over|none of channels"):
            read_stack(path)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((50, 8, 8), "TYX", (50, 1, 8, 8)),
        ((50, 1, 8, 8), "TZYX", (50, 1, 8, 8)),
        ((1, 50, 8, 8), "TZYX", (50, 1, 8, 8)),
        ((3, 50, 8, 8), "CTYX", (50, 3, 8, 8)),
        ((9, 8, 8), "CYX", (1, 9, 8, 8)),
    ],
)
def test_named_axes_are_what_they_are_called(
    shape: tuple[int, ...], axes: str, expected: tuple[int, ...]
) -> None:
    data = np.arange(np.prod(shape)).reshape(shape)
    assert stack_from_array(data, axes=axes).data.shape == expected


@pytest.mark.parametrize("kind", KINDS)
def test_three_axes_are_one_cell_and_that_is_kept(tiny_bundle: Bundle, kind: str) -> None:
    *_, one = super_resolve(KINDS[kind](CELLS[0]), tiny_bundle, SETTINGS)
    *_, two = super_resolve(CELLS[:1], tiny_bundle, SETTINGS)
    np.testing.assert_array_equal(one.sr, two.sr)
    record = one.run.reading.record()
    assert record["axes"] == "one image of 8 x 8 pixels, channels along axis 0"
    assert record["assumed"] == list(tiny_bundle.manifest.channel_names)


def test_three_axes_of_a_bundle_of_one_channel_are_cells(tmp_path: Path) -> None:
    random_bundle(channels=CHANNELS[:1]).save(tmp_path / "one.rls.safetensors")
    bundle = load_bundle(tmp_path / "one.rls.safetensors")
    *_, three = super_resolve(CELLS[:, 0], bundle, SETTINGS)
    *_, four = super_resolve(CELLS[:, :1], bundle, SETTINGS)
    assert three.run.cells == len(CELLS)
    np.testing.assert_array_equal(three.sr, four.sr)
    assert three.run.reading.axes.startswith(f"{len(CELLS)} cells of 8 x 8 pixels along axis 0")


@pytest.mark.parametrize("count", [1, 3, 7, 50])
def test_three_axes_that_are_no_channels_are_refused(tiny_bundle: Bundle, count: int) -> None:
    with pytest.raises(InputError) as caught:
        super_resolve(np.zeros((count, 8, 8)), tiny_bundle, SETTINGS)
    assert str(caught.value) == (
        f"image has the shape ({count}, 8, 8) and the bundle {tiny_bundle.manifest.name} needs 2 "
        f"channels ({', '.join(tiny_bundle.manifest.channel_names)}): its first axis of {count} is "
        "not that of the channels, and seems to run over cells, time points or planes of one "
        "channel; give (2, y, x) for one cell or (N, 2, y, x) for N cells."
    )


@pytest.mark.parametrize("count", [1, 5, 50])
def test_channels_in_front_of_the_cells_are_told(tiny_bundle: Bundle, count: int) -> None:
    with pytest.raises(InputError, match=r"its first axis seems to be that of the channels .*swap"):
        super_resolve(np.zeros((2, count, 8, 8)), tiny_bundle, SETTINGS)


# -- layers of one channel each --------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 50])
def test_layers_of_one_channel_each_are_taken_so(bench: Bench, count: int) -> None:
    cells = lr_cells(count)
    for k, name in ((1, "GFP"), (0, "Hoechst")):
        bench.viewer.add_image(cells[:, k], name=name)
    bench.controller.follow_layers()
    assert [layer.name for layer in bench.state.inputs.lr] == ["Hoechst", "GFP"]
    bench.controller.start()
    np.testing.assert_array_equal(bench.thread.job.lr.data, cells)
    assert bench.state.reading.startswith(f"Read as {count} cells of 4 x 4 pixels along axis 0")
    bench.thread.finish()


@pytest.mark.parametrize("count", [2, 3])
def test_layers_that_may_be_either_are_asked_about(bench: Bench, count: int) -> None:
    for k in range(count):
        bench.viewer.add_image(lr_cells(2)[:, k % 2], name=f"image {k}")
    bench.controller.follow_layers()
    assert not any(bench.state.inputs.lr)
    names = ", ".join(f"image {k}" for k in range(count))
    assert bench.state.obstacle == (
        f"The layers {names} of shape (2, 4, 4) may be one channel each of 2 cells, or one cell "
        "each with its channels: choose one LR layer per channel, or one LR layer."
    )
    bench.controller.guess_inputs(separate=True)
    assert all(bench.state.inputs.lr) == (count == 2)


def test_more_planes_than_channels_may_be_cells(bench: Bench) -> None:
    bench.add_lr(lr_cells(3)[:, 0])
    assert bench.said == (
        "The bundle has fewer channels than the image: channel 2 is not used. If its axis of "
        "channels runs over cells, choose one layer per channel."
    )


def test_a_time_lapse_of_one_channel_is_no_stack_of_channels(bench: Bench) -> None:
    bench.viewer.add_image(np.zeros((50, 8, 8)), name="movie")
    bench.controller.follow_layers()
    assert bench.state.obstacle.startswith(
        "movie has the shape (50, 8, 8): its axis 0 of 50 seems to run over cells, time points"
    )
    layer = bench.viewer.layers[0]
    layer.axis_labels = ("t", "y", "x")
    bench.controller.guess_inputs()
    assert "has one channel and the bundle" in bench.state.obstacle
