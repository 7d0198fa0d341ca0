"""Read the network pickles of stylegan2-ada-pytorch and of StyleGAN3's StyleGAN2 config."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from napari_rls.errors import RefusedError
from napari_rls.models.foreign_generator import ForeignTensor, build_generator
from napari_rls.models.official_records import LARGE, TABLE, Module, StoredTensor
from napari_rls.models.safe_pickle import load, plain
from napari_rls.models.stylegan2 import Generator

TENSORFLOW: Final = "dnnlib.tflib"
"""Where the names of the TensorFlow version's pickles begin."""

_LR_MULTIPLIER = 0.01


def read_official(data: bytes) -> Generator:
    """Read the moving average ``G_ema`` of an official network pickle.

    Raises
    ------
    RefusedError
        If there is anything unexpected in the pickle, or its generator is of a kind that a
        bundle cannot hold.
    """
    found = load(io.BytesIO(data), TABLE)
    network = found.get("G_ema") if isinstance(found, dict) else None
    if not isinstance(network, Module):
        raise RefusedError("it has no network G_ema")
    _check_kind(network)
    tensors = {
        prefix + name: ForeignTensor(tensor.shape, tensor.read)
        for prefix, module in network.modules().items()
        for name, tensor in _tensors(module)
    }
    return build_generator(tensors, _clamp(network))


def _tensors(module: Module) -> Iterator[tuple[str, StoredTensor]]:
    # Layers frozen in training have their weights among the buffers.
    for name, tensor in (module.part("_parameters") | module.part("_buffers")).items():
        if isinstance(tensor, StoredTensor):
            yield name, tensor
        elif tensor is not None:
            raise RefusedError(f"its {plain(module.kind)} holds a {plain(name)} that is no tensor")


_KINDS = {
    "": "Generator", "mapping.": "MappingNetwork", "synthesis.": "SynthesisNetwork",
    "fc": "FullyConnectedLayer", "affine": "FullyConnectedLayer", "b": "SynthesisBlock",
    "conv": "SynthesisLayer", "torgb": "ToRGBLayer",
}  # fmt: skip


def _check_kind(network: Module) -> None:
    """Refuse, by its name, what a StyleGAN2 generator may have and a bundle's has not."""
    modules = network.modules()
    if "synthesis.input." in modules:
        raise RefusedError(
            "it is an alias-free StyleGAN3 generator (or StyleGAN-XL, which builds on it); only "
            "StyleGAN2 generators can be imported"
        )
    if _number(network.state.get("c_dim", 0)) or "mapping.embed." in modules:
        raise RefusedError("its generator is conditional on classes (c_dim above 0)")
    for prefix, module in modules.items():
        state, name = module.state, prefix.rstrip(".") or "generator"
        kind = _KINDS.get(prefix) or _KINDS.get(re.sub(r"\d+$", "", name.rpartition(".")[2]))
        if module.kind != kind:
            raise RefusedError(
                f"its {plain(name)} is a {plain(module.kind)}, which StyleGAN2's generator "
                "has not there"
            )
        if kind == "SynthesisBlock" and state.get("architecture") != "skip":
            found = state.get("architecture")
            shown = plain(found) if isinstance(found, str) else "unknown"
            raise RefusedError(f"its generator has the architecture {shown!r}, not 'skip'")
        if kind == "SynthesisLayer" and state.get("activation") != "lrelu":
            raise RefusedError(f"its {name} has an activation other than 'lrelu'")
        if kind == "SynthesisLayer" and state.get("use_noise") is not True:
            raise RefusedError(f"its {name} has no noise inputs")
        if kind == "FullyConnectedLayer":
            mapping = prefix.startswith("mapping.")
            _check_layer(name, state, *(("lrelu", _LR_MULTIPLIER) if mapping else ("linear", 1.0)))


def _check_layer(
    name: str, state: Mapping[str, Any], activation: str, lr_multiplier: float
) -> None:
    if state.get("activation") != activation:
        raise RefusedError(f"its {name} has an activation other than {activation!r}")
    gain = _number(state.get("bias_gain"))
    if gain is None or not math.isclose(gain, lr_multiplier):
        raise RefusedError(
            f"its {name} has a learning-rate multiplier of {gain}, not {lr_multiplier:g}"
        )


def _clamp(network: Module) -> float | None:
    """Return the value at which all layers clamp their outputs, as they themselves say."""
    found = {
        _number(module.state.get("conv_clamp"))
        for module in network.modules().values()
        if module.kind in {"SynthesisLayer", "ToRGBLayer"}
    }
    if len(found) != 1:
        raise RefusedError("its layers clamp their outputs at different values")
    (clamp,) = found
    return clamp


def _number(value: object) -> float | None:
    """Return a number of a network's state; None stays None."""
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int) and abs(value) < LARGE:
        return float(value)
    raise RefusedError("a setting of one of its layers is no number")
