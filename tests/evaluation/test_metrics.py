"""The table of metrics: its values, its intervals, and that it ranks damage as it should."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from foreign_networks import write_alexnet, write_shift_tolerant
from plain_scores import plain_kid
from torch.nn import functional as F

from napari_rls.errors import MetricError
from napari_rls.evaluation.feature_sets import read_judges
from napari_rls.evaluation.features import features
from napari_rls.evaluation.metrics import COLUMNS, score
from napari_rls.evaluation.per_cell import ms_ssim, psnr
from napari_rls.evaluation.perceptual import perceptual_distance
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack


def cells(count: int, size: int = 32, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Blobs with grain, in -1 to 1."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(size / 3, size * 2 / 3, (2, count, channels, 1, 1))
    along = np.arange(size)
    distance = np.hypot(along[:, None] - centre[0], along - centre[1])
    grain = rng.normal(0, 0.03, (count, channels, size, size))
    return np.clip(1.6 / (1 + np.exp(distance - size / 5)) - 0.9 + grain, -1, 1).astype(np.float32)


def noisy(images: np.ndarray, level: float) -> np.ndarray:
    grain = np.random.default_rng(5).normal(0, level, images.shape)
    return np.clip(images + grain, -1, 1).astype(np.float32)


def fid_of_few(x: np.ndarray, y: np.ndarray) -> float:
    """The Frechet distance where fewer images than features leave covariances singular."""
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    scale, turn = np.linalg.eigh(cov_x)
    root = turn * np.sqrt(scale.clip(0)) @ turn.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(0)).sum()
    shift = x.mean(0) - y.mean(0)
    return float(shift @ shift + np.trace(cov_x + cov_y) - 2 * trace)


def value(table: pd.DataFrame, metric: str) -> float:
    return float(table.loc[table["metric"] == metric, "value"].item())


def test_every_metric_is_named_and_has_an_interval() -> None:
    table = score(noisy(cells(20), 0.1), cells(20))
    assert tuple(table.columns) == COLUMNS
    names = table[["metric", "variant", "better", "n"]].to_numpy().tolist()
    assert names == [
        ["KID", "napari-rls features v1", "lower", 20],
        ["FID", "napari-rls features v1", "lower", 20],
        ["perceptual distance", "napari-rls features v1", "lower", 20],
        ["PSNR", "data range 2, mean over cells", "higher", 20],
        ["MS-SSIM", "window 7, sigma 1.5, 3 scales", "higher", 20],
    ]
    # The interval of KID lets real cells be; all others hold the value itself.
    assert (table["low"] < table["high"]).all()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_values_are_those_of_plain_computations() -> None:
    sr, truth = noisy(cells(16), 0.1), cells(16)
    table = score(sr, truth)
    a, b = torch.from_numpy(sr), torch.from_numpy(truth)
    x, y = (features(images).double().numpy() for images in (b, a))
    assert value(table, "KID") == pytest.approx(plain_kid(x, y), rel=1e-6)
    assert value(table, "FID") == pytest.approx(fid_of_few(x, y), rel=1e-4)
    expected = perceptual_distance(a, b).mean().item()
    assert value(table, "perceptual distance") == pytest.approx(expected, rel=1e-5)
    assert value(table, "PSNR") == pytest.approx(psnr(a, b).mean().item(), rel=1e-6)
    assert value(table, "MS-SSIM") == pytest.approx(ms_ssim(a, b).mean().item(), rel=1e-6)


def test_the_seed_decides_and_torchs_own_stream_is_left_alone() -> None:
    sr, truth = noisy(cells(15), 0.1), cells(15)
    torch.manual_seed(3)
    stream = torch.random.get_rng_state()
    first = score(sr, truth, seed=1)
    assert torch.equal(torch.random.get_rng_state(), stream)
    pd.testing.assert_frame_equal(score(torch.from_numpy(sr), truth, seed=1), first)
    other = score(sr, truth, seed=2)
    assert (other["low"] != first["low"]).all()
    assert np.allclose(other["value"], first["value"])


def test_networks_are_read_without_touching_torchs_own_stream(tmp_path: Path) -> None:
    write_alexnet(tmp_path / "fresh.pth")
    torch.manual_seed(3)
    stream = torch.random.get_rng_state()
    score(cells(2), cells(2), features=(f"lpips={tmp_path / 'fresh.pth'}",))
    assert torch.equal(torch.random.get_rng_state(), stream)


def test_more_damage_scores_worse_by_every_metric() -> None:
    truth = cells(30)
    tables = [score(noisy(truth, level), truth, bootstrap=20) for level in (0, 0.02, 0.1, 0.3)]
    for metric, better in tables[0][["metric", "better"]].to_numpy():
        values = np.array([value(table, metric) for table in tables])
        worse = values if better == "lower" else -values
        assert (np.diff(worse) > 0).all(), metric
    assert value(tables[0], "PSNR") == np.inf
    assert value(tables[0], "MS-SSIM") == pytest.approx(1)
    assert value(tables[0], "perceptual distance") == 0
    assert value(tables[0], "FID") == pytest.approx(0, abs=0.1)


def test_fewer_cells_than_kid_needs_still_have_the_other_metrics() -> None:
    table = score(noisy(cells(4), 0.1), cells(4))
    assert table["value"].isna().tolist() == [True, True, False, False, False]
    assert (table["n"] == 4).all()
    single = score(noisy(cells(1), 0.1), cells(1))
    assert single["value"].notna().tolist() == [False, False, True, True, True]
    assert single[["low", "high"]].isna().all(axis=None)


def test_many_networks_stand_one_below_the_other(tmp_path: Path) -> None:
    write_alexnet(tmp_path / "alex.pth")
    write_shift_tolerant(tmp_path / "st.pth")
    names = ("napari-rls", f"lpips={tmp_path / 'alex.pth'}", f"st-lpips={tmp_path / 'st.pth'}")
    sr, truth = noisy(cells(12, size=64), 0.1), cells(12, size=64)
    table = score(sr, truth, features=(*names, "efficientnet-lite0"), bootstrap=10)
    lite = "EfficientNet-Lite0 at 128 px, mean over channels as grey RGB"
    assert table[["metric", "variant"]].to_numpy().tolist() == [
        ["KID", "napari-rls features v1"],
        ["FID", "napari-rls features v1"],
        ["KID", lite],
        ["FID", lite],
        ["perceptual distance", "napari-rls features v1"],
        ["LPIPS", "AlexNet v0.1, mean over channels as grey RGB"],
        ["ST-LPIPS", "AlexNet vST0.0, mean over channels as grey RGB"],
        ["PSNR", "data range 2, mean over cells"],
        ["MS-SSIM", "window 7, sigma 1.5, 4 scales"],
    ]
    with pytest.raises(MetricError, match="24 x 24 pixels are too small for LPIPS"):
        score(sr[..., :24, :24], truth[..., :24, :24], features=names)
    (judge,) = read_judges(["efficientnet-lite0"])
    assert judge.features is not None
    real, generated = (judge.features(torch.from_numpy(images)) for images in (truth, sr))
    kids = [
        plain_kid(x.double().numpy(), y.double().numpy())
        for x, y in zip(real, generated, strict=True)
    ]
    found = table.loc[table["variant"] == lite, "value"].iloc[0]
    assert found == pytest.approx(np.mean(kids), rel=1e-6)


def test_missing_weights_are_told_and_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MetricError, match="weights of LPIPS are not on this computer: download"):
        score(cells(12), cells(12), features=("napari-rls", "lpips"))


def test_images_that_cannot_be_scored() -> None:
    good = cells(12)
    with pytest.raises(MetricError, match=r"\(12, 2, 32, 32\) .* truth of \(11, 2, 32, 32\); give"):
        score(good, good[1:])
    with pytest.raises(MetricError, match="4 x 4 pixels are too small"):
        score(good[..., :4, :4], good[..., :4, :4])
    with pytest.raises(MetricError, match="cannot be compared"):
        score(good[:0], good[:0])
    with pytest.raises(MetricError, match="1 draws give no interval"):
        score(good, good, bootstrap=1)
    broken = good.copy()
    broken[3, 1, 5, 5] = np.nan
    with pytest.raises(MetricError, match="1 of 12 SR images have pixels that are not finite"):
        score(broken, good)
    with pytest.raises(MetricError, match="1 of 12 true images"):
        score(good, broken)


def test_real_cells_rank_as_they_should(data_folder: Path) -> None:
    wells = [data_folder / "bbbc013" / f"B{k:02d}.ome.tif" for k in (1, 6, 12)]
    crops = np.concatenate([cut_crops(read_stack(well), 64).stack.data for well in wells])
    chosen = np.random.default_rng(0).permutation(len(crops))[:120]
    images = torch.from_numpy(crops[chosen].astype(np.float32) / 255 * 2 - 1)
    truth, other = images[:60], images[60:]

    def enlarged(factor: int) -> torch.Tensor:
        small = F.interpolate(truth, scale_factor=1 / factor, mode="bicubic", antialias=True)
        return F.interpolate(small, size=(64, 64), mode="bicubic").clamp(-1, 1)

    near, far, cells_of_others = (
        score(sr, truth).set_index("metric") for sr in (enlarged(4), enlarged(8), other)
    )
    # Other real cells are the same population, though each is far from the one it stands for.
    assert cells_of_others.loc["KID", "low"] < 0.1
    assert cells_of_others.loc["KID", "high"] < near.loc["KID", "low"]
    assert near.loc["KID", "high"] < far.loc["KID", "low"]
    assert cells_of_others.loc["FID", "high"] < near.loc["FID", "low"]
    for metric in ("PSNR", "MS-SSIM"):
        assert cells_of_others.loc[metric, "high"] < far.loc[metric, "low"]
        assert far.loc[metric, "high"] < near.loc[metric, "low"]
    distance = "perceptual distance"
    assert near.loc[distance, "high"] < far.loc[distance, "low"]
    assert far.loc[distance, "high"] < cells_of_others.loc[distance, "low"]
