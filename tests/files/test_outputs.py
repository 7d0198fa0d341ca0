"""Places of results: refused before the work, replaced after it, so that nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_bench import TINY
from tiny_job import full_disk, write_fields
from typer.testing import CliRunner, Result

from napari_rls.cli.main import app
from napari_rls.errors import InputError, KeptError
from napari_rls.files import outputs, whole_file
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack

PIXELS = np.random.default_rng(0).integers(0, 250, (3, 2, 32, 32)).astype(np.uint8)


def run(*args: object, code: int) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    stack = CellStack(PIXELS, ("nucleus", "protein"), pixel_size_um=0.5)
    write_stack(tmp_path / "hr.ome.tif", stack, description="")
    return tmp_path / "hr.ome.tif"


@pytest.fixture
def lr(tmp_path: Path) -> Path:
    stack = CellStack(PIXELS[:, :, ::4, ::4], ("nucleus", "protein"))
    write_stack(tmp_path / "lr.ome.tif", stack, description="")
    return tmp_path / "lr.ome.tif"


def test_places_that_are_fine_stay_empty(tmp_path: Path) -> None:
    check_outputs([tmp_path / "new" / "a.tif", tmp_path / "b.tif"], needed=1000)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("file.txt/a.tif", "file.txt is a file where a folder is needed; give another place."),
        ("file.txt/sub/a.tif", "file.txt is a file where a folder is needed; give another place."),
        ("/dev/null/a.tif", "/dev/null is a file where a folder is needed; give another place."),
        ("folder", "it is a folder; choose another name."),
        ("x" * 300, "File name too long; choose another place or name."),
        ("nul\0.tif", "no name of a file here; choose another place or name."),
    ],
)
def test_places_that_cannot_be(tmp_path: Path, place: str, sentence: str) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        check_outputs([tmp_path / place])
    assert str(caught.value).endswith(sentence)


def test_a_folder_that_takes_no_files() -> None:
    with pytest.raises(InputError, match=r"^Nothing can be written into /proc.*; choose another"):
        check_outputs([Path("/proc/a.tif")])


def test_too_little_space_is_told_before(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(InputError, match=r"^The results take about .*B are free on the disk /"):
        check_outputs([tmp_path / "a.tif"], needed=free * 2)


@pytest.mark.parametrize(
    "command",
    [
        ("super-resolve", "lr.ome.tif", "--out", "/proc/none", "--bundle", "there-is-none"),
        ("degrade", "hr.ome.tif", "--factor", 4, "--out", "/proc/a.ome.tif"),
        ("crops", "hr.ome.tif", "--size", 16, "--out", "/proc/a.ome.tif"),
        ("measure", "hr.ome.tif", "--assay", "translocation", "--out", "/proc/a.csv"),
        ("train", ".", "--channels", "a,b", "--out", "/proc/a.rls.safetensors", "--run", "run"),
        ("simulate", "--assay", "golgi", "--out", "/proc/none"),
        ("demo", "--no-window", "--out", "/proc/none", "--bundle", "there-is-none"),
        ("benchmark", "--hr", "hr.ome.tif", "--out", "/proc/none", "--bundle", "there-is-none"),
        ("bundles", "import", "hr.ome.tif", "--channels", "a", "--out", "/proc/a.rls.safetensors"),
        (
            *("bundles", "calibrate", "b", "hr.ome.tif", "--gt", "hr.ome.tif", "--data", "d"),
            *("--assay", "translocation", "--out", "/proc/a.rls.safetensors"),
        ),
    ],
)
def test_commands_look_at_the_place_first(
    command: tuple[object, ...], hr: Path, lr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hr.parent == lr.parent
    monkeypatch.chdir(hr.parent)
    said = run(*command, code=2).stderr
    assert "Nothing can be written into /proc" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ("super-resolve", "text.tif"),
        ("super-resolve", "none.tif"),
        ("super-resolve", "lr.ome.tif", "--bundle", "there-is-none"),
        ("super-resolve", "lr.ome.tif", "--factor", 2),
        ("super-resolve", "lr.ome.tif", "--method", "rls", "--channels", "a,b"),
        ("degrade", "hr.ome.tif", "--factor", 3),
        ("degrade", "text.tif", "--factor", 4),
        ("crops", "text.tif", "--size", 16),
        ("crops", "lr.ome.tif", "--size", 64),
        ("crops", "hr.ome.tif", "--plate-map", "text.tif"),
        ("measure", "text.tif", "--assay", "translocation"),
        ("measure", "hr.ome.tif", "--assay", "translocation", "--dna", "none"),
        ("means", "text.tif", "--hr-cells", "hr.ome.tif"),
        ("means", "table.csv", "--hr-cells", "hr.ome.tif"),
        ("benchmark", "--hr", "text.tif"),
        ("benchmark", "--hr", "hr.ome.tif", "--factors", "3"),
        ("benchmark", "--hr", "lr.ome.tif", "--factors", "4"),
        ("benchmark", "--hr", "hr.ome.tif", "--factors", "4", "--negative", "a", "--positive", "b"),
        ("check", "text.tif"),
        ("check", "lr.ome.tif"),
        ("check", "hr.ome.tif", "--factors", "3"),
        ("fields", "text.tif"),
        ("fields", "hr.ome.tif"),
        ("fields", "field.ome.tif"),
        ("fields", "field.ome.tif", "--ratio", 4, "--na", 0.3, "--wavelength", 0.5),
        ("fields", "field.ome.tif", "--ratio", 4, "--channels", "a,b"),
        ("simulate", "--assay", "golgi", "--condition", "none"),
        ("demo", "--no-window", "--bundle", "there-is-none"),
        ("train", "text.tif", "--channels", "a,b", "--run", "new/run"),
        ("bundles", "import", "text.tif", "--channels", "a"),
        (
            *(
                "bundles",
                "calibrate",
                "tiny.rls.safetensors",
                "text.tif",
                "--gt",
                "hr.ome.tif",
                "--data",
                "d",
            ),
            *("--assay", "translocation"),
        ),
    ],
    ids=lambda command: " ".join(map(str, command)),
)
def test_commands_that_fail_leave_nothing(
    command: tuple[object, ...],
    hr: Path,
    lr: Path,
    tiny_bundle_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(hr.parent)
    field = CellStack(PIXELS[:1], ("nucleus", "protein"), leading=None)
    write_stack(Path("field.ome.tif"), field, description="")
    Path("text.tif").write_text("no image")
    Path("table.csv").write_text("a,b")
    endings = {"degrade": "a.ome.tif", "crops": "a.ome.tif", "measure": "a.csv", "means": "a.csv"}
    bundles = {"train": "a.rls.safetensors", "bundles": "a.rls.safetensors"}
    out = Path("new", "deep", (endings | bundles).get(str(command[0]), ""))
    shutil.copy(tiny_bundle_file, "tiny.rls.safetensors")
    before = sorted(hr.parent.rglob("*"))
    if (
        command[0] in ("super-resolve", "benchmark", "check", "fields")
        and "--bundle" not in command
    ):
        command = (*command, "--bundle", "tiny.rls.safetensors")
    if command[0] in ("check", "fields"):
        command = (*command, "--assay", "translocation")
    result = CliRunner().invoke(app, [*map(str, command), "--out", str(out)])
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.output
    assert sorted(hr.parent.rglob("*")) == before
    assert lr in before


def test_a_result_is_kept_elsewhere(tmp_path: Path, user_folders: Path) -> None:
    def write(path: Path) -> None:
        if path.parent == tmp_path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_text("result")

    with pytest.raises(KeptError) as caught:
        write_or_keep(tmp_path / "a.txt", write)
    kept = caught.value.path
    assert kept is not None
    assert kept.name == "a.txt"
    assert kept.is_relative_to(user_folders)
    assert kept.read_text() == "result"
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'a.txt'} cannot be written (No space left on device: ")
    assert "are free on the disk /" in message
    assert message.endswith(f"; the result is kept in {kept}.")


def test_where_nothing_can_be_written_at_all(tmp_path: Path) -> None:
    with full_disk(12), pytest.raises(KeptError, match="no other place was found") as caught:
        write_or_keep(tmp_path / "a.txt", lambda path: path.write_text("far too long a text"))
    assert caught.value.path is None


def _goes_away(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    """Let a folder take no more files after it was looked at, as where a disk is taken off."""
    looked = outputs._check_folder

    def look(folder: Path, needed: int) -> None:
        looked(folder, needed)
        if folder == out:
            out.touch()

    monkeypatch.setattr(outputs, "_check_folder", look)


def test_degraded_cells_are_kept(hr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _goes_away(monkeypatch, tmp_path / "out")
    done = run("degrade", hr, "--factor", 4, "--out", tmp_path / "out" / "a.ome.tif", code=1)
    kept = Path(done.stdout.strip())
    assert f"the result is kept in {kept}." in done.stderr
    assert read_stack(kept).data.shape == (3, 2, 8, 8)


def test_sr_cells_are_kept(
    lr: Path, tmp_path: Path, tiny_bundle_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_rls.workflow.super_resolve import resolve_files

    real = resolve_files.write_result

    def write_result(path: Path, result: object) -> None:
        if path.parent == tmp_path / "out":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, result)

    monkeypatch.setattr(resolve_files, "write_result", write_result)
    options = ("--bundle", tiny_bundle_file, "--steps", 3, "--samples", 2)
    done = run("super-resolve", lr, "--out", tmp_path / "out", *options, code=1)
    kept = Path(done.stdout.split("\n")[0])
    assert f"the result is kept in {kept}." in done.stderr
    assert "are free on the disk" in done.stderr
    assert read_record(kept)["complete"] is True
    assert sorted(path.name for path in kept.parent.iterdir()) == [
        "lr_SR4x.json", "lr_SR4x.ome.tif", "lr_SR4x_samples.ome.tif"
    ]  # fmt: skip
    monkeypatch.setattr(resolve_files, "write_result", real)
    # Nothing is searched twice.
    again = run("super-resolve", lr, "--out", tmp_path / "out", *options, code=0)
    assert "3 of 3 cells are kept of a run before" in again.stderr
    np.testing.assert_array_equal(
        read_stack(tmp_path / "out" / "lr_SR4x.ome.tif").data, read_stack(kept).data
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
def test_names_that_are_not_utf8(
    hr: Path, lr: Path, tmp_path: Path, tiny_bundle_file: Path
) -> None:
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/b\xff.ome.tif"))
    lr.rename(odd)
    run(
        "super-resolve", odd, "--out", tmp_path / "out", "--bundle", tiny_bundle_file,
        "--steps", 3, "--samples", 0, code=0,
    )  # fmt: skip
    (sr,) = (tmp_path / "out").glob("*.ome.tif")
    assert os.fsencode(sr).endswith(b"b\xff_SR4x.ome.tif")
    odd.unlink()
    run("degrade", hr, "--factor", 4, "--out", odd, code=0)
    assert tifffile.imread(odd).shape == (3, 2, 8, 8)


def _is_full(monkeypatch: pytest.MonkeyPatch, out: Path, *endings: str) -> None:
    """Let a folder's disk be full for files of some endings, once it was looked at."""
    claimed = whole_file._claimed

    def claim(path: Path) -> object:
        if path.is_relative_to(out) and path.name.endswith(endings):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return claimed(path)

    monkeypatch.setattr(whole_file, "_claimed", claim)


