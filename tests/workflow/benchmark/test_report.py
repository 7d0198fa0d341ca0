"""The command and its files: tables, the record, and a page that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from benchmark_bench import hr_cells, measuring_bundle
from page_bench import Page
from PIL import Image
from typer.testing import CliRunner, Result

from napari_rls.cli.main import app
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.report import html_page as html

SMALL = ("--quick", "--factors", "4", "--cells", "3", "--max-steps", "2", "--bootstrap", "3")


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["benchmark", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a benchmark that the command has run, with the cells beside it."""
    base = tmp_path_factory.mktemp("command")
    measuring_bundle(base / "tiny.rls.safetensors")
    write_stack(base / "a.ome.tif", hr_cells(), description="HR")
    write_stack(base / "b.ome.tif", hr_cells(("B05", "B06"), seed=7), description="HR")
    write_stack(base / "own.ome.tif", hr_cells(("C01", "C02"), seed=8), description="HR")
    run(*arguments(base))
    return base / "out"


def arguments(base: Path) -> list[object]:
    images = ["--hr", base / "a.ome.tif", base / "b.ome.tif", "--classifier-hr"]
    bundle = ["--bundle", base / "tiny.rls.safetensors", "--methods", "rls,pix2pix,pulse"]
    small = [*SMALL, "--subset", 10, "--samples", 2, "--threads", 1, "--device", "cpu"]
    return [*images, base / "own.ome.tif", *bundle, *small, "--out", base / "out"]


@pytest.mark.parametrize("backend", ["QtAgg", "no such backend"])
def test_figures_need_no_backend_of_a_window(folder: Path, backend: str) -> None:
    (folder / "report.html").rename(folder / "before.html")
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    code = "import sys; from napari_rls.cli.main import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", code, "benchmark", *map(str, arguments(folder.parent))]
    environment["MPLBACKEND"] = backend
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = Page((folder / "report.html").read_text(encoding="utf-8"))
    (folder / "before.html").replace(folder / "report.html")
    assert len(again.images()) > 3


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    parsed = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert not parsed.open
    return parsed


def test_files_of_several_options_are_not_mixed_up(folder: Path) -> None:
    record = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    assert record["cells"]["wells"] == ["B01", "B02", "B03", "B04", "B05", "B06"]
    assert record["cells"]["chosen"] == 18
    assert "wells C01, C02" in record["notes"][-1]
    assert record["settings"]["methods"] == ["rls", "pix2pix", "pulse"]
    assert record["searches"]["not run"] == sum("pix2pix" in s for s in _problems(folder))
    assert len(record["bundle"]["content_hash"]) == 64


def _problems(folder: Path) -> list[str]:
    runs = pd.read_csv(folder / "runs.csv", keep_default_na=False)
    return [problem for problem in runs["problem"] if problem]


def test_the_page_needs_nothing_else(folder: Path, page: Page) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs), tag
        for name in ("src", "href"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#"))
    assert "url(" not in text.split("</style>")[0]


def test_every_figure_is_there_and_is_a_picture(page: Page) -> None:
    pictures = page.images()
    # Fig. 1, 2, 5, 6, 8, the trace and the sensitivity; no ablation was asked for.
    assert len(pictures) == 7
    for source in pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        picture.verify()
        assert min(picture.size) > 200
    headings = " ".join(page.text)
    for name in ("Table 1", "Table 2", *(f"Fig. {k}" for k in (1, 2, 5, 6, 7, 8)), "Time"):
        assert f"{name}" in headings


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("table1", ("value", "low")),
        ("degradations", ("value",)),
        ("sensitivity", ("value", "high")),
        ("table2", ("accuracy", "low", "balanced")),
        ("conditions", ()),
        ("gaussianisation", ("mean", "deviation", "ks_distance")),
    ],
)
def test_the_page_has_the_numbers_of_the_tables(
    folder: Path, page: Page, table: str, columns: tuple[str, ...]
) -> None:
    rows = pd.read_csv(folder / f"{table}.csv")
    assert len(rows)
    shown = set(" ".join(page.text).split())
    for column in columns:
        for value in rows[column].dropna():
            assert html.number(value) in shown, (table, column, value)


