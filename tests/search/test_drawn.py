"""Images that flow matching draws where LR pixels are large: a coarse image first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from flow_bench import with_flow
from numpy.typing import NDArray
from tiny_model import random_bundle

from napari_rls.models.bundle import Bundle
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings
from napari_rls.workflow.super_resolve.resolver import SuperResolver


@pytest.fixture(scope="module")
def able() -> Bundle:
    return with_flow(random_bundle(size=64), coarse=True)


def samples(bundle: Bundle, factor: int, **changes: object) -> NDArray[np.float32]:
    side = bundle.manifest.hr_size // factor
    lr = np.random.default_rng(0).uniform(0, 200, (4, 2, side, side)).astype(np.float32)
    chosen = {"factor": factor, "method": "flow", "samples": 3, "precision": "float32", **changes}
    made = SuperResolver(bundle, Settings.model_validate(chosen)).run(lr).samples
    assert made is not None
    return made


def test_a_coarse_image_comes_first_above_16x_alone(able: Bundle) -> None:
    manifest = able.manifest.model_copy(update={"coarse_flow": None})
    without = replace(able, manifest=manifest, coarse_flow=None)
    for factor in (4, 8, 16):
        np.testing.assert_array_equal(samples(able, factor), samples(without, factor))
    drawn = samples(able, 32)
    assert np.abs(drawn - samples(without, 32)).max() > 1
    np.testing.assert_array_equal(drawn, samples(able, 32))
    np.testing.assert_allclose(drawn, samples(able, 32, batch_size=1), atol=0.05)


def test_coarse_images_of_samples_are_as_far_apart_as_they_were_drawn(able: Bundle) -> None:
    """The untrained coarse network adds white noise to what is expected, and images keep it."""
    manifest = able.manifest.model_copy(update={"coarse_flow": None})
    without = replace(able, manifest=manifest, coarse_flow=None)
    coarse, plain = (
        Bicubic(8)(torch.from_numpy(samples(bundle, 32)).flatten(0, 1)).unflatten(0, (3, 4))
        for bundle in (able, without)
    )
    assert coarse.std(0).mean() > 1.5 * plain.std(0).mean()
