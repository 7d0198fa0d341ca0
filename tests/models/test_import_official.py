"""Official network pickles: the same weights and images come out, and what cannot is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from official_layout import Persistent, dumps, module, network, snapshot
from plain_stylegan2 import plain_mapping, plain_synthesis
from tiny_model import random_bundle
from torch import Tensor, nn

from napari_rls.errors import CheckpointError
from napari_rls.models.architecture import Architecture
from napari_rls.models.import_checkpoint import read_checkpoint
from napari_rls.models.stylegan2 import Generator

SHAPE = Architecture(
    resolution=16, image_channels=3, z_dim=6, w_dim=8, mapping_layers=2, channel_base=64,
    channel_max=8,
)  # fmt: skip
Change = Callable[[Persistent], object]


def random_generator(arch: Architecture = SHAPE, seed: int = 0) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(arch).requires_grad_(False)
        for parameter in generator.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
        generator.mapping.w_avg.normal_()
    return generator


def read(tmp_path: Path, data: bytes) -> Generator:
    path = tmp_path / "network-snapshot-000156.pkl"
    path.write_bytes(data)
    return read_checkpoint(path).generator


def same(first: Generator, second: Generator) -> float:
    """Return the largest difference of weights and of images."""
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    z = torch.randn(3, first.arch.z_dim, generator=torch.Generator().manual_seed(1))
    weights = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    return max(weights, float((first(z, 0.7) - second(z, 0.7)).abs().max()))


@pytest.mark.parametrize("stylegan3", [False, True])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_import_export_import_keeps_weights_and_images(
    tmp_path: Path, protocol: int, stylegan3: bool
) -> None:
    original = random_bundle().generator
    first = read(tmp_path, dumps(snapshot(original, stylegan3=stylegan3), protocol))
    second = read(tmp_path, dumps(snapshot(first, stylegan3=stylegan3), protocol))
    assert same(original, first) < 1e-6
    assert same(first, second) < 1e-6
    assert second.arch == original.arch


def test_images_equal_the_plain_implementation(tmp_path: Path) -> None:
    original = random_generator()
    state = {name: tensor.double() for name, tensor in original.state_dict().items()}
    imported = read(tmp_path, dumps(snapshot(original)))
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    w = plain_mapping(state, z.double())
    expected = plain_synthesis(state, w[:, None].repeat(1, 6, 1))
    assert (imported(z) - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (imported.double()(z.double()) - expected).abs().max() < 1e-6 * expected.abs().max()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"conv_clamp": 256.0}, {}),
        ({"resolution": 64, "channel_base": 16 * 64, "channel_max": 16}, {}),
        ({"resolution": 8}, {}),
        ({"image_channels": 1, "mapping_layers": 8}, {}),
        # Where no layer is narrower than the widest, the base cannot show, nor matter.
        ({"channel_base": 32768}, {"channel_base": 8 * 16}),
    ],
)
def test_the_architecture_is_read_off_the_tensors(
    tmp_path: Path, change: dict[str, Any], expected: dict[str, Any]
) -> None:
    arch = SHAPE.model_copy(update=change)
    original = random_generator(arch)
    imported = read(tmp_path, dumps(snapshot(original, stylegan3=True)))
    wanted = arch.model_copy(update=expected)
    assert imported.arch == wanted
    assert [imported.arch.width(r) for r in arch.resolutions] == [
        arch.width(r) for r in arch.resolutions
    ]
    assert same(original, imported) < 1e-6


def test_other_ways_to_store_the_same_weights(tmp_path: Path) -> None:
    original = random_generator()
    whole = snapshot(original)
    frozen = part(whole["G_ema"], "mapping.fc0")
    frozen["_buffers"] |= {name: p.detach() for name, p in frozen["_parameters"].items()}
    frozen["_parameters"] = {}
    conv = part(whole["G_ema"], "synthesis.b16.conv0")["_parameters"]
    conv["weight"] = nn.Parameter(conv["weight"].detach().to(memory_format=torch.channels_last))
    assert conv["weight"].stride(1) == 1
    imported = read(tmp_path, dumps(whole))
    assert same(original, imported) < 1e-6


def test_a_missing_mean_w_is_drawn(tmp_path: Path) -> None:
    original = random_generator()
    whole = snapshot(original)
    del part(whole["G_ema"], "mapping")["_buffers"]["w_avg"]
    imported = read(tmp_path, dumps(whole))
    w = original.mapping(torch.randn(20_000, 6, generator=torch.Generator().manual_seed(3)))
    assert (imported.mapping.w_avg - w.mean(0)).abs().max() < 6 * w.std() / 100


def part(net: Persistent, name: str) -> dict[str, Any]:
    """Return the state of a network's part."""
    for step in name.split("."):
        net = net.state["_modules"][step]
    return net.state


def put(net: Persistent, name: str, tensor: Tensor) -> None:
    home, _, last = name.rpartition(".")
    state = part(net, home)
    state["_buffers" if last in state["_buffers"] else "_parameters"][last] = tensor


def resnet(net: Persistent) -> None:
    for side in (4, 8, 16):
        part(net, f"synthesis.b{side}")["architecture"] = "resnet"


def conditional(net: Persistent) -> None:
    net.state["c_dim"] = 10


def embedded(net: Persistent) -> None:
    layer = random_generator().mapping.get_submodule("fc0")
    part(net, "mapping")["_modules"]["embed"] = network(layer)


