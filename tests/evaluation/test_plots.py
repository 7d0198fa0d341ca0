"""Figures: what is drawn is what the table says, points know their cells, files open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from plate_bench import DOSES, RATIO, plate

from napari_rls.errors import TableError
from napari_rls.evaluation.agreement import coverage
from napari_rls.evaluation.benchmark_plots import gaussianisation_plot, trace_plot
from napari_rls.evaluation.figure_style import PRINT, Look, shown
from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.plots import (
    CHOSEN_COLOUR,
    agreement_plot,
    box_plot,
    dose_response_plot,
    save_figure,
)
from napari_rls.evaluation.reliability_plot import reliability_plot


@pytest.fixture
def table() -> pd.DataFrame:
    """Three kinds of image of the same cells; SR has intervals."""
    sr = plate(noise=0.05)
    gt = plate(noise=0.02, seed=1).assign(Metadata_Image="GT")
    lr = plate(top=1.3, seed=2).assign(Metadata_Image="LR")
    sr = sr.assign(**{f"{RATIO}_q05": sr[RATIO] - 0.1, f"{RATIO}_q95": sr[RATIO] + 0.1})
    return pd.concat([sr, gt, lr], ignore_index=True)


def test_boxes_are_at_the_quartiles(table: pd.DataFrame) -> None:
    plot = box_plot(table, RATIO, ["dose=0", "dose=100"])
    axes = plot.figure.axes[0]
    condition = "drug=wortmannin; dose=100"
    own = table[(table["Metadata_Image"] == "GT") & (table["Metadata_Condition"] == condition)]
    quartiles = np.quantile(own[RATIO], [0.25, 0.5, 0.75])
    drawn = [y for line in axes.lines for y in line.get_ydata()]
    for value in quartiles:
        assert np.isclose(drawn, value).any()
    assert [text.get_text() for text in axes.get_xticklabels()] == ["dose=0", "dose=100"]
    (legend,) = plot.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "GT, AUC 1.000",
        "SR (generated), AUC 1.000",
        "LR, upsampled, AUC 1.000",
    ]
    assert axes.get_ylabel() == RATIO


def test_every_condition_has_its_boxes(table: pd.DataFrame) -> None:
    axes = box_plot(table, RATIO).figure.axes[0]
    assert len(axes.get_xticks()) == len(DOSES)
    with pytest.raises(TableError, match="There is no condition 'dose=7'"):
        box_plot(table, RATIO, ["dose=7"])
    with pytest.raises(TableError, match="The table has no column 'x'"):
        box_plot(table, "x")


def test_the_curve_is_half_way_at_ec50(table: pd.DataFrame) -> None:
    axes = dose_response_plot(table, RATIO).figure.axes[0]
    fit = dose_response(table, RATIO).set_index("Metadata_Image").loc["GT"]
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 200)
    half = np.interp(np.log(fit["ec50"]), np.log(curve.get_xdata()), curve.get_ydata())
    assert half == pytest.approx((fit["bottom"] + fit["top"]) / 2, rel=1e-3)
    assert axes.get_xlabel() == "dose (no unit given; 0 drawn at 0.01)"
    named = dose_response_plot(table, RATIO, unit="µM").figure.axes[0]
    assert named.get_xlabel() == "dose (µM; 0 drawn at 0.01)"
    text = axes.figure.legends[0].get_texts()[0].get_text()
    assert text.startswith(f"GT: EC50 {fit['ec50']:.3g} (")


def test_agreement_shows_each_cell_at_its_truth_with_its_interval(table: pd.DataFrame) -> None:
    plot = agreement_plot(table, RATIO)
    points, cells = plot.points[0]
    gt = table[table["Metadata_Image"] == "GT"].set_index("Metadata_Cell")[RATIO]
    sr = table[table["Metadata_Image"] == "SR"].set_index("Metadata_Cell")[RATIO]
    expected = np.column_stack([gt.loc[list(cells)], sr.loc[list(cells)]])
    np.testing.assert_allclose(points.get_offsets(), expected)
    bars = next(c for c in plot.figure.axes[0].collections if len(c.get_paths()) == len(cells))
    ends = np.array([path.vertices[:, 1] for path in bars.get_paths()])
    np.testing.assert_allclose(ends, expected[:, 1:] + [-0.1, 0.1])
    said = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert "90 % interval of samples" in said
    with pytest.raises(TableError, match="has no image 'HR'"):
        agreement_plot(table, RATIO, "HR")


def test_a_click_finds_the_cell_of_a_point(table: pd.DataFrame) -> None:
    plot = agreement_plot(table, RATIO)
    canvas = FigureCanvasAgg(plot.figure)
    canvas.draw()
    points, cells = plot.points[0]
    place = points.get_offset_transform().transform(points.get_offsets()[17])
    assert plot.cell_at(*place) == cells[17]
    assert plot.cell_at(-100, -100) is None


def test_chosen_cells_are_drawn_on_top(table: pd.DataFrame) -> None:
    cell = str(table["Metadata_Cell"].iloc[0])
    for draw in (box_plot, agreement_plot, dose_response_plot):
        plain, marked = draw(table, RATIO), draw(table, RATIO, highlight=[cell])
        extra = [c for c in marked.figure.axes[0].collections if c.get_zorder() == 5]
        assert not [c for c in plain.figure.axes[0].collections if c.get_zorder() == 5]
        assert sum(len(c.get_offsets()) for c in extra) >= 2
        red = tuple(int(CHOSEN_COLOUR[k : k + 2], 16) / 255 for k in (1, 3, 5))
        np.testing.assert_allclose(extra[0].get_edgecolors()[0][:3], red)


def test_reliability_is_the_observed_coverage(table: pd.DataFrame) -> None:
    rows = coverage(table, RATIO)
    axes = reliability_plot({"drawn": rows}).figure.axes[0]
    line = axes.lines[1]
    np.testing.assert_allclose(line.get_xdata(), rows["nominal"])
    np.testing.assert_allclose(line.get_ydata(), rows["observed"])


AWKWARD = [
    "$x_$", r"\frac{1}{2}", "$", "$$", "", " ", "a\nb", "\x1b[31mred", "=1+1", "<b>bold</b>",
    "\u7d30\u80de", "\u0645", "_hidden", "x" * 300, "long words in a row " * 12, "{}%s%d",
]  # fmt: skip
"""Names as they come from others' plate maps."""


