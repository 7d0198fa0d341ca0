"""The camera's noise: its model, how it is found, and where it is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_bench import run as command
from numpy.typing import NDArray
from scipy import ndimage
from tiny_job import SETTINGS, job, run, write_fields
from torch import Tensor

from napari_rls import Settings, super_resolve
from napari_rls.evaluation.scores import generated_features
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.models.manifest import Intensity, Manifest
from napari_rls.training.fit_camera import enough_images, fit_camera
from napari_rls.training.trainer import Trainer
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.examples import draw_prior_sample
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.super_resolve.search_batches import SAMPLES_EVERY
from napari_rls.workflow.super_resolve.updates import Update
from napari_rls.workflow.train.fitted import missing_noise, with_camera

CAMERA = CameraNoise(slope=(2e-3, 4e-4), floor=(1e-4, 0.0))
QUICK = Settings(
    factor=4,
    steps=5,
    samples=0,
    batch_size=3,
    intensity="bundle",
    device="cpu",
    precision="float32",
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- the model -----------------------------------------------------------------------------


@pytest.mark.parametrize("level", [-1.0, -0.5, 0.0, 1.5])
def test_the_variance_grows_with_the_light(level: float) -> None:
    clean = torch.full((40, 2, 64, 64), level)
    noise = CAMERA.drawn(clean, rng()) - clean
    for channel, (slope, floor) in enumerate(zip(CAMERA.slope, CAMERA.floor, strict=True)):
        found = noise[:, channel]
        assert found.var().item() == pytest.approx(slope * (level + 1) + floor, rel=0.02, abs=1e-9)
        assert abs(found.mean().item()) < 1e-3
    assert abs(np.corrcoef(noise[:, 0].flatten(), noise[:, 1].flatten())[0, 1]) < 0.01


def test_below_black_there_is_the_floor_and_a_gradient_everywhere() -> None:
    image = torch.tensor([-3.0, -1.0, 1.0]).expand(2, 1, 3).clone().requires_grad_()
    deviation = CAMERA.deviation(image)
    assert deviation[0, 0, 0].item() == pytest.approx(1e-2)
    assert deviation[1, 0, 0].item() < 2e-5
    deviation.sum().backward()
    assert image.grad is not None
    assert bool(image.grad.isfinite().all())


def test_images_of_a_camera_of_whole_grey_levels_have_no_others() -> None:
    whole = CameraNoise(slope=(2e-3, 4e-4), floor=(1e-4, 0.0), step=2 / 255)
    clean = torch.full((40, 2, 64, 64), 0.1)
    levels = (whole.drawn(clean, rng()) + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    before = (CAMERA.drawn(clean, rng()) + 1) * 127.5
    assert (levels - before).abs().max() <= 0.5 + 1e-3
    noise = levels - 1.1 * 127.5
    for channel, slope, floor in zip((0, 1), whole.slope, whole.floor, strict=True):
        variance = 127.5**2 * (slope * 1.1 + floor) + 1 / 12
        assert noise[:, channel].var().item() == pytest.approx(variance, rel=0.02)


def test_training_goes_through_whole_grey_levels() -> None:
    whole = CAMERA.model_copy(update={"step": 0.1})
    gradients = []
    for camera in (CAMERA, whole):
        image = torch.linspace(-0.9, 0.9, 32).reshape(1, 2, 4, 4).requires_grad_()
        camera.drawn(image, rng()).square().mean().backward()
        assert image.grad is not None
        gradients.append(image.grad)
    assert torch.allclose(*gradients, atol=0.01)
    assert gradients[0].abs().min() > 0


def test_a_manifest_needs_a_number_for_each_channel(tiny_bundle: Bundle) -> None:
    words = tiny_bundle.manifest.model_dump()
    with pytest.raises(ValueError, match="a number for each channel"):
        CameraNoise(slope=(0.1, 0.1), floor=(0.0,))
    with pytest.raises(ValueError, match="the camera's noise needs a number for each channel"):
        Manifest.model_validate({**words, "camera": {"slope": (0.1,), "floor": (0.0,)}})


def test_bundles_info_tells_it_in_the_bundles_unit(tmp_path: Path, tiny_bundle: Bundle) -> None:
    unit = Intensity(low=100, high=1100)
    words = tiny_bundle.manifest.model_copy(update={"camera": CAMERA, "intensity": unit})
    replace(tiny_bundle, manifest=words).save(tmp_path / "tiny.rls.safetensors")
    text = " ".join(command("bundles", "info", tmp_path / "tiny.rls.safetensors").stdout.split())
    # 500 counts are 1: 500 sqrt(1e-4), 500 sqrt(41e-4), 0 and 500 sqrt(8e-4).
    assert "deviation from black to white: nucleus 5 to 32, protein 0 to 14" in text
    assert "whole grey levels" not in text
    whole = words.model_copy(update={"camera": CAMERA.model_copy(update={"step": 0.002})})
    replace(tiny_bundle, manifest=whole).save(tmp_path / "whole.rls.safetensors")
    text = " ".join(command("bundles", "info", tmp_path / "whole.rls.safetensors").stdout.split())
    assert "protein 0 to 14; to whole grey levels" in text


# -- how it is found -----------------------------------------------------------------------


def cells(seed: int, count: int = 150) -> Tensor:
    """Return smooth images (count, 2, 48, 48), dark with bright blobs, and a few sharp spots."""
    numbers = np.random.default_rng(seed)
    images = ndimage.gaussian_filter(numbers.normal(size=(count, 2, 48, 48)), (0, 0, 6, 6))
    images = np.clip(images / images.std() * 0.5 - 0.5, -0.98, None)
    images += 0.8 * (numbers.random(images.shape) < 0.003)
    return torch.from_numpy(images.astype(np.float32))


def assert_near(found: CameraNoise, wanted: CameraNoise, within: float) -> None:
    assert found.slope == pytest.approx(wanted.slope, rel=within)
    for own, true, slope in zip(found.floor, wanted.floor, wanted.slope, strict=True):
        assert own == pytest.approx(true, abs=0.05 * slope)


def test_noise_that_smooth_images_lack_is_found() -> None:
    assert_near(fit_camera(CAMERA.drawn(cells(0), rng()), cells(1)), CAMERA, 0.15)


def test_noise_of_their_own_counts() -> None:
    half = CameraNoise(slope=(1e-3, 2e-4), floor=(5e-5, 0.0))
    real = CAMERA.drawn(cells(0), rng())
    assert_near(fit_camera(real, half.drawn(cells(1), rng(1))), half, 0.15)


def test_whole_grey_levels_do_not_hide_it() -> None:
    real = ((CAMERA.drawn(cells(0), rng()) + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    found = fit_camera(real, cells(1), 2 / 255)
    assert found.slope == pytest.approx(CAMERA.slope, rel=0.2)
    assert found.step == 2 / 255
    floor = fit_camera(real, cells(1)).floor
    # Rounding makes its own noise again: 1/12 of a grey level's square.
    assert found.floor == pytest.approx([max(f - (2 / 255) ** 2 / 12, 0) for f in floor])


def test_crops_of_an_integer_type_are_of_whole_grey_levels(tiny_bundle: Bundle) -> None:
    crops = (cells(0, 20)[..., :32, :32].numpy() + 1).clip(0, 2) * 127.5
    intensity = Intensity(low=0, high=255)
    generator = tiny_bundle.generator
    assert missing_noise(generator, crops.astype(np.uint8), intensity).step == 2 / 255
    assert missing_noise(generator, crops, intensity).step == 0
    assert missing_noise(generator, crops.astype(np.uint8), Intensity(low=0.5, high=255)).step == 0


def test_sr_images_of_real_cells_are_of_whole_grey_levels_as_theirs() -> None:
    lr = np.random.default_rng(0).uniform(0, 60, (2, 2, 4, 4)).astype(np.float32)
    quick = QUICK.model_copy(update={"factor": 16, "steps": 2})
    *_, last = super_resolve(lr, "bbbc013-translocation-64", quick)
    assert np.allclose(last.sr, last.sr.round(), atol=1e-3)
    smooth_settings = quick.model_copy(update={"camera_noise": False})
    *_, smooth = super_resolve(lr, "bbbc013-translocation-64", smooth_settings)
    assert not np.allclose(smooth.sr, smooth.sr.round(), atol=0.1)


def test_where_nothing_is_missing_nothing_is_found() -> None:
    noisy = CAMERA.drawn(cells(1), rng(1))
    assert fit_camera(cells(0), noisy) == CameraNoise(slope=(0, 0), floor=(0, 0))


def test_images_that_have_nothing_in_common_end_no_training() -> None:
    real = torch.where(cells(0, 20) > -0.6, 1.0, -1.0)
    for generated in (torch.full_like(real, 5.0), torch.full_like(real, torch.nan), 1000 * real):
        found = fit_camera(real, generated)
        assert all(0 <= value <= 1 for value in (*found.slope, *found.floor))
    assert max(fit_camera(1000 * cells(0, 20), cells(1, 20)).slope) <= 1


def test_large_images_are_compared_in_smaller_number() -> None:
    assert [enough_images(size) for size in (64, 128, 256, 1024)] == [1000, 1000, 250, 15]


# -- where it is drawn ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Bundle) -> Bundle:
    manifest = tiny_bundle.manifest.model_copy(update={"camera": CAMERA})
    return replace(tiny_bundle, manifest=manifest)


@pytest.fixture(scope="module")
def lr(tiny_bundle: Bundle) -> NDArray[np.float32]:
    return np.asarray(draw_prior_sample(tiny_bundle, count=5, factor=4, seed=2).lr.data)


def searched(lr: NDArray[np.float32], bundle: Bundle, **changes: object) -> list[Update]:
    return list(super_resolve(lr, bundle, QUICK.model_copy(update=changes)))


def unit(bundle: Bundle, images: NDArray[np.float32]) -> Tensor:
    low, high = bundle.manifest.intensity.low, bundle.manifest.intensity.high
    return torch.from_numpy((images - low) / (high - low) * 2 - 1)


def test_final_images_alone_are_recorded(lr: NDArray[np.float32], bundle: Bundle) -> None:
    noisy, clean = searched(lr, bundle), searched(lr, bundle, camera_noise=False)
    for one, other in zip(noisy, clean, strict=True):
        assert np.array_equal(one.latents, other.latents)
        assert np.array_equal(one.sr, other.sr) == (not one.found)
    for k in (4, 9):
        smooth = unit(bundle, clean[k].sr)
        standard = (unit(bundle, noisy[k].sr) - smooth) / CAMERA.deviation(smooth)
        for channel in range(2):
            lit = standard[:, channel][smooth[:, channel] > -0.9]
            assert lit.var().item() == pytest.approx(1, rel=0.1)


def test_the_residual_is_that_of_the_image_that_is_shown(
    lr: NDArray[np.float32], bundle: Bundle
) -> None:
    last = searched(lr, bundle)[-1]
    own = np.abs(degrade(last.sr, 4) - lr[last.cells]).mean(axis=(2, 3))
    assert np.allclose(last.lr_residual, own, rtol=1e-3, atol=1e-3)


def test_a_cells_noise_is_its_own(lr: NDArray[np.float32], bundle: Bundle) -> None:
    together = searched(lr, bundle, batch_size=5)[-1].sr
    clean = searched(lr, bundle, batch_size=5, camera_noise=False)[-1].sr
    apart = searched(lr, bundle, batch_size=1)
    noise = together - clean
    for cell, update in enumerate(u for u in apart if u.found):
        assert np.allclose(update.sr[0], together[cell], atol=0.5)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1
    other = searched(lr, bundle, batch_size=5, seed=1, start="mean")[-1].sr
    same = searched(lr, bundle, batch_size=5, seed=1, start="mean")[-1].sr
    assert np.array_equal(other, same)


def test_samples_have_noise_of_their_own(lr: NDArray[np.float32], bundle: Bundle) -> None:
    changes = {"samples": 2, "sample_steps": SAMPLES_EVERY}
    noisy = searched(lr[:3], bundle, **changes)[-1].samples
    clean = searched(lr[:3], bundle, camera_noise=False, **changes)[-1].samples
    assert noisy is not None
    assert clean is not None
    first, second = (noisy - clean).reshape(2, -1)
    assert first.std() > 0
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_a_bundle_without_a_camera_draws_none(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    on, off = (searched(lr, tiny_bundle, camera_noise=flag)[-1].sr for flag in (True, False))
    assert np.array_equal(on, off)


# -- in training ---------------------------------------------------------------------------


def test_d_sees_generated_images_through_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SETTINGS.model_copy(update={"camera": CAMERA, "mirror": False})
    trainer = Trainer(settings, torch.device("cpu"), torch.float32)
    drawn: list[Tensor] = []
    made = trainer.generator.synthesis.forward

    def see(*args: object, **kwargs: object) -> Tensor:
        drawn.append(made(*args, **kwargs))  # type: ignore[arg-type]
        return drawn[-1]

    seen: list[Tensor] = []
    monkeypatch.setattr(trainer.generator.synthesis, "forward", see)
    monkeypatch.setattr(trainer, "_seen", lambda images: seen.append(images) or images)

    class Some:
        def batch(self, _first: int, count: int) -> Tensor:
            return torch.zeros(count, 2, 16, 16)

    trainer.step(Some())  # type: ignore[arg-type]
    standard = (seen[1] - drawn[0]) / CAMERA.deviation(drawn[0])
    assert standard.var().item() == pytest.approx(1, rel=0.1)


def test_a_bundle_knows_the_camera_of_its_training(tmp_path: Path) -> None:
    write_fields(tmp_path / "fields")
    plan = job(tmp_path, settings=SETTINGS.model_copy(update={"camera": CAMERA}))
    run(plan)
    assert load_bundle(plan.out).manifest.camera == CAMERA


def test_without_one_the_bundle_gets_what_its_images_lack(tmp_path: Path) -> None:
    write_fields(tmp_path / "fields")
    plan = job(tmp_path)
    run(plan)
    bundle = load_bundle(plan.out)
    crops = read_stack(plan.folder / "crops-training.ome.tif").data
    assert bundle.manifest.camera is not None
    assert bundle.manifest.camera == with_camera(bundle, crops).manifest.camera
    assert max(bundle.manifest.camera.slope + bundle.manifest.camera.floor) > 0


def test_other_noise_voids_what_was_measured_on_held_out_cells(tiny_bundle: Bundle) -> None:
    trust = load_bundle("bbbc013-translocation-64").manifest.trust
    calibrated = replace(
        tiny_bundle, manifest=tiny_bundle.manifest.model_copy(update={"trust": trust})
    )
    changed = with_camera(calibrated, np.zeros((1, 2, 32, 32)), CAMERA).manifest
    assert (changed.camera, changed.trust) == (CAMERA, ())


def test_scores_are_of_recorded_images(tiny_bundle: Bundle) -> None:
    smooth = generated_features(tiny_bundle.generator, 12)
    noisy = generated_features(tiny_bundle.generator, 12, camera=CAMERA)
    none = CameraNoise(slope=(0, 0), floor=(0, 0))
    assert not torch.allclose(smooth, noisy, atol=0.1)
    assert torch.allclose(
        smooth, generated_features(tiny_bundle.generator, 12, camera=none), atol=0.05
    )
