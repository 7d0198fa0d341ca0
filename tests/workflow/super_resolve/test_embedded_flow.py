"""What the embedded bundle's flow matching draws of cells whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_rls.evaluation.distributions import ranks_of_truth
from napari_rls.measure.translocation import measure_translocation
from napari_rls.models.bundle import load_bundle
from napari_rls.search import richardson_lucy
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings
from napari_rls.workflow.super_resolve.resolver import SuperResolver

CELLS, SAMPLES, FEW = 72, 9, 16


@pytest.mark.parametrize(
    ("factor", "least_r", "largest_error"), [(8, 0.95, 0.25), (16, 0.75, 0.65)]
)
def test_samples_are_of_the_posterior_and_fit_the_lr_image(
    factor: int, least_r: float, largest_error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells are the generator's, with the camera's noise: no image of them was trained on."""
    bundle = load_bundle("bbbc013-translocation-64")
    manifest, generator = bundle.manifest, bundle.generator
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        w = generator.mapping(torch.randn(CELLS, manifest.architecture.z_dim, generator=rng))
        images = generator.synthesis(generator.broadcast(w))
    assert manifest.camera is not None
    images = manifest.camera.recorded(images, torch.randn(images.shape, generator=rng))
    hr = (images.clamp(-1, 1) + 1) * 127.5
    lr = Bicubic(factor)(hr).numpy()
    settings = Settings(factor=factor, method="flow", samples=SAMPLES, threads=1)
    result = SuperResolver(bundle, settings).run(lr)
    assert result.samples is not None
    draws = np.array([[_ratio(image) for image in images] for images in result.samples])
    truth = np.array([_ratio(image) for image in hr.numpy()])
    known = np.isfinite(draws).all(0) & np.isfinite(truth)
    assert known.sum() >= CELLS - 8
    draws, truth = draws[:, known], truth[known]
    middle = np.median(draws, 0)
    assert np.corrcoef(middle, truth)[0, 1] > least_r
    assert np.median(np.abs(middle - truth)) < largest_error
    # Of exact samples, least and largest hold 8 of 10 true values: here within three deviations.
    ranks = ranks_of_truth(draws, truth)
    held = ((ranks > 0) & (ranks < SAMPLES)).mean()
    assert abs(held - 0.8) < 3 * np.sqrt(0.8 * 0.2 / known.sum())
    # The network alone, which is not held to the LR image, leaves more of it.
    monkeypatch.setattr(richardson_lucy, "nearer", lambda images, *_: images)
    few = settings.model_copy(update={"samples": 2})
    alone = SuperResolver(bundle, few).run(lr[:FEW])
    assert alone.samples is not None
    held_to = result.samples[:2, :FEW]
    assert _left(held_to, lr[:FEW], factor) < 0.75 * _left(alone.samples, lr[:FEW], factor)


def _left(samples: np.ndarray, lr: np.ndarray, factor: int) -> float:
    """Return the LR residual of samples (S, N, C, H, W), in grey levels."""
    seen = Bicubic(factor)(torch.from_numpy(np.concatenate([*samples]))).numpy()
    return float(np.sqrt(np.square(seen.reshape(len(samples), *lr.shape) - lr).mean()))


def _ratio(image: np.ndarray) -> float:
    return float(measure_translocation(image).log2_ratio)
