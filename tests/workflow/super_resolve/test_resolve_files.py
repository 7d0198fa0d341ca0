"""The job of super-resolving files, as a script uses it: updates, files, stopping and going on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_job import full_disk

from napari_rls import Settings, super_resolve
from napari_rls.errors import InputError, KeptError
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.rows import rows_of
from napari_rls.workflow.super_resolve.resolve_files import (
    FileUpdate,
    ResolveFiles,
    separate_files,
)

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

SETTINGS = Settings(steps=3, samples=0, batch_size=2, device="cpu", precision="float32", threads=1)


@pytest.fixture
def lr(tmp_path: Path) -> Path:
    data = np.random.default_rng(0).integers(0, 250, (5, 2, 8, 8), dtype=np.uint8)
    stack = CellStack(data, ("nucleus", "protein"), leading="T", pixel_size_um=2.0)
    write_stack(tmp_path / "lr.ome.tif", stack, description="LR")
    return tmp_path / "lr.ome.tif"


def stages(updates: Sequence[FileUpdate]) -> list[str]:
    """Return the stages in order, each once."""
    return list(dict.fromkeys(update.stage for update in updates))


def test_files_are_those_of_the_array(lr: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    job = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out", every=2)
    updates = list(job.updates([lr]))
    assert stages(updates) == ["searching", "finished"]
    names = ["lr_SR4x.ome.tif", "lr_SR4x.json", "lr_SR4x_trace.ome.tif"]
    assert [path.name for path in job.written] == names
    sr = np.full((5, 2, 32, 32), np.nan, np.float32)
    # The factor follows from the size, as for an array.
    settings = SETTINGS.model_copy(update={"factor": 4})
    for update in super_resolve(read_stack(lr), tiny_bundle, settings):
        sr[update.cells] = update.sr
    np.testing.assert_array_equal(read_stack(job.written[0]).data, sr)


def test_what_is_finished_is_not_searched_again(
    lr: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    list(ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out").updates([lr]))
    again = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out")
    (update,) = again.updates([lr])
    assert (update.stage, update.message) == (
        "finished",
        f"{tmp_path / 'out' / 'lr_SR4x.ome.tif'} is finished already.",
    )
    assert [path.name for path in again.written] == ["lr_SR4x.ome.tif", "lr_SR4x.json"]
    anew = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out", overwrite=True)
    assert "searching" in stages(list(anew.updates([lr])))


def test_a_closed_iteration_keeps_what_was_reached_and_goes_on(
    lr: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    list(ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "through").updates([lr]))
    job = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out")
    updates = job.updates([lr])
    finished = 0
    while finished < 2:  # 4 of 5 cells
        step = next(updates).step
        finished += step is not None and step.finished
    updates.close()
    sr = tmp_path / "out" / "lr_SR4x.ome.tif"
    assert job.written == [sr, sr.with_name("lr_SR4x.json")]
    assert read_record(sr)["complete"] is False
    job = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out")
    told = [update.message for update in job.updates([lr]) if update.stage == "told"]
    assert told == ["lr.ome.tif: 4 of 5 cells are kept of a run before."]
    through = read_stack(tmp_path / "through" / "lr_SR4x.ome.tif").data
    np.testing.assert_array_equal(read_stack(sr).data, through)


def test_a_file_that_cannot_be_used_is_told_and_the_others_go_on(
    lr: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "bad.tif").write_bytes(b"II*\0")
    job = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out")
    updates = list(job.updates([tmp_path / "bad.tif", lr]))
    assert [update.stage for update in updates[:1]] == ["failed"]
    assert isinstance(updates[0].error, InputError)
    assert "bad.tif cannot be read as a TIFF file" in str(updates[0].error)
    assert updates[-1] is not updates[0]
    assert (updates[-1].file, updates[-1].stage) == (lr, "finished")


def test_a_result_that_cannot_be_written_as_the_job_is_closed_is_an_error(
    lr: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    job = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out")
    updates = job.updates([lr, lr])
    next(updates)
    with full_disk(100), pytest.raises(KeptError, match="no other place was found"):
        updates.close()
    assert job.written == []


def test_faults_of_the_program_are_not_told_as_those_of_a_file(
    lr: Path, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise KeyError("fault")

    monkeypatch.setattr("napari_rls.workflow.super_resolve.resolve_files.read_stack", fault)
    with pytest.raises(KeyError):
        list(ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out").updates([lr]))


def test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Two inputs are named a; their SR files would be one"):
        separate_files([tmp_path / "a.tif", tmp_path / "x" / "a.ome.tif"])


def test_wells_of_names_are_in_the_record_as_a_table_gets_them(
    lr: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    file = lr.rename(tmp_path / "B03_D05.ome.tif")
    job = ResolveFiles(tiny_bundle, SETTINGS, tmp_path / "out")
    updates = list(job.updates([file]))
    assert updates[0].message.startswith(
        "B03_D05.ome.tif: Names with more than one well are taken so: B03_D05.ome.tif as D05"
    )
    told = read_record(job.written[0])["input"]["read"]["wells_from_names"]
    assert told == {"B03_D05.ome.tif": {"well": "D05", "others": ["B03"]}}
    assert rows_of([read_stack(job.written[0])]).columns["Metadata_Well"] == ["D05"] * 5
    assert rows_of([read_stack(file)]).columns["Metadata_Well"] == ["D05"] * 5
