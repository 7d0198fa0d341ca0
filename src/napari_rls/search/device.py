"""Where and in which arithmetic to compute, with the reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from napari_rls.errors import SettingsError
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.stylegan2 import Generator

BFLOAT16_TOLERANCE = 0.02
"""Largest root-mean-square error of a bfloat16 image, relative to the image's deviation."""


@dataclass(frozen=True)
class DeviceChoice:
    """A device and, in words, what it is or why it is not a GPU."""

    device: torch.device
    reason: str


def choose_device(wanted: str = "auto") -> DeviceChoice:
    """Choose a device: ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    SettingsError
        If a device is asked for by name and is not there.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted.startswith("cuda") or (wanted == "auto" and cuda):
        if not cuda:
            raise SettingsError(f"{wanted} is not available: {_why_no_gpu()}; use device 'auto'.")
        device = torch.device("cuda:0" if wanted in ("auto", "cuda") else wanted)
        if (device.index or 0) >= torch.cuda.device_count():
            raise SettingsError(
                f"There is no {wanted}: this machine has {torch.cuda.device_count()} CUDA GPU(s)."
            )
        return DeviceChoice(device, torch.cuda.get_device_name(device))
    if wanted == "mps" or (wanted == "auto" and mps):
        if not mps:
            raise SettingsError("mps is not available on this machine; use device 'auto'.")
        return DeviceChoice(torch.device("mps"), "Apple GPU")
    why = "as asked for" if wanted == "cpu" else f"no GPU: {_why_no_gpu()}"
    count = torch.get_num_threads()
    threads = "1 thread" if count == 1 else f"{count} threads"
    return DeviceChoice(torch.device("cpu"), f"CPU, {threads} ({why})")


def _why_no_gpu() -> str:
    if torch.version.cuda is None:
        return "this PyTorch was built without CUDA"
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    return "no CUDA GPU or driver was found"


def choose_dtype(wanted: str, generator: Generator, device: torch.device) -> torch.dtype:
    """Return the type of the feature maps for a precision setting.

    ``auto`` takes bfloat16 where the processor computes in it and where images of
    this generator stay within :data:`BFLOAT16_TOLERANCE` of float32.
    """
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if not computes_in_bfloat16(device) or bfloat16_error(generator) > BFLOAT16_TOLERANCE:
        return torch.float32
    return torch.bfloat16


@torch.no_grad()
def bfloat16_error(generator: Generator, count: int = 4) -> float:
    """Return the error of bfloat16 images relative to the deviation of float32 images."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(count, generator.arch.z_dim, generator=rng)
    ws = generator.broadcast(generator.mapping(z))
    exact = FrozenSynthesis(generator.synthesis)(ws)
    rounded = FrozenSynthesis(generator.synthesis, torch.bfloat16)(ws)
    error = (rounded - exact).square().mean().sqrt() / exact.std()
    return float(error.nan_to_num(nan=torch.inf))


def computes_in_bfloat16(device: torch.device) -> bool:
    """Tell whether ``device`` multiplies bfloat16 natively.

    Of a CPU the instruction set is asked for, by torch's own cpuinfo, which works alike
    on Linux, macOS and Windows. What oneDNN reports is another thing: that it can compute
    with bfloat16, which it emulates at half of float32's speed on any AVX-512. A torch
    that cannot tell (before 2.6) computes in float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        instructions = _cpu_instructions()
        native = instructions.get("avx512_bf16", False) or instructions.get("amx_bf16", False)
        usable = torch.backends.mkldnn.is_available()
        # The user may hold torch back from AVX-512 (ATEN_CPU_CAPABILITY).
        return bool(native) and usable and "AVX512" in torch.backends.cpu.get_cpu_capability()
    return False


def _cpu_instructions() -> Mapping[str, object]:
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return {"avx512_bf16": ask is not None and ask()}
