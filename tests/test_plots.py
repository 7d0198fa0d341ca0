"""Figures: what is drawn is what the table says, points know their cells, files open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from test_statistics import DOSES, RATIO, plate

from napari_rls.evaluation.agreement import coverage
from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.plots import (
    CHOSEN_COLOUR,
    agreement_plot,
    box_plot,
    dose_response_plot,
    reliability_plot,
    save_figure,
)
from napari_rls.evaluation.tables import TableError


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