def _kept(done: Result) -> Path:
    """Return where a command says that its result is, on both ways."""
    kept = Path(done.stdout.strip())
    assert f"the result is kept in {kept}." in done.stderr
    assert "(No space left on device: " in done.stderr
    return kept


def test_simulated_cells_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _is_full(monkeypatch, tmp_path / "out", "truth.csv")
    options = ("--assay", "translocation", "--cells", 2, "--size", 64)
    kept = _kept(run("simulate", *options, "--out", tmp_path / "out", code=1))
    names = {path.name for path in kept.iterdir()}
    assert {"simulated_translocation_truth.csv", "simulated_translocation_HR.ome.tif"} <= names
    assert read_stack(kept / "simulated_translocation_HR.ome.tif").data.shape == (2, 2, 64, 64)


def test_a_benchmark_is_kept(
    hr: Path, tmp_path: Path, tiny_bundle_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _is_full(monkeypatch, tmp_path / "out", "report.html")
    options = ("--bundle", tiny_bundle_file, "--factors", 4, "--methods", "rls")
    limits = ("--max-steps", 2, "--bootstrap", 3, "--quick")
    command = ("benchmark", "--hr", hr, "--out", tmp_path / "out", *options, *limits)
    kept = _kept(run(*command, code=1))
    assert "<html" in (kept / "report.html").read_text()
    assert json.loads((kept / "benchmark.json").read_text())["bundle"]["name"]
    assert (tmp_path / "out" / "runs").is_dir()


def test_the_bundle_of_a_training_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = write_fields(tmp_path / "fields")
    out, folder = tmp_path / "out" / "a.rls.safetensors", tmp_path / "run"
    # What the fits are kept in as well: only another fit would be lost.
    _is_full(monkeypatch, tmp_path, "a.rls.safetensors", "fitted.rls.safetensors")
    done = run("train", fields, "--out", out, "--run", folder, *TINY, code=1)
    kept = _kept(done)
    assert "fitted.rls.safetensors cannot be written (No space" in done.stderr
    assert "it goes on without." in done.stderr
    assert load_bundle(kept).manifest.training.kimg == 0.04
    assert not out.exists()
    monkeypatch.undo()
    again = run("train", "--run", folder, "--resume", "--out", out, code=0)
    assert again.stdout.split() == [str(out)]
    generators = [load_bundle(file).generator.state_dict() for file in (out, kept)]
    for name, tensor in generators[0].items():
        np.testing.assert_array_equal(tensor, generators[1][name])


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
def test_results_of_names_that_are_not_utf8(tmp_path: Path) -> None:
    fields = write_fields(tmp_path / "fields")
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/b\xff"))
    run("simulate", "--assay", "translocation", "--cells", 1, "--out", odd, code=0)
    assert len(list(odd.glob("*.ome.tif"))) == 3
    out = odd / os.fsdecode(b"c\xff.rls.safetensors")
    # The record of a training is JSON, which holds no such name: that is told before the work.
    said = run("train", fields, "--out", out, "--run", tmp_path / "run", *TINY, code=2).stderr
    assert "c\\udcff.rls.safetensors has a name that is not UTF-8" in said
    assert not (tmp_path / "run").exists()


def test_a_bundle_on_a_disk_that_is_full(tmp_path: Path, tiny_bundle: Bundle) -> None:
    with full_disk(1000), pytest.raises(KeptError, match=r"File too large: .* are free"):
        write_or_keep(tmp_path / "a.rls.safetensors", tiny_bundle.save)
