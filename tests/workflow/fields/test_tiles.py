"""Fields of a bundle whose crops have no nucleus in their centre are run in tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle
from napari_rls.search.noise import NoiseModel
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.fields.run_fields import RunFields
from napari_rls.workflow.fields.tiles import tile_places
from napari_rls.workflow.measure.table_files import read_table
from napari_rls.workflow.super_resolve.resolver import SuperResolver

NOISE = NoiseModel(offset=(100.0,) * 2, gain=(2.0,) * 2, read_noise=(3.0,) * 2)
FIELDS = FieldSettings(optics={"ratio": 4, "psf_sigma": 0.45}, noise=NOISE, scout_steps=3)
QUICK = Settings(steps=1, samples=0, threads=1)
MEASURED = MeasureSettings.model_validate(
    {
        "assay": "translocation",
        "dna": "nucleus",
        "signal": "protein",
        "translocation": {"nucleus": {"min_area": 800}},
    }
)
"""Nuclei that are larger than random weights draw."""


@pytest.fixture
def bundle(tiny_bundle: Bundle) -> Bundle:
    measurement = MEASURED.model_dump(mode="json")
    manifest = tiny_bundle.manifest.model_copy(update={"measurement": measurement})
    return replace(tiny_bundle, manifest=manifest)


def field() -> CellStack:
    pixels = np.random.default_rng(0).poisson(300, (1, 2, 10, 18)).astype(np.uint16)
    return CellStack(pixels, ("nucleus", "protein"), leading=None, name="C07.tif")


@pytest.mark.parametrize("shape", [(3, 8), (8, 9), (20, 31), (100, 37)])
@pytest.mark.parametrize("ratio", [4, 6.4])
def test_tiles_cover_a_field_and_overlap(shape: tuple[int, int], ratio: float) -> None:
    side = 32 / ratio
    places = tile_places(shape, 32, ratio)
    for axis, size in enumerate(shape):
        middles = np.unique(places[:, axis])
        assert middles[0] - side / 2 <= -0.5
        assert middles[-1] + side / 2 >= size - 0.5
        np.testing.assert_allclose(middles + middles[::-1], size - 1)
        if len(middles) > 1:
            assert np.ptp(np.diff(middles)) < 1e-9
            assert np.diff(middles)[0] <= 5 / 8 * side


def test_all_of_a_field_is_generated_and_the_first_sentence_says_how(bundle: Bundle) -> None:
    resolver = FieldResolver(SuperResolver(bundle, QUICK), FIELDS)
    updates = list(resolver.updates(field()))
    assert updates[0].message == (
        "Fields are run in overlapping tiles of 32 x 32 HR pixels, as the crops of the bundle "
        "tiny have no nucleus in their centre; give the diameter of a nucleus to look for nuclei "
        "instead."
    )
    assert updates[1].message == "12 tiles cover C07.tif."
    result = updates[-1].result
    assert result is not None
    image, generated = result.image.whole()
    assert generated.all()
    # Most of every pixel is of tiles, not of the interpolated LR image.
    blank = replace(result.image, sr=np.zeros_like(result.image.sr)).whole()[0]
    assert (blank / image).max() < 0.3
    assert result.record["tiles"] is True
    assert len(result.dropped) == 0


def test_rows_of_tiles_are_told(bundle: Bundle, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "C07.tif", field().data[0], photometric="minisblack")
    job = RunFields(bundle, QUICK, FIELDS, MEASURED, tmp_path / "out")
    told = [update.message for update in job.updates([tmp_path / "C07.tif"]) if update.message]
    tiles = [k for k, text in enumerate(told) if text.startswith("Fields are run in overlapping")]
    assert tiles[0] < next(k for k, text in enumerate(told) if "tiles cover" in text)
    assert sum("overlapping tiles of 32" in text for text in told) == 1
    assert any(text.startswith("Rows are overlapping tiles of fields, no single") for text in told)
    assert told[-2].startswith("12 tiles of 1 of 1 fields are in ")
    table, record = read_table(tmp_path / "out" / "cells.csv")
    assert len(pd.DataFrame(table)) == 24
    assert any("no single cells" in warning for warning in record["warnings"])
