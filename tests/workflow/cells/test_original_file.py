"""LIF, CZI and ND2 files through the readers of bioio, and what is said without them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from original_files import write_czi, write_lif, write_nd2
from typer.testing import CliRunner

from napari_rls.cli.main import app
from napari_rls.errors import InputError
from napari_rls.models.bundle import Bundle
from napari_rls.workflow.benchmark.benchmark_settings import BenchmarkSettings
from napari_rls.workflow.benchmark.chosen_cells import read_cells
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.train.fields import find_fields, read_field

WRITERS: dict[str, Callable[..., None]] = {"lif": write_lif, "czi": write_czi, "nd2": write_nd2}

every_kind = pytest.mark.parametrize("kind", WRITERS)
stacked = pytest.mark.parametrize("kind", ["lif", "czi"])  # the writer of ND2 makes no z-stacks


def images(count: int, *shape: int) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    shape = shape or (2, 12, 8)
    return [rng.integers(0, 4000, shape).astype(np.uint16) for _ in range(count)]


def written(folder: Path, kind: str, data: list[np.ndarray], **options: Any) -> Path:
    path = folder / f"B03.{kind}"
    WRITERS[kind](path, data, **options)
    return path


@every_kind
def test_one_image(tmp_path: Path, kind: str) -> None:
    data = images(1)
    path = written(tmp_path, kind, data)
    stack = read_stack(path)
    np.testing.assert_array_equal(stack.data, data)
    assert stack.data.dtype == np.uint16
    assert stack.channels == ("DNA", "GFP")
    assert stack.pixel_size_um == pytest.approx(0.65)
    assert (stack.leading, stack.name) == (None, path.name)
    assert stack.reading.axes == "one image of 12 x 8 pixels, channels along axis 0 (C)"
    assert stack.reading.certain
    assert read_record(path) == {}


@every_kind
@pytest.mark.parametrize("channels", [1, 2])
def test_scenes_are_fields(tmp_path: Path, kind: str, channels: int) -> None:
    data = images(3, channels, 12, 8)
    stack = read_stack(written(tmp_path, kind, data, names=("DNA", "GFP")[:channels]))
    np.testing.assert_array_equal(stack.data, data)
    assert stack.channels == ("DNA", "GFP")[:channels]
    assert stack.leading == "P"
    assert stack.reading.axes == (
        "3 cells of 12 x 8 pixels along axis 0 (P), channels along axis 1 (C)"
    )


@stacked
def test_planes_of_a_stack_are_told(tmp_path: Path, kind: str) -> None:
    (data,) = images(1, 2, 5, 12, 8)
    stack = read_stack(written(tmp_path, kind, [data]))
    np.testing.assert_array_equal(stack.data, np.moveaxis(data, 1, 0))
    assert not stack.reading.certain
    told = (
        "Each of its 5 planes is taken for a cell or field of its own; if that is wrong, give one "
        "of each, or a projection."
    )
    assert stack.reading.warnings == [told]
    assert stack.reading.record()["warnings"] == stack.reading.warnings


@stacked
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (images(1) + images(1, 2, 8, 8), "of different shapes"),
        (images(2, 2, 3, 12, 8), r"\(positions\) of axes CZYX"),
    ],
)
def test_images_that_make_no_stack(
    tmp_path: Path, kind: str, data: list[np.ndarray], what: str
) -> None:
    with pytest.raises(InputError, match=rf"B03\.{kind} holds 2 images {what}; save each"):
        read_stack(written(tmp_path, kind, data))


def test_scenes_that_no_header_names_are_not_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "czi", images(3), told=False)
    with pytest.raises(InputError, match=r"its header names 1 scenes and it holds 3\): export"):
        read_stack(path)


def test_planes_that_were_not_recorded_are_no_zeros(tmp_path: Path) -> None:
    path = written(tmp_path, "nd2", images(3), lacking=1)
    with pytest.raises(InputError, match=r"promises 3 planes and it holds 2\): the recording was"):
        read_stack(path)


def test_a_pixel_size_that_is_none_is_not_1(tmp_path: Path) -> None:
    assert read_stack(written(tmp_path, "nd2", images(1), pixel_size_um=None)).pixel_size_um is None


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_file_that_is_cut_short(
    tmp_path: Path, kind: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, kind, images(3, 2, 64, 64))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=rf"B03\.{kind} cannot be read as a {kind.upper()} file: "):
        read_stack(path)
    assert capfd.readouterr() == ("", "")


@every_kind
def test_a_file_that_is_not_there(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_stack(tmp_path / f"a.{kind}")


@every_kind
@pytest.mark.parametrize("module", ["bioio", "bioio_{}"])
def test_without_the_extra(
    tmp_path: Path, kind: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, kind, images(1))
    monkeypatch.setitem(sys.modules, module.format(kind), None)
    with pytest.raises(InputError) as caught:
        read_stack(path)
    assert str(caught.value) == (
        f"B03.{kind} is the original of a microscope; to read it needs the extra: pip install "
        "'napari-rls[microscope]'."
    )


# -- the jobs that take images --------------------------------------------------------------


@every_kind
def test_training_takes_them(tmp_path: Path, kind: str) -> None:
    data = images(2, 2, 40, 40)
    written(tmp_path, kind, data)
    (field,) = find_fields([str(tmp_path)], ("GFP", "DNA"))
    stack = read_field(field, ("GFP", "DNA"))
    np.testing.assert_array_equal(stack.data, np.stack(data)[:, ::-1])


@every_kind
def test_measuring_and_comparing_take_them(tmp_path: Path, kind: str, tiny_bundle: Bundle) -> None:
    data = images(3, 2, 32, 32)
    path = written(tmp_path, kind, data)
    assert one_of_each_set([path])[0] == [path]
    ((one,),) = read_images([path])
    np.testing.assert_array_equal(one.stack.data, data)
    cells = read_cells([path], tiny_bundle.manifest, BenchmarkSettings(cells=3))
    np.testing.assert_array_equal(cells.hr.data, data)
    assert {crop.well for crop in cells.hr.crops} == {"B03"}


@every_kind
def test_commands_take_them(tmp_path: Path, kind: str, tiny_bundle_file: Path) -> None:
    path = written(tmp_path, kind, images(2, 2, 32, 32))
    lr = tmp_path / "lr.ome.tif"

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        return result.output

    run("degrade", path, "--factor", 4, "--out", lr)
    np.testing.assert_array_equal(read_stack(lr).data.shape, (2, 2, 8, 8))
    assert read_stack(lr).pixel_size_um == pytest.approx(4 * 0.65)
    original = written(tmp_path, kind, images(2, 2, 8, 8))
    steps = ["--factor", 4, "--steps", 2, "--samples", 0, "--threads", 1]
    out = ["--bundle", tiny_bundle_file, "--out", tmp_path / "sr"]
    said = run("super-resolve", original, *steps, *out)
    assert "DNA is taken for" in said or "is DNA" in said
    record = read_record(tmp_path / "sr" / "B03_SR4x.ome.tif")
    assert record["input"]["channels"] == ["DNA", "GFP"]
    assert record["input"]["read"]["axes"].startswith("2 cells of 8 x 8 pixels along axis 0 (P)")
