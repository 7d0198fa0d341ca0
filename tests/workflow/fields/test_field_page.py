"""The page of a plate: its numbers are those of the table, what is missing is a sentence."""

from __future__ import annotations

import base64
import io
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from field_bench import NOISE, bundle
from page_bench import Page
from PIL import Image

from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.contact_sheet import GAP, LABEL_WIDTH, TITLE_HEIGHT
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.fields.field_files import FieldFile, FieldPaths
from napari_rls.workflow.fields.field_page import field_page
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.finished_fields import FinishedField, FinishedFields, PlateMeans
from napari_rls.workflow.fields.page_pictures import SIDE
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.fields.shared import Shared
from napari_rls.workflow.measure.measurements import Measurements
from napari_rls.workflow.report.html_page import number
from napari_rls.workflow.super_resolve.resolver import SuperResolver

COLUMN = "Math_Ratio_NucleusCytoplasm_FKHRGFP"
EC50 = 3.0
DOSES = {"A01": 0.0, "A02": 0.0, "B01": 1, "B02": 2, "B03": 4, "B04": 9, "C01": 81, "C02": 81}
ROLES = {"A": "negative", "C": "positive"}

Change = Callable[[str, float], float]


def rows_of(well: str, values: list[float], **told: object) -> pd.DataFrame:
    """Return the rows of a field's cells, whose LR values are half their SR values and 1."""
    count = len(values)
    return pd.DataFrame(
        {
            "Metadata_Image": ["LR"] * count + ["SR"] * count,
            "Metadata_Cell": [f"{well}#{k}" for k in range(count)] * 2,
            "Metadata_File": f"{well}.tif",
            "Metadata_Well": well,
            "Metadata_Condition": "",
            **{f"Metadata_{name}": value for name, value in told.items()},
            "Location_Center_Y": 4.0,
            "Location_Center_X": 4.0 + np.arange(2 * count) % count,
            COLUMN: [1 + value / 2 for value in values] + values,
            "Quality_NoNucleus": False,
            "Quality_PoorFit": False,
            "Quality_Flags": "",
        }
    )


def effect(dose: float) -> float:
    return 1 + 4 * dose**2 / (dose**2 + EC50**2)


def plate() -> list[pd.DataFrame]:
    """Return wells whose means lie on a Hill curve but for the controls', which scatter."""
    found = []
    for well, dose in DOSES.items():
        shift = {"1": -0.01, "2": 0.01}[well[-1]] if well[0] in ROLES else 0.0
        middle = effect(dose) + shift
        control = ROLES.get(well[0], "")
        condition = f"drug=x; dose={dose:g}" + (f"; control={control}" if control else "")
        found.append(
            rows_of(
                well, [middle - 0.3, middle - 0.1, middle + 0.4], Condition=condition, Dose=dose
            )
        )
    return found


def made_of(
    folder: Path, tables: list[pd.DataFrame], *, record: dict[str, object] | None = None, **more
) -> FinishedFields:
    fields = []
    names = bundle().manifest.channel_names
    for k, table in enumerate(tables):
        path = folder / f"field{k}.ome.tif"
        lr = np.full((1, 2, 8, 16), 100, np.uint16)
        write_stack(path, CellStack(lr, names, leading=None, name=path.name), description="LR")
        paths = FieldPaths.of(folder, f"field{k}", 8)
        count = int((table["Metadata_Image"] == "SR").sum())
        sr = np.full((count, 2, 64, 64), 1000, np.float32)
        write_stack(paths.cells, CellStack(sr, names, name="SR"), description="SR")
        seen = {
            "ratio": 8.0,
            "psf": "gaussian",
            "psf_sigma": 0.45,
            "assumed": ["Assumed: a <PSF>."],
        }
        text = json.dumps({"microscope": seen})
        paths.image.with_name(f"field{k}_SR8x.json").write_text(text)
        fields.append(
            FinishedField(FieldFile(path, 0, 1, f"field{k}"), paths, Measurements(table, {}, {}))
        )
    shared = Shared(
        settings={},
        noise=NOISE,
        mode="bundle",
        low=(0, 0),
        high=(255, 255),
        words=("Shared words.",),
    )
    joined = pd.concat(tables, ignore_index=True)
    return FinishedFields(tuple(fields), joined, record or {}, shared, **more)


