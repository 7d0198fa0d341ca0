"""Searches that are held to the nucleus to cytoplasm ratio that LR images tell by themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.direct_spec import LEVELS, Shrinkage
from napari_rls.models.manifest import Manifest
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.trust_levels import measured
from napari_rls.workflow.super_resolve.resolver import SuperResolver
from napari_rls.workflow.super_resolve.told_column import told_column, with_told
from napari_rls.workflow.super_resolve.told_of_lr import teller

COLUMN = "Math_Log2Ratio_NucleusCytoplasm_FKHRGFP"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle("bbbc013-translocation-64")


@pytest.fixture(scope="module")
def lr(bundle: Bundle) -> CellStack:
    """Cells of the generator, as clean LR crops of 16x."""
    pixels = ((Bicubic(16)(drawn(bundle)) + 1) * 127.5).clamp(0, 255).numpy()
    return CellStack(pixels, bundle.manifest.channel_names)


def drawn(bundle: Bundle) -> Tensor:
    """HR images that the generator draws, -1 to 1."""
    with torch.no_grad():
        made = bundle.generator.synthesis(bundle.generator.broadcast(bundle.draw_w(24, 3)))
    return made.clamp(-1, 1)


def of_spec(manifest: Manifest, **changes: object) -> Manifest:
    assert manifest.direct is not None
    return manifest.model_copy(update={"direct": manifest.direct.model_copy(update=changes)})


def test_what_is_told_is_the_median_drawn_apart_again(bundle: Bundle, lr: CellStack) -> None:
    told = told_column(bundle.manifest, 16)
    assert told is not None
    assert told.name == COLUMN
    images = torch.from_numpy(lr.data / 127.5 - 1).float()
    tell = teller(bundle, Settings(factor=16))(images)
    assert tell is not None
    column = bundle.manifest.direct.columns[told.place]
    assert column.column == COLUMN
    medians = bundle.direct.turned(images, 16)[:, told.place, LEVELS.index(0.5)]
    shrunk = column.centre + column.scale * medians
    line = told.shrinkage
    assert 0.7 < line.slope < 1
    torch.testing.assert_close(tell.values[:, 0] * line.slope + line.offset, shrunk)


def test_sr_images_are_measured_as_lr_images_tell(bundle: Bundle, lr: CellStack) -> None:
    images = torch.from_numpy(lr.data / 127.5 - 1).float()
    told = teller(bundle, Settings(factor=16))(images).values[:, 0].numpy()
    measure = MeasureSettings.model_validate(dict(bundle.manifest.direct.measurement))
    off = {}
    for weight in (0.0, 0.05):
        settings = Settings(
            factor=16, lambda_m=weight, steps=40, samples=0, threads=1, camera_noise=False
        )
        sr = SuperResolver(bundle, settings).run(lr).sr
        found = measured(sr, CellStack(sr, lr.channels), measure)[COLUMN]
        off[weight] = np.nanmedian(np.abs(found - told))
    assert off[0.05] < 0.1
    assert off[0.05] < off[0.0] / 2


def test_a_run_says_what_it_is_held_to(bundle: Bundle, lr: CellStack) -> None:
    run = SuperResolver(bundle, Settings(factor=16)).prepare(lr).run
    sentence = (
        f"The search is held to {COLUMN} as the LR images tell it without an image (lambda_m 0.05)."
    )
    assert run.settings.lambda_m == 0.05
    assert sentence in run.told
    plain = SuperResolver(bundle, Settings(factor=16, lambda_m=0)).prepare(lr).run
    assert (plain.settings.lambda_m, plain.held) == (0, "")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"factor": 4}, "at 4x is nothing that the bundle bbbc013-translocation-64 knows well"),
        ({"factor": 32}, "at 32x is nothing that the bundle bbbc013-translocation-64 knows well"),
        ({"factor": 16, "reading": "likelihood"}, "is known of images without noise alone"),
        (
            {"factor": 16, "operator": "optics"},
            "is known of the operator bicubic alone, not of optics",
        ),
    ],
)
def test_what_cannot_be_told_counts_as_nothing(
    bundle: Bundle, changes: dict[str, object], why: str
) -> None:
    settings, sentence = with_told(Settings.parse(changes), bundle.manifest)
    assert (settings.lambda_m, sentence) == (0, "")
    # Whoever has asked for it is told why.
    settings, sentence = with_told(Settings.parse({**changes, "lambda_m": 0.1}), bundle.manifest)
    assert settings.lambda_m == 0
    assert sentence.startswith("lambda_m counts as 0: what LR images tell of a ratio")
    assert why in sentence


def test_noisy_images_tell_nothing(bundle: Bundle, lr: CellStack) -> None:
    noise = np.random.default_rng(0).normal(0, 20, lr.data.shape)
    noisy = CellStack((lr.data + noise).clip(0, 255).astype(np.float32), lr.channels)
    run = SuperResolver(bundle, Settings(factor=16)).prepare(noisy).run
    assert run.settings.reading == "likelihood"
    assert run.settings.lambda_m == 0


def test_hot_pixels_spoil_what_their_own_cell_tells(bundle: Bundle, lr: CellStack) -> None:
    images = torch.from_numpy(lr.data / 127.5 - 1).float()
    hot = images.clone()
    hot[3, 1, 0, 0] = 1.0
    values = teller(bundle, Settings(factor=16))(hot).values
    clean = teller(bundle, Settings(factor=16))(images).values
    assert clean.isfinite().all()
    assert values[3].isnan().all()
    others = torch.arange(len(images)) != 3
    torch.testing.assert_close(values[others], clean[others])


def test_intensities_that_do_not_begin_at_0_are_measured_as_they_are(bundle: Bundle) -> None:
    manifest = bundle.manifest
    intensity = manifest.intensity.model_copy(update={"low": 200.0, "high": 1200.0})
    told = told_column(manifest.model_copy(update={"intensity": intensity}), 16)
    hr = drawn(bundle)
    stored = 200 + (hr + 1) / 2 * 1000
    measure = MeasureSettings.model_validate(dict(manifest.direct.measurement))
    stack = CellStack(stored.numpy(), manifest.channel_names)
    found = measured(stack.data, stack, measure)[COLUMN]
    known = np.isfinite(found)
    ratios = told.nuclear.log_ratios(hr)[:, 0].numpy()
    np.testing.assert_allclose(ratios[known], found[known], atol=0.01)


def test_settings_of_a_file_that_names_everything_ask_for_nothing() -> None:
    golgi = load_bundle("golgi-simulated-128").manifest
    saved = Settings.parse(Settings(factor=16).model_dump())
    settings, sentence = with_told(saved, golgi)
    assert (settings.lambda_m, sentence) == (0, "")


def test_bundles_that_know_no_such_ratio_tell_none(bundle: Bundle) -> None:
    manifest = bundle.manifest
    spec = manifest.direct
    assert told_column(load_bundle("golgi-simulated-128").manifest, 16) is None
    assert told_column(manifest.model_copy(update={"direct": None}), 16) is None
    others = tuple(column for column in spec.columns if column.column != COLUMN)
    assert told_column(of_spec(manifest, columns=others), 16) is None
    for line in ((), (None,) * 3, (Shrinkage(offset=0, slope=0.49),) * 3):
        columns = tuple(c.model_copy(update={"shrinkage": line}) for c in spec.columns)
        assert told_column(of_spec(manifest, columns=columns), 16) is None
    subtracted = dict(spec.measurement)
    subtracted["translocation"] = {**subtracted["translocation"], "background_percentile": 5.0}
    assert told_column(of_spec(manifest, measurement=subtracted), 16) is None
    moved = {**spec.measurement, "camera_offset": 10.0}
    assert told_column(of_spec(manifest, measurement=moved), 16) is None
    assert teller(bundle, Settings(factor=4))(torch.zeros(1, 2, 16, 16)) is None
