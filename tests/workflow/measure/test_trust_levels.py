"""Trust measured on held-out cells, stored in a bundle, and found again for its results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cli_bench import run

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.trust import Trust
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.ome import ome_metadata
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_ome, write_stack
from napari_rls.workflow.measure.calibrate_bundle import calibrate_bundle
from napari_rls.workflow.measure.measurements import ImageSet, measure
from napari_rls.workflow.measure.trust_levels import (
    SAMPLING,
    SEARCH,
    calibrate,
    known_of,
    told_reliability,
)
from napari_rls.workflow.super_resolve.sr_files import samples_path

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

CELLS, SAMPLES = 100, 5
LOG2 = "Math_Log2Ratio_NucleusCytoplasm_GFP"
AREA = "Nuclei_AreaShape_Area"
RATIO = "Math_Ratio_NucleusCytoplasm_GFP"
SETTINGS = MeasureSettings(assay="translocation")


class Case:
    """Simulated cells, SR images whose signal is off by a random gain, and samples of them.

    The samples' gains differ by a third of what they are off.
    """

    def __init__(self, seed: int) -> None:
        made = simulate(SimulateSettings(assay="translocation", cells=CELLS, seed=seed))
        self.gt = CellStack(made.hr.data.astype(np.float32), ("DNA", "GFP"), name="gt.tif")
        rng = np.random.default_rng(seed)
        # A power changes the ratio of nucleus to cytoplasm; a gain would not.
        off = rng.normal(0, 0.2, CELLS)
        self.sr = replace(self.gt, data=self._bent(off), name="sr.tif")
        near = off + rng.normal(0, 0.07, (SAMPLES, CELLS))
        self.samples = np.stack([self._bent(x) for x in near])
        self.record: dict[str, Any] = {
            "generated": True,
            "started": f"at {seed}",
            "settings": Settings(factor=8).model_dump(),
            "start": "encoder",
            "intensity": {"low": [0.0, 0.0], "high": [255.0, 255.0]},
            "cells": [
                {"lr_residual": [float(a), float(a)], "log_density": float(b)}
                for a, b in zip(rng.gamma(4, 0.2, CELLS), rng.normal(0, 9, CELLS), strict=True)
            ],
            "bundle": {"name": "tiny"},
        }

    def _bent(self, powers: np.ndarray) -> np.ndarray:
        data = self.gt.data.copy()
        top = data[:, 1].max()
        data[:, 1] = top * (data[:, 1] / top) ** (1 + powers[:, None, None])
        return data


@pytest.fixture(scope="module")
def case() -> Case:
    return Case(1)


@pytest.fixture(scope="module")
def trust(case: Case, tiny_bundle: Bundle) -> Trust:
    manifest = tiny_bundle.manifest
    case.record["bundle"]["content_hash"] = manifest.content_hash
    found = calibrate(manifest, case.sr, case.samples, case.record, case.gt, SETTINGS, "cells")
    assert Trust.model_validate_json(found.model_dump_json()) == found
    return found


def log2_of(case: Case, record: dict[str, Any]):
    sets = [ImageSet("SR", case.sr, case.samples, record), ImageSet("GT", case.gt)]
    *_, last = measure(sets, SETTINGS)
    assert last.result is not None
    table = last.result.table
    sr, gt = (table[table["Metadata_Image"] == kind].reset_index() for kind in ("SR", "GT"))
    inside = (sr[f"{LOG2}_q05"] <= gt[LOG2]) & (gt[LOG2] <= sr[f"{LOG2}_q95"])
    return sr, float(inside[gt[LOG2].notna()].mean())


def with_trust(record: dict[str, Any], trust: Trust) -> dict[str, Any]:
    return {**record, "bundle": {"name": "tiny", "trust": trust.model_dump(mode="json")}}


def test_a_correction_holds_for_other_cells_and_is_named(trust: Trust) -> None:
    other = Case(2)
    sr, drawn = log2_of(other, other.record)
    assert drawn < 0.75
    assert set(sr["Metadata_Interval"]) == {
        "5 samples, uncorrected: no correction, as the bundle has none for this scale factor"
    }
    sr, corrected = log2_of(other, with_trust(other.record, trust))
    assert corrected == pytest.approx(0.9, abs=0.08)
    (how,) = set(sr["Metadata_Interval"])
    assert how.startswith("5 samples, corrected (split-conformal, ")
    # All areas of these cells are the same, so that there is nothing to correct.
    assert how.endswith(" cells of cells); not corrected: Nuclei_AreaShape_Area")


def test_measurements_without_a_correction_are_named(trust: Trust) -> None:
    other = Case(2)
    some = tuple(one for one in trust.corrections if one.column != LOG2)
    sr, _ = log2_of(other, with_trust(other.record, trust.model_copy(update={"corrections": some})))
    (how,) = set(sr["Metadata_Interval"])
    assert how.endswith(f" cells of cells); not corrected: Nuclei_AreaShape_Area, {LOG2}")
    none = trust.model_copy(update={"corrections": ()})
    sr, _ = log2_of(other, with_trust(other.record, none))
    (how,) = set(sr["Metadata_Interval"])
    assert how == (
        "5 samples, uncorrected: no correction, as the bundle has none of these measurements"
    )


def test_what_corrected_intervals_hold_is_in_the_record_of_a_table(
    case: Case, trust: Trust
) -> None:
    fitted = next(one for one in trust.corrections if one.column == LOG2)
    told = fitted.reliability
    assert told is not None
    # Wells are not known: cells are dealt by lot.
    assert (told.of, told.parts, told.cells) == ("cell", 10, fitted.cells)
    k = fitted.levels.index(0.9)
    assert told.held[k] == pytest.approx(0.9, abs=0.08)
    assert told.held_drawn[k] < 0.75
    assert told.width[k] > 1.5 * told.width_drawn[k]

    def told_of(record: dict[str, Any], samples: np.ndarray | None) -> dict[str, Any]:
        stack = replace(case.sr, pixel_size_um=0.5)
        *_, last = measure([ImageSet("SR", stack, samples, record)], SETTINGS)
        assert last.result is not None
        return last.result.record["images"][0]

    entry = told_of(with_trust(case.record, trust), case.samples)["reliability"]
    assert entry[LOG2] == {"levels": list(fitted.levels), **told.model_dump(mode="json")}
    assert not any(name.endswith("_um2") for name in entry)  # areas are all alike here
    columns = column_names(SETTINGS, micrometres=True)
    both = told_reliability({AREA: fitted}, columns, 0.5)
    assert list(both) == [AREA, f"{AREA}_um2"]
    assert both[f"{AREA}_um2"]["held"] == both[AREA]["held"] == list(told.held)
    for name, widths in (("width", told.width), ("width_drawn", told.width_drawn)):
        np.testing.assert_allclose(both[f"{AREA}_um2"][name], np.array(widths) / 4)
    assert list(told_reliability({AREA: fitted}, columns, None)) == [AREA]
    for record, samples in (
        (case.record, case.samples),
        (with_trust(case.record, trust), None),
    ):
        assert "reliability" not in told_of(record, samples)


def test_a_correction_from_before_there_were_methods_is_one_of_rls(
    case: Case, trust: Trust
) -> None:
    old = trust.model_copy(
        update={"settings": {k: v for k, v in trust.settings.items() if k != "method"}}
    )
    before = {**case.record, "settings": Settings(factor=8).model_dump(exclude={"method"})}
    for record in (case.record, before):
        sr, _ = log2_of(case, with_trust(record, old))
        assert all(how.startswith("5 samples, corrected") for how in sr["Metadata_Interval"])
    paper = {**case.record["settings"], "method": "rls-paper"}
    known = known_of(with_trust({**case.record, "settings": paper}, old), SETTINGS)
    assert known.why_not == "it holds for other settings (method)"


def test_ordinary_cells_are_rarely_flagged_and_others_are(case: Case, trust: Trust) -> None:
    record = with_trust(case.record, trust)
    sr, _ = log2_of(case, record)
    flagged = sr["Quality_PoorFit"] | sr["Quality_OutOfDomain"]
    assert flagged.mean() == pytest.approx(0.05, abs=0.02)
    record["cells"] = [{"lr_residual": [50.0, 50.0], "log_density": -1e4}, *record["cells"][1:]]
    sr, _ = log2_of(case, record)
    assert sr.loc[0, "Quality_Flags"].endswith("PoorFit;OutOfDomain")
    assert sr.loc[0, "Quality_LRResidualPercentile"] == 100
    assert sr.loc[0, "Quality_LogDensityPercentile"] == 0


@pytest.mark.parametrize("name", SEARCH)
def test_other_settings_of_the_search_void_everything(case: Case, trust: Trust, name: str) -> None:
    record = with_trust(case.record, trust)
    record["settings"] = {**record["settings"], name: "other"}
    if name == "start":
        record["start"] = "mean"
    known = known_of(record, SETTINGS.model_copy(update={"dna": "DNA", "signal": "GFP"}))
    assert not known.corrections
    assert known.why_not == f"it holds for other settings ({name})"
    assert known.domain is None


@pytest.mark.parametrize("name", SAMPLING)
def test_other_samples_void_the_correction_alone(case: Case, trust: Trust, name: str) -> None:
    record = with_trust(case.record, trust)
    record["settings"] = {**record["settings"], name: "other"}
    known = known_of(record, SETTINGS.model_copy(update={"dna": "DNA", "signal": "GFP"}))
    assert not known.corrections
    assert known.why_not == f"it holds for other settings ({name})"
    assert known.domain == trust.domain


def test_samples_by_flow_matching_depend_on_no_search(case: Case, trust: Trust) -> None:
    by_flow = trust.model_copy(update={"settings": trust.settings | {"posterior": "flow"}})
    record = with_trust(case.record, by_flow)
    own = {**record["settings"], "posterior": "flow", "lambda_w": 0.5, "sample_steps": 7}
    settings = SETTINGS.model_copy(update={"dna": "DNA", "signal": "GFP"})
    known = known_of({**record, "settings": own}, settings)
    assert set(known.corrections) == {one.column for one in trust.corrections}
    # What is usual of searches is another matter.
    assert known.domain is None
    known = known_of({**record, "settings": {**own, "reading": "likelihood"}}, settings)
    assert not known.corrections
    assert known.why_not == "it holds for other settings (reading)"


def test_another_measurement_voids_the_correction_alone(case: Case, trust: Trust) -> None:
    record = with_trust(case.record, trust)
    other = SETTINGS.model_copy(update={"dna": "GFP", "signal": "DNA"})
    known = known_of(record, other)
    assert known.why_not == "it holds for other settings of the measurement"
    assert known.domain == trust.domain


def test_trust_that_cannot_be_read_is_none(case: Case) -> None:
    record = {**case.record, "bundle": {"trust": {"factor": 8}}}
    assert known_of(record, SETTINGS).why_not == "that of the bundle cannot be read"


def test_cells_of_another_bundle_or_other_crops_are_refused(
    case: Case, tiny_bundle: Bundle
) -> None:
    manifest = tiny_bundle.manifest
    record = {**case.record, "bundle": {"content_hash": "0" * 64}}
    with pytest.raises(InputError, match=r"sr\.tif was not made with this bundle \(tiny\)"):
        calibrate(manifest, case.sr, case.samples, record, case.gt, SETTINGS, "x")
    record = {**case.record, "bundle": {"content_hash": manifest.content_hash}}
    fewer = replace(case.gt, data=case.gt.data[1:])
    with pytest.raises(InputError, match="give the HR crops of the same cells"):
        calibrate(manifest, case.sr, case.samples, record, fewer, SETTINGS, "x")


def test_the_command_stores_trust_in_a_bundle(
    case: Case, tmp_path: Path, tiny_bundle: Bundle, tiny_bundle_file: Path
) -> None:
    record = {**case.record, "bundle": {"content_hash": tiny_bundle.manifest.content_hash}}
    sr, gt, out = (tmp_path / name for name in ("sr.tif", "gt.tif", "new.rls.safetensors"))
    write_stack(gt, case.gt, description="GT")
    write_stack(sr, case.sr, description="SR", record=record)
    args = ("bundles", "calibrate", tiny_bundle_file, sr, "--gt", gt, "--assay", "translocation")
    args = (*args, "--data", "simulated cells", "--out", out)
    missing = run(*args, code=1)
    assert "There are no samples sr_samples.ome.tif beside sr.tif" in missing.stderr
    metadata = ome_metadata(
        case.sr, title="", description="", record={**record, "frames": "sample"}
    )
    write_ome(samples_path(sr), case.samples, metadata | {"axes": "TZCYX"})
    run(*args)
    manifest = read_manifest(out)
    trust = manifest.trust_at(8)
    assert trust is not None
    assert trust.data == "simulated cells"
    assert manifest.trust_at(16) is None
    assert manifest.measurement["signal"] == "GFP"
    told = " ".join(run("bundles", "info", out).stdout.split())
    assert "Trust at 8x" in told
    main = next(one for one in trust.corrections if one.column == RATIO)
    held = main.reliability
    assert held is not None
    k = main.levels.index(0.9)
    assert (
        f"{RATIO}: 90 % intervals of samples by '{trust.settings['posterior']}' held "
        f"{100 * held.held[k]:.0f} % (as drawn "
        f"{100 * held.held_drawn[k]:.0f} %), median width {held.width[k]:.3g} "
        f"({held.width_drawn[k]:.3g}), of {held.cells} held-out cells, each judged by a "
        "correction fitted on other cells"
    ) in told
    assert trust.pixels is not None
    assert trust.pixels.cells == CELLS
    assert "Trust mask: largest error inside at most 20 % of the range in the mean over" in told
    opened = next(one for one in trust.left_open if one.column == LOG2)
    # Samples differ by a third of what they are off: they tell too little of what is open.
    assert 0 < opened.by_samples < opened.by_truth
    shown = f"{LOG2} {100 * opened.by_truth:.0f} % ({100 * opened.by_samples:.0f} %)"
    assert shown in told
    assert [(one.kind, one.crops) for one in trust.no_cells] == [("noise", 10), ("background", 10)]
    assert "Without cells: pure noise, 10 crops: a nucleus found in" in told
    assert "Trust mask" not in run("bundles", "info", tiny_bundle_file).stdout
    assert "whole" in run("bundles", "verify", out).stdout
    other = tmp_path / "b.rls.safetensors"
    wrong = run("bundles", "calibrate", tiny_bundle_file, gt, *args[4:-1], other, code=1)
    assert "gt.tif holds no SR cells; give what super-resolve wrote." in wrong.stderr


def test_a_bundle_is_calibrated_by_files_of_every_factor(
    case: Case, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    of_bundle = {"bundle": {"content_hash": tiny_bundle.manifest.content_hash}}
    files = []
    for factor in (8, 4):
        settings = Settings(factor=factor).model_dump()
        record = {**case.record, **of_bundle, "settings": settings}
        files.append(tmp_path / f"sr{factor}.tif")
        write_stack(files[-1], case.sr, description="SR", record=record)
        metadata = ome_metadata(
            case.sr, title="", description="", record={**record, "frames": "sample"}
        )
        write_ome(samples_path(files[-1]), case.samples, metadata | {"axes": "TZCYX"})
    updates = list(calibrate_bundle(tiny_bundle, files, case.gt, SETTINGS, "simulated cells"))
    assert [update.file for update in updates] == [*files, None]
    made = updates[-1].bundle
    assert made is not None
    assert [trust.factor for trust in made.manifest.trust] == [4, 8]
    assert made.manifest.measurement["assay"] == "translocation"
    assert tiny_bundle.manifest.trust == ()
    twice = calibrate_bundle(tiny_bundle, [files[0], files[0]], case.gt, SETTINGS, "x")
    with pytest.raises(InputError, match="Two SR files are of 8x; give one of each factor"):
        list(twice)