def page_of(made: FinishedFields) -> tuple[Page, str]:
    settings = FieldSettings(optics={"ratio": 8, "psf_sigma": 0.45}, noise=NOISE)
    resolver = FieldResolver(SuperResolver(bundle(), Settings(steps=7, samples=0)), settings)
    text = field_page(made, resolver)
    page = Page(text)
    assert not page.open
    return page, " ".join(" ".join(page.text).split())


@pytest.fixture(scope="module")
def dosed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    tables = plate()
    tables[2].loc[3, ["Quality_PoorFit", "Quality_Flags"]] = [True, "PoorFit"]
    return page_of(made_of(tmp_path_factory.mktemp("plate"), tables))


def test_wells_have_the_means_and_medians_of_the_table(dosed: tuple[Page, str]) -> None:
    _, text = dosed
    for table in plate():
        lr, sr = (table.loc[table["Metadata_Image"] == kind, COLUMN] for kind in ("LR", "SR"))
        well = table["Metadata_Well"][0]
        numbers = [statistics.mean(lr), statistics.mean(sr)]
        numbers += [statistics.median(lr), statistics.median(sr)]
        condition = table["Metadata_Condition"][0]
        shown = " ".join(map(number, numbers))
        assert f"{well} {number(DOSES[well])} {condition} 3 of 3 {shown}" in text


def test_the_dose_response_is_the_curve_of_the_wells(dosed: tuple[Page, str]) -> None:
    page, text = dosed
    fit = text.split("Hill fit")[1].split("SR ")[1].split()
    assert float(fit[0]) == pytest.approx(EC50, rel=0.02)
    assert float(fit[fit.index("to") + 2]) == pytest.approx(2, rel=0.05)  # the slope
    assert "There is no dose response" not in text
    # Doses, LR against SR, parts of fields, cells.
    assert len(page.images()) == 4


def test_z_prime_and_correlation_are_those_of_the_table(dosed: tuple[Page, str]) -> None:
    _, text = dosed
    wells = {t["Metadata_Well"][0]: t[t["Metadata_Image"] == "SR"][COLUMN].mean() for t in plate()}
    negative, positive = ([v for w, v in wells.items() if w[0] == row] for row in ROLES)
    gap = abs(statistics.mean(positive) - statistics.mean(negative))
    z_prime = 1 - 3 * (statistics.stdev(positive) + statistics.stdev(negative)) / gap
    controls = text.split("Controls told apart")[1].split("LR against SR")[0]
    assert number(z_prime) in controls.split("SR ")[1].split()
    assert "control=negative; positive control: control=positive (as the plate map" in text
    assert "Zhang, Chung & Oldenburg" in text
    # LR values are a linear function of SR values.
    assert "per cell 24 1 1" in text


def test_it_says_what_was_run_and_what_is_flagged(dosed: tuple[Page, str]) -> None:
    _, text = dosed
    assert "SR images are generated pixels, not measured" in text
    assert f"content {bundle().manifest.content_hash[:12]}" in text
    for fact in (
        "Fields 8 Wells 8 Conditions 6 Cells 24, of which 1 are flagged in SR",
        "7 steps, 0 samples",
        "Ratio of pixel sizes 8 PSF Gaussian, standard deviation 0.45 LR pixels",
        "DNA offset 100, gain 2, read noise 4",
        "PoorFit 1 0 The LR residual is larger",
        "cell well flags B01#0 B01 PoorFit",
        "No field was left out.",
        "Shared words. Assumed: a <PSF>.",
    ):
        assert fact in text
    assert text.count("Assumed: a <PSF>.") == 1