def test_measured_errors_of_the_assay_stand_on_the_page(folder: Path, page: Page) -> None:
    rows = pd.read_csv(folder / "features.csv")
    shown = set(" ".join(page.text).split())
    errors = rows[rows["per"] == "cell"]["median_absolute_error"]
    assert all(html.number(value) in shown for value in errors)


def test_a_method_that_did_not_run_says_why_in_table_1(folder: Path, page: Page) -> None:
    (sentence,) = set(_problems(folder))
    assert sentence.startswith("not run: ")
    assert page.text.count(sentence) >= 2  # in Table 1 and in the table of times


def test_a_second_call_gives_the_same_files(folder: Path) -> None:
    names = [path.name for path in folder.glob("*.csv")]
    before = {name: (folder / name).read_bytes() for name in names}
    base = folder.parent
    arguments = ("--hr", base / "a.ome.tif", base / "b.ome.tif", "--classifier-hr")
    bundle = ("--bundle", base / "tiny.rls.safetensors", "--methods", "rls,pix2pix,pulse")
    small = (*SMALL, "--subset", 10, "--samples", 2, "--threads", 1, "--device", "cpu")
    result = run(*arguments, base / "own.ome.tif", *bundle, *small, "--out", folder)
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert str(folder / "report.html") in result.stdout
    record = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    assert (
        record["searches"]["read from the folder"] + record["searches"]["not run"]
        == (record["searches"]["all"])
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--methods", "magic"), "there is no method 'magic'"),
        (("--factors", "4,x"), "--factors 4,x is no list of whole numbers"),
        (("--factors", "3"), "The factor 3 does not divide the 32 pixels of the bundle tiny"),
        (("--negative", "a"), "Give both --negative and --positive"),
        (("--features", "x"), "There are no features 'x'"),
    ],
)
def test_wrong_options_get_one_sentence(
    folder: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    base = folder.parent
    bundle = base / "tiny.rls.safetensors"
    files = ["--hr", str(base / "a.ome.tif"), "--out", str(tmp_path / "out")]
    arguments = ["benchmark", *files, "--bundle", str(bundle), *SMALL, *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (1, 2)
    assert sentence in re.sub(r"\s+", " ", result.output)


def test_places_are_shared_by_equal_values_and_left_out_without_any() -> None:
    assert html.ranks([3, 1, 1, 2], "lower") == ["", "best", "best", "second"]
    assert html.ranks([3, 1, float("nan"), 2], "higher") == ["best", "", "", "second"]
    assert html.ranks([5.0], "lower") == [""]


def test_best_is_bold_second_is_italic_and_text_is_escaped() -> None:
    text = html.table(("a", "b"), [["<x>", html.Cell("1", "0 to 2", "best")]])
    assert "&lt;x&gt;" in text
    assert html.paragraph('<script>"') == "<p>&lt;script&gt;&#34;</p>\n"
    titled = html.page("<t>", html.heading("<h>"), [("<s>", html.paragraph("<p>"))])
    assert not {"<t>", "<h>", "<s>"} & set(re.findall("<[a-z]>", titled))
    assert "<b>1</b><small>0 to 2</small>" in text
    assert "<i>2</i>" in html.table(("a",), [[html.Cell("2", rank="second")]])


def test_table_1_marks_the_best_of_every_metric(folder: Path) -> None:
    rows = pd.read_csv(folder / "table1.csv")
    text = (folder / "report.html").read_text(encoding="utf-8")
    start = text.index("Table 1: realism", text.index("<section"))
    section = text[start : text.index("</section>", start)]
    for (_, _), own in rows.groupby(["metric", "variant"]):
        best = own["value"].min() if own["better"].iloc[0] == "lower" else own["value"].max()
        assert f"<b>{html.number(best)}</b>" in section
