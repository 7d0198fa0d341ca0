"""The command line: files in, files out, exit codes and sentences."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from cli_bench import run
from synthetic_cells import field
from typer.testing import Result

import napari_rls
from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.degrade import DegradeSettings
from napari_rls.workflow.cells.read import read_frames, read_record, read_samples, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.super_resolve.result import Collector

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

CENTRES = [(30.0, 40.0), (60.0, 25.0), (64.0, 64.0), (10.0, 80.0)]


def cells(count: int = 3, size: int = 8) -> CellStack:
    data = np.random.default_rng(0).integers(0, 250, (count, 2, size, size), dtype=np.uint8)
    return CellStack(data, ("nucleus", "protein"), leading="T", pixel_size_um=2.0)


@pytest.fixture
def lr(tmp_path: Path) -> Path:
    write_stack(tmp_path / "lr.ome.tif", cells(), description="LR")
    return tmp_path / "lr.ome.tif"


@pytest.fixture
def resolve(tmp_path: Path, tiny_bundle_file: Path) -> Callable[..., Result]:
    def resolve(*args: object, code: int = 0, steps: int = 4) -> Result:
        out = ("--out", tmp_path / "out", "--bundle", tiny_bundle_file, "--steps", steps)
        args = args if "--samples" in args else (*args, "--samples", 0)
        return run("super-resolve", *args, *out, code=code)

    return resolve


def test_version() -> None:
    assert run("--version").stdout == f"napari-rls {napari_rls.__version__}\n"


@pytest.mark.parametrize(
    ("command", "model"),
    [("super-resolve", Settings), ("crops", NucleusSettings), ("degrade", DegradeSettings)],
)
def test_help_shows_every_setting(
    command: str, model: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "600")
    text = " ".join(run(command, "--help").stdout.split())
    for name, info in model.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert info.description in text
        if name != "factor" and info.default is not None:
            assert f"default {info.default})" in text


def test_help_tells_healthy_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "600")
    text = " ".join(run("super-resolve", "--help").stdout.split())
    assert "(from 0 to 1000; healthy 1e-6 to 5e-4; default 5e-05)" in text
    assert "(from 0 to 10; healthy 0.005 to 0.05; default 0.01)" in text


@pytest.mark.parametrize(
    "command", [(), ("bundles",), ("bundles", "info"), ("demo",), ("simulate",), ("train",)]
)
def test_help_of_the_rest(command: tuple[str, ...]) -> None:
    assert "Usage:" in run(*command, "--help").stdout


def test_from_field_to_sr(tmp_path: Path, resolve: Callable[..., Result]) -> None:
    for name in ("B03.tif", "B04.tif"):
        tifffile.imwrite(tmp_path / name, field(CENTRES), photometric="minisblack")
    (tmp_path / "plate.csv").write_text("well,dose\nB03,1\nB04,2\n")
    hr, lr = tmp_path / "hr.ome.tif", tmp_path / "cells.ome.tif"
    done = run(
        "crops", tmp_path / "B03.tif", tmp_path / "B04.tif", "--size", 32, "--out", hr,
        "--plate-map", tmp_path / "plate.csv",
    )  # fmt: skip
    assert done.stdout.split() == [str(hr)]
    sentence = "3 crops cut, 1 nuclei dropped because their crop would reach over the field's"
    assert f"B03.tif: {sentence}" in done.stderr
    assert "In all: 6 crops cut, 2 nuclei dropped" in done.stderr
    run("degrade", hr, "--factor", 4, "--out", lr)
    crops = read_stack(hr).crops
    assert [(crop.well, crop.condition) for crop in crops] == [("B03", "dose=1")] * 3 + [
        ("B04", "dose=2")
    ] * 3
    assert read_stack(lr).crops == crops
    assert read_stack(lr).data.dtype == np.float32
    done = resolve(lr)
    sr = tmp_path / "out" / "cells_SR4x.ome.tif"
    record = tmp_path / "out" / "cells_SR4x.json"
    assert done.stdout.split() == [str(sr), str(record)]
    assert read_stack(sr).data.shape == (6, 2, 32, 32)
    assert read_stack(sr).crops == crops
    assert json.loads(record.read_text())["complete"] is True


def test_crops_of_wells_that_the_plate_map_lacks_are_told(tmp_path: Path) -> None:
    for name in ("B03.tif", "B04.tif"):
        tifffile.imwrite(tmp_path / name, field(CENTRES), photometric="minisblack")
    (tmp_path / "map.csv").write_text("well,dose\nB03,1\n")
    files = (tmp_path / "B03.tif", tmp_path / "B04.tif", "--size", 32)
    done = run("crops", *files, "--out", tmp_path / "a.tif", "--plate-map", tmp_path / "map.csv")
    assert "map.csv does not tell the condition of B04; it is left empty." in done.stderr
    done = run("crops", *files, "--out", tmp_path / "b.tif")
    assert "condition" not in done.stderr


@pytest.mark.parametrize("command", ["crops", "degrade"])
def test_an_output_never_replaces_what_it_is_made_of(tmp_path: Path, command: str) -> None:
    file = tmp_path / "B03.ome.tif"
    tifffile.imwrite(file, field(CENTRES), photometric="minisblack")
    content = file.read_bytes()
    done = run(command, file, "--out", file, "--overwrite", code=2)
    assert done.stderr == (
        f"{file} is what the output is made of, and would be lost; give another --out.\n"
    )
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("DNA", "Golgi"), "DNA is taken for nucleus, Golgi is taken for protein"),
        (("Nucleus", "Golgi"), "Golgi is taken for protein"),
        (("Nucleus", "protein"), ""),
        (("channel 0", "channel 1"), ""),
    ],
)
def test_channels_of_other_names_are_told(
    tmp_path: Path, resolve: Callable[..., Result], names: tuple[str, str], said: str
) -> None:
    file = tmp_path / "own.ome.tif"
    write_stack(file, replace(cells(), channels=names), description="LR")
    sentence = f"The channels' names differ from the bundle's: {said}."
    assert (sentence in resolve(file, steps=1).stderr) is bool(said)
    chosen = ("--channels", ",".join(names), "--overwrite")
    assert "differ" not in resolve(file, *chosen, steps=1).stderr


def test_cells_of_a_field_that_is_given_twice(tmp_path: Path) -> None:
    file = tmp_path / "B03.tif"
    tifffile.imwrite(file, field(CENTRES), photometric="minisblack")
    again = tmp_path / ".." / tmp_path.name / "B03.tif"
    done = run("crops", file, again, "--out", tmp_path / "hr.tif", code=2)
    assert f"{file} is given twice; its cells would be there twice." in done.stderr


def test_files_and_folders_in_each_others_place(
    lr: Path, tmp_path: Path, tiny_bundle_file: Path
) -> None:
    bundle = ("--bundle", tiny_bundle_file)
    done = run("super-resolve", lr, "--out", lr, *bundle, code=2)
    assert f"{lr} is a file where a folder is needed; give another place." in done.stderr
    done = run("super-resolve", tmp_path, "--out", tmp_path / "out", *bundle, code=1)
    assert f"{tmp_path} is a folder; give the files in it." in done.stderr


def test_sr_file_is_what_the_api_gives(
    lr: Path, tmp_path: Path, tiny_bundle: Bundle, resolve: Callable[..., Result]
) -> None:
    resolve(lr, "--seed", 5, "--lambda-w", "1e-4", "--lambda-c", 0.02, "--batch-size", 2)
    settings = Settings(
        factor=4, steps=4, seed=5, lambda_w=1e-4, lambda_c=0.02, batch_size=2, samples=0
    )
    stack = read_stack(lr)
    expected = Collector(stack, 32)
    for update in super_resolve(stack, tiny_bundle, settings):
        expected.add(update)
    sr = read_stack(tmp_path / "out" / "lr_SR4x.ome.tif")
    np.testing.assert_array_equal(sr.data, expected.sr)
    assert (sr.leading, sr.pixel_size_um) == ("T", 0.5)
    record = json.loads((tmp_path / "out" / "lr_SR4x.json").read_text())
    stored = Settings.parse(record["settings"])
    used = settings.model_copy(
        update={
            "bundle": stored.bundle,
            "reading": "scaled",
            "posterior": "bound",
            "lambda_m": 0.0,
        }
    )
    assert stored == used


def test_what_a_kill_at_the_very_end_left_goes_away(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    resolve(lr)
    left = tmp_path / "out" / "lr_SR4x.unfinished"
    left.mkdir()
    (left / "0000004.batch").write_bytes(b"left")
    assert "is finished already" in resolve(lr).stderr
    assert not left.exists()


def test_single_cell_stays_single(tmp_path: Path, resolve: Callable[..., Result]) -> None:
    tifffile.imwrite(tmp_path / "one.tif", cells(1).data[0], photometric="minisblack")
    resolve(tmp_path / "one.tif")
    with tifffile.TiffFile(tmp_path / "out" / "one_SR4x.ome.tif") as tiff:
        assert tiff.series[0].axes == "CYX"
        assert tiff.series[0].shape == (2, 32, 32)


def test_factor_follows_from_the_size(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    write_stack(tmp_path / "small.tif", cells(size=4), description="LR")
    resolve(lr, tmp_path / "small.tif")
    names = {path.name for path in (tmp_path / "out").glob("*.tif")}
    assert names == {"lr_SR4x.ome.tif", "small_SR8x.ome.tif"}


def test_settings_file_and_options(
    lr: Path, tmp_path: Path, tiny_bundle_file: Path, resolve: Callable[..., Result]
) -> None:
    Settings(seed=9, learning_rate=0.1, factor=4, bundle=str(tiny_bundle_file)).save(
        tmp_path / "settings.json"
    )
    resolve(lr, "--settings", tmp_path / "settings.json", "--learning-rate", 0.2, steps=2)
    record = json.loads((tmp_path / "out" / "lr_SR4x.json").read_text())["settings"]
    assert (record["seed"], record["learning_rate"], record["steps"]) == (9, 0.2, 2)


def test_another_method_writes_files_of_its_own(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    resolve(lr)
    # The widget saves every setting; those of the method must not be taken for another one's.
    Settings.parse(Settings(seed=9).model_dump()).save(tmp_path / "settings.json")
    done = resolve(lr, "--method", "pulse", "--factor", 4, "--settings", tmp_path / "settings.json")
    sr = tmp_path / "out" / "lr_SR4x_pulse.ome.tif"
    record = tmp_path / "out" / "lr_SR4x_pulse.json"
    assert done.stdout.split() == [str(sr), str(record)]
    assert read_record(sr)["method"] == "PULSE (Menon et al. 2020)"
    settings = json.loads(record.read_text())["settings"]
    assert (settings["seed"], settings["learning_rate"], settings["lambda_c"]) == (9, 0.4, 0.05)
    assert (tmp_path / "out" / "lr_SR4x.ome.tif").is_file()
    failed = resolve(lr, "--method", "pulse", "--start", "mean", code=2)
    assert "start must be random for the method pulse" in failed.stderr


def test_factor_of_the_settings_file_counts(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    Settings(factor=8).save(tmp_path / "settings.json")
    failed = resolve(lr, "--settings", tmp_path / "settings.json", code=1)
    assert "the scale factor must be 4, not 8." in failed.stderr


@pytest.mark.parametrize("channels", ["1,0", "protein,nucleus", "protein, 0"])
def test_channels_are_mapped(
    lr: Path, tmp_path: Path, channels: str, resolve: Callable[..., Result]
) -> None:
    swapped = replace(cells().select([1, 0]), channels=("nucleus", "protein"))
    write_stack(tmp_path / "swapped.tif", swapped, description="LR")
    resolve(lr)
    resolve(tmp_path / "swapped.tif", "--channels", channels)
    sr, mapped = (read_stack(tmp_path / "out" / f"{n}_SR4x.ome.tif") for n in ("lr", "swapped"))
    np.testing.assert_array_equal(sr.data, mapped.data)
    assert mapped.channels == ("nucleus", "protein")


def test_samples_are_written_beside_the_sr_file(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    done = resolve(lr, "--samples", 3, "--sample-steps", 3)
    sr, path = (tmp_path / "out" / f"lr_SR4x{end}.ome.tif" for end in ("", "_samples"))
    assert done.stdout.split() == [str(sr), str(tmp_path / "out" / "lr_SR4x.json"), str(path)]
    frames, header = read_frames(path)
    assert frames.shape == (3, 3, 2, 32, 32)
    assert header.record["frames"] == "sample"
    assert header.record["generated"] is True
    record = json.loads((tmp_path / "out" / "lr_SR4x.json").read_text())
    np.testing.assert_array_equal(read_samples(path, read_stack(sr), record), frames)
    with pytest.raises(InputError, match=r"holds samples of another run than lr_SR4x\.ome\.tif"):
        read_samples(path, read_stack(sr), {**record, "started": "before"})


@pytest.mark.parametrize(("option", "frames"), [(("--trace",), 2), (("--trace-every", 5), 3)])
def test_trace(
    lr: Path,
    tmp_path: Path,
    option: tuple[object, ...],
    frames: int,
    resolve: Callable[..., Result],
) -> None:
    done = resolve(lr, *option, steps=12)
    path = tmp_path / "out" / "lr_SR4x_trace.ome.tif"
    assert str(path) in done.stdout
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "TZCYX"
        images = tiff.series[0].asarray()
    assert images.shape == (frames, 3, 2, 32, 32)
    np.testing.assert_array_equal(images[-1], read_stack(tmp_path / "out" / "lr_SR4x.ome.tif").data)


def test_one_bad_file_does_not_stop_the_rest(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    (tmp_path / "bad.tif").write_bytes(b"II*\0")
    write_stack(tmp_path / "odd.tif", cells(size=7), description="LR")
    failed = resolve(tmp_path / "bad.tif", tmp_path / "odd.tif", tmp_path / "none.tif", lr, code=1)
    assert (tmp_path / "out" / "lr_SR4x.ome.tif").exists()
    assert "bad.tif cannot be read as a TIFF file" in failed.stderr
    assert "odd.tif has cells of 7 x 7 pixels, which no scale factor" in failed.stderr
    assert "There is no file" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_cells_that_cannot_be_searched_are_named(
    tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    data = cells().data.astype(np.float32)
    data[1] = np.nan
    write_stack(tmp_path / "nan.tif", replace(cells(), data=data), description="LR")
    done = resolve(tmp_path / "nan.tif")
    assert "nan.tif: cell 1 was skipped: it holds NaN or infinite values." in done.stderr


def test_files_are_not_replaced_unasked(
    lr: Path, tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    resolve(lr)
    before = (tmp_path / "out" / "lr_SR4x.ome.tif").read_bytes()
    refused = resolve(lr, "--seed", 1, code=1)
    assert re.search(r"lr_SR4x\.ome\.tif exists already; give --overwrite", refused.stderr)
    assert (tmp_path / "out" / "lr_SR4x.ome.tif").read_bytes() == before
    resolve(lr, "--seed", 1, "--overwrite")
    assert (tmp_path / "out" / "lr_SR4x.ome.tif").read_bytes() != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--steps", 0), "options: steps must be 1 or more."),
        (("--intensity", "loud"), "options: intensity must be 'auto', 'bundle' or"),
        (("--device", "gpu"), "options: device must be of the form ^(auto|"),
        (("--bundle", "nothing"), "There is no bundle 'nothing': give the path of"),
        (("--settings", "none.json"), "Cannot read the settings file none.json: No such file"),
        (("lr.ome.tif",), "Two inputs are named lr; their SR files would be one."),
    ],
)
def test_wrong_usage(lr: Path, tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    failed = run("super-resolve", lr, "--out", tmp_path / "out", *options, code=2)
    assert message in failed.stderr
    assert len(failed.stderr.strip().splitlines()) <= 2  # after "Loading ..."
    assert failed.stdout == ""


@pytest.mark.parametrize("command", ["super-resolve", "crops", "degrade"])
def test_missing_options_and_unknown_ones(command: str) -> None:
    assert "--out" in run(command, "a.tif", code=2).stderr
    assert "--nonsense" in run(command, "a.tif", "--out", "b.tif", "--nonsense", code=2).stderr


def test_degrade(tmp_path: Path) -> None:
    hr = replace(cells(size=16), leading="cell")
    write_stack(tmp_path / "hr.tif", hr, description="HR")
    out = tmp_path / "lr.ome.tif"
    options = ("--factor", 4, "--blur", 1, "--gaussian", 2, "--poisson", 3, "--seed", 4)
    run("degrade", tmp_path / "hr.tif", "--out", out, *options, "--salt-and-pepper", 0.1)
    lr = read_stack(out)
    expected = napari_rls.degrade(
        hr.data, 4, blur=1, gaussian=2, poisson=3, salt_and_pepper=0.1, seed=4
    )
    np.testing.assert_array_equal(lr.data, expected)
    assert (lr.pixel_size_um, lr.leading) == (8.0, "cell")
    assert read_record(out)["degrade"]["operator"] == {"name": "bicubic", "factor": 4}
    # What the operator takes for granted is in the record too.
    run("degrade", tmp_path / "hr.tif", "--out", out, "--operator", "optics", "--overwrite")
    assert read_record(out)["degrade"]["operator"]["sigma"] == 0.45


def test_degrade_says_what_is_wrong(tmp_path: Path, lr: Path) -> None:
    out = tmp_path / "x.tif"
    assert (
        "which the factor 7 does not"
        in run("degrade", lr, "--factor", 7, "--out", out, code=1).stderr
    )
    assert "There is no file" in run("degrade", tmp_path / "no.tif", "--out", out, code=1).stderr
    assert "must be a file that ends in" in run("degrade", lr, "--out", tmp_path, code=2).stderr
    assert "Wrong option: blur" in run("degrade", lr, "--out", out, "--blur", -1, code=2).stderr
    assert not out.exists()
    out.touch()
    assert "exists already" in run("degrade", lr, "--out", out, code=2).stderr
    assert "what the output is made of" in run("degrade", lr, "--out", lr, code=2).stderr


def test_crops_go_on_after_a_bad_field(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "good.tif", field(CENTRES), photometric="minisblack")
    out = tmp_path / "hr.ome.tif"
    args = ("crops", tmp_path / "bad.tif", tmp_path / "good.tif", "--size", 32, "--out", out)
    assert "There is no file" in run(*args, code=1).stderr
    assert len(read_stack(out)) == 3


def test_crops_tell_wells_and_a_map_that_matches_nothing(tmp_path: Path) -> None:
    for name in ("C1-B03.tif", "exp_P1_B04.tif"):
        tifffile.imwrite(tmp_path / name, field(CENTRES), photometric="minisblack")
    (tmp_path / "map.csv").write_text("well,drug\nE5,x\n")
    out = tmp_path / "out.ome.tif"
    files = (tmp_path / "C1-B03.tif", tmp_path / "exp_P1_B04.tif")
    done = run("crops", *files, "--size", 32, "--plate-map", tmp_path / "map.csv", "--out", out)
    before = done.stderr.split("crops cut")[0]
    assert "Wells, from the names of files: B03 (C1-B03.tif), B04 (exp_P1_B04.tif)." in before
    assert "more than one well are taken so: exp_P1_B04.tif as B04, not P01;" in before
    assert "map.csv does not tell the condition of B03, B04; it is left empty." in before
    assert "The map tells of E05, and of none of these images." in before
    assert {crop.well for crop in read_stack(out).crops} == {"B03", "B04"}
    assert read_record(out)["wells_from_names"] == {
        "C1-B03.tif": {"well": "B03", "others": []},
        "exp_P1_B04.tif": {"well": "B04", "others": ["P01"]},
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [("lr8.ome.tif", True), ("a_LR4x.tif", True), ("a_LR4x.ome.tif", False)],
)
def test_it_is_said_how_napari_opens_a_file_with_its_scale(
    tmp_path: Path, name: str, told: bool
) -> None:
    write_stack(tmp_path / "hr.tif", cells(size=16), description="HR")
    said = run("degrade", tmp_path / "hr.tif", "--factor", 4, "--out", tmp_path / name).stderr
    how = "File > IO Utilities > Open cells written by napari-rls; named NAME_LR4x.ome.tif, by"
    assert (how in said) is told
    opens = is_named_as_ours(tmp_path / name)
    assert opens is not told


def is_named_as_ours(path: Path) -> bool:
    """Whether napari's File > Open leaves a file to this plugin."""
    npe2 = pytest.importorskip("npe2")
    manifest = Path(napari_rls.__file__).with_name("napari.yaml")
    manager = npe2.PluginManager()
    manager.register(npe2.PluginManifest.from_file(manifest))
    return bool(list(manager.iter_compatible_readers(path)))


