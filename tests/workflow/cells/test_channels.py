"""Which channel is which: the right pixels are used, or a sentence asks; and it is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from napari_rls import super_resolve
from napari_rls.cli.main import app
from napari_rls.cli.train_options import job_of
from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.channels import (
    choose_channels,
    join_names,
    match_names,
    same_name,
    split_names,
)
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.image_sets import ImageSet, describe_channels, find_channels
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.measure.table_files import read_table
from napari_rls.workflow.train.fields import parse_channels
from napari_rls.workflow.train.train_job import settled

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

NEEDED = ("DNA", "FKHR-GFP")
RATIO = "Math_Log2Ratio_NucleusCytoplasm_"
CORRELATION = "Nuclei_Correlation_Correlation_"


def wide(text: str) -> str:
    """Return a text in the wide letters of East Asian keyboards."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


def cells(*channels: str) -> CellStack:
    """Return cells in whose channel k every pixel is 10 k plus a little."""
    count = len(channels)
    data = np.random.default_rng(0).random((2, count, 8, 8)) + 10 * np.arange(count)[:, None, None]
    return CellStack(data, channels, name="lr.tif")


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def hr() -> CellStack:
    return simulate(SimulateSettings(assay="translocation", cells=4, seed=1)).hr


def ratios(
    stack: CellStack, dna: str = "", signal: str = "", *more: ImageSet
) -> tuple[np.ndarray, dict]:
    """Return what is measured, (kinds x N, 2): log2 ratios and correlations; and the record."""
    settings = MeasureSettings(assay="translocation", dna=dna, signal=signal)
    *_, last = measure([ImageSet("HR", stack), *more], settings)
    table = last.result.table
    names = [n for n in table if n.startswith((RATIO, CORRELATION))]
    assert len(names) == 2
    return table[names].to_numpy(), last.result.record


# -- super-resolution ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "order"),
    [
        (("fkhr-gfp", "dna"), (1, 0)),
        ((" FKHR-GFP ", "DNA "), (1, 0)),
        (("FKHR-GFP", "Hoechst"), (1, 0)),
        (("FKHR-GFP", "405 nm"), (1, 0)),
        (("488 nm", "DNA"), (1, 0)),
        (("GFP", "DAPI"), (1, 0)),
        (("Hoechst", "FKHR-GFP"), (0, 1)),
        (("w1", "w2"), (0, 1)),
        (("actin", "fkhr-gfp", "dna"), (2, 1)),
        (("actin", "fkhr-gfp", "DAPI"), (2, 1)),
        ((wide("FKHR-GFP"), wide("DNA")), (1, 0)),
    ],
)
def test_known_names_are_put_right(channels: tuple[str, ...], order: tuple[int, ...]) -> None:
    stack = cells(*channels)
    chosen = choose_channels(stack, (), NEEDED)
    np.testing.assert_array_equal(chosen.data, stack.data[:, list(order)])
    assert dict(chosen.reading.channels) == {
        name: channels[k].strip() for name, k in zip(NEEDED, order, strict=True)
    }


def test_names_are_the_same_however_their_letters_are_coded() -> None:
    assert same_name("Prot\u00e9ine", "prote\u0301ine ")
    assert same_name("\u00b5-tubulin", "\u03bc-tubulin")
    assert not same_name("Proteine", "Prot\u00e9ine")


def test_what_is_put_right_by_a_guess_is_said() -> None:
    reading = choose_channels(cells("FKHR-GFP", "Hoechst"), (), NEEDED).reading
    assert reading.warnings == [
        "The channels' names differ from the bundle's: Hoechst is taken for DNA."
    ]
    assert choose_channels(cells("fkhr-gfp ", "dna"), (), NEEDED).reading.certain


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (
            ("DNA", "DNA"),
            (
                "lr.tif has 2 channels named DNA (numbers 0, 1); say by its number which is meant, "
                "counted from 0."
            ),
        ),
        (
            ("a", "b", "DNA"),
            (
                "lr.tif has the channels a, b, DNA, some of which are known but not at their "
                "places among DNA, FKHR-GFP, actin; say which channel is which "
                "(--channels on the command line)."
            ),
        ),
    ],
)
def test_names_that_do_not_tell_are_asked_about(channels: tuple[str, ...], message: str) -> None:
    needed = NEEDED if len(channels) == 2 else (*NEEDED, "actin")
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        choose_channels(cells(*channels), (), needed)


