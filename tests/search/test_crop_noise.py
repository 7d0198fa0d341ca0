"""Noise of LR crops against the truth, and searches that go by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_rls import Settings, SuperResolver
from napari_rls.errors import SettingsError
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.field_specs import MisfitAt
from napari_rls.search.crop_noise import CropView, crop_noise, is_noisy, misfit_at
from napari_rls.search.degradation import Bicubic, Compose, GaussianBlur, SaltAndPepper, Widefield
from napari_rls.search.noise import MISFIT, NoiseModel
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack

Images = NDArray[np.float32]


@pytest.fixture(scope="module")
def embedded() -> Bundle:
    return load_bundle("bbbc013-translocation-64")


@pytest.fixture(scope="module")
def hr(data_folder: Path) -> Images:
    """Real crops (80, 2, 64, 64) of wells that no network was trained on, -1 to 1."""
    fields = [read_stack(data_folder / "bbbc013" / f"B{n:02d}.ome.tif") for n in (1, 5, 9, 12)]
    crops = np.concatenate([cut_crops(field, 64).stack.data[:20] for field in fields])
    return (crops / 127.5 - 1).astype(np.float32)


def degraded(hr: Images, factor: int) -> Images:
    found: Images = Bicubic(factor)(torch.from_numpy(hr)).numpy()
    return found


def noisy(lr: Images, sigma: float) -> Images:
    noise = np.random.default_rng(0).standard_normal(lr.shape)
    return (lr + sigma * noise).astype(np.float32)


@pytest.mark.parametrize("factor", [4, 8, 16])
@pytest.mark.parametrize(("sigma", "error"), [(0.06, 0.35), (0.1, 0.25)])
def test_noise_of_real_crops_is_found(
    hr: Images, embedded: Bundle, factor: int, sigma: float, error: float
) -> None:
    lr = noisy(degraded(hr, factor), sigma)
    found = crop_noise(embedded, lr, CropView(Bicubic(factor), factor, 64, 2, known=True))
    assert found is not None
    np.testing.assert_allclose(found.read_noise, sigma, rtol=error)
    assert is_noisy(found)


@pytest.mark.parametrize("factor", [4, 8, 16])
@pytest.mark.parametrize("spoilt", [False, True], ids=["clean", "salt and pepper"])
def test_structure_and_outliers_are_no_noise(
    hr: Images, embedded: Bundle, factor: int, spoilt: bool
) -> None:
    lr = degraded(hr, factor)
    if spoilt:
        lr = SaltAndPepper(0.05)(torch.from_numpy(lr)).numpy()
    found = crop_noise(embedded, lr, CropView(Bicubic(factor), factor, 64, 2, known=True))
    assert found is not None
    assert not is_noisy(found)


def test_a_bundle_without_a_field_encoder_tells_no_noise(tiny_bundle: Bundle) -> None:
    lr = np.zeros((2, 2, 4, 4), np.float32)
    assert crop_noise(tiny_bundle, lr, CropView(Bicubic(4), 4, 16, 2)) is None


@pytest.mark.parametrize("factor", [2, 32])
def test_nor_does_one_at_a_ratio_that_it_has_not_seen_in_fields(
    hr: Images, embedded: Bundle, factor: int
) -> None:
    lr = noisy(degraded(hr[:16], factor), 0.1)
    assert crop_noise(embedded, lr, CropView(Bicubic(factor), factor, 64, 2, known=True)) is None


@pytest.mark.parametrize(
    ("operator", "sigma"),
    [
        (Bicubic(8), 0.45),
        (Widefield(8, 0.6), 0.6),
        (Widefield(8, 2.0), 0.75),
        (Compose((GaussianBlur(4), Widefield(8, 0.4))), 0.64),
    ],
    ids=["sharper than a usual lens", "a lens", "wider than any seen", "two blurs"],
)
def test_the_width_of_an_operator(operator: Bicubic, sigma: float) -> None:
    assert CropView(operator, 8, 64, 3).sigma == pytest.approx(sigma, abs=0.02)


def test_crops_on_the_grid_of_the_generator() -> None:
    lr = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    noise = NoiseModel((0.0,), (0.0,), (0.1,))
    seen = CropView(Bicubic(4), 4, 32, 1).seen(torch.from_numpy(lr), noise)
    at = (np.arange(32) + 0.5) / 4 - 0.5
    grid = np.meshgrid(at, at, indexing="ij")
    for k in range(2):
        expected = ndimage.map_coordinates(lr[k, 0], grid, order=3, mode="nearest")
        np.testing.assert_allclose(seen.interpolated[k, 0].numpy(), expected, atol=1e-4)
    assert seen.deviation.numpy() == pytest.approx(np.hypot(0.1, MISFIT))
    assert (seen.ratio, seen.optics) == (4.0, None)


@pytest.mark.parametrize("factor", [8, 16])
def test_crops_of_no_cells_are_searched_as_ever(embedded: Bundle, factor: int) -> None:
    lr = np.random.default_rng(0).uniform(0, 255, (3, 2, 64 // factor, 64 // factor))
    result = SuperResolver(embedded, Settings(steps=5, samples=0, device="cpu")).run(lr)
    assert result.record["settings"]["reading"] == "scaled"
    assert {cell["status"] for cell in result.record["cells"]} == {"done"}


def test_misfit_between_two_factors() -> None:
    known = tuple(MisfitAt(factor=f, deviation=(v, 0.1)) for f, v in ((16, 0.03), (4, 0.01)))
    assert misfit_at((), 8) is None
    np.testing.assert_allclose(misfit_at(known, 8), [0.02, 0.1])
    np.testing.assert_allclose(misfit_at(known, 32), [0.03, 0.1])


QUICK = Settings(factor=16, samples=0, steps=30, threads=1, device="cpu", precision="float32")


def counts(lr: Images) -> Images:
    """The bundle's unit, 0 to 255."""
    return (lr + 1) * 127.5


