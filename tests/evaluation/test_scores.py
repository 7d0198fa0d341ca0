"""KID and FID against plain numpy and scipy, and the scorer that a training run calls."""

import copy

import numpy as np
import pytest
import torch
from plain_scores import cloud, plain_fid, plain_kid

from napari_rls.evaluation import scores
from napari_rls.evaluation.features import NAME, features
from napari_rls.evaluation.scores import Distances, Scorer, distances, generated_features
from napari_rls.models.bundle import Bundle


def test_kid_and_fid_are_those_of_plain_numpy() -> None:
    real, generated = cloud(40), cloud(40, shift=0.3, seed=1)
    found = distances(real, generated)
    x, y = real.double().numpy(), generated.double().numpy()
    # 40 images are one subset of all of them, whatever the order.
    assert found.kid == pytest.approx(plain_kid(x, y), rel=1e-9)
    assert found.kid_std == pytest.approx(0, abs=1e-9)
    assert found.fid == pytest.approx(plain_fid(x, y), rel=1e-5)
    assert (found.samples, found.features) == (40, NAME)


def test_kid_of_subsets_agrees_with_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SUBSET_SIZE", 60)
    real, generated = cloud(150), cloud(120, shift=0.2, seed=1)
    found = distances(real, generated)
    whole = plain_kid(real.double().numpy(), generated.double().numpy())
    assert found.kid_std > 0
    assert abs(found.kid - whole) < 4 * found.kid_std / scores.SUBSETS**0.5
    assert found == distances(real, generated)
    assert found.kid != distances(real, generated, seed=1).kid


def test_kid_is_unbiased_and_fid_is_not() -> None:
    kids = [distances(cloud(30, seed=k), cloud(30, seed=k + 500)) for k in range(40)]
    values = np.array([d.kid for d in kids])
    assert abs(values.mean()) < 3 * values.std() / 40**0.5
    assert min(d.fid for d in kids) > 0.1


def test_distances_refuse_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="as many channels"):
        distances(cloud(20), cloud(20, width=24))
    with pytest.raises(ValueError, match="5 real and 20 generated images are too few"):
        distances(cloud(5), cloud(20))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_without_finite_features_are_refused_before_they_end_the_process(
    value: float,
) -> None:
    images = torch.zeros(12, 2, 16, 16)
    images[3, 1, 5, 5] = value
    broken = features(images)
    whole = features(torch.zeros(12, 2, 16, 16))
    with pytest.raises(ValueError, match="1 of 12 generated images have features that are not"):
        distances(whole, broken)
    with pytest.raises(ValueError, match="1 of 12 real images have features that are not finite"):
        distances(broken, whole)


def test_a_generator_that_has_diverged_has_no_score(tiny_bundle: Bundle) -> None:
    generator = copy.deepcopy(tiny_bundle.generator)
    scorer = Scorer(real_crops(tiny_bundle), 0, 255, samples=20)
    with torch.no_grad():
        next(generator.mapping.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="20 of 20 generated images have"):
        scorer(generator)


def real_crops(bundle: Bundle, count: int = 30) -> np.ndarray:
    """Crops in 0 to 255 that are samples of the bundle's own generator."""
    with torch.no_grad():
        images = bundle.generator(bundle.draw_z(count, seed=123), noise_mode="none")
    return ((images.numpy() + 1) / 2 * 255).astype(np.float32)


def test_the_scorer_compares_images_in_the_generators_unit(tiny_bundle: Bundle) -> None:
    crops = real_crops(tiny_bundle)
    scorer = Scorer(crops, 0, 255, samples=25, seed=3)
    found = scorer(tiny_bundle.generator)
    assert isinstance(found, Distances)
    real = features(torch.from_numpy(crops / 255 * 2 - 1))
    expected = distances(real, generated_features(tiny_bundle.generator, 25, 3))
    assert found.kid == pytest.approx(expected.kid, rel=1e-3, abs=1e-6)
    assert found.fid == pytest.approx(expected.fid, rel=1e-3)
    assert (found.samples, found.features) == (25, NAME)
    # In another unit the same crops are other images.
    assert Scorer(crops, 0, 2000, samples=25)(tiny_bundle.generator).kid > 5 * found.kid


def test_the_scorer_is_repeatable_and_leaves_everything_as_it_is(tiny_bundle: Bundle) -> None:
    generator = tiny_bundle.generator
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    scorer = Scorer(real_crops(tiny_bundle), 0, 255, samples=20)
    torch.manual_seed(5)
    stream = torch.random.get_rng_state()
    first = scorer(generator)
    torch.rand(7)
    assert scorer(generator) == first
    torch.manual_seed(5)
    scorer(generator)
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())


def test_generated_images_differ_in_noise_and_are_not_truncated(tiny_bundle: Bundle) -> None:
    generator = tiny_bundle.generator
    found = generated_features(generator, 12, seed=4)
    rng = torch.Generator().manual_seed(4)
    z = torch.randn(12, generator.arch.z_dim, generator=rng)
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        ws = generator.broadcast(generator.mapping(z))
        images = generator.synthesis(ws, "random", rng=noise)
    torch.testing.assert_close(found, features(images), atol=1e-3, rtol=1e-3)
    fixed = features(generator(z).detach())
    assert (found - fixed).abs().max() > 1e-3


def test_too_few_crops_are_refused() -> None:
    with pytest.raises(ValueError, match="3 held-out crops are too few for KID; at least 10"):
        Scorer(np.zeros((3, 2, 32, 32)), 0, 255)
