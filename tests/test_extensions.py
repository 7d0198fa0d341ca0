"""Methods and operators of another package, written as its author would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from benchmark_bench import hr_cells
from own_assay import documented, install

from napari_rls.models.bundle import Bundle
from napari_rls.workflow.cells.examples import draw_prior_sample
from napari_rls.workflow.cells.write import write_stack

METHODS = """
from napari_rls import Method

gentle = Method(
    "Gentle search (Doe et al. 2031)", {"lambda_c": 0.03, "steps": 4, "samples": 0}, ("samples",),
    stages=("their_search:stage",),
)
"""

SEARCH = """
from dataclasses import replace

from napari_rls.search.method import rls


def stage(kit, batch, before):
    return replace(rls(kit, batch, before), learning_rate=0.05)
"""

OPERATORS = """
from dataclasses import dataclass

from torch.nn import functional as F

from napari_rls import OperatorKind


@dataclass(frozen=True)
class Boxes:
    factor: int

    def __call__(self, image):
        return F.avg_pool2d(image, self.factor)

    def record(self):
        return {"name": "boxes", "factor": self.factor}


boxes = OperatorKind("means over squares", lambda imaging: Boxes(imaging.factor))
wrong = OperatorKind("of another size", lambda imaging: Boxes(2 * imaging.factor))
"""

ENTRIES = """
[napari_rls.methods]
gentle = their_methods:gentle
broken = their_lost_module:method
odd = their_methods:Method
rls = their_methods:gentle
Bad Name = their_methods:gentle

[napari_rls.operators]
boxes = their_operators:boxes
wrong = their_operators:wrong
"""


def package(folder: Path, name: str, entries: str) -> None:
    about = folder / f"{name}-1.5.dist-info"
    about.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
    (about / "METADATA").write_text(text, encoding="utf-8")
    (about / "entry_points.txt").write_text(entries, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder that holds the packages of others."""
    folder = tmp_path / "site"
    package(folder, "theirs", ENTRIES)
    sources = {"their_methods": METHODS, "their_search": SEARCH, "their_operators": OPERATORS}
    for module, source in sources.items():
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
    return folder


def python(site: Path, *args: str) -> subprocess.CompletedProcess[str]:
    paths = filter(None, (str(site), os.environ.get("PYTHONPATH")))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "300"}
    return subprocess.run(
        [sys.executable, *args], env=env, capture_output=True, text=True, check=False
    )