def test_crops_of_nothing(tmp_path: Path) -> None:
    empty = np.zeros((2, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "empty.tif", empty, photometric="minisblack")
    out = tmp_path / "hr.ome.tif"
    failed = run("crops", tmp_path / "empty.tif", "--size", 32, "--out", out, code=1)
    assert (
        "No nucleus was found whose crop lies fully inside its field; look at the channel"
        in failed.stderr
    )
    assert not out.exists()


def test_crops_by_channel_name(tmp_path: Path) -> None:
    swapped = CellStack(field(CENTRES)[None, ::-1], ("GFP", "DNA"), leading=None)
    write_stack(tmp_path / "f.tif", swapped, description="field")
    out = tmp_path / "hr.ome.tif"
    run("crops", tmp_path / "f.tif", "--size", 32, "--dna-channel", "DNA", "--out", out)
    assert len(read_stack(out)) == 3
    args = ("crops", tmp_path / "f.tif", "--dna-channel", "x", "--out", tmp_path / "b.tif")
    assert "has no channel x" in run(*args, code=1).stderr


def test_bundles_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = run("bundles", "list").stdout
    assert "bbbc013-translocation-64" in text
    assert "DNA, FKHR-GFP" in text


def test_bundles_info(tiny_bundle_file: Path, tiny_bundle: Bundle) -> None:
    text = run("bundles", "info", tiny_bundle_file).stdout
    for words in ("32 x 32 pixels of 0.5 µm", "nucleus (#0000ff)", "It has never seen a cell."):
        assert words in text
    assert tiny_bundle.manifest.content_hash[:40] in text
    assert "There is no bundle 'x'" in run("bundles", "info", "x", code=1).stderr


def test_bundles_info_tells_how_far_generated_cells_are_from_real_ones(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    def told(**training: object) -> str:
        manifest = tiny_bundle.manifest
        changed = manifest.training.model_copy(update=training)
        described = manifest.model_copy(update={"training": changed})
        replace(tiny_bundle, manifest=described).save(tmp_path / "tiny.rls.safetensors")
        return " ".join(run("bundles", "info", tmp_path / "tiny.rls.safetensors").stdout.split())

    features = "napari-rls features v1"
    text = told(images=9153, kimg=250.5, validation=1815, kid=0.1234, fid=34.2, features=features)
    assert "9,153 crops, none, 250.5 thousand images shown" in text
    assert f"KID 0.123, FID 34.2 ({features}), against 1,815 held-out crops" in text
    # An unbiased distance may fall below 0.
    assert f"Distance KID -0.002 ({features}) Flow" in told(kid=-0.002, features=features)
    text = told()
    assert "KID" not in text
    assert "FID" not in text


def test_bundles_verify(tiny_bundle_file: Path, tmp_path: Path) -> None:
    assert f"{tiny_bundle_file}: whole" in run("bundles", "verify", tiny_bundle_file).stdout
    content = bytearray(tiny_bundle_file.read_bytes())
    content[-1] ^= 1
    damaged = tmp_path / "damaged.rls.safetensors"
    damaged.write_bytes(content)
    failed = run("bundles", "verify", damaged, tiny_bundle_file, code=1)
    assert "damaged.rls.safetensors is damaged or was altered" in failed.stderr
    assert f"{tiny_bundle_file}: whole" in failed.stdout


PLACED = {
    "demo": ["--out"],
    "simulate": ["--cells", 1, "--out"],
    "benchmark": ["--hr", "hr.tif", "--out"],
    "bundles import": ["network.pkl", "--channels", "DNA", "--out"],
}


@pytest.mark.parametrize("command", PLACED)
def test_a_place_is_looked_at_before_the_work(tmp_path: Path, command: str) -> None:
    (tmp_path / "taken").touch()
    name = "a.rls.safetensors" if "import" in command else "sub"
    failed = run(*command.split(), *PLACED[command], tmp_path / "taken" / name, code=2)
    assert failed.stderr.endswith("taken is a file where a folder is needed; give another place.\n")


@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_a_folder_that_may_not_be_written_to(
    tiny_bundle_file: Path, tmp_path: Path, command: str
) -> None:
    tmp_path.chmod(0o500)
    fast = ["--steps", 1, "--factor", 4, "--bundle", tiny_bundle_file]
    arguments = [command, "--cells", 1, *(fast if command == "demo" else [])]
    code = 2 if os.geteuid() else 0  # root may all the same
    result = run(*arguments, "--out", tmp_path, code=code)
    tmp_path.chmod(0o700)
    if code:
        told = f"Nothing can be written into {tmp_path} (Permission denied); choose another place."
        assert result.stderr.splitlines() == [told]
    assert bool(list(tmp_path.iterdir())) == (code == 0)


def test_bundles_list_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from napari_rls.cli.main import app\n"
        "result = CliRunner().invoke(app, ['bundles', 'list'])\n"
        "assert result.exit_code == 0, result.output\n"
        "assert 'bbbc013' in result.output\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
