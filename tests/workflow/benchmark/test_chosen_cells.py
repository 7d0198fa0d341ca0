"""Which cells a benchmark takes, what they are in, and how a classifier's are kept apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark_bench import EACH, NEGATIVE, POSITIVE, WELLS, cells_of, hr_cells, settings_of
from pydantic import ValidationError
from synthetic_cells import field

from napari_rls.errors import InputError
from napari_rls.models.bundle import Bundle
from napari_rls.search.settings import METHODS
from napari_rls.workflow.benchmark.benchmark_settings import COMPARED, QUICK, BenchmarkSettings
from napari_rls.workflow.benchmark.chosen_cells import (
    choose,
    is_in,
    pair_of_conditions,
    read_cells,
)
from napari_rls.workflow.benchmark.phenotypes import Split, split_cells
from napari_rls.workflow.cells.groups import groups_of
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack

PAIR = (NEGATIVE, POSITIVE)


def split(folder: Path, bundle: Bundle, own: CellStack | None = None) -> Split | str:
    cells = cells_of(folder, bundle, settings_of())
    return split_cells(replace(cells, classifier=own), PAIR, seed=0)


def test_some_cells_of_every_well_are_chosen_by_the_seed(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    cells = cells_of(tmp_path, tiny_bundle, settings_of(cells=3))
    assert Counter(crop.well for crop in cells.hr.crops) == dict.fromkeys(WELLS, 3)
    np.testing.assert_array_equal(cells.hr.data, cells.pool.data[cells.chosen])
    assert [cells.pool.crops[k] for k in cells.chosen] == list(cells.hr.crops)
    again = choose(cells.pool, 3, seed=0)
    np.testing.assert_array_equal(cells.chosen, again)
    assert any((choose(cells.pool, 3, seed=s) != again).any() for s in range(1, 4))
    assert len(choose(cells.pool, 100, seed=0)) == EACH * len(WELLS)


def test_whole_fields_are_cut_and_a_plate_map_tells_conditions(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    centres = [(30.0, 40.0), (60.0, 25.0), (64.0, 64.0)]
    files = []
    for well in ("B01", "B02"):
        stack = CellStack(field(centres)[None], ("nucleus", "protein"), leading=None)
        files.append(tmp_path / f"{well}.ome.tif")
        write_stack(files[-1], stack, description="field")
    (tmp_path / "map.csv").write_text("well,condition\nB01,none\nB02,drug\n", encoding="utf-8")
    plate = PlateMap(tmp_path / "map.csv")
    cells = read_cells(files, tiny_bundle.manifest, settings_of(cells=9), plate_map=plate)
    assert cells.hr.data.shape == (6, 2, 32, 32)
    assert [(crop.well, crop.condition) for crop in cells.hr.crops] == [("B01", "none")] * 3 + [
        ("B02", "drug")
    ] * 3


def test_a_plate_map_tells_the_conditions_of_crops_too(tiny_bundle: Bundle, tmp_path: Path) -> None:
    write_stack(tmp_path / "hr.ome.tif", hr_cells(), description="HR")
    rows = "\n".join(f"{well},c{well[-1]}" for well in WELLS)
    (tmp_path / "map.csv").write_text(f"well,condition\n{rows}\n", encoding="utf-8")
    cells = read_cells(
        [tmp_path / "hr.ome.tif"],
        tiny_bundle.manifest,
        settings_of(),
        plate_map=PlateMap(tmp_path / "map.csv"),
    )
    assert {(crop.well, crop.condition) for crop in cells.hr.crops} == {
        (well, f"c{well[-1]}") for well in WELLS
    }


@pytest.mark.parametrize(
    ("shape", "channels", "sentence"),
    [
        ((3, 2, 16, 16), ("a", "b"), "16 x 16 pixels; HR cells of the bundle tiny have 32 x 32"),
        ((3, 3, 32, 32), ("a", "b", "c"), "has 3 channels but the bundle tiny needs 2"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    tiny_bundle: Bundle,
    tmp_path: Path,
    shape: tuple[int, ...],
    channels: tuple[str, ...],
    sentence: str,
) -> None:
    write_stack(
        tmp_path / "x.ome.tif", CellStack(np.ones(shape, np.uint8), channels), description=""
    )
    with pytest.raises(InputError, match=sentence):
        read_cells([tmp_path / "x.ome.tif"], tiny_bundle.manifest, settings_of())


def test_pixels_that_are_no_numbers_are_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    data = np.ones((3, 2, 32, 32), np.float32)
    data[1, 0, 0, 0] = np.nan
    write_stack(tmp_path / "x.ome.tif", CellStack(data, ("a", "b")), description="")
    with pytest.raises(InputError, match="1 of the 3 HR cells hold pixels that are no numbers"):
        read_cells([tmp_path / "x.ome.tif"], tiny_bundle.manifest, settings_of())


def test_the_two_conditions_are_found_or_asked_for() -> None:
    def pair(*names: str, **given: str) -> tuple[str, str] | str:
        return pair_of_conditions(names, settings_of(**given))

    assert pair("dose=3", "a; control=negative", "b; control=positive") == PAIR
    assert pair("untreated", "treated", "untreated") == ("untreated", "treated")
    assert "no known conditions" in pair("", "")
    assert "1 known condition; two" in pair("a", "", "a")
    assert "3 conditions; --negative and --positive" in pair("a", "b", "c")
    assert pair("x; a", "x; b", "x; c", negative="a", positive="c") == ("a", "c")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"negative": "a"}, "Give both --negative and --positive"),
        ({"negative": "a", "positive": "z"}, "There is no condition 'z'; the cells are in 'a; x'"),
        ({"negative": "a", "positive": "x"}, "have cells in common"),
    ],
)
def test_conditions_that_are_not_there_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        pair_of_conditions(["a; x", "b"], settings_of(**given))


def test_the_classifiers_wells_are_not_those_of_the_test(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    found = split(tmp_path, tiny_bundle)
    assert isinstance(found, Split)
    cells = cells_of(tmp_path, tiny_bundle, settings_of())
    trained = {crop.well for crop in found.train.crops}
    tested = {cells.hr.crops[k].well for k in found.test}
    assert trained
    assert tested
    assert not trained & tested
    assert len(trained) == 2
    # All cells of a well are there to train on, not only those that were chosen.
    assert len(found.train) == 2 * EACH
    np.testing.assert_array_equal(found.train_positive, is_in(found.train, POSITIVE))
    np.testing.assert_array_equal(found.test_positive, is_in(cells.hr, POSITIVE)[found.test])
    assert all(well in found.note for well in trained)


def test_a_classifier_of_its_own_files_is_tested_on_all_cells(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    found = split(tmp_path, tiny_bundle, hr_cells(("C01", "C02"), seed=5))
    assert isinstance(found, Split)
    assert {crop.well for crop in found.train.crops} == {"C01", "C02"}
    assert len(found.test) == 3 * len(WELLS)


def test_cells_in_both_are_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Well B01 is both among the classifier's"):
        split(tmp_path, tiny_bundle, hr_cells(("B01", "C02"), seed=5))
    nameless = hr_cells()
    crops = tuple(replace(crop, well="") for crop in nameless.crops)
    with pytest.raises(InputError, match="have cells in common"):
        split(tmp_path, tiny_bundle, replace(nameless, crops=crops))


def test_a_class_of_one_well_has_no_classifier(tiny_bundle: Bundle, tmp_path: Path) -> None:
    stack = hr_cells(("B01", "B02"))
    cells = cells_of(tmp_path, tiny_bundle, settings_of(), stack)
    found = split_cells(cells, PAIR, seed=0)
    assert isinstance(found, str)
    assert "no well can be kept apart" in found
    assert "--classifier-hr" in found


def test_cells_without_wells_are_split_one_by_one(tiny_bundle: Bundle, tmp_path: Path) -> None:
    stack = hr_cells()
    crops = tuple(Crop("simulated", condition=crop.condition) for crop in stack.crops)
    cells = cells_of(tmp_path, tiny_bundle, settings_of(cells=100), replace(stack, crops=crops))
    assert groups_of(cells.pool)[1] == "cell"
    found = split_cells(cells, PAIR, seed=0)
    assert isinstance(found, Split)
    assert "the cells themselves were split" in found.note
    trained = {image.tobytes() for image in found.train.data}
    tested = {cells.hr.data[k].tobytes() for k in found.test}
    assert len(trained) == len(tested) == 8
    assert not trained & tested


def test_quick_changes_only_what_is_not_given() -> None:
    quick = BenchmarkSettings(quick=True, cells=7)
    assert quick.cells == 7
    assert quick.max_steps == QUICK["max_steps"]
    assert BenchmarkSettings().max_steps == 0
    assert BenchmarkSettings().methods == COMPARED == (*METHODS, "direct")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"methods": ("rls", "magic")}, "no method 'magic'; there are rls"),
        ({"methods": ("rls", "rls")}, "stands there twice"),
        ({"factors": (1,)}, "greater than or equal to 2"),
        ({"factors": ()}, "at least 1"),
        ({"methods": ("direct",)}, "direct draws no image; name a method beside it that does"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        BenchmarkSettings.model_validate(given)


def test_figures_of_one_factor_are_of_16x_as_in_the_paper() -> None:
    assert settings_of(factors=(8, 16)).detail_factor == 16
    assert settings_of(factors=(8, 4)).detail_factor == 8
