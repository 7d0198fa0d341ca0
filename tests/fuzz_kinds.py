"""What is read from users: files of every kind, how they are changed, and who reads them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fuzz_mutate as change
import numpy as np
import pandas as pd
import tifffile
import torch
from benchmark_bench import finish, hr_cells, measuring_bundle, settings_of
from bundle_kinds import kind_of_bundle
from official_layout import dumps, snapshot
from tiny_job import SETTINGS, job, run, write_fields
from tiny_model import random_bundle

from napari_rls.errors import BundleError, CheckpointError, InputError, SettingsError, TrainingError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.architecture import Architecture
from napari_rls.models.bundle import load_bundle
from napari_rls.models.bundle_file import read_manifest, verify
from napari_rls.models.import_checkpoint import read_checkpoint
from napari_rls.models.stylegan2 import Generator
from napari_rls.search.settings import Settings
from napari_rls.training.checkpoint import load_checkpoint, load_start
from napari_rls.training.run_folder import RunFolder
from napari_rls.training.trainer import Trainer
from napari_rls.workflow.benchmark.plan import plan
from napari_rls.workflow.benchmark.run_benchmark import RUNS
from napari_rls.workflow.benchmark.searches import load
from napari_rls.workflow.cells.plate_map import PlateMap, condition_of
from napari_rls.workflow.cells.read import read_frames, read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.measure.measure_settings import measure_settings
from napari_rls.workflow.measure.table_files import read_table, write_table
from napari_rls.workflow.measure.table_origin import table_record
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.unfinished import Unfinished
from napari_rls.workflow.train.run_files import kept_crops

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    make
        Writes one whole folder of files.
    read
        Reads them as the program does.
    ways
        How each file may be changed, by the ending of its name.
    refusals
        The errors with which it may be refused.
    """

    make: Callable[[Path], None]
    read: Reader
    ways: Mapping[str, tuple[change.Mutator, ...]]
    refusals: tuple[type[Exception], ...] = ()


def _write(name: str, content: bytes | str) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data) and None


def _cells(count: int = 3) -> CellStack:
    data = np.random.default_rng(0).integers(1, 4000, (count, 2, 8, 8)).astype(np.uint16)
    crops = tuple(Crop(f"B0{k}.tif", f"B0{k}", 1.0, 2.0, "drug=x") for k in range(1, count + 1))
    return CellStack(data, ("DNA", "GFP"), pixel_size_um=0.5, crops=crops)


def _plain(folder: Path) -> None:
    data = _cells().data
    tifffile.imwrite(folder / "a.tif", data, photometric="minisblack")
    tifffile.imwrite(folder / "b.tif", data, imagej=True, metadata={"axes": "TCYX", "unit": "um"})
    tifffile.imwrite(folder / "c.tif", data, photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "d.tif", data, tile=(16, 16), photometric="minisblack")


def _ome(folder: Path) -> None:
    metadata = {"axes": "TCYX", "Channel": {"Name": ["DNA", "GFP"]}, "PhysicalSizeX": 0.5}
    data = _cells().data
    tifffile.imwrite(folder / "a.ome.tif", data, metadata=metadata, photometric="minisblack")
    write_stack(folder / "b.ome.tif", _cells(), description="HR", record={"degrade": {"factor": 2}})


def _sr(folder: Path) -> None:
    record = {
        "generated": True,
        "method": "rls",
        "started": "2026-01-01T00:00:00+00:00",
        "complete": True,
        "bundle": {"name": "tiny", "measurement": {"assay": "translocation"}},
        "settings": {"method": "rls", "samples": 2},
        "cells": [{"status": "done"}] * 3,
    }
    write_stack(folder / "a_SR2x.ome.tif", _cells(), description="SR", record=record)
    frames = _cells().data[None].repeat(2, 0).reshape(6, 2, 8, 8)
    write_stack(
        folder / "a_SR2x_samples.ome.tif",
        replace(_cells(6), data=frames),
        description="samples",
        record=record | {"frames": "sample"},
    )


def _measured(folder: Path) -> object:
    ((images,),) = read_images([folder / "a_SR2x.ome.tif"])
    read_frames(folder / "a_SR2x_samples.ome.tif")
    return json.dumps(
        table_record([images], MeasureSettings(assay="translocation"), [(0, 1)], None, 2)
    )


