"""Simulated cells as a stack, in files, in napari and in the demo."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.layers import Image, Layer
from typer.testing import CliRunner, Result

from napari_rls.cli.main import app
from napari_rls.errors import InputError
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import DEFAULT_BUNDLE
from napari_rls.simulate.golgi import CONTROL, GolgiSettings, simulate_golgi
from napari_rls.version import __version__
from napari_rls.widgets.cells.guess_layers import guess
from napari_rls.widgets.contributions.reader import get_reader
from napari_rls.widgets.contributions.sample_data import simulated_golgi, simulated_translocation
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.examples import draw_sample
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.simulated import (
    FRESH_SEED,
    SIMULATED_LABEL,
    SimulateSettings,
    Simulation,
    simulate,
)

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

SETTINGS = SimulateSettings(assay="golgi", cells=3, seed=5, size=64)


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["simulate", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def made() -> Simulation:
    return simulate(SETTINGS)


def test_stack_and_labels_are_of_one_shape(made: Simulation) -> None:
    assert made.hr.data.shape == (3, 2, 64, 64)
    assert made.hr.data.dtype == np.uint16
    assert made.hr.channels == ("DNA", "Golgi")
    assert made.hr.pixel_size_um == 0.325
    assert SIMULATED_LABEL in made.hr.name
    assert {crop.file for crop in made.hr.crops} == {"simulated"}
    assert [crop.condition for crop in made.hr.crops] == ["control", "nocodazole", "control"]
    for labels in made.labels.values():
        assert (labels.shape, labels.dtype) == ((3, 64, 64), np.int32)


def test_any_cell_can_be_made_again_alone(made: Simulation) -> None:
    alone = simulate_golgi(CONTROL, np.random.default_rng([5, 2]), GolgiSettings(size=64))
    np.testing.assert_array_equal(made.hr.data[2], alone.image)
    np.testing.assert_array_equal(made.labels["spots"][2], alone.spots)
    row = made.table.iloc[2]
    assert (row.cell, row.condition, row.spots) == (2, CONTROL, len(alone.areas_um2))
    assert row.spot_mean_um2 == pytest.approx(np.mean(alone.areas_um2))
    assert row.spot_median_um2 == pytest.approx(np.median(alone.areas_um2))
    assert row.spot_total_um2 == pytest.approx(np.sum(alone.areas_um2))
    assert row.nucleus_um2 == pytest.approx((alone.nuclei == 1).sum() * 0.325**2)


def test_translocation_has_its_own_size_and_a_ratio() -> None:
    made = simulate(SimulateSettings(assay="translocation", cells=2, conditions=("dose=0.5",)))
    assert made.hr.data.shape == (2, 2, 64, 64)
    assert made.hr.data.max() <= 255
    assert list(made.table.condition) == ["dose=0.5"] * 2
    assert (made.table.ratio > 0).all()
    assert (made.table.spots == 0).all()
    assert made.table.spot_mean_um2.isna().all()


def test_a_condition_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^There is no condition 'DMSO'; take control or"):
        simulate(SETTINGS.model_copy(update={"conditions": ("DMSO",)}))


def test_files_hold_the_cells_and_say_what_they_are(made: Simulation, tmp_path: Path) -> None:
    out = tmp_path / "made"
    fixed = ("--assay", "golgi", "--cells", 3, "--seed", 5, "--size", 64, "--out", out)
    paths = [Path(line) for line in run(*fixed).stdout.splitlines()]
    names = ["HR.ome.tif", "nuclei.ome.tif", "cells.ome.tif", "spots.ome.tif", "truth.csv"]
    assert [path.name for path in paths] == [
        *(f"simulated_golgi_{name}" for name in names),
        "simulated_golgi.json",
    ]
    assert sorted(out.iterdir()) == sorted(paths)
    hr = read_stack(paths[0])
    np.testing.assert_array_equal(hr.data, made.hr.data)
    assert hr.data.dtype == np.uint16
    assert (hr.channels, hr.crops, hr.pixel_size_um) == (
        made.hr.channels, made.hr.crops, made.hr.pixel_size_um,
    )  # fmt: skip
    for path, kind in zip(paths[1:4], ("nuclei", "cells", "spots"), strict=True):
        labels = read_stack(path)
        np.testing.assert_array_equal(labels.data[:, 0], made.labels[kind])
        assert labels.channels == (kind,)
    pd.testing.assert_frame_equal(pd.read_csv(paths[4]), made.table, check_exact=False)
    record = json.loads(paths[5].read_text())
    assert record == made.record
    assert record["simulated"] is True
    assert record["software"]["napari-rls"] == __version__
    assert record["settings"]["seed"] == 5
    assert record["assay"]["optics"]["pixel_size_um"] == 0.325
    for path in paths[:4]:
        with tifffile.TiffFile(path) as tiff:
            image = ElementTree.fromstring(tiff.ome_metadata).find("{*}Image")
        assert SIMULATED_LABEL in image.get("Name")
        assert "not real" in image.find("{*}Description").text
    (layer, _) = (Layer.create(*entry) for entry in get_reader(str(paths[0]))(str(paths[0])))
    assert layer.name == "simulated_golgi_HR (simulated) DNA"


def test_files_are_not_replaced_unasked(tmp_path: Path) -> None:
    fixed = ("--assay", "translocation", "--cells", 1, "--out", tmp_path)
    run(*fixed)
    assert not (tmp_path / "simulated_translocation_spots.ome.tif").exists()
    again = run(*fixed, code=2)
    assert "simulated_translocation_HR.ome.tif exists already; give --overwrite" in again.stderr
    run(*fixed, "--overwrite", "--condition", "treated")
    table = pd.read_csv(tmp_path / "simulated_translocation_truth.csv")
    assert list(table.condition) == ["treated"]


def test_what_the_command_refuses(tmp_path: Path) -> None:
    assert "assay" in run("--assay", "mitosis", "--out", tmp_path, code=2).stderr
    wrong = run("--condition", "DMSO", "--out", tmp_path, code=2)
    assert wrong.stderr.strip() == "There is no condition 'DMSO'; take control or nocodazole."
    assert list(tmp_path.iterdir()) == []


def test_sample_layers_of_the_golgi_assay() -> None:
    layers = {layer.name: layer for layer in (Layer.create(*e) for e in simulated_golgi())}
    gt, lr = (layers[f"{kind} (simulated, not real) Golgi"] for kind in ("GT", "LR"))
    assert (gt.data.shape, lr.data.shape) == ((12, 128, 128), (12, 8, 8))
    np.testing.assert_allclose(lr.data, degrade(gt.data, 16), rtol=1e-5)
    np.testing.assert_allclose(lr.scale[1:], 16 * gt.scale[1:])
    assert lr.visible
    assert not gt.visible
    np.testing.assert_allclose(lr.colormap.map(1.0).ravel()[:3], (0, 1, 0))
    assert lr.metadata["napari-rls"]["simulated"] is True
    for kind in ("nuclei", "cells", "spots", "measured cells"):
        labels = layers[f"Truth {kind}"]
        assert labels._type_string == "labels"
        np.testing.assert_allclose(labels.scale, gt.scale)
        assert not labels.visible
    own = layers["Truth measured cells"]
    assert list(own.features["index"]) == list(range(1, 13))
    for k, area in enumerate(own.features["cell_um2"]):
        assert (own.data[k] == k + 1).sum() * 0.325**2 == pytest.approx(area)


def test_sample_layers_of_the_translocation_assay() -> None:
    layers = {layer.name: layer for layer in (Layer.create(*e) for e in simulated_translocation())}
    assert layers["LR (simulated, not real) FKHR-GFP"].data.shape == (12, 8, 8)
    assert "Truth spots" not in layers
    features = layers["Truth measured cells"].features
    assert features.ratio[features.condition == "treated"].min() > 1.5


def test_the_widget_takes_the_sample_s_lr_and_gt_layers() -> None:
    layers = [Layer.create(*entry) for entry in simulated_translocation()]
    images = [layer for layer in layers if isinstance(layer, Image)]
    inputs = guess(images, read_manifest(find_bundle(DEFAULT_BUNDLE)))
    assert [layer.name[:2] for layer in inputs.lr] == ["LR", "LR"]
    assert [layer.name[:2] for layer in inputs.gt] == ["GT", "GT"]


def test_demo_cells_are_simulated_for_a_bundle_of_a_known_assay(tiny_bundle: Bundle) -> None:
    named = tiny_bundle.manifest.model_copy(update={"name": "golgi-simulated-128"})
    sample = draw_sample(replace(tiny_bundle, manifest=named), 2, 4, seed=3)
    settings = SimulateSettings(assay="golgi", cells=2, seed=FRESH_SEED + 3, size=32)
    np.testing.assert_array_equal(sample.truth.data, simulate(settings).hr.data)
    np.testing.assert_allclose(sample.lr.data, degrade(sample.truth.data, 4))
    assert sample.label == SIMULATED_LABEL
    assert SIMULATED_LABEL in sample.lr.name