def drawn_texts(figure: Figure) -> list[str]:
    """Draw a figure; return its texts as they were drawn, none of them as a formula."""
    FigureCanvasAgg(figure).draw()
    found = []
    for text in figure.findobj(Text):
        said, formula = text._preprocess_math(text.get_text())
        # Powers of ten at a logarithmic axis are matplotlib's own.
        assert not formula or said.startswith(r"$\mathdefault{"), said
        found.append(said)
    return found


@pytest.mark.parametrize("look", [PRINT, Look("#262930", "#f0f1f2", (2.4, 2.8), 8)])
@pytest.mark.parametrize("name", AWKWARD)
def test_names_are_texts_in_every_figure(table: pd.DataFrame, name: str, look: Look) -> None:
    conditions = table["Metadata_Condition"].unique()
    renamed = table.replace({"Metadata_Condition": {conditions[0]: name, conditions[1]: "plain"}})
    renamed = renamed[renamed["Metadata_Condition"].isin([name, "plain"])]
    column = name.strip() or RATIO
    renamed = renamed.rename(columns=lambda own: own.replace(RATIO, column))
    boxes = drawn_texts(box_plot(renamed, column, look=look).figure)
    assert "plain" in boxes
    doses = table.rename(columns={RATIO: column})
    for figure in (
        dose_response_plot(doses, column, look=look).figure,
        agreement_plot(renamed, column, look=look).figure,
        reliability_plot({column: coverage(table, RATIO)}, look).figure,
        gaussianisation_plot({name: np.arange(9.0), "w": np.arange(9.0)}, 8),
        trace_plot(
            pd.DataFrame(
                {
                    "method": name,
                    "seconds_per_cell": [1.0, 2.0],
                    "lr_error": [2.0, 1.0],
                    "objective": [2.0, 1.0],
                }
            ),
            name,
        ),
    ):
        drawn_texts(figure)