def test_lr_stands_left_of_sr_in_one_contrast(dosed: tuple[Page, str]) -> None:
    page, _ = dosed
    source = page.images()[2].split(",")[1]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    tile = 2 * SIDE
    assert sheet.shape[:2] == (TITLE_HEIGHT + 6 * (tile + GAP), LABEL_WIDTH + 2 * (tile + GAP))
    row = sheet[TITLE_HEIGHT + tile // 2]
    lr, sr = row[LABEL_WIDTH : LABEL_WIDTH + tile], row[-GAP - tile : -GAP]
    assert (lr == 0).all()
    assert sr[tile // 2].max() > 200


def test_an_image_without_a_plate_map_says_what_is_not_known(tmp_path: Path) -> None:
    page, text = page_of(made_of(tmp_path, [rows_of("", [1.0, 2.0, 4.0])]))
    assert "Wells not known Conditions not known Cells 3, of which 0" in text
    assert "There is no dose response: no cell has a dose." in text
    assert "There is no Z', as negative and positive controls are not known." in text
    assert "No cell is flagged." in text
    assert f"{COLUMN} of the cells of each field" in text
    assert len(page.images()) == 4


def test_cells_without_a_value_leave_sentences_and_no_figure(tmp_path: Path) -> None:
    tables = [
        rows_of(well, [np.nan] * 2, Condition=name, Dose=dose)
        for well, name, dose in (("A01", "negative", 0.0), ("A02", "positive", 2.0))
    ]
    page, text = page_of(made_of(tmp_path, tables))
    assert f"No cell has a value of {COLUMN}, so that there is nothing to draw." in text
    assert f"No cell has a value of {COLUMN} both in LR and in SR" in text
    assert "0 negative wells, needs 2" in text
    assert "A01 0 negative 0 of 2 - - - -" in text
    assert len(page.images()) == 2  # the pictures


def test_one_well_of_a_control_and_few_doses_are_told(tmp_path: Path) -> None:
    tables = [
        rows_of("A01", [1.0, 1.2], Condition="control=negative", Dose=0.0),
        rows_of("A02", [np.nan, np.nan], Condition="control=negative", Dose=0.0),
        rows_of("B01", [3.0, 3.2], Condition="control=positive", Dose=5.0),
    ]
    _, text = page_of(made_of(tmp_path, tables))
    assert "1 negative well, needs 2" in text
    assert "fewer than 4 doses" in text
    # Only what has doses above 0 is drawn over doses.
    _, text = page_of(made_of(tmp_path, tables[:2]))
    assert "no cell of a known well has a dose above 0" in text


def test_texts_of_others_are_text(tmp_path: Path) -> None:
    odd = "<script>alert(1)</script> $x$ \N{GREEK SMALL LETTER MU}M"
    tables = [
        rows_of("A01", [1.0, 2.0], Condition=odd),
        rows_of("A02", [2.0, 5.0], Condition="\x1b[31m" + "long " * 40),
    ]
    for table in tables:
        table["Metadata_Cell"] = "<i>" + table["Metadata_Cell"]
    tables[0].loc[2, ["Quality_NoNucleus", "Quality_Flags"]] = [True, "NoNucleus"]
    left = (("<b>x.tif</b>", "It is <none>."),)
    made = made_of(tmp_path, tables, left_out=left, record={"warnings": ["Warned <twice>."] * 2})
    page, text = page_of(made)
    assert not {"script", "i", "none", "twice"} & {tag for tag, _ in page.tags}
    for shown in (odd, "<i>A01#0", "<b>x.tif</b>: It is <none>.", "Fields 2, and 1 left out"):
        assert shown in text
    assert text.count("Warned <twice>.") == 1
    assert "the only two conditions, of which the first is taken for the negative" in text
    assert all(source.startswith("data:image/png;base64,") for source in page.images())


def test_a_file_that_is_gone_leaves_its_picture_out(tmp_path: Path) -> None:
    made = made_of(tmp_path, plate()[:3:2])
    made.fields[0].file.path.unlink()
    page, text = page_of(made)
    assert "field0 is not shown: " in text
    assert len(page.images()) == 4


def test_many_wells_are_a_table_and_no_figure(tmp_path: Path) -> None:
    tables = [rows_of(f"A{k:02d}", [1.0 + k]) for k in range(1, 26)]
    page, text = page_of(made_of(tmp_path, tables))
    assert "25 wells are too many for a figure" in text
    assert "A25 - 1 of 1" in text
    assert len(page.images()) == 3


def test_each_drug_has_a_dose_response_of_its_own(tmp_path: Path) -> None:
    tables = [
        rows_of(well, [value], Condition=f"drug={drug}; dose={dose:g}", Dose=dose)
        for well, drug, dose, value in (
            ("A01", "none", 0.0, 1.0),
            ("A02", "<x>", 1.0, 2.0),
            ("A03", "y", 1.0, 3.0),
            ("A04", "y", 2.0, 4.0),
        )
    ]
    _, text = page_of(made_of(tmp_path, tables))
    one, other = text.split("Hill fit")[1:]
    # What is given in dose 0 alone is of both.
    assert "2 / 2 0 fewer than 4 doses" in one
    assert "3 / 3 0 fewer than 4 doses" in other
    assert text.index("<x> Means of wells") < text.index("y Means of wells")


def corrected(
    tables: list[pd.DataFrame], change, level: str = "well", note: str = ""
) -> PlateMeans:
    """Return means of wells or conditions, corrected by a function of well and mean."""
    rows = []
    for table in tables:
        well, condition = table["Metadata_Well"][0], table["Metadata_Condition"][0]
        for kind in ("SR", "LR"):
            mean = table.loc[table["Metadata_Image"] == kind, COLUMN].mean()
            value = change(well, mean)
            rows.append(
                {
                    "Metadata_Image": kind,
                    "Mean_Of": level,
                    "Metadata_Well": well if level == "well" else "",
                    "Metadata_Condition": condition,
                    "Measurement": COLUMN,
                    "Count_Wells": 1,
                    "Count_Cells": 3,
                    "Count_HRCells": 2,
                    "Mean_Measured": mean,
                    "Mean_Corrected": value,
                    "Mean_Corrected_q05": value - 0.25,
                    "Mean_Corrected_q95": value + 0.5,
                    "Note": note if np.isnan(value) else "",
                }
            )
    record = {
        "warnings": ["1 of the 17 HR cells are left out."],
        "means": {
            "level": 0.9,
            "hr_cells": [{"name": "<few>.tif", "cells": 17}],
            "hr_cells_found": {kind: {"cells": 16, "wells": 8} for kind in ("SR", "LR")},
        },
    }
    return PlateMeans(pd.DataFrame(rows), record)


def test_the_curve_is_of_corrected_means_with_those_as_measured_beside(tmp_path: Path) -> None:
    tables = plate()

    def moved(well: str, _: float) -> float:
        dose = DOSES[well]
        return 2 + 3 * dose**2 / (dose**2 + 36.0)

    page, text = page_of(made_of(tmp_path, tables, means=corrected(tables, moved)))
    told = "HR images of 16 of the cells, from 8 wells (<few>.tif)"
    assert told in text
    assert "HR cells 17, of which 16 are found in 8 wells" in text
    assert "1 of the 17 HR cells are left out." in text
    fits = text.split("Hill fit")[1].split("of the cells of each well")[0]
    fitted, measured = (
        fits.split("SR, corrected ")[1].split(),
        fits.split("SR, measured ")[1].split(),
    )
    assert float(fitted[0]) == pytest.approx(6, rel=1e-3)
    assert float(measured[0]) == pytest.approx(EC50, rel=0.02)
    assert "Filled, with 90 % intervals: corrected by HR cells, rings: as measured." in text
    assert "3 of 3 1.7 1.4 1.65 1.3 2 2.081 1.831 to 2.581 2.081 1.831 to 2.581 B02" in text
    assert len(page.images()) == 4


def test_means_that_are_not_corrected_say_why_and_are_not_fitted(tmp_path: Path) -> None:
    tables = plate()
    nothing = corrected(tables, lambda *_: np.nan, note="not corrected: <why>")
    _, text = page_of(made_of(tmp_path, tables, means=nothing))
    assert "SR, A01, A02, B01, B02, B03 and 3 more: not corrected: <why>." in text
    assert "SR, corrected" not in text
    assert float(text.split("SR, measured ")[1].split()[0]) == pytest.approx(EC50, rel=0.02)
    # One well without: others cannot be compared with it, and none is fitted.
    one = corrected(tables, lambda well, mean: np.nan if well == "B02" else mean + 1)
    _, text = page_of(made_of(tmp_path, tables, means=one))
    assert "SR, corrected" not in text


@pytest.mark.parametrize("level", ["well", "condition"])
def test_plots_by_condition_have_corrected_means(tmp_path: Path, level: str) -> None:
    tables = [rows_of(f"A0{k}", [k, k + 1.0], Condition=f"c{k}") for k in (1, 2)]
    means = corrected(tables, lambda _, mean: mean + 0.125, level)
    page, text = page_of(made_of(tmp_path, tables, means=means))
    assert "Diamonds are means: filled, with 90 % intervals, as corrected by HR cells" in text
    assert len(page.images()) == 4
    if level == "condition":
        assert "c1 SR 1 2 / 3 1.5 1.625 1.375 to 2.125" in text
    else:
        assert "A01 c1 2 of 2 1.75 1.5 1.75 1.5 2 1.875 1.625 to 2.375 1.625 1.375 to" in text


def test_nothing_is_said_of_hr_cells_without_any(dosed: tuple[Page, str]) -> None:
    _, text = dosed
    assert "HR cells" not in text
    assert "corrected" not in text
    assert "measured SR" not in text
