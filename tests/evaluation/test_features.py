"""The embedded feature network: its file, its shapes, and what it sees in real cells."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from napari_rls.evaluation.features import (
    NAME,
    FeatureNetwork,
    feature_network,
    features,
    read_network,
    read_note,
)
from napari_rls.evaluation.scores import distances
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack

FILE = Path(str(files("napari_rls.evaluation") / "features-v1.safetensors"))


def noise_images(count: int, channels: int, size: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, size, size, generator=rng) * 2 - 1


def test_the_file_is_small_and_says_what_it_was_trained_on() -> None:
    assert FILE.stat().st_size < 1_500_000
    note = read_note(FILE)
    assert note["name"] == NAME == "napari-rls features v1"
    assert "rows A, D, E, G, H" in str(note["trained_on"])
    assert "Ilya Ravkin" in str(note["attribution"])
    with safe_open(FILE, framework="pt") as file:
        weights = {str(file.get_tensor(k).dtype) for k in file.keys() if "weight" in k}  # noqa: SIM118
    assert weights == {"torch.float16"}


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", [64, 100, 256])
def test_any_number_of_channels_and_any_size(channels: int, size: int) -> None:
    found = features(noise_images(2, channels, size))
    assert found.shape == (2, channels * feature_network().num_features)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


def test_every_channel_is_seen_with_the_next_one() -> None:
    network = feature_network()
    images = noise_images(2, 3, 64)
    pairs = features(images).split(network.num_features, 1)
    for k, pair in enumerate(pairs):
        expected = network(images[:, [k, (k + 1) % 3]])
        torch.testing.assert_close(pair, expected, atol=1e-3, rtol=1e-3)
    alone = features(images[:, :1])
    torch.testing.assert_close(alone, network(images[:, [0, 0]]), atol=1e-3, rtol=1e-3)


def test_features_do_not_depend_on_the_batch() -> None:
    images = noise_images(7, 2, 64)
    torch.testing.assert_close(features(images), features(images, batch=3), atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        features(noise_images(2, 2, 4))


def test_pooled_features_are_means_and_deviations_of_every_stage() -> None:
    network = feature_network()
    images = noise_images(1, 2, 64)
    weights = network.state_dict()

    def conv(x: torch.Tensor, k: int, stride: int = 1) -> torch.Tensor:
        weight, bias = weights[f"convs.{k}.weight"], weights[f"convs.{k}.bias"]
        return F.conv2d(x, weight, bias, stride, 1)

    x = torch.relu(conv(images, 0))
    maps = [x]
    for k in (1, 3, 5, 7):
        x = torch.relu(conv(x, k, stride=2))
        x = torch.relu(x + conv(x, k + 1))
        maps.append(x)
    expected = [f(m) for m in maps for f in (means, deviations)]
    torch.testing.assert_close(network.pooled(images), torch.cat(expected, 1), atol=2e-3, rtol=2e-3)


def means(maps: torch.Tensor) -> torch.Tensor:
    return maps.mean((2, 3))


def deviations(maps: torch.Tensor) -> torch.Tensor:
    return (maps.var((2, 3), unbiased=False) + 1e-5).sqrt()


def test_a_network_is_written_and_read_back(tmp_path: Path) -> None:
    network = FeatureNetwork()
    network.mean.fill_(1e-7)
    network.save(tmp_path / "f.safetensors", {"trained_on": "nothing"})
    again = read_network(tmp_path / "f.safetensors")
    assert read_note(tmp_path / "f.safetensors") == {"name": NAME, "trained_on": "nothing"}
    assert torch.equal(again.mean, network.mean)
    torch.testing.assert_close(again.convs[0].weight, network.convs[0].weight, atol=1e-3, rtol=1e-3)
    with safe_open(tmp_path / "f.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["napari-rls-features"])["name"] == NAME


@pytest.fixture(scope="module")
def cells(data_folder: Path) -> torch.Tensor:
    """Crops of row B, which the network has never seen, -1 to 1, (800, 2, 64, 64)."""
    wells = [data_folder / "bbbc013" / f"B{k:02d}.ome.tif" for k in (1, 4, 7, 10, 11, 12)]
    crops = np.concatenate([cut_crops(read_stack(w), 64).stack.data for w in wells])
    order = np.random.default_rng(0).permutation(len(crops))[:800]
    return torch.from_numpy(crops[order].astype(np.float32) / 255 * 2 - 1)


def blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    taps = torch.arange(-12, 13)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(2, 1, 1, 25)
    rows = F.conv2d(F.pad(images, (12, 12, 0, 0), mode="reflect"), kernel, groups=2)
    return F.conv2d(F.pad(rows, (0, 0, 12, 12), mode="reflect"), kernel.transpose(2, 3), groups=2)


def test_distances_grow_with_what_is_wrong_with_real_cells(cells: torch.Tensor) -> None:
    real, other = features(cells[:400]), cells[400:]
    same = distances(real, features(other))
    assert abs(same.kid) < 0.05

    def kid(images: torch.Tensor) -> float:
        return distances(real, features(images)).kid

    rng = torch.Generator().manual_seed(0)
    grain = torch.randn(other.shape, generator=rng)
    few = torch.randint(400, (3, 400), generator=rng)
    worse = {
        "blur": [blurred(other, sigma) for sigma in (0.7, 1.5, 3.0)],
        "noise": [(other + level * grain).clamp(-1, 1) for level in (0.05, 0.1, 0.2)],
        "repeated cells": [other[row % count] for count, row in zip((20, 5, 1), few, strict=True)],
        "the second channel of another cell": [
            torch.stack([other[:, 0], other[:, 1].roll(shift, 0)], 1)[: 400 - rest]
            for shift, rest in ((1, 0),)
        ],
    }
    for name, steps in worse.items():
        kids = [same.kid, *map(kid, steps)]
        assert kids == sorted(kids), name
        assert kids[-1] > same.kid + 4 * same.kid_std, name


def test_distances_grow_as_real_cells_lose_resolution(cells: torch.Tensor) -> None:
    real, other = features(cells[:400]), cells[400:600]
    kids, fids = [], []
    for factor in (1, 4, 8, 16):
        small = F.interpolate(other, scale_factor=1 / factor, mode="bicubic", antialias=True)
        enlarged = F.interpolate(small, size=(64, 64), mode="bicubic").clamp(-1, 1)
        found = distances(real, features(enlarged))
        kids.append(found.kid)
        fids.append(found.fid)
    assert np.diff(kids).min() > 0.2
    assert np.diff(fids).min() > 20


def test_images_that_show_no_cell_are_far_from_cells_but_not_beyond_measure(
    cells: torch.Tensor,
) -> None:
    real, other = features(cells[:400]), cells[400:600]
    blurs = distances(real, features(blurred(other, 3.0)))
    absurd = {"noise": noise_images(200, 2, 64), "black": torch.full_like(other, -1)}
    for name, images in absurd.items():
        found = distances(real, features(images))
        assert 1000 > found.kid > 2 * blurs.kid, name
        assert 10_000 > found.fid > 1.5 * blurs.fid, name


def test_distances_of_images_out_of_range_grow_slowly() -> None:
    """Untrained generators leave -1 to 1; a cubic kernel would turn that into 1e12 and more."""
    rng = torch.Generator().manual_seed(1)
    real = features(noise_images(40, 2, 64) / 10)
    images = torch.randn(40, 2, 64, 64, generator=rng)
    kids = [distances(real, features(images * 10**k)).kid for k in (0, 1, 6)]
    assert kids == sorted(kids)
    assert kids[0] > 1
    assert kids[-1] < 1e9
