"""The training of a field encoder: what it learns, that it resumes, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_model import random_bundle

from napari_rls.errors import TrainingError
from napari_rls.measure.nuclear_ratio import Nuclear
from napari_rls.measure.translocation import TranslocationSettings
from napari_rls.models.bundle import Bundle
from napari_rls.training.dataset import Crops
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.fit_field_encoder import Progress, train
from napari_rls.training.training_settings import TrainSettings

SHAPE = TrainSettings(size=32, channels=("nucleus", "protein"), batch_size=4)
TINY = {
    "width": 4,
    "hidden": 16,
    "image_width": 4,
    "steps": 12,
    "batch_size": 4,
    "report_steps": 4,
    "threads": 1,
    "device": "cpu",
}


def settings(**changes: object) -> FieldEncoderSettings:
    return FieldEncoderSettings.model_validate(TINY | changes)


def drawn(bundle: Bundle, count: int, seed: int) -> torch.Tensor:
    """Cells that the generator draws, far from each other, in -1 to 1."""
    with torch.no_grad():
        w = bundle.draw_w(count, seed)
        wide = bundle.flow.mean + 2 * (w - bundle.flow.mean)
        return bundle.generator.synthesis(bundle.generator.broadcast(wide)).clamp(-1, 1)


def crops(bundle: Bundle, seed: int = 0) -> Crops:
    return Crops(((drawn(bundle, 64, seed).numpy() + 1) * 127.5).astype(np.uint8), SHAPE)


def run(
    bundle: Bundle, folder: Path, stop_at: int | None = None, **changes: object
) -> list[Progress]:
    nuclear = Nuclear(0, TranslocationSettings())
    updates = []
    iteration = train(
        crops(bundle), drawn(bundle, 20, 1), settings(**changes), folder, bundle, nuclear
    )
    for progress in iteration:
        updates.append(progress)
        if progress.steps == stop_at:
            iteration.close()
    return updates


def test_it_learns_more_than_the_mean_image(tiny_bundle: Bundle, tmp_path: Path) -> None:
    before = tiny_bundle.digest("")
    changes = {"steps": 50, "batch_size": 8, "hidden": 32, "learning_rate": 0.01, "image_width": 0}
    last = run(tiny_bundle, tmp_path, **changes)[-1]
    generator = tiny_bundle.generator
    with torch.no_grad():
        mean = generator.synthesis(generator.broadcast(tiny_bundle.flow.mean[None]))
    held_out = drawn(tiny_bundle, 20, 1)
    assert last.report is not None
    assert last.report.held_out_l1 < 0.7 * float((held_out - mean).abs().mean())
    assert last.report.expected_l1 == 0
    assert tiny_bundle.digest("") == before


def test_the_expected_image_is_trained_too(tiny_bundle: Bundle, tmp_path: Path) -> None:
    last = run(tiny_bundle, tmp_path)[-1]
    assert last.report is not None
    assert last.report.expected_l1 > 0
    # It begins with nothing added to the interpolated image.
    assert last.network.image is not None
    assert last.network.image.last.weight.abs().max() > 0.001


def test_stop_and_resume_equals_going_through(tiny_bundle: Bundle, tmp_path: Path) -> None:
    *_, through = run(tiny_bundle, tmp_path / "through")
    run(tiny_bundle, tmp_path / "stopped", stop_at=3)
    run(tiny_bundle, tmp_path / "stopped", stop_at=7)
    *_, last = run(tiny_bundle, tmp_path / "stopped")
    one, two = (load_file(tmp_path / n / "checkpoint.safetensors") for n in ("through", "stopped"))
    assert one.keys() == two.keys()
    assert not [name for name in one if not torch.equal(one[name], two[name])]
    assert last.finished
    assert last.report.held_out_l1 == through.report.held_out_l1


def test_another_training_is_not_resumed(tiny_bundle: Bundle, tmp_path: Path) -> None:
    run(tiny_bundle, tmp_path, stop_at=2)
    with pytest.raises(TrainingError, match=r"other settings \(ratio_low: 4.0, now 5.0\)"):
        run(tiny_bundle, tmp_path, ratio_low=5)
    other = random_bundle(seed=1)
    nuclear = Nuclear(0, TranslocationSettings())
    with pytest.raises(TrainingError, match=r"other settings \(bundle: \w+, now \w+\); resume"):
        next(train(crops(tiny_bundle), drawn(other, 4, 1), settings(), tmp_path, other, nuclear))


def test_an_lr_pixel_is_at_most_a_third_of_a_crop() -> None:
    assert settings().ratios(64) == (4, 20)
    assert settings().ratios(32) == (4, pytest.approx(32 / 3))
    with pytest.raises(ValueError, match="ratio_low must not be greater than ratio_high"):
        settings(ratio_low=9, ratio_high=8)


def test_the_step_size_rises_and_falls_to_nothing() -> None:
    plan = settings(steps=6000, learning_rate=1e-3)
    assert plan.rate(0) == pytest.approx(1e-5)
    assert plan.rate(99) == pytest.approx(1e-3, rel=1e-3)
    assert plan.rate(3000) == pytest.approx(5e-4)
    assert 0 < plan.rate(5999) < 1e-9
