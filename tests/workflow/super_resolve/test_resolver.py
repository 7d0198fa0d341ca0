"""The one job: arrays in, updates out, in the LR image's unit, with clear errors."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_rls import Settings, super_resolve
from napari_rls.errors import BundleError, InputError, SettingsError
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.benchmark.benchmark_settings import BenchmarkSettings
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.examples import draw_prior_sample
from napari_rls.workflow.cells.stack import CellStack, stack_from_array
from napari_rls.workflow.cells.usable import unusable_cells
from napari_rls.workflow.super_resolve.resolver import SuperResolver, Update
from napari_rls.workflow.super_resolve.result import Collector

QUICK = Settings(factor=4, steps=20, learning_rate=0.1, batch_size=3, samples=0)


@pytest.fixture(scope="module")
def lr(tiny_bundle: Bundle) -> NDArray[np.float32]:
    return np.asarray(draw_prior_sample(tiny_bundle, count=5, factor=4, seed=2).lr.data)


def last(lr: NDArray[np.generic], bundle: Bundle, settings: Settings = QUICK) -> Update:
    *_, update = super_resolve(lr, bundle, settings)
    return update


def test_updates_tell_the_whole_run(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    updates = list(super_resolve(lr, tiny_bundle, QUICK))
    assert [u.step for u in updates] == [*range(1, 21)] * 2
    assert [u.cells.tolist() for u in updates[::20]] == [[0, 1, 2], [3, 4]]
    assert [u.cells_done for u in updates if u.finished] == [3, 5]
    assert updates[-1].seconds_left == 0
    for update in updates:
        n = len(update.cells)
        assert update.sr.shape == (n, 2, 32, 32)
        assert update.sr.dtype == np.float32
        assert update.latents.shape == (n, 8, 16)
        assert update.lr_residual.shape == (n, 2)


def test_the_residual_is_what_a_user_would_compute(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    update = last(lr, tiny_bundle)
    own = np.abs(degrade(update.sr, 4) - lr[update.cells]).mean(axis=(2, 3))
    assert np.allclose(update.lr_residual, own, rtol=1e-3, atol=1e-3)


def test_same_settings_same_result(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    settings = QUICK.model_copy(update={"precision": "float32", "threads": 1})
    first, again = (last(lr, tiny_bundle, settings) for _ in range(2))
    assert np.array_equal(first.sr, again.sr)


def test_the_unit_of_the_lr_image_comes_back(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    settings = QUICK.model_copy(update={"intensity": "match", "precision": "float32"})
    plain = last(lr, tiny_bundle, settings).sr
    other = last(lr * 50 + 1000, tiny_bundle, settings).sr
    assert np.abs(other - (plain * 50 + 1000)).max() < 0.02 * np.ptp(other)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_any_real_type(lr: NDArray[np.float32], tiny_bundle: Bundle, dtype: str) -> None:
    image = np.clip(lr, 0, 255).astype(dtype)
    assert np.isfinite(last(image, tiny_bundle).sr).all()


def test_the_default_factor_is_the_one_that_fits(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    assert next(super_resolve(lr, tiny_bundle)).run.settings.factor == 4


def test_cells_that_cannot_be_searched_are_skipped(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    image = lr.copy()
    image[1, 0, 2, 2] = np.nan
    image[3] = 7
    updates = list(super_resolve(image, tiny_bundle, QUICK))
    assert np.concatenate([u.cells for u in updates if u.finished]).tolist() == [0, 2, 4]
    assert set(updates[0].run.skipped) == {1, 3}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 8, 8), "needs 2 channels .nucleus, protein.: its first axis of 3 is not"),
        ((1, 2, 7, 7), "7 x 7 pixels, which no scale factor brings to the 32 x 32"),
        ((1, 2, 8, 16), "8 x 16 pixels, which no scale factor"),
        ((1, 2, 32, 32), "tiny: these seem to be HR or SR images already; give LR crops of 16 x"),
        ((1, 2, 16, 16), "the scale factor must be 2, not 4"),
        ((2, 0, 8), "is empty"),
        ((2, 2, 2, 2, 2, 2), "a single cell is .channel, y, x."),
    ],
)
def test_images_that_do_not_fit(tiny_bundle: Bundle, shape: tuple[int, ...], message: str) -> None:
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    with pytest.raises(InputError, match=message):
        super_resolve(image, tiny_bundle, QUICK)


def test_an_image_without_any_signal(tiny_bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"no cell can be searched .every pixel has the same"):
        super_resolve(np.full((2, 2, 8, 8), 5.0), tiny_bundle, QUICK)
    with pytest.raises(InputError, match="NaN"):
        super_resolve(np.full((2, 2, 8, 8), np.nan), tiny_bundle, QUICK)


def test_every_channel_of_a_cell_must_show_something() -> None:
    data = np.random.default_rng(0).normal(size=(4, 2, 8, 8))
    data[1, 1], data[2], data[3, 0, 0, 0] = 0, 7, np.nan
    assert unusable_cells(CellStack(data, ("DNA", "GFP"))) == {
        1: "every pixel of GFP has the same value",
        2: "every pixel has the same value",
        3: "it holds NaN or infinite values",
    }


def test_a_device_that_is_not_there(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    with pytest.raises(SettingsError, match="cuda:77"):
        super_resolve(lr, tiny_bundle, QUICK.model_copy(update={"device": "cuda:77"}))


def test_a_bundle_that_is_not_there(lr: NDArray[np.float32]) -> None:
    with pytest.raises(BundleError, match="There is no bundle 'none'"):
        super_resolve(lr, "none")


def test_the_record_names_the_bundle_that_was_used(
    lr: NDArray[np.float32], tiny_bundle_file: Path, tiny_bundle: Bundle
) -> None:
    for bundle in (str(tiny_bundle_file), tiny_bundle):
        run = next(super_resolve(lr, bundle, QUICK)).run
        assert QUICK.bundle != run.settings.bundle == str(tiny_bundle_file)
        assert run.manifest.content_hash == tiny_bundle.manifest.content_hash
    embedded = load_bundle("golgi-simulated-128")
    cell = np.random.default_rng(0).uniform(0, 200, (1, 2, 8, 8))
    result = Collector(stack_from_array(cell), 128)
    result.add(next(super_resolve(cell, embedded, Settings(factor=16, steps=1, samples=0))))
    record = result.provenance()
    assert record["settings"]["bundle"] == record["bundle"]["name"] == "golgi-simulated-128"
    assert record["bundle"]["content_hash"] == embedded.manifest.content_hash
    # One that was made in memory is called by its name.
    assert replace(tiny_bundle, source="").reference == "tiny"


def test_a_cell_of_unusual_intensities_is_named_and_leaves_the_others_alone(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    clean = lr.clip(0, 255)
    spoiled = clean.copy()
    spoiled[1, 0, 0, 0] = 65535
    before, after = (last(image, tiny_bundle).run for image in (clean, spoiled))
    assert before.intensity == after.intensity
    assert before.unusual == {}
    assert list(after.unusual) == [1]
    result = Collector(stack_from_array(spoiled), 32)
    result.begin(after)
    assert result.provenance()["intensity"]["unusual"] == {
        "1": "it has pixels far outside the intensities that the bundle knows"
    }


def test_cells_unlike_the_bundles_are_told_before_the_search(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    embedded = load_bundle("bbbc013-translocation-64")
    own = np.asarray(draw_prior_sample(embedded, count=12, factor=8, seed=2).lr.data)

    def doubt(cells: NDArray[np.float32], **options: object) -> str:
        run = SuperResolver(embedded, Settings(factor=8, **options)).prepare(cells).run
        result = Collector(stack_from_array(cells), 64)
        result.begin(run)
        assert result.provenance()["intensity"]["doubt"] == run.doubt
        return run.doubt

    assert doubt(own) == ""
    # 8-bit images of a camera with an offset lie in the bundle's range; what its encoder leaves of
    # them is taken for noise.
    assert doubt(own + 20) == (
        "12 of 12 cells do not look like those that the bundle bbbc013-translocation-64 knows "
        "(brightness, contrast, how light is spread): that may be their noise, which the search "
        "knows; if their camera or exposure is another, choose the intensities 'match'; else "
        "their SR images are not to be trusted."
    )
    assert doubt(own + 20, intensity="match") == ""
    assert "or the pixel size is another, their SR" in doubt(255 - own, intensity="match")
    # Of one without held-out cells nothing is known.
    assert SuperResolver(tiny_bundle, QUICK).prepare(lr * 3).run.doubt == ""


def test_pixels_of_another_size_than_the_bundles_are_told() -> None:
    embedded = load_bundle("golgi-simulated-128")
    own = draw_prior_sample(embedded, count=12, factor=16, seed=2).lr

    def doubt(size: float | None) -> str:
        cells = replace(own, pixel_size_um=size)
        return SuperResolver(embedded, Settings(factor=16)).prepare(cells).run.doubt

    assert embedded.manifest.pixel_size_um == 0.325
    assert doubt(None) == doubt(5.2) == doubt(5.0) == ""
    assert doubt(0.325) == (
        "The image's pixels are 0.325 µm wide, as those of HR images of the bundle "
        "golgi-simulated-128, and not 5.2 µm as of LR images at 16x: it seems to be an HR image; "
        "give an LR one, or correct the pixel size."
    )
    assert doubt(1.0) == (
        "The image's pixels are 1 µm wide, and those of the bundle golgi-simulated-128 at 16x "
        "5.2 µm: its cells are not as large in pixels as those that the bundle knows; resample "
        "them, or correct the pixel size."
    )


def test_a_known_camera_offset_is_taken(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    settings = QUICK.model_copy(update={"camera_offset": 500.0})
    assert last(lr * 16 + 500, tiny_bundle, settings).run.intensity.low == (500.0, 500.0)
    with pytest.raises(SettingsError, match="camera_offset cannot be used with the intensity"):
        Settings.parse({"camera_offset": 500, "intensity": "bundle"})
    assert Settings.parse({"camera_offset": ""}).camera_offset is None


SAMPLED = QUICK.model_copy(update={"samples": 3, "sample_steps": 12})


def test_samples_follow_the_search(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    updates = list(super_resolve(lr, tiny_bundle, SAMPLED))
    assert [u.step for u in updates] == [*range(1, 33)] * 2
    assert {u.steps for u in updates} == {32}
    assert [u.cells_done for u in updates if u.finished] == [3, 5]
    assert [u.step for u in updates if u.samples is not None] == [30, 32] * 2
    assert [u.found for u in updates[:32]] == [False] * 19 + [True] * 13
    assert updates[-1].seconds_left == 0
    plain = last(lr, tiny_bundle)
    np.testing.assert_array_equal(updates[-1].sr, plain.sr)
    samples = updates[-1].samples
    assert samples is not None
    assert samples.shape == (3, 2, 2, 32, 32)
    assert samples.dtype == np.float32
    assert (samples.std(0) > 0).any((1, 2, 3)).all()
    # In the LR image's unit, and nearer to the LR image than that of another cell.
    near = np.abs(degrade(samples.reshape(-1, 2, 32, 32), 4).reshape(3, 2, 2, 8, 8) - lr[3:])
    assert near.mean() < 0.8 * np.abs(lr[3:] - lr[:2]).mean()


def test_samples_repeat_and_follow_the_seed(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    first, again = (last(lr, tiny_bundle, SAMPLED).samples for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first, again)
    other = last(lr, tiny_bundle, SAMPLED.model_copy(update={"seed": 1})).samples
    assert other is not None
    assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("method", "posterior", "samples"),
    [("rls", "bound", 3), ("rls", "paper", 3), ("brgm", "bound", 0), ("pulse", "bound", 0)],
)
def test_cells_and_their_samples_do_not_depend_on_the_batch(
    lr: NDArray[np.float32], tiny_bundle: Bundle, method: str, posterior: str, samples: int
) -> None:
    camera = CameraNoise(slope=(1e-3, 1e-3), floor=(1e-3, 1e-3))
    manifest = tiny_bundle.manifest.model_copy(update={"camera": camera})
    bundle = replace(tiny_bundle, manifest=manifest)
    settings = Settings(
        method=method, factor=4, steps=5, samples=samples, sample_steps=12, posterior=posterior,
        precision="float32",
    )  # fmt: skip

    def found(size: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        own = settings.model_copy(update={"batch_size": size, "seed": seed})
        updates = [u for u in super_resolve(lr, bundle, own) if u.finished]
        assert [len(u.cells) for u in updates[:-1]] == [size] * (len(updates) - 1)
        sr = np.concatenate([u.sr for u in updates])
        drawn = [u.samples for u in updates if u.samples is not None]
        return sr, np.concatenate(drawn, axis=1) if drawn else sr[None]

    singly = found(1)
    for size in (3, 4):
        for one, other in zip(singly, found(size), strict=True):
            np.testing.assert_allclose(one, other, atol=0.2)
    # The same LR image has other samples as another cell, and under the seed of that cell.
    lr = np.repeat(lr[:1], 3, axis=0)
    every = [found(3)[1][:, k] for k in (0, 1)] + [found(3, seed)[1][:, 0] for seed in (1, 2)]
    for one, other in itertools.combinations(every, 2):
        assert np.abs(one - other).max() > 1


@pytest.mark.parametrize("bundle", [None, 3, b"x", {"name": "b"}])
def test_what_is_no_bundle_is_refused_at_the_call(bundle: object) -> None:
    with pytest.raises(InputError, match=r"^The bundle is (None|of the kind \w+); give a loaded"):
        super_resolve(np.zeros((1, 2, 8, 8)), bundle)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=r"given as text or a path, and not as \w+\.$"):
        load_bundle(bundle)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"steps": 3}, 3, "fast"])
def test_what_are_no_settings_is_refused_at_the_call(settings: object, tiny_bundle: Bundle) -> None:
    with pytest.raises(
        SettingsError, match=r"^The settings are of the kind \w+; give napari_rls\."
    ):
        super_resolve(np.zeros((1, 2, 8, 8)), tiny_bundle, settings)  # type: ignore[arg-type]


def test_a_bundle_by_its_path(tiny_bundle_file: Path) -> None:
    cells = np.random.default_rng(0).random((1, 2, 8, 8))
    *_, last = super_resolve(cells, tiny_bundle_file, Settings(factor=4, steps=1, samples=0))
    assert last.finished


@pytest.mark.parametrize("value", [True, False, np.True_])
@pytest.mark.parametrize("name", ["steps", "lambda_w", "camera_offset", "factor", "seed"])
def test_true_and_false_are_no_numbers(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be a number, not true or false"):
        Settings.parse({name: value})
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({name: bool(value)}))
    with pytest.raises(SettingsError, match=f"{name} must be a number, not true or false"):
        Settings.load(file)


def test_true_and_false_in_lists_and_other_settings() -> None:
    with pytest.raises(ValidationError, match="factors"):
        BenchmarkSettings(factors=(True, 8))
    with pytest.raises(ValidationError, match="not true or false"):
        TrainSettings(size=16, channels=("a",), kimg=True)
    assert Settings(camera_noise=True).camera_noise is True
    with pytest.raises(SettingsError, match="degrade: factor must be a number, not true"):
        degrade(np.zeros((8, 8)), True)