def _conditions(folder: Path) -> object:
    plate = PlateMap(folder / "map.csv")
    for file in ("B03.tif", "x_b4.tif", "f.tif"):
        plate.find(file)
        entry = plate.entry(file)
        if entry is not None:
            condition_of(entry)
            plate.dose(entry)
    return plate.others


def _table(ending: str) -> Kind:
    def make(folder: Path) -> None:
        table = pd.DataFrame(
            {
                "Metadata_Cell": ["a", "=b", "c"],
                "Metadata_Condition": ["x", "x", "y"],
                "Math_Ratio": [1.5, np.nan, -2e-9],
                "Cells_Count": [1, 2, 3],
                "Quality_NoNucleus": [True, False, False],
            }
        )
        record = {"columns": {"Math_Ratio": {"unit": "none", "meaning": "a"}}, "settings": {"a": 1}}
        write_table(folder / f"t.{ending}", table, record)

    ways: dict[str, tuple[change.Mutator, ...]] = {
        ".csv": (change.text, change.raw),
        ".json": (change.json_tree, change.text, change.raw),
        ".parquet": (change.raw,),
        ".h5ad": (change.raw, change.text),
    }
    return Kind(make, lambda folder: read_table(folder / f"t.{ending}"), ways, (InputError,))


def _bundle(folder: Path) -> None:
    parts = ("encoders", "pix2pix", "direct", "camera", "trust", "discriminator")
    kind_of_bundle(**dict.fromkeys(parts, True)).save(folder / "a.rls.safetensors")


def _load_bundle(folder: Path) -> object:
    path = folder / "a.rls.safetensors"
    return read_manifest(path), verify(path), load_bundle(path)


def _pickle(folder: Path) -> None:
    shape = Architecture(
        resolution=8, image_channels=1, z_dim=4, w_dim=4, mapping_layers=1, channel_max=4
    )
    (folder / "a.pkl").write_bytes(dumps(snapshot(Generator(shape))))


def _pt(folder: Path) -> None:
    from plain_rosinality import random_state

    state = random_state((8, 8, 4), dim=6, layers=2, channels=3)
    torch.save({"g_ema": state, "ada_aug_p": 0.0}, folder / "a.pt")
    torch.save({"g_ema": state}, folder / "b.pt", _use_new_zipfile_serialization=False)


def _training(folder: Path) -> None:
    write_fields(folder / "fields")
    run(job(folder))
    for file in [*(folder / "fields").iterdir(), folder / "tiny.rls.safetensors"]:
        file.unlink()
    (folder / "fields").rmdir()
    for kept in (folder / "run").glob("s*/*"):
        kept.unlink()
    record = json.loads((folder / "run" / "crops.json").read_bytes())
    (folder / "inputs.txt").write_text(record["inputs"])


@functools.cache
def _trainer() -> Trainer:
    return Trainer(SETTINGS, torch.device("cpu"), torch.float32)


def _read_training(folder: Path) -> object:
    place = RunFolder(folder / "run")
    kept_crops(place.path, (folder / "inputs.txt").read_text())
    found = (place.reports(), place.scores(), place.best_score())
    load_checkpoint(place.checkpoint, _trainer())
    return found, load_start(place.checkpoint, SETTINGS.architecture)


def _benchmark(folder: Path) -> None:
    settings = settings_of(methods=("rls",), samples=0, lambda_w=())
    finish(folder, measuring_bundle(folder / "bundle.rls.safetensors"), settings, hr_cells())
    for file in folder.iterdir():
        if file.name != RUNS:
            file.unlink()
    keep = next(iter(sorted((folder / RUNS).glob("*.npz"))))
    for file in (folder / RUNS).iterdir():
        if file.stem != keep.stem:
            file.unlink()
    record = json.loads(keep.with_suffix(".json").read_bytes())
    (folder / "cells.txt").write_text(str(len(record["cells"])))


@functools.cache
def _job() -> Any:
    return plan(hr_cells(), random_bundle(), settings_of(methods=("rls",), samples=0))[0]