@pytest.mark.parametrize("wanted", [("1", "0"), ("dna", " fkhr-gfp"), ("DNA", "0")])
def test_a_choice_counts_and_is_no_guess(wanted: tuple[str, ...]) -> None:
    stack = cells("FKHR-GFP", "DNA")
    chosen = choose_channels(stack, wanted, NEEDED)
    np.testing.assert_array_equal(chosen.data, stack.data[:, [1, 0]])
    assert chosen.reading.certain


def test_numbers_that_do_not_match_are_left_to_the_user() -> None:
    assert match_names(("a", "b", "c"), NEEDED, "lr.tif") is None
    assert match_names(("GFP",), NEEDED, "lr.tif") is None


def test_names_with_commas_can_be_given() -> None:
    assert split_names('"DNA, fixed", GFP ,') == ("DNA, fixed", "GFP")
    assert split_names("0,2") == ("0", "2")
    assert split_names("") == ()
    names, sources = parse_channels('"DNA, fixed=w1",GFP=w2')
    assert (names, sources) == (("DNA, fixed", "GFP"), ("w1", "w2"))
    with pytest.raises(InputError, match='"DNA,GFP is no list of channels'):
        split_names('"DNA,GFP')
    with pytest.raises(InputError, match="names a channel twice"):
        parse_channels("DNA,dna")


def test_the_api_takes_channels_of_a_stack_by_their_names(tiny_bundle: Bundle) -> None:
    settings = Settings(factor=4, steps=2, samples=0, precision="float32", threads=1)
    data = np.random.default_rng(0).integers(0, 250, (2, 2, 8, 8), dtype=np.uint8)
    right = CellStack(data, ("nucleus", "protein"))
    swapped = CellStack(data[:, ::-1], ("Protein", "nucleus "))
    *_, one = super_resolve(right, tiny_bundle, settings)
    *_, two = super_resolve(swapped, tiny_bundle, settings)
    np.testing.assert_array_equal(one.sr, two.sr)
    # A channel that was chosen by hand stays chosen.
    chosen = choose_channels(swapped, ("0", "1"), ("nucleus", "protein"))
    *_, three = super_resolve(chosen, tiny_bundle, settings)
    assert np.abs(three.sr - one.sr).max() > 0


@pytest.fixture
def resolve(tmp_path: Path, tiny_bundle_file: Path) -> Callable[..., Result]:
    def resolve(*args: object, code: int = 0) -> Result:
        out = ("--out", tmp_path / "out", "--bundle", tiny_bundle_file, "--steps", 1)
        return run("super-resolve", *args, "--samples", 0, *out, code=code)

    return resolve


def test_the_command_says_what_it_takes_for_what(
    tmp_path: Path, resolve: Callable[..., Result]
) -> None:
    data = np.random.default_rng(0).integers(0, 250, (3, 2, 8, 8), dtype=np.uint8)
    path = tmp_path / "lr.ome.tif"
    write_stack(path, CellStack(data, ("Protein ", "DAPI"), leading="N"), description="")
    said = resolve(path).stderr
    assert (
        "lr.ome.tif: Read as 3 cells of 8 x 8 pixels along axis 0; DAPI is nucleus, Protein is "
        "protein. The channels' names differ from the bundle's: DAPI is taken for nucleus."
    ) in " ".join(said.split())
    record = read_record(tmp_path / "out" / "lr_SR4x.ome.tif")
    assert record["input"]["read"]["channels"] == {"nucleus": "DAPI", "protein": "Protein"}
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, data, photometric="minisblack")
    said = " ".join(resolve(plain).stderr.split())
    assert "plain.tif: Read as 3 cells of 8 x 8 pixels along axis 0, channels along axis 1;" in said
    assert "(assumed: nucleus, protein)." in said
    write_stack(path, CellStack(data, ("nucleus", "protein"), leading="N"), description="")
    assert "Read as" not in resolve(path, "--overwrite").stderr
    write_stack(path, CellStack(data, ("a, b", "protein"), leading="N"), description="")
    resolve(path, "--overwrite", "--channels", 'protein,"A, B"')
    record = read_record(tmp_path / "out" / "lr_SR4x.ome.tif")
    assert record["input"]["read"]["channels"] == {"nucleus": "protein", "protein": "a, b"}


