"""Fields on real Dask workers: the same table, killed workers, what cannot be used, going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaozarrs
import zarr
from cli_bench import run
from distributed import Client, LocalCluster
from field_bench import NOISE, bundle, drawn_field
from zarr_bench import write_plate

from napari_rls.errors import InputError, SettingsError
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.fields import cluster as fields_cluster
from napari_rls.workflow.fields.cluster import Workers
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.field_task import FieldsUpdate
from napari_rls.workflow.fields.run_fields import RunFields
from napari_rls.workflow.measure.measure_settings import measure_settings

WELLS = ("B03", "B04", "B05", "C06")
OPTIONS = ("--ratio", "8", "--psf", "0.45", "--noise", "100,2,4", "--steps", "3", "--samples", "0")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plate")
    lr = drawn_field(8.0, 1, 2).lr
    for shift, well in enumerate(WELLS):
        moved = np.roll(lr.data, shift, axis=-1)
        # The first takes longest, so that it does not come to its end first.
        data = np.concatenate([moved] * 2, axis=-1) if not shift else moved
        write_stack(folder / f"{well}.ome.tif", replace(lr, data=data), description="a field")
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Give the address of a scheduler with two worker processes."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
    ) as local:
        yield local.scheduler_address


def job(out: Path, workers: Workers | None = None) -> RunFields:
    made = bundle()
    return RunFields(
        made,
        Settings(steps=3, samples=0, device="cpu"),
        FieldSettings(optics={"ratio": 8, "psf_sigma": 0.45}, noise=NOISE),
        measure_settings(None, None, {}, dict(made.manifest.measurement)),
        out,
        workers=workers,
    )


def messages(updates: list[FieldsUpdate]) -> str:
    return "\n".join(update.message for update in updates)


@pytest.fixture(scope="module")
def here(plate: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the table that is made without Dask."""
    out = tmp_path_factory.mktemp("here")
    list(job(out).updates([plate]))
    return pd.read_parquet(out / "cells.parquet")


def test_workers_of_a_scheduler_make_the_same_table(
    plate: Path, here: pd.DataFrame, address: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "A01.tif").write_bytes(b"no TIFF")
    # A field that is an image, but shows no cell.
    lr = drawn_field(8.0, 1, 2).lr
    empty = replace(lr, data=np.full_like(lr.data, 100))
    write_stack(tmp_path / "in" / "D07.ome.tif", empty, description="no cells")
    work = job(tmp_path / "out", Workers(scheduler=address))
    updates = list(work.updates([plate, tmp_path / "in"]))
    table = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    pd.testing.assert_frame_equal(table, here, rtol=1e-4)
    assert list(table.Metadata_Well.drop_duplicates()) == list(WELLS)
    failed = {update.field: update.message for update in updates if update.error}
    assert "A01.tif" in failed["A01.tif"]
    assert "No nucleus was found in D07.ome.tif" in failed["D07"]
    assert {update.field for update in updates if update.measured is not None} == set(WELLS)
    assert (updates[-1].done, updates[-1].total) == (6, 6)
    assert f"The Dask scheduler {address} has 2 workers." in messages(updates)
    assert all(path.exists() for update in updates for path in update.written)

    # Nothing is done twice, there or here.
    images = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "fields").iterdir()}
    for again in (work, job(tmp_path / "out")):
        told = messages(list(again.updates([plate])))
        assert all(f"{well} is finished already." in told for well in WELLS)
    assert images == {path: path.stat().st_mtime_ns for path in images}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "cells.parquet"), table)


def test_workers_write_fields_of_one_plate_at_once(address: str, tmp_path: Path) -> None:
    lr = drawn_field(8.0, 1, 1).lr.data[0]
    wells = {"B/03": [lr, np.roll(lr, 1, -1)], "C/04": [np.roll(lr, 1, -2)]}
    write_plate(tmp_path / "P1.zarr", wells)
    list(job(tmp_path / "out", Workers(scheduler=address)).updates([tmp_path / "P1.zarr"]))
    root = tmp_path / "out" / "P1_SR8x.ome.zarr"
    yaozarrs.validate_zarr_store(root)
    found = {
        well: [each["path"] for each in zarr.open_group(root / well).attrs["ome"]["well"]["images"]]
        for well in wells
    }
    assert found == {"B/03": ["0", "1"], "C/04": ["0"]}
    table = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    assert list(table.Metadata_Well.drop_duplicates()) == ["B03", "C04"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_killed_workers_had_is_done_by_others(
    plate: Path, address: str, tmp_path: Path
) -> None:
    with Client(address, set_as_default=False) as client:
        workers = list(client.run(os.getpid).values())
    updates = []
    for update in job(tmp_path, Workers(scheduler=address)).updates([plate]):
        if update.measured is not None and not any(u.measured is not None for u in updates):
            # Both are at a field now, and another waits.
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        updates.append(update)
    assert not [update.message for update in updates if update.error]
    table = pd.read_parquet(tmp_path / "cells.parquet")
    assert list(table.Metadata_Well.drop_duplicates()) == list(WELLS)
    with Client(address, set_as_default=False) as client:
        assert not set(client.run(os.getpid).values()) & set(workers)


def test_the_command_starts_workers_of_its_own(plate: Path, tmp_path: Path) -> None:
    files = [plate / "B04.ome.tif", plate / "B05.ome.tif"]
    (tmp_path / "A01.tif").write_bytes(b"no TIFF")
    command = ("fields", *files, tmp_path / "A01.tif", "--out", tmp_path / "out", *OPTIONS)
    result = run(*command, "--workers", 2, code=1)
    assert "A01.tif" in result.stderr
    assert "Fields are worked on in 2 processes." in result.stderr
    assert "(2 of 2 fields)" in result.stderr
    printed = result.stdout.split()
    assert str(tmp_path / "out" / "cells.csv") in printed
    assert all(Path(path).exists() for path in printed)
    again = run(*command, code=1)
    assert again.stderr.count("is finished already.") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no groups of processes")
def test_ctrl_c_ends_workers_even_while_they_start(plate: Path, tmp_path: Path) -> None:
    command = ("fields", plate, "--out", tmp_path, *OPTIONS, "--workers", "2")
    with subprocess.Popen(
        [sys.executable, "-c", "from napari_rls.cli.main import app; app()", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        # The first children come after Python's own helper.
        while process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
            if len(children) > 1:
                break
            time.sleep(0.05)
        # A terminal tells all of them.
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert said.rstrip().endswith(
        "Stopped: finished fields stay; the same command goes on with the rest."
    )
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_a_scheduler_that_does_not_answer_is_told(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields_cluster, "CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(InputError, match=f"No Dask scheduler answers at {address}; start"):
            list(job(tmp_path, Workers(scheduler=address)).updates([plate]))


def test_without_dask_a_sentence_says_what_to_install(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run("fields", plate, "--out", tmp_path, *OPTIONS, "--workers", 2, code=2)
    assert 'run pip install "napari-rls[cluster]".' in result.stderr
    assert "Traceback" not in result.stderr


def test_workers_are_here_or_there() -> None:
    for given in ({}, {"count": 2, "scheduler": "tcp://127.0.0.1:8786"}):
        with pytest.raises(SettingsError, match="either a number of workers or a scheduler"):
            Workers(**given)  # type: ignore[arg-type]
