"""Whether a CPU computes in bfloat16 is told by its instructions."""

from pathlib import Path

import pytest
import torch

from napari_rls.search.device import computes_in_bfloat16

CPU = torch.device("cpu")
PLAIN_AVX512 = {"architecture": "x86_64", "avx512_f": True, "avx512_vnni": True}


@pytest.mark.parametrize(
    ("instructions", "capability", "expected"),
    [
        (PLAIN_AVX512 | {"avx512_bf16": False, "amx_bf16": False}, "AVX512", False),
        (PLAIN_AVX512 | {"avx512_bf16": True}, "AVX512", True),
        (PLAIN_AVX512 | {"amx_bf16": True}, "AVX512", True),
        (PLAIN_AVX512 | {"avx512_bf16": True}, "AVX2", False),
        ({"architecture": "arm64", "neon": True, "bf16": True}, "DEFAULT", False),
    ],
)
def test_native_instructions_decide(
    monkeypatch: pytest.MonkeyPatch,
    instructions: dict[str, object],
    capability: str,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert computes_in_bfloat16(CPU) is expected


def test_an_older_torch_tells_or_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    ask = "_is_avx512_bf16_supported"
    monkeypatch.setattr(torch.cpu, ask, lambda: True, raising=False)
    assert computes_in_bfloat16(CPU)
    monkeypatch.delattr(torch.cpu, ask)
    assert not computes_in_bfloat16(CPU)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="/proc/cpuinfo is Linux's")
def test_this_cpu_is_judged_as_the_kernel_does() -> None:
    flags = next(
        (
            line.split()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("flags")
        ),
        [],
    )
    if computes_in_bfloat16(CPU):
        assert {"avx512_bf16", "amx_bf16"} & set(flags)
    elif "avx512_bf16" in flags:
        held_back = "AVX512" not in torch.backends.cpu.get_cpu_capability()
        assert held_back or not torch.backends.mkldnn.is_available()
