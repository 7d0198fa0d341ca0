"""Samples and images that flow matching draws, of crops and of fields."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from field_bench import NOISE, drawn_field
from field_bench import bundle as bundle_of_fields
from flow_bench import with_flow
from numpy.typing import NDArray

from napari_rls.errors import SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.search.settings import Settings
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.super_resolve.resolver import SuperResolver, Update

QUICK = {"factor": 4, "samples": 3, "sample_steps": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def able(tiny_bundle: Bundle) -> Bundle:
    return with_flow(tiny_bundle)


@pytest.fixture
def lr(tiny_bundle: Bundle) -> NDArray[np.float32]:
    size = tiny_bundle.manifest.hr_size // 4
    return np.random.default_rng(0).uniform(0, 200, (5, 2, size, size)).astype(np.float32)


def run(lr: NDArray[np.float32], bundle: Bundle, **changes: object) -> list[Update]:
    steps = {} if changes.get("method") == "flow" else {"steps": 3}
    settings = Settings.model_validate(QUICK | steps | changes)
    return list(SuperResolver(bundle, settings).stream(lr))


def test_samples_are_drawn_by_flow_where_the_bundle_has_it(
    lr: NDArray[np.float32], able: Bundle, tiny_bundle: Bundle
) -> None:
    last = run(lr, able)[-1]
    assert last.run.settings.posterior == "flow"
    assert last.samples is not None
    size = able.manifest.hr_size
    assert last.samples.shape == (3, 5, 2, size, size)
    # The network adds noise alone, which is of every cell and sample its own.
    apart = (last.samples[1:] - last.samples[0]).reshape(2, 5, -1)
    for one in apart:
        assert np.abs(np.corrcoef(one) - np.eye(5)).max() < 0.2
    assert last.step == last.steps == 3 + 3
    # The search is the same as without it.
    bound = run(lr, able, posterior="bound")[-1]
    assert bound.steps == 3 + 2
    without = run(lr, tiny_bundle)[-1]
    assert without.run.settings.posterior == "bound"
    for other in (bound, without):
        np.testing.assert_array_equal(other.sr, last.sr)
    np.testing.assert_array_equal(bound.samples, without.samples)


def test_draws_do_not_depend_on_the_batch(lr: NDArray[np.float32], able: Bundle) -> None:
    def all_of(size: int) -> tuple[NDArray[np.float32], ...]:
        done = [u for u in run(lr, able, method="flow", batch_size=size) if u.finished]
        return np.concatenate([u.sr for u in done]), np.concatenate(
            [u.samples for u in done], axis=1
        )

    for one, other in zip(all_of(1), all_of(3), strict=True):
        np.testing.assert_allclose(one, other, atol=0.05)


def test_the_method_draws_at_once(lr: NDArray[np.float32], able: Bundle) -> None:
    noisy = CameraNoise(slope=(0.1, 0.1), floor=(0.1, 0.1))
    camera = replace(able, manifest=able.manifest.model_copy(update={"camera": noisy}))
    updates = run(lr, camera, method="flow", samples=0)
    assert [u.step for u in updates] == [1]
    (last,) = updates
    assert last.finished
    assert last.latents.size == 0
    assert last.run.start == "none"
    # HR images have the camera's noise: so do those that are drawn, and it is not added again.
    np.testing.assert_array_equal(last.sr, run(lr, able, method="flow", samples=0)[-1].sr)
    samples = run(lr, able, method="flow")[-1].samples
    assert samples is not None
    assert np.abs(samples - last.sr).reshape(3, -1).max(1).min() > 1


def test_what_no_network_can_draw_is_one_sentence(
    lr: NDArray[np.float32], able: Bundle, tiny_bundle: Bundle
) -> None:
    for changes in ({"method": "flow"}, {"posterior": "flow"}):
        with pytest.raises(SettingsError, match=r"has none; .*, or add it by train-flow\.$"):
            run(lr, tiny_bundle, **changes)
        with pytest.raises(SettingsError, match=r"no such LR images; .* method or posterior\.$"):
            run(np.repeat(np.repeat(lr, 2, 2), 2, 3), able, **changes | {"factor": 2})
    # Without samples nothing is drawn.
    assert run(lr, tiny_bundle, posterior="flow", samples=0)[-1].finished


def test_cells_of_a_field_are_drawn_too() -> None:
    optics = {"ratio": 8, "psf_sigma": 0.45}
    settings = FieldSettings(optics=optics, noise=NOISE, scout_steps=0)
    for search in (
        Settings(method="flow", samples=2, threads=1),
        Settings(steps=2, samples=2, threads=1),
    ):
        resolver = FieldResolver(SuperResolver(with_flow(bundle_of_fields()), search), settings)
        *_, last = resolver.updates(drawn_field().lr)
        collector = last.result.collector
        assert collector.run.settings.posterior == "flow"
        assert np.isfinite(collector.samples).all()
        assert np.abs(collector.samples[0] - collector.samples[1]).max() > 1
