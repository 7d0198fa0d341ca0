"""Checkpoints that try to run something, to break the reader, or to use up the memory."""

from __future__ import annotations

import contextlib
import copyreg
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_layout import EasyDict, Persistent, dumps, module, snapshot

from napari_rls.errors import CheckpointError
from napari_rls.models import safe_pickle
from napari_rls.models.architecture import Architecture
from napari_rls.models.import_checkpoint import read_checkpoint
from napari_rls.models.stylegan2 import Generator

SHAPE = Architecture(resolution=8, image_channels=1, z_dim=4, w_dim=4, mapping_layers=1)
TINY = SHAPE.model_copy(update={"channel_max": 4})
PROTO = b"\x80\x04"
BOMB = 2**60


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Return a file that is made if anything in a checkpoint is run."""
    return tmp_path / "canary"


@pytest.fixture
def refusal(tmp_path: Path, canary: Path) -> Callable[[bytes], str]:
    """Return a function that gives the sentence with which a file is refused."""

    def sentence(data: bytes) -> str:
        path = tmp_path / "hostile.pkl"
        path.write_bytes(data)
        with pytest.raises(CheckpointError) as refused:
            read_checkpoint(path)
        assert not canary.exists(), "something in the file was run"
        text = str(refused.value)
        assert text.endswith(".")
        assert "\n" not in text
        assert len(text) < 400
        return text

    return sentence


def opens(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w').close()"


CALLS: dict[str, tuple[Callable[[Path], Call], str]] = {
    "os.system": (lambda c: Call(os.system, f"touch '{c}'"), f"{os.system.__module__}.system"),
    "eval": (lambda c: Call(eval, opens(c)), "builtins.eval"),
    "exec": (lambda c: Call(exec, opens(c)), "builtins.exec"),
    "os.mknod": (lambda c: Call(os.mknod, str(c)), f"{os.mknod.__module__}.mknod"),
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_refused_by_name(
    refusal: Callable[[bytes], str], canary: Path, name: str, protocol: int
) -> None:
    make, refused = CALLS[name]
    data = pickle.dumps({"G_ema": make(canary)}, protocol=protocol)
    if protocol == 2:
        refused = refused.replace("builtins.", "__builtin__.")
    assert f"it asks for {refused}; nothing in it was run" in refusal(data)


def test_the_hostile_pickles_do_work(canary: Path) -> None:
    for make, _ in CALLS.values():
        pickle.loads(pickle.dumps(make(canary)))
        assert canary.exists()
        canary.unlink()


def test_a_chain_of_getattr_is_refused(refusal: Callable[[bytes], str], canary: Path) -> None:
    def text(words: str) -> bytes:
        return b"\x8c" + bytes([len(words)]) + words.encode()

    get = b"cbuiltins\ngetattr\n"
    module = get + b"cos\npath\n" + text("os") + b"\x86R"
    data = PROTO + get + module + text("system") + b"\x86R" + text(f"touch '{canary}'") + b"\x85R."
    assert pickle.loads(data) == 0
    assert canary.exists()
    canary.unlink()
    assert "it asks for builtins.getattr;" in refusal(data)


def test_hostile_parts_beside_the_generator_are_refused(
    refusal: Callable[[bytes], str], canary: Path
) -> None:
    whole = snapshot(Generator(TINY), canary)
    for part in ("D", "augment_pipe", "training_set_kwargs"):
        data = dumps(whole | {part: Call(eval, opens(canary))})
        assert "it asks for builtins.eval" in refusal(data)


def test_the_source_code_in_a_pickle_is_not_run(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(dumps(snapshot(Generator(TINY), canary)))
    assert str(canary).encode() in path.read_bytes()
    assert read_checkpoint(path).generator.arch.resolution == 8
    assert not canary.exists()


def nested(storage: bytes) -> dict[str, Any]:
    """Return a snapshot one of whose tensors is stored in these bytes."""
    whole = snapshot(Generator(TINY))
    bias = whole["G_ema"].state["_modules"]["mapping"].state["_modules"]["fc0"]
    stored = Call(torch.storage._load_from_bytes, storage)
    bias.state["_parameters"]["bias"] = Call(
        torch._utils._rebuild_tensor_v2, stored, 0, (4,), (1,), False, {}
    )
    return whole


def test_a_hostile_pickle_inside_a_tensor_is_refused(
    refusal: Callable[[bytes], str], canary: Path, tmp_path: Path
) -> None:
    call = CALLS["eval"][0](canary)
    bare = pickle.dumps(call, protocol=2)
    assert "it asks for __builtin__.eval" in refusal(dumps(nested(bare)))
    for zipped in (False, True):
        path = tmp_path / "inner.pt"
        torch.save(call, path, _use_new_zipfile_serialization=zipped)
        said = refusal(dumps(nested(path.read_bytes())))
        assert ("it is no pickle of protocol 2 to 5" if zipped else "__builtin__.eval") in said


def legacy(count: int, kind: bytes = b"FloatStorage", data: bytes = b"") -> bytes:
    """Return a torch.save file of the old format of one storage that claims ``count`` numbers."""
    head = b"".join(pickle.dumps(n, 2) for n in (0x1950A86A20F9469CFC6C, 1001, {}))
    body = pickle.dumps(("storage", "KIND", "0", "cpu", count, None), 2)
    name = b"X\x04\x00\x00\x00KIND"
    assert name in body
    body = body.replace(name, b"ctorch\n" + kind + b"\n")[:-1] + b"Q."
    return head + body + pickle.dumps(["0"], 2) + struct.pack("<q", len(data) // 4) + data


def test_storages_larger_than_the_file_are_refused_before_memory_is_taken(
    refusal: Callable[[bytes], str],
) -> None:
    numbers = np.ones(4, np.float32).tobytes()
    said = "its tensors are larger than the file"
    assert said in refusal(dumps(nested(legacy(BOMB, data=numbers))))
    assert said in refusal(dumps(nested(legacy(5, data=numbers))))
    assert "stored in an unknown way" in refusal(dumps(nested(legacy(4, b"device", numbers))))
    assert "stored in an unknown way" in refusal(dumps(nested(legacy(-4, data=numbers))))


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        ((0, (BOMB,), (1,)), "has a shape that is none"),
        ((0, (2**36,), (0,)), "tensor mapping.fc0.bias has the shape (68719476736,)"),
        ((0, (4,), (2,)), "has more elements than are stored"),
        ((1, (4,), (1,)), "has more elements than are stored"),
        ((0, (4,), (-1,)), "has a shape that is none"),
        ((0, (4,), (1, 1)), "stored in an unknown way"),
        ((0, (4.0,), (1,)), "has a shape that is none"),
        ((0, (4, 1), (1, 1)), "has the shape (4, 1), where a StyleGAN2 generator"),
    ],
)
def test_wrong_shapes_are_refused(
    refusal: Callable[[bytes], str], tensor: tuple[Any, ...], said: str
) -> None:
    whole = nested(b"")
    numbers = legacy(4, data=np.ones(4, np.float32).tobytes())
    layer = whole["G_ema"].state["_modules"]["mapping"].state["_modules"]["fc0"].state
    stored = Call(torch.storage._load_from_bytes, numbers)
    layer["_parameters"]["bias"] = Call(torch._utils._rebuild_tensor_v2, stored, *tensor, False, {})
    assert said in refusal(dumps(whole))


def test_instructions_that_no_checkpoint_needs_are_refused(
    refusal: Callable[[bytes], str], canary: Path
) -> None:
    copyreg.add_extension("builtins", "eval", 240)
    try:
        registered = pickle.dumps(CALLS["eval"][0](canary), protocol=2)
        assert pickle.EXT1 in registered
        assert "an instruction EXT1" in refusal(registered)
        # Once seen, Python's own reader takes it from a cache, without asking.
        pickle.loads(registered)
        canary.unlink()
        assert "an instruction EXT1" in refusal(registered)
    finally:
        copyreg.remove_extension("builtins", "eval", 240)
    code = opens(canary).encode()
    others = {
        "PERSID": b"Pid\n.",
        "BINPERSID": b"K\x01Q.",
        "INST": b"(S" + repr(code.decode()).encode() + b"\nibuiltins\neval\n.",
        "OBJ": b"(cbuiltins\neval\n\x8c" + bytes([len(code)]) + code + b"o.",
        "NEXT_BUFFER": b"\x97.",
        "NEWOBJ_EX": b"ccollections\nOrderedDict\n)}\x92.",
        "LONG4": b"\x8b\x01\x00\x00\x00\x01.",
        "DUP": b"]2.",
    }
    for name, body in others.items():
        said = refusal(PROTO + body)
        assert name in said or "builtins.eval" in said or "instruction STRING" in said


def test_what_is_no_name_cannot_be_called(refusal: Callable[[bytes], str]) -> None:
    made = b"ccollections\nOrderedDict\n)R"
    assert "calls what is no name" in refusal(PROTO + made + b")R.")
    assert "calls what is no name" in refusal(PROTO + b"\x8c\x07os.link)R.")
    assert "calls what is no name" in refusal(PROTO + b"ccollections\nOrderedDict\n]R.")
    assert "no text" in refusal(PROTO + b"K\x01\x8c\x04eval\x93.")
    assert "state to an object that has none" in refusal(PROTO + made + b"}b.")
    assert "in an unknown way" in refusal(PROTO + b"ctorch.storage\n_load_from_bytes\n)R.")
    made = b"ccollections\nOrderedDict\n]\x85R"
    assert "makes a dict in an unknown way" in refusal(PROTO + made + b".")


def test_containers_are_only_filled_as_containers(refusal: Callable[[bytes], str]) -> None:
    assert "adds items to what is no list" in refusal(PROTO + b"}K\x01a.")
    assert "sets items of what is no dict" in refusal(PROTO + b"]K\x01K\x02s.")
    assert "sets items of what is no dict" in refusal(PROTO + b"}(K\x01u.")
    assert "uses what it never made" in refusal(PROTO + b"h\x05.")
    assert "uses what it never made" in refusal(PROTO + b"\x86.")
    assert "more or less than one object" in refusal(PROTO + b"]].")


def test_keys_that_take_for_ever_to_hash_are_refused(refusal: Callable[[bytes], str]) -> None:
    doubled = b")" + b"".join(b"q%c0(h%ch%ct" % (k, k, k) for k in range(60))
    assert "a key of a dict" in refusal(PROTO + b"}" + doubled + b"Ns.")


def test_deep_and_endless_structures_end_in_a_sentence(refusal: Callable[[bytes], str]) -> None:
    assert "has no network G_ema" in refusal(PROTO + b"]" * 200_000 + b"a" * 199_999 + b".")
    assert "has no network G_ema" in refusal(PROTO + b")" + b"\x85" * 200_000 + b".")
    whole = snapshot(Generator(TINY))
    whole["G_ema"].state["_modules"]["again"] = module("Generator")
    again = whole["G_ema"].state["_modules"]["again"].state["_modules"]
    for _ in range(12):
        part = module("Generator")
        again |= {f"m{k}": part for k in range(40)}
        again = part.state["_modules"]
    assert "more than 500 modules" in refusal(dumps(whole))


def test_a_pickle_of_too_many_instructions_is_refused(
    refusal: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_pickle, "MAX_INSTRUCTIONS", 100)
    assert "more than 100 instructions" in refusal(PROTO + b"]" * 101 + b".")


def test_lengths_beyond_the_file_take_no_memory(refusal: Callable[[bytes], str]) -> None:
    for code in (b"\x8e", b"\x8d", b"\x96"):
        said = refusal(PROTO + code + struct.pack("<Q", BOMB) + b"x.")
        assert "damaged or cut off" in said
    assert "damaged or cut off" in refusal(PROTO + b"B\xff\xff\xff\xffx.")
    # Python's own reader makes a table as long as the number says.
    assert "has no network G_ema" in refusal(PROTO + b"]r\xff\xff\xff\xff.")


def test_numpy_numbers_of_other_types_are_refused(refusal: Callable[[bytes], str]) -> None:
    assert "numpy numbers of type O8" in refusal(dumps(snapshot_with(np.dtype("O"))))
    assert "numpy numbers of type V" in refusal(dumps(snapshot_with(np.dtype([("a", "O")]))))
    assert "numpy numbers of type U3" in refusal(dumps(snapshot_with(np.str_("abc"))))
    assert "it asks for numpy._core.multiarray._reconstruct" in refusal(
        dumps(snapshot_with(np.ones(3)))
    )


def snapshot_with(thing: object) -> dict[str, Any]:
    return snapshot(Generator(TINY)) | {"training_set_kwargs": EasyDict(thing=thing)}


def test_a_cut_off_pickle_is_refused_wherever_it_is_cut(
    refusal: Callable[[bytes], str],
) -> None:
    data = dumps(snapshot(Generator(TINY)))
    for end in [3, 20, *range(100, len(data), len(data) // 40), len(data) - 1]:
        assert "damaged or cut off" in refusal(data[:end])


def test_flipped_bytes_never_end_in_a_traceback(tmp_path: Path, canary: Path) -> None:
    data = dumps(snapshot(Generator(TINY), canary))
    path = tmp_path / "flipped.pkl"
    rng = np.random.default_rng(0)
    for _ in range(150):
        spoilt = bytearray(data)
        for place in rng.integers(0, len(data), 20):
            spoilt[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(spoilt))
        with contextlib.suppress(CheckpointError):
            read_checkpoint(path)
    assert not canary.exists()


def test_a_name_cannot_write_to_the_terminal(refusal: Callable[[bytes], str]) -> None:
    said = refusal(PROTO + b"c\x1b[31mos\nsystem" + b"x" * 500 + b"\n.")
    assert "\x1b" not in said
    assert "?[31mos.systemx" in said


def test_tensorflow_pickles_are_refused_with_advice(refusal: Callable[[bytes], str]) -> None:
    said = refusal(PROTO + b"cdnnlib.tflib.network\nNetwork\n)\x81.")
    assert "it asks for dnnlib.tflib.network.Network; it was made with the TensorFlow" in said
    assert "convert it with legacy.py of stylegan2-ada-pytorch" in said


def test_other_versions_of_the_format_are_refused(refusal: Callable[[bytes], str]) -> None:
    whole = snapshot(Generator(TINY))
    whole["D"] = Persistent("Discriminator", {})
    whole["D"].meta["version"] = 7
    assert "an unknown version of the official format" in refusal(dumps(whole))