def test_training_finds_nuclei_in_the_stain_of_dna(tmp_path: Path) -> None:
    def dna(channels: str, **words: object) -> str:
        given = {"images": ("x",), "channels": channels, "out": tmp_path / "b.rls.safetensors"}
        return settled(job_of(tmp_path / "run", given | words, False)).dna_channel

    assert dna("GFP,Hoechst") == "Hoechst"
    assert dna("w1,w2") == "w1"
    assert dna("GFP,DAPI", dna_channel="gfp") == "gfp"
    assert dna("2,1") == "0"
    assert split_names(join_names(('a, "b"', "c"))) == ('a, "b"', "c")


# -- measurements ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("Cam", "Cam"), ("1", "2"), ("1", "0"), ("a", "b"), ("DAPI", "FKHR-GFP"), ("", "")]
)
def test_the_defaults_measure_two_channels_whatever_they_are_called(
    hr: CellStack, names: tuple[str, str]
) -> None:
    expected, _ = ratios(hr)
    found, record = ratios(replace(hr, channels=names))
    np.testing.assert_allclose(found, expected)
    assert found[:, 1].max() < 0.99
    assert record["images"][0]["measured_channels"] == {"dna": 0, "signal": 1}
    # The settings of the record, given again, are the same channels.
    own = record["settings"]
    again, _ = ratios(replace(hr, channels=names), own["dna"], own["signal"])
    np.testing.assert_allclose(again, expected)


@pytest.mark.parametrize(
    ("names", "dna", "signal"),
    [
        (("FKHR-GFP", "DNA"), "", ""),
        (("GFP", "DAPI"), "", ""),
        (("x", "y"), "1", ""),
        (("x", "y"), "", "0"),
        (("x", "y"), "y", "X "),
        (("1", "0"), "1", "0"),
    ],
)
def test_swapped_channels_are_measured_as_what_they_are(
    hr: CellStack, names: tuple[str, str], dna: str, signal: str
) -> None:
    expected, _ = ratios(hr)
    swapped = replace(hr, data=hr.data[:, ::-1], channels=names)
    found, record = ratios(swapped, dna, signal)
    np.testing.assert_allclose(found, expected)
    assert record["images"][0]["measured_channels"] == {"dna": 1, "signal": 0}


@pytest.mark.parametrize("names", [("fkhr-gfp", "dna "), ("FKHR-GFP", "Hoechst"), ("x", "DNA")])
def test_images_of_other_kinds_are_put_right_too(hr: CellStack, names: tuple[str, str]) -> None:
    expected, _ = ratios(hr)
    truth = replace(hr, data=hr.data[:, ::-1], channels=names)
    found, _ = ratios(hr, "", "", ImageSet("GT", truth))
    np.testing.assert_allclose(found, np.concatenate([expected, expected]))