def _read_search(folder: Path) -> object:
    runs = folder / RUNS
    cells = tuple(range(int((folder / "cells.txt").read_text())))
    key = next(iter(runs.glob("*.npz"))).stem
    found = load(replace(_job(), key=key, cells=cells), runs, (2, 32, 32))
    if found is None:
        raise InputError("The search is made again.")
    return found


@functools.cache
def _searched() -> Collector:
    """Return a search of five cells in three batches, ended."""
    data = np.random.default_rng(0).integers(0, 250, (5, 2, 8, 8), dtype=np.uint8)
    lr = CellStack(data, ("nucleus", "protein"), name="a.tif")
    settings = Settings(factor=4, steps=1, samples=0, batch_size=2, device="cpu", start="mean")
    result = Collector(lr, 32)
    for update in super_resolve(lr, random_bundle(), settings):
        result.add(update)
    return result


def _unfinished(folder: Path) -> None:
    kept = Unfinished(folder / "a_SR4x.ome.tif", [], _searched())
    for cells in ([0, 1], [2, 3]):
        kept.keep(np.array(cells))


def _go_on(folder: Path) -> object:
    with Unfinished(folder / "a_SR4x.ome.tif", [], _searched()).opened(anew=False) as cells:
        return cells


_IMAGES = (change.raw, change.tags, change.tags)
_JSON = (change.json_tree, change.json_tree, change.text, change.raw)
_TENSORS = (change.safetensors, change.safetensors, change.raw)

KINDS: dict[str, Kind] = {
    "settings": Kind(
        lambda folder: Settings(method="rls-plus", samples=0).save(folder / "s.json"),
        lambda folder: Settings.load(folder / "s.json"),
        {".json": _JSON},
        (SettingsError,),
    ),
    "measurement": Kind(
        _write("m.json", MeasureSettings(assay="translocation").model_dump_json()),
        lambda folder: measure_settings(None, folder / "m.json"),
        {".json": _JSON},
        (SettingsError,),
    ),
    "tiff": Kind(
        _plain,
        lambda folder: [read_stack(path) for path in sorted(folder.glob("*.tif"))],
        {".tif": _IMAGES},
        (InputError,),
    ),
    "ome-tiff": Kind(
        _ome,
        lambda folder: [read_stack(path) for path in sorted(folder.glob("*.tif"))],
        {".tif": (change.ome, change.ome, change.ome, *_IMAGES)},
        (InputError,),
    ),
    "sr": Kind(_sr, _measured, {".tif": (change.ome, change.ome, *_IMAGES)}, (InputError,)),
    "plate map": Kind(
        _write("map.csv", "well,drug,dose,control\nB3,wortmannin,2,\nB04,LY294002,,positive\n"),
        _conditions,
        {".csv": (change.text, change.text, change.raw)},
        (InputError,),
    ),
    "csv": _table("csv"),
    "parquet": _table("parquet"),
    "h5ad": _table("h5ad"),
    "bundle": Kind(_bundle, _load_bundle, {".safetensors": _TENSORS}, (BundleError,)),
    "pickle": Kind(
        _pickle,
        lambda folder: read_checkpoint(folder / "a.pkl"),
        {".pkl": (change.raw, change.opcodes, change.text)},
        (CheckpointError,),
    ),
    "pt": Kind(
        _pt,
        lambda folder: [read_checkpoint(folder / name) for name in ("a.pt", "b.pt")],
        {
            "a.pt": (
                change.raw,
                *[change.archive([(".pkl", change.opcodes), ("", change.raw)])] * 3,
            ),
            "b.pt": (change.raw, change.opcodes),
        },
        (CheckpointError,),
    ),
    "training": Kind(
        _training,
        _read_training,
        {
            ".safetensors": _TENSORS,
            ".jsonl": (change.json_lines, change.raw, change.text),
            ".json": _JSON,
            ".tif": _IMAGES,
        },
        (TrainingError,),
    ),
    "unfinished": Kind(_unfinished, _go_on, {".batch": _TENSORS, ".json": _JSON}, (InputError,)),
    "benchmark": Kind(
        _benchmark,
        _read_search,
        {".npz": (change.raw, *[change.archive([(".npy", change.npy)])] * 2), ".json": _JSON},
        (InputError,),
    ),
}