@pytest.mark.parametrize("name", ["$x_$", "$", "$5 and $6", r"\$x\$"])
def test_a_formula_is_written_letter_by_letter(table: pd.DataFrame, name: str) -> None:
    first = table["Metadata_Condition"].iloc[0]
    renamed = table.replace({"Metadata_Condition": {first: name}})
    texts = drawn_texts(box_plot(renamed, RATIO, [name, "dose=100"]).figure)
    assert name in [text.replace("\n", " ") for text in texts]


def test_what_no_font_has_is_written_as_an_escape() -> None:
    assert shown("\U0010ffff and \ue000") == r"\U0010ffff and \ue000"
    assert shown("naïve café, Δω, клетка") == "naïve café, Δω, клетка"


def test_what_all_conditions_say_stands_once_below_the_axis(table: pd.DataFrame) -> None:
    axes = box_plot(table, RATIO).figure.axes[0]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == [f"dose={dose:g}" for dose in DOSES]
    assert axes.get_xlabel() == "drug=wortmannin"


@pytest.mark.parametrize("count", [1, 2, 3, 12, 40])
@pytest.mark.parametrize("words", ["dmso", "a rather long name of a condition, number"])
def test_a_plot_in_a_narrow_dock_has_room_for_its_points(
    table: pd.DataFrame, count: int, words: str
) -> None:
    look = Look("#262930", "#f0f1f2", (2.4, 2.8), 8)
    names = [f"{words} {k}" for k in range(count)]
    one = table[table["Metadata_Image"] == "SR"].iloc[: 8 * count]
    one = one.assign(Metadata_Condition=(names * 8)[: len(one)])
    figure = box_plot(one, RATIO, look=look).figure
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    room = axes.get_position()
    assert room.width > 0.5
    assert room.height > 0.3
    whole = figure.bbox
    for text in (axes.yaxis.label, axes.xaxis.label, *axes.get_xticklabels()):
        box = text.get_window_extent()
        assert box.y0 >= whole.y0 - 1, text.get_text()
        assert box.y1 <= whole.y1 + 1, text.get_text()
        assert box.x0 >= whole.x0 - 1, text.get_text()
    if count != 3:
        level = axes.get_xticklabels()[0].get_rotation() == 0
        assert level == (count < 3)


def test_a_figure_for_a_dark_screen_is_dark_and_its_points_are_seen(table: pd.DataFrame) -> None:
    dark = Look("#262930", "#f0f1f2", (3, 3), 8)
    plot = box_plot(table, RATIO, look=dark)
    canvas = FigureCanvasAgg(plot.figure)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())[..., :3].astype(int)
    assert pixels[0, 0].tolist() == [0x26, 0x29, 0x30]
    assert np.median(pixels, axis=(0, 1)).tolist() == [0x26, 0x29, 0x30]
    light = (pixels > 200).all(-1)
    assert light.sum() > 100  # axes, texts, and GT
    for points, _ in plot.points:
        colour = points.get_facecolors()[0][:3]
        assert abs(colour - np.array([0x26, 0x29, 0x30]) / 255).max() > 0.3
    assert box_plot(table, RATIO).figure.get_facecolor()[:3] == (1, 1, 1)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_figures_are_written_with_their_record(
    table: pd.DataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"figure.{suffix}"
    save_figure(path, box_plot(table, RATIO).figure, {"generated": True, "seed": 77})
    assert b"SR: generated pixels, not measured. {'generated': True, 'seed': 77}" in (
        path.read_bytes().replace(b"&#x27;", b"'")
    )
    if suffix == "png":
        assert imread(path).shape[:2] == (880, 1280)
    else:
        assert path.read_text().rstrip().endswith("</svg>")
    with pytest.raises(TableError, match=r"figure\.pdf must end in \.png or \.svg"):
        save_figure(tmp_path / "figure.pdf", box_plot(table, RATIO).figure, {})