def printed(site: Path, code: str) -> list[str]:
    done = python(site, "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


CLI = ("-c", "from napari_rls.cli.main import app; app()")


def test_help_and_choices_name_them_without_importing_their_package(site: Path) -> None:
    code = """
import sys
from napari_rls.search.settings import METHODS, Settings
from napari_rls.workflow.benchmark.benchmark_settings import BenchmarkSettings
import napari_rls.cli.main
print(METHODS[-3:], BenchmarkSettings().methods == (*METHODS, "direct"))
print(Settings.model_fields["operator"].annotation)
print([name for name in sys.modules if name.startswith("their")])
"""
    assert printed(site, code) == [
        "('broken', 'gentle', 'odd') True",
        "typing.Literal['bicubic', 'optics', 'boxes', 'wrong']",
        "[]",
    ]
    text = python(site, *CLI, "super-resolve", "--help").stdout
    assert "gentle" in text
    assert "bicubic|optics|boxes|wrong" in text
    assert "gentle" in python(site, *CLI, "benchmark", "--help").stdout


def test_a_run_on_the_command_line_and_its_record(
    site: Path, tmp_path: Path, tiny_bundle: Bundle, tiny_bundle_file: Path
) -> None:
    hr = tmp_path / "hr.ome.tif"
    write_stack(hr, draw_prior_sample(tiny_bundle, 2, 4, 0).truth, description="x")
    lr, operator = str(tmp_path / "lr.ome.tif"), ("--operator", "boxes")
    made = python(site, *CLI, "degrade", str(hr), "--factor", "4", *operator, "--out", lr)
    assert made.returncode == 0, made.stderr
    options = ("--bundle", str(tiny_bundle_file), "--method", "gentle", *operator)
    done = python(site, *CLI, "super-resolve", lr, *options, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    clash = "The method rls of theirs 1.5 is left out: napari-rls has a method of that name"
    assert clash in done.stderr
    assert "The method Bad Name of theirs 1.5 is left out: its name must be" in done.stderr
    code = f"""
import numpy as np
from napari_rls import read_cells, degrade
from napari_rls.workflow.cells.read import read_record
path = {str(tmp_path / "out" / "lr_SR4x_gentle.ome.tif")!r}
record = read_record(path)
print(record["method"], record["operator"], record["software"]["theirs"])
settings = record["settings"]
print(settings["method"], settings["operator"], settings["steps"], settings["lambda_c"])
own = np.abs(degrade(read_cells(path).data, 4, operator="boxes") - read_cells({lr!r}).data)
told = [cell["lr_residual"] for cell in record["cells"]]
print(np.allclose(own.mean((2, 3)), told, rtol=1e-3))
"""
    assert printed(site, code) == [
        "Gentle search (Doe et al. 2031) {'name': 'boxes', 'factor': 4} 1.5",
        "gentle boxes 4 0.03",
        "True",
    ]


def test_compare_takes_it_as_any_other(site: Path, tiny_bundle_file: Path) -> None:
    code = f"""
from napari_rls import Settings, load_bundle
from napari_rls.workflow.cells.examples import draw_prior_sample
from napari_rls.workflow.compare.compare_methods import compare
from napari_rls.workflow.compare.method_results import settings_of
bundle = load_bundle({str(tiny_bundle_file)!r})
shared = Settings(factor=4, operator="boxes", device="cpu")
lr = draw_prior_sample(bundle, 2, 4, 0).lr
chosen = settings_of(shared, ("rls", "gentle"), 3)
for update in compare(lr, bundle, chosen):
    if update.result is not None:
        record = update.result.record
        print(update.method, update.result.ran, record.get("operator", {{}}).get("name"))
"""
    assert printed(site, code) == ["bicubic True None", "rls True boxes", "gentle True boxes"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            "method='broken'",
            (
                "settings: the method broken of theirs 1.5 cannot be used (ModuleNotFoundError: No "
                "module named 'their_lost_module'); mend or uninstall that package."
            ),
        ),
        (
            "method='odd'",
            (
                "settings: the method odd of theirs 1.5 cannot be used: their_methods:Method is no "
                "Method."
            ),
        ),
        ("method='gentle', samples=3", "settings: samples must be 0 for the method gentle."),
        (
            "operator='wrong', factor=4",
            "The operator wrong is of factor 8 where 4 is needed; choose another one.",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    site: Path, tiny_bundle_file: Path, settings: str, sentence: str
) -> None:
    code = f"""
import numpy as np
from napari_rls import Settings, SuperResolver, UserError
from napari_rls.search.presets import PRESETS
assert len(dict(PRESETS.items())) == 15  # and can be listed
try:
    chosen = Settings.parse(dict({settings}))
    lr = np.random.default_rng(0).uniform(0, 200, (1, 2, 8, 8))
    SuperResolver({str(tiny_bundle_file)!r}, chosen).stream(lr)
except UserError as error:
    print(error)
"""
    assert printed(site, code) == [sentence]


def test_two_packages_with_one_name(site: Path) -> None:
    package(site, "others", "[napari_rls.methods]\ngentle = their_methods:gentle\n")
    code = """
from napari_rls import Settings, SettingsError
try:
    Settings.parse({"method": "gentle"})
except SettingsError as error:
    print(error)
"""
    (line,) = printed(site, code)
    assert line.startswith("settings: the method gentle of ")
    assert "others 1.5" in line
    assert "theirs 1.5" in line
    assert line.endswith("two packages have one of that name; uninstall one.")


def test_the_docks_of_a_window_offer_them(site: Path) -> None:
    install(site, "nuclear-mean", *documented())
    code = """
import napari
viewer = napari.Viewer(show=False)
docks = {}
for name in ("Super-resolve cells", "Compare methods", "Measure cells"):
    _, docks[name] = viewer.window.add_plugin_dock_widget("napari-rls", name)
sr, compared, measured = docks.values()
methods, operators = sr.main.fields["method"], sr.advanced.fields["operator"]
methods.value, operators.value = "gentle", "boxes"
print(methods.choices[-3:], operators.choices, sr.state.settings.lambda_c)
print(sr.state.settings.operator, sr.state.message.text)
print(list(compared.methods)[-3:], compared.advanced.fields["operator"].choices)
print(measured.assay.choices)
viewer.close()
"""
    assert printed(site, code) == [
        "('broken', 'gentle', 'odd') ('bicubic', 'optics', 'boxes', 'wrong') 0.03",
        "boxes Open an image with LR cells and choose it as the LR layer.",
        "['broken', 'gentle', 'odd'] ('bicubic', 'optics', 'boxes', 'wrong')",
        "('translocation', 'spots', 'nuclear_mean')",
    ]


def test_a_benchmark_of_their_method_operator_and_assay(
    site: Path, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    install(site, "nuclear-mean", *documented())
    suggested = {"assay": "nuclear_mean", "nuclear_mean": {"nucleus": {"min_area": 5}}}
    manifest = tiny_bundle.manifest.model_copy(
        update={"format_version": 2, "measurement": suggested}
    )
    bundle, hr = tmp_path / "theirs.rls.safetensors", tmp_path / "cells_HR.ome.tif"
    replace(tiny_bundle, manifest=manifest).save(bundle)
    cells = replace(hr_cells(), channels=manifest.channel_names)
    write_stack(hr, cells, description="HR")
    options = ["--factors", "4", "--methods", "rls,gentle", "--cells", "3", "--subset", "10"]
    options += ["--max-steps", "2", "--samples", "0", "--bootstrap", "3", "--device", "cpu"]
    out = tmp_path / "out"
    given = ["--hr", hr, "--bundle", bundle, *options, "--out", out]
    done = python(site, *CLI, "benchmark", *map(str, given))
    assert done.returncode == 0, done.stderr
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Errors of Core_Intensity_MeanIntensity_" in text
    features = pd.read_csv(out / "features.csv")
    assert "gentle" in set(features["method"])
    assert features["measurement"].iloc[0].startswith("Core_Intensity_MeanIntensity_")
