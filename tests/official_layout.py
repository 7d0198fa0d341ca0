"""Write network pickles in the layout of stylegan2-ada-pytorch and StyleGAN3's repository.

The official code is not needed: modules of its names stand in for it while the
pickle is written. The source code that the format embeds would make a file if
anybody ran it.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_rls.models.stylegan2 import (
    FullyConnected,
    Generator,
    MappingNetwork,
    SynthesisBlock,
    SynthesisLayer,
    SynthesisNetwork,
    ToRGB,
)

KINDS = {
    FullyConnected: "FullyConnectedLayer",
    Generator: "Generator",
    MappingNetwork: "MappingNetwork",
    SynthesisBlock: "SynthesisBlock",
    SynthesisLayer: "SynthesisLayer",
    SynthesisNetwork: "SynthesisNetwork",
    ToRGB: "ToRGBLayer",
}


def _reconstruct_persistent_obj(_: dict[str, Any]) -> None:
    raise AssertionError("a reader called the function that a pickle names")


class EasyDict(dict):
    """Stands in for the official class of this name."""


class Persistent:
    """An object that is pickled as the official decorator makes it."""

    def __init__(self, kind: str, state: dict[str, Any], canary: Path | None = None) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": f"open({str(canary)!r}, 'w').write('the code was run')",
            "class_name": kind,
            "state": state,
        }

    @property
    def state(self) -> dict[str, Any]:
        return self.meta["state"]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reconstruct_persistent_obj, (self.meta,), None


@contextmanager
def official_modules() -> Iterator[None]:
    """Have modules of the official names in ``sys.modules``."""
    homes = {"torch_utils.persistence": _reconstruct_persistent_obj, "dnnlib.util": EasyDict}
    made = {}
    for home, thing in homes.items():
        made[home.split(".", maxsplit=1)[0]] = types.ModuleType(home.split(".", maxsplit=1)[0])
        made[home] = types.ModuleType(home)
        setattr(made[home], thing.__name__, thing)
        thing.__module__ = home
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def module(kind: str, canary: Path | None = None, **attributes: Any) -> Persistent:
    """Return a module as torch has it, without parts."""
    return Persistent(kind, {**vars(nn.Module()), **attributes}, canary)


def network(ours: nn.Module, canary: Path | None = None) -> Persistent:
    """Return one of our modules, with all its parts, as the official one."""
    made = module(KINDS[type(ours)], canary)
    state = made.state
    state["_parameters"] = {
        name: None if p is None else nn.Parameter(p.detach().clone())
        for name, p in ours._parameters.items()
    }
    state["_buffers"] = dict(ours._buffers)
    state["_modules"] = {name: network(part, canary) for name, part in ours._modules.items()}
    match ours:
        case FullyConnected():
            state["activation"] = "lrelu" if ours.activate else "linear"
            state["weight_gain"] = np.float64(ours.weight_gain)
            state["bias_gain"] = ours.bias_gain
        case SynthesisLayer():
            state |= {"activation": "lrelu", "use_noise": True, "up": 2 if ours.up else 1}
            state |= {"conv_clamp": ours.clamp, "act_gain": np.sqrt(2)}
        case ToRGB():
            state |= {"conv_clamp": ours.clamp, "weight_gain": np.float64(ours.weight_gain)}
        case SynthesisBlock():
            state |= {"architecture": "skip", "use_fp16": ours.resolution > 8}
            state |= {"resolution": ours.resolution, "is_last": False}
        case MappingNetwork():
            state |= {"num_layers": ours.num_layers, "c_dim": 0, "w_avg_beta": 0.995}
    return made


def generator_network(
    ours: Generator, canary: Path | None = None, *, stylegan3: bool = False
) -> Persistent:
    """Return a generator as the official one, its arguments kept as either repository does."""
    made = network(ours, canary)
    arch = ours.arch
    synthesis = EasyDict(
        channel_base=arch.channel_base, channel_max=arch.channel_max, num_fp16_res=4
    )
    if arch.conv_clamp is not None or stylegan3:
        synthesis["conv_clamp"] = arch.conv_clamp
    arguments = {"z_dim": arch.z_dim, "c_dim": 0, "w_dim": arch.w_dim}
    arguments |= {"img_resolution": arch.resolution, "img_channels": arch.image_channels}
    made.state.update(arguments, num_ws=arch.num_ws, _init_args=())
    parts = {"mapping_kwargs": EasyDict(num_layers=arch.mapping_layers)}
    parts |= synthesis if stylegan3 else {"synthesis_kwargs": synthesis}
    made.state["_init_kwargs"] = EasyDict(arguments | parts)
    return made


def snapshot(
    ours: Generator, canary: Path | None = None, *, stylegan3: bool = False
) -> dict[str, Any]:
    """Return what the official training writes: G, D, G_ema, the data's and ADA's settings."""
    other = Generator(ours.arch)
    discriminator = module("Discriminator", canary, device=torch.device("cpu"))
    discriminator.state["_modules"]["blocks"] = nn.Sequential(nn.Sequential())
    augment = module("AugmentPipe", canary, xflip=1, noise=np.float32(0.5))
    augment.state["_buffers"]["p"] = torch.tensor(0.25)
    return {
        "G": generator_network(other, canary, stylegan3=stylegan3),
        "D": discriminator,
        "G_ema": generator_network(ours, canary, stylegan3=stylegan3),
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset"),
        "augment_pipe": augment,
    }


def dumps(found: object, protocol: int = 4) -> bytes:
    """Pickle it as if the official code did."""
    with official_modules():
        return pickle.dumps(found, protocol=protocol)
