"""Fields to train on: files of all channels or of one each, held-out images, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tiny_job import SETTINGS, images, returned, write_fields

from napari_rls.errors import InputError
from napari_rls.models.manifest import Intensity
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.train.cut_crops import TrainingCrops, prepare
from napari_rls.workflow.train.fields import find_fields, find_images, parse_channels, read_field

CHANNELS = SETTINGS.channels


def write(path: Path, image: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="minisblack", **options)


def crops(folder: Path, validation: str = "", **options: Any) -> TrainingCrops:
    fields = find_fields([str(folder)], CHANNELS)
    apart = find_fields([str(folder / validation)], CHANNELS) if validation else []
    return returned(prepare(fields, SETTINGS, validation=apart, **options))


def test_images_by_file_folder_and_pattern_count_once(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    (folder / "notes.txt").write_text("no image")
    found = find_images([str(folder / "f2.tif"), str(folder), str(folder / "f*.tif")])
    assert [path.name for path in found] == ["f2.tif", "f0.tif", "f1.tif", "f3.tif"]


@pytest.mark.parametrize(
    ("text", "names", "sources"),
    [
        ("DNA, GFP", ("DNA", "GFP"), ()),
        ("DNA=w1,GFP=w2", ("DNA", "GFP"), ("w1", "w2")),
        ("DNA", ("DNA",), ()),
    ],
)
def test_channels(text: str, names: tuple[str, ...], sources: tuple[str, ...]) -> None:
    assert parse_channels(text) == (names, sources)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DNA=w1,GFP", "must say for every channel"),
        ("DNA=,GFP=w2", "must say for every channel"),
        ("DNA,DNA", "names a channel twice"),
        ("DNA=1,GFP=1", "names a channel twice"),
    ],
)
def test_unclear_channels(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_channels(text)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{field}_{channel}.tif", ("plate_A01_s1_w1.tif", "plate_A01_s1_w2.tif")),
        ("{field}_{channel}*.tif", ("A01_s1_w15F3A.tif", "A01_s1_w2B00C.tif")),
        ("{channel}/{field}.tif", ("w1/A01.tif", "w2/A01.tif")),
        ("{field}-ch{channel}sk*.tiff", ("r01c01-chw1sk1.tiff", "r01c01-chw2sk1.tiff")),
    ],
)
def test_a_file_for_each_channel(tmp_path: Path, pattern: str, names: tuple[str, str]) -> None:
    image = images()[0]
    for k in (0, 1):
        write(tmp_path / names[k], image[k])
        write(tmp_path / "other" / names[k], image[1 - k])
    write(tmp_path / "thumbnail.tif", image[0])
    inputs = [str(tmp_path / "**" / "*.tif*")]
    # The channels' order is that of their names, not that of the files.
    first, other = find_fields(inputs, ("GFP", "DNA"), sources=("w2", "w1"), pattern=pattern)
    if str(tmp_path / "other") in first.name:
        first, other = other, first
    assert [path.name for path in first.files] == [Path(name).name for name in reversed(names)]
    stack = read_field(first, ("GFP", "DNA"))
    np.testing.assert_array_equal(stack.data[0], image[::-1])
    assert (stack.channels, stack.name) == (("GFP", "DNA"), first.name)
    assert other.name != first.name


def test_without_words_for_them_channels_stand_in_the_names(tmp_path: Path) -> None:
    write(tmp_path / "A01-GFP.tif", images()[0][1])
    write(tmp_path / "A01-DNA.tif", images()[0][0])
    (found,) = find_fields([str(tmp_path)], CHANNELS, pattern="{field}-{channel}.tif")
    assert [path.name for path in found.files] == ["A01-DNA.tif", "A01-GFP.tif"]


def test_patterns_that_find_no_fields(tmp_path: Path) -> None:
    for name in ("A01_w1.tif", "A01_w2.tif", "A01_w1x.tif", "A02_w1.tif", "A03_w1.tif"):
        write(tmp_path / name, images()[0][0])

    def find(pattern: str) -> None:
        find_fields([str(tmp_path)], CHANNELS, sources=("w1", "w2"), pattern=pattern)

    with pytest.raises(InputError, match=r"the channels w1, w2; the first file is A01_w1\.tif"):
        find("{field}-{channel}.tif")
    with pytest.raises(InputError, match=r"A01_w1\.tif and A01_w1x\.tif both fit the pattern"):
        find("{field}_{channel}*.tif")
    with pytest.raises(InputError, match=r"A02 has no file .* GFP \(w2\) \(and 1 more such\)"):
        find("{field}_{channel}.tif")
    with pytest.raises(InputError, match=r"must hold \{channel\} once"):
        find("{field}.tif")


def test_files_of_a_field_that_do_not_match(tmp_path: Path) -> None:
    dna, gfp = images()[0]

    def read(second: np.ndarray, **options: Any) -> None:
        write(tmp_path / "A_DNA.tif", dna, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
        write(tmp_path / "A_GFP.tif", second, **options)
        (field,) = find_fields([str(tmp_path)], CHANNELS, pattern="{field}_{channel}.tif")
        read_field(field, CHANNELS)

    read(gfp)
    with pytest.raises(
        InputError, match=r"A_GFP\.tif and .*A_DNA\.tif are one field but differ in"
    ):
        read(gfp[:80])
    with pytest.raises(InputError, match=r"differ in pixel type \(uint16 and uint8\)"):
        read(gfp.astype(np.uint16))
    with pytest.raises(InputError, match=r"A_GFP\.tif holds 3 channels, but with --channel-files"):
        read(np.stack([gfp] * 3))


def test_channels_of_a_file_by_their_place(tmp_path: Path) -> None:
    dna, gfp = images()[0]
    write(tmp_path / "f.tif", np.stack([gfp, gfp, dna]))
    (found,) = find_fields([str(tmp_path)], CHANNELS)
    stack = read_field(found, CHANNELS, ("2", "0"))
    np.testing.assert_array_equal(stack.data[0], [dna, gfp])
    assert stack.channels == CHANNELS
    with pytest.raises(InputError, match="has no channel 3"):
        read_field(found, CHANNELS, ("3", "0"))
    with pytest.raises(InputError, match=r"has 3 channel\(s\), but --channels names 2"):
        read_field(found, CHANNELS)


def test_fields_of_several_sizes_go_together(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    whole = crops(folder)
    wider = np.pad(images()[0], ((0, 0), (0, 30), (0, 10)), mode="edge")
    write(folder / "f0.tif", wider)
    mixed = crops(folder)
    count = len(whole.training) + len(whole.validation)
    assert len(mixed.training) + len(mixed.validation) >= count


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (images()[0].astype(np.uint16), {}, r"differ in pixel type \(uint16 and uint8\)"),
        (images()[0], {"ome": True, "metadata": {"axes": "CYX", "PhysicalSizeX": 0.3,
         "PhysicalSizeY": 0.3}}, r"differ in pixel size \(0.3 and None\)"),
        (images()[0][:1], {}, r"has 1 channel\(s\), but --channels names 2"),
        (images()[0][:, :10, :10], {}, "has 10 x 10 pixels, too few for crops of 16 x 16"),
    ],
)  # fmt: skip
def test_fields_that_do_not_match_are_named(
    tmp_path: Path, image: np.ndarray, options: dict[str, Any], message: str
) -> None:
    folder = write_fields(tmp_path / "fields")
    write(folder / "odd.tif", image, **options)
    with pytest.raises(InputError, match=rf"odd\.tif.*{message}"):
        crops(folder)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    file = folder / "f2.tif"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"f2\.tif cannot be read as a TIFF file"):
        crops(folder)


def test_images_to_validate_on_are_not_trained_on(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    made = crops(folder, validation="f[13].tif")
    sides = [{Path(c.file).name for c in part.crops} for part in (made.training, made.validation)]
    assert sides == [{"f0.tif", "f2.tif"}, {"f1.tif", "f3.tif"}]
    assert made.files == 4
    write(tmp_path / "empty.tif", images()[0][::-1] * 0 + 7)
    # The same file by another path is the same field.
    there = [str(folder / ".." / folder.name / name) for name in ("f1.tif", "f3.tif")]
    apart = find_fields(there, CHANNELS)
    again = returned(prepare(find_fields([str(folder)], CHANNELS), SETTINGS, validation=apart))
    assert {Path(crop.file).name for crop in again.training.crops} == {"f0.tif", "f2.tif"}
    with pytest.raises(InputError, match="validation images hold no cell"):
        crops(folder, validation="../empty.tif")


def test_a_dna_channel_that_is_not_there(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    with pytest.raises(InputError, match="has no channel Hoechst: its 2 channels are DNA, GFP"):
        crops(folder, dna_channel="Hoechst")


def test_images_of_the_crops_size_are_crops_already(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4000, (10, 2, 16, 16), dtype=np.uint16)
    for name, part in (("a", cells[:6]), ("b", cells[6:])):
        stack = CellStack(part, CHANNELS, pixel_size_um=0.2, crops=(Crop("made"),) * len(part))
        write_stack(tmp_path / f"{name}.ome.tif", stack, description="crops")
    made = crops(tmp_path, validation="b.ome.tif")
    np.testing.assert_array_equal(made.training.data, cells[:6])
    np.testing.assert_array_equal(made.validation.data, cells[6:])
    assert (made.at_border, made.training.pixel_size_um) == (0, 0.2)


def test_crops_among_fields_get_their_mirror_image_as_surroundings(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    ready = np.random.default_rng(0).integers(0, 255, (2, 16, 16), dtype=np.uint8)
    write(folder / "z.tif", ready)
    made = crops(folder, validation="z.tif", margin=10)
    assert made.training.data.shape[2:] == (36, 36)
    reference = np.pad(ready, ((0, 0), (10, 10), (10, 10)), mode="reflect")
    np.testing.assert_array_equal(made.validation.data, reference[None])
    np.testing.assert_array_equal(
        made.training.data[:, :, 10:26, 10:26], crops(folder, validation="z.tif").training.data
    )


def test_intensities_that_are_given_stay(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "fields")
    given = Intensity(low=10, high=90, unit="counts")
    settings = SETTINGS.model_copy(update={"intensity": given})
    fields = find_fields([str(folder)], CHANNELS)
    assert returned(prepare(fields, settings)).intensity == given
    assert returned(prepare(fields, SETTINGS)).intensity.high == 255


def test_every_way_of_reading_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = SETTINGS.size
    for k in range(5):
        data = rng.integers(0, 250, (k + 4, 2, size, size), dtype=np.uint8)
        if k in (1, 2, 4):
            write(tmp_path / f"f{k}.tif", data)
        else:
            names = CHANNELS if k == 0 else (CHANNELS[0], "DIC")
            write_stack(tmp_path / f"f{k}.tif", CellStack(data, names), description="HR")
    work = prepare(find_fields([str(tmp_path)], CHANNELS), SETTINGS)
    said = [cutting.text for cutting in work if "Read as" in cutting.text]
    first, second = CHANNELS
    shape = f"cells of {size} x {size} pixels along axis 0"
    assumed = f", channels along axis 1; channel 0 is {first}, channel 1 is {second} (assumed: "
    assumed += f"{first}, {second})."
    other = f"{first} is {first}, DIC is {second}."
    differing = f"The channels' names differ from the bundle's: DIC is taken for {second}."
    at_once, at_the_end = said[:2], said[2:]
    assert at_once == [
        f"f1.tif: Read as 5 {shape}{assumed} Nuclei are looked for in {first}.",
        f"f3.tif: Read as 7 {shape}; {other} {differing} Nuclei are looked for in {first}.",
    ]
    assert at_the_end == [
        f"f0.tif: Read as 4 {shape}; the channels by their names.",
        f"3 files like f1.tif: Read as 5 {shape}{assumed}",
        f"f3.tif: Read as 7 {shape}; {other} {differing}",
    ]


def test_one_certain_way_of_reading_needs_no_word(tmp_path: Path) -> None:
    size = SETTINGS.size
    for k in range(2):
        data = np.random.default_rng(k).integers(0, 250, (4 + k, 2, size, size), dtype=np.uint8)
        write_stack(tmp_path / f"f{k}.tif", CellStack(data, CHANNELS), description="HR")
    work = prepare(find_fields([str(tmp_path)], CHANNELS), SETTINGS)
    assert not [cutting.text for cutting in work if "Read as" in cutting.text]