@pytest.mark.parametrize(
    ("names", "dna", "signal", "message"),
    [
        (
            ("Cam", "cam"),
            "CAM",
            "",
            (
                "hr has 2 channels named CAM (numbers 0, 1); say by its number which is meant, "
                "counted from 0."
            ),
        ),
        (
            ("DNA", "GFP"),
            "0",
            "DNA",
            "DNA and signal of hr are the same channel, DNA (number 0); choose one for each.",
        ),
        (("1", "2"), "", "2", "hr has no channel 2: its 2 channels are 1, 2, counted from 0."),
        (
            ("GFP", "DNA", "actin"),
            "",
            "",
            (
                "hr has the channels GFP, DNA, actin; say which is the signal channel (--signal on "
                "the command line)."
            ),
        ),
        (("DNA",), "", "", "hr has no channel 1: its only channel is DNA, number 0."),
    ],
)
def test_channels_that_cannot_be_meant(
    names: tuple[str, ...], dna: str, signal: str, message: str
) -> None:
    stack = CellStack(np.zeros((1, len(names), 8, 8)), names, name="hr")
    settings = MeasureSettings(assay="translocation", dna=dna, signal=signal)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        find_channels([ImageSet("HR", stack)], settings)


def test_what_is_guessed_is_described() -> None:
    settings = MeasureSettings(assay="translocation")

    def told(*names: str) -> list[str]:
        sets = [ImageSet("HR", CellStack(np.zeros((1, len(names), 8, 8)), names, name="hr"))]
        return describe_channels(sets, settings, find_channels(sets, settings)[1])

    assert told("GFP", "DNA") == []
    assert told("1", "0") == ["hr: DNA is 1 (number 0), the signal is 0 (number 1)."]


def test_the_command_measures_a_file_of_two_equal_names(tmp_path: Path, hr: CellStack) -> None:
    path, out = tmp_path / "cells.ome.tif", tmp_path / "t.csv"
    write_stack(path, replace(hr, channels=("Cam", "Cam")), description="HR")
    said = run("measure", path, "--assay", "translocation", "--out", out).stderr
    assert "cells.ome.tif: DNA is Cam (number 0), the signal is Cam (number 1)." in said
    table, _ = read_table(out)
    np.testing.assert_allclose(table[f"{RATIO}channel1"], ratios(hr)[0][:, 0], rtol=1e-5)
    command = ("measure", path, "--assay", "translocation", "--out", tmp_path / "u.csv")
    assert "are the same channel" in run(*command, "--dna", 0, "--signal", 0, code=1).output


# -- nuclei ----------------------------------------------------------------------------------


def test_nuclei_are_looked_for_in_the_stain_of_dna(tmp_path: Path, data_folder: Path) -> None:
    field = read_stack(data_folder / "bbbc013" / "B01.ome.tif")
    expected = cut_crops(field, 64).stack
    path = tmp_path / "B01.ome.tif"
    swapped = replace(field, data=field.data[:, ::-1], channels=("GFP", "Hoechst"))
    write_stack(path, swapped, description="")
    run("crops", path, "--out", tmp_path / "crops.ome.tif")
    np.testing.assert_array_equal(
        read_stack(tmp_path / "crops.ome.tif").data, expected.data[:, ::-1]
    )
    record = read_record(tmp_path / "crops.ome.tif")
    assert record["dna_channel"] == "Hoechst"
    write_stack(path, replace(field, channels=("w1", "w2")), description="")
    said = run("crops", path, "--out", tmp_path / "crops.ome.tif", "--overwrite").stderr
    assert "B01.ome.tif: nuclei are looked for in w1 (number 0)." in said


def test_lr_of_swapped_names_is_measured_right(hr: CellStack) -> None:
    lr = degrade_stack(hr, DegradeSettings(factor=2))
    settings = MeasureSettings(assay="translocation")
    expected = [ImageSet("HR", hr), ImageSet("LR", lr)]
    swapped = replace(lr, data=lr.data[:, ::-1], channels=("fkhr-gfp", "Dna"))
    found = [ImageSet("HR", hr), ImageSet("LR", swapped)]
    tables = []
    for sets in (expected, found):
        *_, last = measure(sets, settings)
        tables.append(last.result.table.select_dtypes("number").to_numpy())
    np.testing.assert_allclose(*tables)