def test_seen_crops_are_searched_by_the_likelihood(hr: Images, embedded: Bundle) -> None:
    lr = counts(noisy(degraded(hr[:16], 8), 0.1))
    settings = QUICK.model_copy(update={"factor": 8, "steps": 80})
    result = SuperResolver(embedded, settings).run(lr)
    record = result.record
    assert record["settings"]["reading"] == "likelihood"
    assert record["start"] == "encoder"
    dna, gfp = record["noise"]["read_noise"]
    np.testing.assert_allclose((dna, gfp), 12.75, rtol=0.4)
    found = f"DNA {dna:.3g}, FKHR-GFP {gfp:.3g}"
    (told,) = SuperResolver(embedded, settings).prepare(lr).run.told
    assert told == f"The search goes by the noise of the images, found as {found} (SD)."
    plain = SuperResolver(embedded, settings.model_copy(update={"reading": "scaled"})).run(lr)

    def error(sr: Images) -> float:
        return float(np.abs(sr - counts(hr[:16])).mean())

    assert error(result.sr) < 0.95 * error(plain.sr)


def test_clean_crops_are_searched_as_ever(hr: Images, embedded: Bundle) -> None:
    lr = counts(degraded(hr[:8], 16))
    quick = QUICK.model_copy(update={"steps": 3})
    result = SuperResolver(embedded, quick).run(lr)
    plain = SuperResolver(embedded, quick.model_copy(update={"reading": "scaled"})).run(lr)
    assert result.record["settings"]["reading"] == "scaled"
    assert result.record["noise"] is None
    np.testing.assert_array_equal(result.sr, plain.sr)


def test_rivals_do_not_go_by_the_noise(hr: Images, embedded: Bundle) -> None:
    lr = counts(noisy(degraded(hr[:4], 16), 0.1))
    for method in ("pulse", "brgm", "rls-paper"):
        quick = Settings.parse({"method": method, "factor": 16, "steps": 1, "samples": 0})
        assert SuperResolver(embedded, quick).prepare(lr).run.noise is None


def test_a_likelihood_that_cannot_be_had(tiny_bundle: Bundle) -> None:
    lr = np.random.default_rng(0).uniform(0, 255, (2, 2, 8, 8))
    settings = Settings(factor=4, steps=1, samples=0, reading="likelihood")
    with pytest.raises(SettingsError, match="it has no field encoder that knows 4x and such noise"):
        SuperResolver(tiny_bundle, settings).run(lr)
