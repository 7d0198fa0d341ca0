"""An assay that a user's package brings is offered everywhere; one that is wrong is a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark_bench import finish, settings_of
from measure_bench import two_channels
from own_assay import documented, install
from tiny_model import random_bundle

from napari_rls.errors import InputError, SettingsError
from napari_rls.measure.assay import NUCLEUS, Assay, AssaySettings, Measured, Measurement
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.dictionary import columns_of
from napari_rls.measure.registry import registry
from napari_rls.models.bundle import load_bundle
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.measure.table_files import read_table, write_table

NAME, MEAN = "nuclear_mean", "Core_Intensity_MeanIntensity_GFP"
RATIOS = [0.5, 2.0, 4.0]
MEANS = [20 * ratio for ratio in RATIOS]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which Python looks for packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    registry.cache_clear()
    yield folder
    registry.cache_clear()
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def own(site: Path) -> Path:
    install(site, "nuclear-mean", *documented())
    return site


def cells() -> CellStack:
    return CellStack(
        two_channels(RATIOS), ("DNA", "GFP"), pixel_size_um=0.5, name="cells_HR.ome.tif"
    )


def command(site: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """Run a command in an interpreter that finds the packages of a folder."""
    path = os.pathsep.join([str(site), *sys.path])
    code = "from napari_rls.cli.main import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("ending", ["csv", "parquet", "h5ad"])
def test_its_table_has_columns_flags_intervals_and_their_meaning(
    tmp_path: Path, ending: str
) -> None:
    samples = np.stack([two_channels(np.array(RATIOS) * share) for share in (0.9, 1, 1.1)])
    sets = [ImageSet("SR", cells(), samples), ImageSet("GT", cells())]
    *_, last = measure(sets, MeasureSettings(assay=NAME, nuclear_mean={"rim": 2}))
    assert last.result is not None
    path = tmp_path / f"table.{ending}"
    write_table(path, last.result.table, last.result.record)
    table, record = read_table(path)
    np.testing.assert_allclose(table[MEAN], MEANS * 2, rtol=1e-6)
    np.testing.assert_allclose(
        table["Nuclei_AreaShape_Area_um2"] * 4, table["Nuclei_AreaShape_Area"]
    )
    assert (table["Quality_Flags"] == "").all()
    columns = columns_of(table, record)
    assert columns[MEAN].headline == 1
    assert columns[MEAN].meaning == "Mean signal of the nucleus without its rim."
    ends = columns[MEAN].intervals[0]
    inside = table.loc[:2, ends.low].lt(MEANS) & table.loc[:2, ends.high].gt(MEANS)
    assert inside.all()
    assert record["settings"][NAME]["rim"] == 2
    assert "spots" not in record["settings"]
    assert list(last.result.labels["GT"]) == ["nucleus", "core"]


def test_the_command_offers_it_with_its_options(own: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "cells_HR.ome.tif", tmp_path / "table.csv"
    write_stack(path, cells(), description="HR")
    offered = command(own, "measure", "--help").stdout
    assert "translocation|spots|nuclear_mean" in offered
    assert "--rim" in offered
    assert "6.0 for translocation, 12.0 for spots, 6.0 for nuclear_mean" in offered
    assert "Width inside the nucleus's border that is left out. (in pixels; from 0" in offered
    done = command(own, "measure", path, "--assay", NAME, "--rim", 3, "--out", out)
    assert done.returncode == 0, done.stderr
    table, record = read_table(out)
    np.testing.assert_allclose(table[MEAN], MEANS, rtol=1e-6)
    assert record["settings"][NAME]["rim"] == 3
    wrong = command(
        own, "measure", path, "--assay", "spots", "--rim", 3, "--out", out, "--overwrite"
    )
    assert wrong.returncode == 2
    assert "--rim is no setting of the assay spots; leave it out." in wrong.stderr


@pytest.mark.usefixtures("own")
def test_the_dock_offers_it_with_fields_labels_and_plots(qtbot) -> None:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QLabel

    from napari_rls.widgets.common.state import Phase
    from napari_rls.widgets.measure.measure_dock import MeasureWidget
    from napari_rls.widgets.measure.plots_dock import PlotsWidget

    viewer = ViewerModel()
    for k, channel in enumerate(("DNA", "GFP")):
        viewer.add_image(cells().data[:, k], name=f"GT {channel}")
    dock, plots = MeasureWidget(viewer), PlotsWidget(viewer)
    for widget in (dock, plots):
        qtbot.addWidget(widget)
    plots.show()
    assert dock.assay.choices == ("translocation", "spots", NAME)
    assert dock.assay.native.itemText(2) == "Nuclear mean"
    dock.assay.value = NAME
    assert not dock.assays[NAME].isHidden()
    beside = dock.assays[NAME].fields["rim"].native.parent().findChildren(QLabel)
    assert [label.text() for label in beside] == ["px"]
    dock.assays[NAME].fields["rim"].value = "2.5"
    dock.assays[NAME].fields["rim"].native.editingFinished.emit()
    assert dock.state.settings.own.rim == 2.5
    dock.run.native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=60_000)
    assert dock.state.result is not None, dock.message.text()
    column = MEAN.replace("GFP", "Signal")  # layers of one channel do not tell what it is called
    assert dock.table.table.columns[1] == column
    np.testing.assert_allclose(dock.state.result.table[column], MEANS, rtol=1e-6)
    assert {"GT nuclei", "GT nuclei without rim"} <= {layer.name for layer in viewer.layers}
    qtbot.waitUntil(lambda: not plots.busy, timeout=60_000)
    assert plots.kind.choices == ("Conditions", "Agreement with truth", "Coverage of intervals")
    assert plots.column.value == column
    assert plots.plot is not None, plots.message.text()


@pytest.mark.usefixtures("own")
def test_a_bundle_may_suggest_it_to_a_benchmark(tmp_path: Path) -> None:
    made = random_bundle()
    suggested = {"assay": NAME, NAME: {"nucleus": {"min_area": 5, "min_distance": 2}}}
    manifest = made.manifest.model_copy(update={"format_version": 2, "measurement": suggested})
    path = tmp_path / "own.rls.safetensors"
    replace(made, manifest=manifest).save(path)
    result, _ = finish(tmp_path, load_bundle(path), settings_of())
    features = result.tables["features"]
    assert features["measurement"].iloc[0].startswith("Core_Intensity_MeanIntensity_")
    own_rows = features[features["measurement"] == features["measurement"].iloc[0]]
    assert set(own_rows["method"]) == {"LR", "rls", "unregularised"}


WRONG = "ASSAY = {}"
CODE, POINTS = documented()


@pytest.mark.parametrize(
    ("code", "points", "says"),
    [
        ("1 / 0", {"x": "wrong:ASSAY"}, "cannot be chosen (ZeroDivisionError: division by zero)"),
        ("import nothing_such", {"x": "wrong:ASSAY"}, "No module named 'nothing_such'"),
        (WRONG, {"x": "wrong:ASSAY"}, "(it is no Assay)"),
        (WRONG, {"x": "wrong:OTHER"}, "has no attribute 'OTHER'"),
        (CODE, {"x": "wrong:ASSAY"}, "(its name is 'nuclear_mean', not that of the entry point)"),
        (
            CODE.replace("nuclear_mean", "spots"),
            {"spots": "wrong:ASSAY"},
            "The assay 'spots' of the package wrong cannot be chosen (another assay has its name)",
        ),
        (
            CODE.replace("reach: Annotated[float, PIXELS]", "reach: str"),
            POINTS | {NAME: "wrong:ASSAY"},
            "its setting 'reach' is of another type than that of translocation",
        ),
    ],
)
def test_what_cannot_be_an_assay_is_a_sentence(
    site: Path, code: str, points: dict[str, str], says: str
) -> None:
    install(site, "wrong", code, points)
    (name, problem), *others = registry().problems.items()
    assert not others
    assert says in problem
    assert problem.endswith("; mend or uninstall the package.")
    assert list(registry().assays) == ["translocation", "spots"]
    if name != "spots":
        with pytest.raises(SettingsError, match="cannot be chosen"):
            registry()[name]
    assert MeasureSettings(assay="spots").own.radius == 8  # all else works


def test_two_packages_with_one_name_bring_none(own: Path) -> None:
    install(own, "another", CODE, {NAME: "another:ASSAY"})
    assert list(registry().assays) == ["translocation", "spots"]
    assert registry().problems[NAME] == (
        "The packages another and nuclear-mean both bring an assay 'nuclear_mean', and neither can "
        "be chosen; uninstall one of them."
    )


def test_the_command_and_the_dock_say_what_is_wrong(site: Path, tmp_path: Path, qtbot) -> None:
    from napari.components import ViewerModel

    from napari_rls.widgets.measure.measure_dock import MeasureWidget

    install(site, "wrong", WRONG, {"x": "wrong:ASSAY"})
    sentence = "The assay 'x' of the package wrong cannot be chosen (it is no Assay); mend or"
    path = tmp_path / "cells_HR.ome.tif"
    write_stack(path, cells(), description="HR")
    out = tmp_path / "table.csv"
    done = command(site, "measure", path, "--assay", "translocation", "--out", out)
    assert done.returncode == 0
    assert sentence in done.stderr
    refused = command(site, "measure", path, "--assay", "x", "--out", tmp_path / "x.csv")
    assert refused.returncode == 2
    assert "cannot be chosen (it is no Assay)" in refused.stderr
    dock = MeasureWidget(ViewerModel())
    qtbot.addWidget(dock)
    assert sentence in dock.message.text()


class Plain(AssaySettings):
    reach: float = 1.0


class Needy(AssaySettings):
    reach: float


class Odd(AssaySettings):
    places: tuple[int, ...] = ()


class Taken(AssaySettings):
    out: str = ""


AREA = Measurement("area", "Nuclei_Size", "Size", "square pixels", "Area.", 2)


def nothing(image: np.ndarray, _settings: Plain, **_: int) -> Measured:
    return Measured({}, {"nucleus": np.ones(image.shape[1:], bool)})


def assay(**changes: object) -> Assay:
    usual = {
        "name": "size",
        "title": "Size",
        "settings": Plain,
        "measure": nothing,
        "measurements": (AREA,),
        "headline": ("area",),
    }
    return Assay(**usual | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Size"}, "lower-case letters, digits and underscores"),
        ({"name": "saturation"}, "its name is 'saturation'"),
        ({"settings": dict}, "derived from AssaySettings"),
        ({"settings": Needy}, "give every field a default"),
        ({"settings": Odd}, "its setting 'places' is no number"),
        ({"settings": Taken}, "its setting 'out' has the name of a setting of every measurement"),
        ({"headline": ("other",)}, "headlines that are keys"),
        ({"measurements": ()}, "it needs measurements"),
        ({"overlays": ()}, "must begin with the nucleus"),
        ({"channels": ("red",)}, "its channels must be of dna, signal"),
        ({"plots": ("pie",)}, "its plots must be of conditions"),
        ({"measurements": (AREA, AREA)}, "has the name of another column"),
        ({"measurements": (replace(AREA, name="Quality_Flags"),)}, "the name of another column"),
        ({"measurements": (replace(AREA, name="A {red}"),)}, "no more than its channels in braces"),
        (
            {"channels": ("dna",), "measurements": (replace(AREA, name="A_{signal}"),)},
            "no more than its channels in braces",
        ),
    ],
)
def test_parts_that_do_not_go_together(changes: dict[str, object], says: str) -> None:
    assert assay().overlays == (NUCLEUS,)
    with pytest.raises(ValueError, match=says):
        assay(**changes)


def test_an_assay_that_breaks_its_word_is_told(own: Path) -> None:
    code, points = documented()
    install(
        own,
        "short",
        code.replace(NAME, "short").replace('"mean": float', '"mien": float'),
        {"short": "short:ASSAY"},
    )
    with pytest.raises(ValueError, match="The assay short gives no 'mean'; mend it"):
        list(measure([ImageSet("HR", cells())], MeasureSettings(assay="short")))
    assert points == {NAME: "nuclear_mean:ASSAY"}


def test_an_assay_of_one_channel_needs_no_other(site: Path) -> None:
    code = documented()[0].replace(NAME, "dapi").replace("*, dna, signal", "*, dna")
    code = code.replace("image[signal]", "image[dna]").replace("{signal}", "{dna}")
    code = code.replace('headline=("mean",),', 'headline=("mean",), channels=("dna",),')
    install(site, "dapi", code, {"dapi": "dapi:ASSAY"})
    one = CellStack(two_channels(RATIOS)[:, :1], ("Hoechst",), name="cells_HR.ome.tif")
    *_, last = measure([ImageSet("HR", one)], MeasureSettings(assay="dapi"))
    assert last.result is not None
    np.testing.assert_allclose(last.result.table["Core_Intensity_MeanIntensity_Hoechst"], 200)
    assert last.result.record["images"][0]["measured_channels"] == {"dna": 0}


def test_channels_that_would_give_two_columns_of_one_name_are_refused(site: Path) -> None:
    code = documented()[0].replace(NAME, "both")
    extra = """measurements=(
        Measurement("mean", "Core_Intensity_MeanIntensity_{dna}", "DNA {dna}", "grey", "Mean."),"""
    code = code.replace("measurements=(", extra).replace('key="mean"', 'key="own"')
    code = code.replace('"mean": float', '"mean": 1.0, "own": float')
    install(site, "both", code, {"both": "both:ASSAY"})
    named = CellStack(two_channels(RATIOS), ("G-FP", "GFP"), name="cells_HR.ome.tif")
    with pytest.raises(InputError, match=f"G-FP and GFP two columns .* called {MEAN}; give one"):
        list(measure([ImageSet("HR", named)], MeasureSettings(assay="both")))
    *_, last = measure([ImageSet("HR", cells())], MeasureSettings(assay="both"))
    assert last.result is not None
    np.testing.assert_allclose(last.result.table["Core_Intensity_MeanIntensity_DNA"], 1)
