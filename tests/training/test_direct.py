"""The training of what tells measurements directly: its loss, resumption, what is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pix2pix_bench import crops, held_out, images
from pydantic import ValidationError
from safetensors.torch import load_file

from napari_rls.errors import TrainingError
from napari_rls.models.direct_spec import LEVELS
from napari_rls.training.direct_settings import DirectSettings
from napari_rls.training.fit_direct import Progress, Truth, pinball, told_of, train

TINY = {
    "factor_low": 2,
    "factor_high": 4,
    "width": 4,
    "steps": 30,
    "batch_size": 8,
    "threads": 1,
    "device": "cpu",
    "report_steps": 10,
}


def brightness(seed: int, count: int) -> torch.Tensor:
    """Return what LR images tell, and what is NaN for every third crop."""
    means = torch.from_numpy(images(count, seed).astype(np.float32).mean((1, 2, 3)))
    both = torch.stack([(means - means.mean()) / means.std()] * 2, 1)
    both[::3, 1] = torch.nan
    return both


def run(
    folder: Path, stop_at: int | None = None, measurement: str = "a", **changes: object
) -> list[Progress]:
    settings = DirectSettings.model_validate(TINY | changes)
    truth = Truth(brightness(0, 50), brightness(1, 40))
    updates = []
    iteration = train(crops(), held_out(), truth, settings, folder, measurement)
    for progress in iteration:
        updates.append(progress)
        if progress.steps == stop_at:
            iteration.close()
    return updates


def test_the_loss_is_least_at_the_quantiles_of_the_truth() -> None:
    truth = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    right = torch.tensor(np.quantile(truth.numpy(), LEVELS), dtype=torch.float32)
    least = pinball(right.expand(len(truth), 1, -1), truth)
    for k in range(len(LEVELS)):
        for change in (-0.1, 0.1):
            other = right.clone()
            other[k] += change
            assert pinball(other.expand(len(truth), 1, -1), truth) > least


def test_what_could_not_be_measured_has_no_loss() -> None:
    quantiles = torch.randn(2, 2, len(LEVELS))
    truth = torch.tensor([[0.5, torch.nan], [torch.nan, torch.nan]])
    torch.testing.assert_close(pinball(quantiles, truth), pinball(quantiles[:1, :1], truth[:1, :1]))
    assert pinball(quantiles, torch.full((2, 2), torch.nan)) == 0


def test_it_learns_what_lr_images_tell(tmp_path: Path) -> None:
    *_, last = run(tmp_path, steps=400, report_steps=400)
    assert last.report is not None
    # A mean absolute error of 0.8 is that of no knowledge.
    assert last.report.held_out_l1 < 0.5
    told = told_of(last.network, held_out(), 4)[:, 0]
    held = (told[:, 0] <= brightness(1, 40)[:, 0]) & (brightness(1, 40)[:, 0] <= told[:, -1])
    assert held.float().mean() > 0.5


def test_stop_and_resume_equals_going_through(tmp_path: Path) -> None:
    run(tmp_path / "through")
    run(tmp_path / "stopped", stop_at=7)
    *_, last = run(tmp_path / "stopped")
    assert last.finished
    both = [
        load_file(tmp_path / name / "checkpoint.safetensors") for name in ("through", "stopped")
    ]
    assert both[0].keys() == both[1].keys()
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


def test_another_measurement_does_not_go_on(tmp_path: Path) -> None:
    run(tmp_path, stop_at=7)
    with pytest.raises(TrainingError, match="holds a training of other settings"):
        run(tmp_path, measurement="b")


def test_factors_are_those_that_divide_the_size() -> None:
    assert DirectSettings().factors(128) == (8, 16, 32)
    assert DirectSettings(factor_low=2, factor_high=256).factors(24) == (2, 4, 8)
    assert DirectSettings(factor_low=16).factors(24) == ()
    with pytest.raises(ValidationError, match="factor_low must not be greater"):
        DirectSettings(factor_low=64)
