"""The public interface: it lists itself, its examples run, and it goes from array to table."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_model import random_bundle

import napari_rls
from napari_rls import (
    BundleError,
    InputError,
    MeasureSettings,
    Settings,
    SuperResolver,
    cells_from_array,
    degrade,
    load_bundle,
    measure_cells,
    read_cells,
    read_table,
    super_resolve,
    write_cells,
    write_table,
)
from napari_rls.models.bundle import Bundle
from napari_rls.models.manifest import Manifest
from napari_rls.workflow.cells.examples import draw_prior_sample

MODULES = (
    "api",
    "errors",
    "models.bundle",
    "registry",
    "search.degradation",
    "search.operators",
    "search.presets",
    "search.settings",
    "text",
    "workflow.cells.degrade",
    "workflow.cells.stack",
    "workflow.super_resolve.resolver",
    "workflow.super_resolve.sr_result",
)
"""Modules whose examples are run."""


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"napari_rls.{name}"))
    assert found.attempted
    assert not found.failed


def test_every_public_name_is_there_and_told() -> None:
    assert dir(napari_rls) == sorted(napari_rls.__all__)
    for name in napari_rls.__all__:
        assert getattr(napari_rls, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_rls.nothing


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = (
        "import sys, napari_rls; dir(napari_rls); "
        "print([m for m in ('numpy', 'torch', 'pydantic', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_from_an_array_to_files_to_a_table(tmp_path: Path, tiny_bundle: Bundle) -> None:
    truth = np.asarray(draw_prior_sample(tiny_bundle, count=2, factor=4, seed=2).truth.data)
    hr = cells_from_array(truth, channels=tiny_bundle.manifest.channel_names)
    write_cells(tmp_path / "hr.ome.tif", hr)
    lr = degrade(read_cells(tmp_path / "hr.ome.tif").data, 4)
    settings = Settings(factor=4, steps=3, samples=2, sample_steps=2)
    steps: list[int] = []
    result = SuperResolver(tiny_bundle, settings).run(lr, lambda update: steps.append(update.step))
    assert steps == [1, 2, 3, 4, 5]
    written = result.save(tmp_path / "sr.ome.tif")
    assert [p.name for p in written] == ["sr.ome.tif", "sr.json", "sr_samples.ome.tif"]
    assert np.array_equal(read_cells(written[0]).data, result.sr)
    with pytest.raises(InputError, match=r"saved as \.tif or \.ome\.tif, not as sr\.png"):
        result.save(tmp_path / "sr.png")

    how = MeasureSettings(assay="translocation")
    measured = measure_cells(result, gt=tmp_path / "hr.ome.tif", settings=how)
    again = measure_cells(written[0], gt=hr, settings=how)
    assert measured.table["Metadata_Image"].tolist() == ["SR", "SR", "GT", "GT"]
    columns = [name for name in measured.table if not str(name).startswith("Metadata_")]
    assert len(columns) > 10
    assert measured.table[columns].equals(again.table[columns])
    write_table(str(tmp_path / "cells.csv"), measured.table, measured.record)
    table, record = read_table(tmp_path / "cells.csv")
    assert table.equals(measured.table)
    assert record == measured.record
    with pytest.raises(InputError, match="Nothing says what is to be measured; give settings"):
        measure_cells(hr=hr)
    with pytest.raises(InputError, match="The GT images are a ndarray; give a CellStack"):
        measure_cells(gt=truth, settings=how)


def test_one_resolver_gives_what_new_ones_give(tiny_bundle_file: Path) -> None:
    bundle = load_bundle(tiny_bundle_file)
    cells = np.asarray(draw_prior_sample(bundle, count=3, factor=4, seed=5).lr.data)
    settings = Settings(steps=3, samples=2, sample_steps=2, threads=1)
    resolver = SuperResolver(bundle, settings)
    for lr in (cells[:2], cells[1:], cells[:2]):
        kept, new = resolver.run(lr), SuperResolver(tiny_bundle_file, settings).run(lr)
        assert np.array_equal(kept.sr, new.sr)
        assert np.array_equal(kept.latents, new.latents)
        assert np.array_equal(kept.samples, new.samples)
        assert kept.record["settings"]["factor"] == 4  # the one that fits
    pulse = Settings(method="pulse", factor=4, steps=3, seed=1, threads=1)
    kept, new = resolver.with_settings(pulse).run(cells), SuperResolver(bundle, pulse).run(cells)
    assert np.array_equal(kept.sr, new.sr)
    assert kept.record["method"].startswith("PULSE")
    assert resolver.settings.method == "rls"


def test_a_bundle_that_is_named_again_is_loaded_again_only_if_it_changed(tmp_path: Path) -> None:
    lr = np.random.default_rng(0).uniform(0, 200, (1, 2, 8, 8))
    settings = Settings(factor=4, steps=1, samples=0)
    file = tmp_path / "mine.rls.safetensors"

    def used(name: str) -> Manifest:
        return next(super_resolve(lr, name, settings)).run.manifest

    random_bundle().save(file)
    first = used(str(file))
    assert used(str(file)) is first
    random_bundle(seed=1).save(file)
    assert used(str(file)).content_hash != first.content_hash
    file.unlink()
    with pytest.raises(BundleError):
        used(str(file))
