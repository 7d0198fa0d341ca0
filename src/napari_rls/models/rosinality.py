"""Read the checkpoints of rosinality's stylegan2-pytorch.

The arithmetic is that of the official code under other names. The gain that its
convolutions apply to their weights is divided out again by demodulation, and the
official ToRGB has it too, so the numbers travel as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from torch import Tensor

from napari_rls.errors import RefusedError
from napari_rls.models.foreign_generator import ForeignTensor, build_generator
from napari_rls.models.safe_pickle import plain
from napari_rls.models.stylegan2 import Generator, fir_filter
from napari_rls.models.torch_file import fits


class _Place(NamedTuple):
    """Our name of a tensor, and how many dimensions of size 1 theirs has around it."""

    name: str
    before: int = 0
    behind: int = 0
    gain: float = 1.0


_IN_LAYER: Final = {
    "conv.weight": _Place("weight", before=1),
    "conv.modulation.weight": _Place("affine.weight"),
    "conv.modulation.bias": _Place("affine.bias"),
    # Filters of layers that double the side are stored times 4.
    "conv.blur.kernel": _Place("resample_filter", gain=0.25),
    "noise.weight": _Place("noise_strength", before=1),
    "activate.bias": _Place("bias"),
}
_IN_RGB: Final = {
    "conv.weight": _Place("torgb.weight", before=1),
    "conv.modulation.weight": _Place("torgb.affine.weight"),
    "conv.modulation.bias": _Place("torgb.affine.bias"),
    "bias": _Place("torgb.bias", before=1, behind=2),
    "upsample.kernel": _Place("resample_filter", gain=0.25),
}
_NAMES: Final = re.compile(
    r"style\.(?P<mapping>[1-9]\d?)\.(?P<of_mapping>weight|bias)"
    r"|(?P<const>input\.input)"
    r"|noises\.noise_(?P<noise>\d{1,2})"
    r"|conv(?:1|s\.(?P<conv>\d{1,2}))\.(?P<of_conv>.+)"
    r"|to_rgb(?:1|s\.(?P<rgb>\d{1,2}))\.(?P<of_rgb>.+)"
)


def read_rosinality(checkpoint: Mapping[Any, Any]) -> Generator:
    """Make a generator of the moving average ``g_ema`` of a checkpoint.

    Raises
    ------
    RefusedError
        If it has none, or its generator is of a kind that a bundle cannot hold.
    """
    state = checkpoint["g_ema"]
    if not isinstance(state, dict):
        raise RefusedError("its g_ema is no state dict")
    tensors: dict[str, ForeignTensor] = {}
    for theirs, tensor in state.items():
        place = _place(str(theirs))
        tensors[place.name] = _foreign(str(theirs), tensor, place)
    average = checkpoint.get("latent_avg")
    if average is not None:
        tensors["mapping.w_avg"] = _foreign("latent_avg", average, _Place("mapping.w_avg"))
    return build_generator(_idle_filters(tensors) | tensors, conv_clamp=None)


def _place(theirs: str) -> _Place:
    """Return where a tensor of theirs belongs."""
    found = _NAMES.fullmatch(theirs)
    if found is None:
        raise _unknown(theirs)
    if found["mapping"]:
        return _Place(f"mapping.fc{int(found['mapping']) - 1}.{found['of_mapping']}")
    if found["const"]:
        return _Place("synthesis.b4.const", before=1)
    if found["noise"]:
        return _Place(f"{_layer(int(found['noise']))}.noise_const", before=2)
    if found["of_conv"]:
        layer = _layer(int(found["conv"]) + 1 if found["conv"] else 0)
        place = _IN_LAYER.get(found["of_conv"])
    else:
        layer = f"synthesis.b{8 * 2 ** int(found['rgb']) if found['rgb'] else 4}"
        place = _IN_RGB.get(found["of_rgb"])
    if place is None:
        raise _unknown(theirs)
    return place._replace(name=f"{layer}.{place.name}")


def _layer(index: int) -> str:
    """Return our name of the convolution ``index``: theirs are conv1, convs.0, convs.1, ..."""
    return f"synthesis.b{4 * 2 ** ((index + 1) // 2)}.conv{(index + 1) % 2}"


def _foreign(theirs: str, tensor: object, place: _Place) -> ForeignTensor:
    if not isinstance(tensor, Tensor) or not fits(tensor):
        raise RefusedError(
            f"its {plain(theirs)} is no tensor, or has more elements than are stored"
        )
    sizes = tuple(tensor.shape)
    end = len(sizes) - place.behind
    if end < place.before or any(n != 1 for n in sizes[: place.before] + sizes[end:]):
        raise RefusedError(f"its tensor {plain(theirs)} has the shape {sizes}")
    shape = sizes[place.before : end]
    if place.gain == 1:
        return ForeignTensor(shape, lambda: tensor.reshape(shape))
    return ForeignTensor(shape, lambda: tensor.reshape(shape) * place.gain)


def _idle_filters(tensors: Mapping[str, ForeignTensor]) -> dict[str, ForeignTensor]:
    """Return the filters that only the official generator stores, and does not use."""
    layers = [name.removesuffix(".weight") for name in tensors if name.endswith(".conv1.weight")]
    names = [f"{layer}.resample_filter" for layer in layers]
    idle = [*names, "synthesis.b4.resample_filter"]
    return dict.fromkeys(idle, ForeignTensor((4, 4), fir_filter))


def _unknown(theirs: str) -> RefusedError:
    return RefusedError(f"it has a tensor {plain(theirs)}, which rosinality's generator has not")