def alias_free(net: Persistent) -> None:
    part(net, "synthesis")["_modules"] = {"input": module("SynthesisInput")}


def superres(net: Persistent) -> None:
    net.meta["class_name"] = "SuperresGenerator"


def frozen_noise(net: Persistent) -> None:
    part(net, "synthesis.b8.conv0")["use_noise"] = False


def relu(net: Persistent) -> None:
    part(net, "synthesis.b8.conv0")["activation"] = "relu"


def fast_mapping(net: Persistent) -> None:
    part(net, "mapping.fc1")["bias_gain"] = 1


def two_clamps(net: Persistent) -> None:
    part(net, "synthesis.b8.conv0")["conv_clamp"] = 5


def lost(net: Persistent) -> None:
    del part(net, "synthesis.b16.conv1")["_buffers"]["noise_const"]


def extra(net: Persistent) -> None:
    part(net, "synthesis.b16.conv1")["_buffers"]["more"] = torch.zeros(1)


def text(net: Persistent) -> None:
    part(net, "synthesis.b16.conv1")["_buffers"]["noise_const"] = "noise"


def setting(name: str, tensor: Tensor) -> Change:
    return lambda net: put(net, name, tensor)


NAN = torch.full((16, 16), torch.nan)
TAPS = torch.tensor([1.0, 2.0, 1.0])

REFUSED: list[tuple[Change, str]] = [
    (conditional, "its generator is conditional on classes"),
    (embedded, "its generator is conditional on classes"),
    (resnet, "its generator has the architecture 'resnet', not 'skip'"),
    (alias_free, "it is an alias-free StyleGAN3 generator"),
    (superres, "its generator is a SuperresGenerator, which StyleGAN2's generator has not there"),
    (frozen_noise, "its synthesis.b8.conv0 has no noise inputs"),
    (relu, "its synthesis.b8.conv0 has an activation other than 'lrelu'"),
    (fast_mapping, "its mapping.fc1 has a learning-rate multiplier of 1.0, not 0.01"),
    (two_clamps, "its layers clamp their outputs at different values"),
    (lost, "its tensor synthesis.b16.conv1.noise_const is missing"),
    (extra, "it has a tensor synthesis.b16.conv1.more, which no StyleGAN2 generator has"),
    (text, "its SynthesisLayer holds a noise_const that is no tensor"),
    (setting("synthesis.b4.const", torch.zeros(8, 4, 8)), "are not square powers of two"),
    (
        setting("synthesis.b16.resample_filter", torch.full((4, 4), 1 / 16)),
        "its synthesis.b16.resample_filter is the filter [1, 1, 1, 1], not [1, 3, 3, 1], the only",
    ),
    (
        setting("synthesis.b16.resample_filter", torch.outer(TAPS, TAPS) / 16),
        "its synthesis.b16.resample_filter is the filter [1, 2, 1], not [1, 3, 3, 1]",
    ),
    (
        setting("synthesis.b16.conv0.resample_filter", torch.eye(4)),
        "its synthesis.b16.conv0.resample_filter is another filter, not [1, 3, 3, 1]",
    ),
    (
        setting("synthesis.b16.conv0.resample_filter", torch.zeros(4, 4)),
        "its synthesis.b16.conv0.resample_filter is another filter, not [1, 3, 3, 1]",
    ),
    (
        setting("synthesis.b16.conv0.resample_filter", torch.zeros(40, 40)),
        "its synthesis.b16.conv0.resample_filter is another filter, not [1, 3, 3, 1]",
    ),
    (
        setting("synthesis.b16.torgb.weight", torch.zeros(17, 4, 1, 1)),
        "its images have 17 channels; a bundle has up to 16",
    ),
    (
        setting("synthesis.b8.conv1.weight", torch.zeros(6, 6, 3, 3)),
        "the numbers of its feature maps (8, 6, 4 from 4 pixels on) do not follow StyleGAN2's rule",
    ),
    (
        setting("mapping.fc0.weight", torch.zeros(8, 5000)),
        "its z_dim does not fit a bundle (Input should be less than or equal to 4096, found 5000)",
    ),
    (
        setting("synthesis.b8.conv0.weight", torch.zeros(8, 8, 5, 5)),
        "its tensor synthesis.b8.conv0.weight has the shape (8, 8, 5, 5), where",
    ),
    (
        setting("synthesis.b16.conv1.noise_const", torch.zeros(16, 16, dtype=torch.int32)),
        "its tensor synthesis.b16.conv1.noise_const holds int32, not floating-point numbers",
    ),
    (
        setting("synthesis.b16.conv1.noise_const", NAN),
        "its tensor synthesis.b16.conv1.noise_const holds NaN or infinite values",
    ),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_a_bundle_cannot_hold_is_refused_by_name(
    tmp_path: Path, change: Change, said: str
) -> None:
    whole = snapshot(random_generator())
    change(whole["G_ema"])
    with pytest.raises(CheckpointError) as refused:
        read(tmp_path, dumps(whole))
    assert said in str(refused.value)


def test_a_pickle_without_the_average_is_refused(tmp_path: Path) -> None:
    whole = snapshot(random_generator())
    del whole["G_ema"]
    with pytest.raises(CheckpointError, match="it has no network G_ema"):
        read(tmp_path, dumps(whole))
