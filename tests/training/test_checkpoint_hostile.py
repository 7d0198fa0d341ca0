"""Checkpoints and run folders that are damaged or made up: one sentence, nothing half taken."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pix2pix_bench
import pytest
import torch
from run_bench import assert_same_state, run, settings
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_rls.errors import TrainingError
from napari_rls.models.manifest import Intensity
from napari_rls.training.checkpoint import load_checkpoint, load_generator, load_start
from napari_rls.training.run_folder import RunFolder, Score
from napari_rls.training.trainer import Trainer
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.train.cut_crops import TrainingCrops
from napari_rls.workflow.train.run_files import keep_crops, kept_crops

KEY = "napari-rls-training"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was stopped half-way."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    run(folder, stop_at=60)
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.fixture
def path(folder: Path) -> Path:
    return RunFolder(folder).checkpoint


def note(path: Path) -> str:
    with safe_open(path, framework="pt") as file:
        return str(file.metadata()[KEY])


def with_note(path: Path, text: str | None) -> None:
    save_file(load_file(path), path, {} if text is None else {KEY: text})


def with_tensors(path: Path, change: Callable[[Tensors], object]) -> None:
    text, tensors = note(path), load_file(path)
    change(tensors)
    save_file(tensors, path, {KEY: text})


def refusal(path: Path) -> str:
    """Return the sentence with which a run refuses to go on; its checkpoint stays as it is."""
    before = path.read_bytes()
    with pytest.raises(TrainingError) as refused:
        run(path.parent)
    assert path.read_bytes() == before
    text = str(refused.value)
    assert text.endswith(".")
    assert text.isprintable()
    assert len(text) < 400
    return text


def changed(**values: Any) -> Callable[[str], str]:
    """Return what changes values of the numbers; a key may be a path."""

    def change(text: str) -> str:
        numbers = json.loads(text)
        for place, value in values.items():
            *outer, last = place.split("__")
            inner = numbers
            for part in outer:
                inner = inner[part]
            if value is None:
                del inner[last]
            else:
                inner[last] = value
        return json.dumps(numbers)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda _: "",
        lambda _: "{",
        lambda _: "[]",
        lambda _: "null",
        lambda _: "[" * 100_000,
        lambda text: text.replace('"images": ', f'"images": {"7" * 5000}'),
        changed(format=2),
        changed(ada=None),
        changed(ada=[]),
        changed(ada__p=None),
        changed(ada__p=float("nan")),
        changed(ada__p=-0.5),
        changed(ada__p=2.0),
        changed(ada__signs=float("inf")),
        changed(ada__images=-1),
        changed(ada__kimg=1e-9),
        changed(ada__adjust="x"),
        changed(dtype="nope"),
        changed(dtype="save"),
        changed(dtype="float64"),
        changed(images=-5),
        changed(images=1.5),
        changed(images="many"),
        changed(steps=None),
        changed(steps=2**60),
        changed(more=1),
        changed(**{"\x1b[31m": 1}),
    ],
)
def test_numbers_that_no_training_leaves(path: Path, change: Callable[[str], str | None]) -> None:
    with_note(path, change(note(path)))
    assert "is not a checkpoint that this version of napari-rls reads (" in refusal(path)


WEIGHT = "generator.synthesis.b8.conv1.weight"


def put(name: str, tensor: torch.Tensor) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: tensor})


def spoil(name: str, value: float) -> Callable[[Tensors], object]:
    return lambda tensors: tensors[name].flatten()[:1].fill_(value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("path_mean"), "its tensor path_mean is missing"),
        (lambda t: t.pop(WEIGHT), f"its tensor {WEIGHT} is missing"),
        (lambda t: t.pop("adam_g.0.step"), "its tensor adam_g.0.step is missing"),
        (lambda t: t.pop("stream.noise"), "its tensor stream.noise is missing"),
        (put("payload", torch.zeros(2)), "its tensor payload does not belong there"),
        (put("adam_g.999.step", torch.ones(())), "adam_g.999.step does not belong there"),
        (put("\x1b[2J", torch.ones(())), r"its tensor \x1b[2J does not belong there"),
        (put(WEIGHT, torch.zeros(2)), f"its tensor {WEIGHT} is of another shape or type"),
        (put("path_mean", torch.zeros(1)), "its tensor path_mean is of another shape or type"),
        (put("path_mean", torch.zeros((), dtype=torch.int64)), "path_mean is of another shape"),
        (put("stream.path", torch.zeros(5056, dtype=torch.uint8)), "random stream path is none"),
        (put("stream.path", torch.zeros(7, dtype=torch.uint8)), "stream.path is of another shape"),
        (spoil(WEIGHT, 3e38), f"its tensor {WEIGHT} holds what no training leaves"),
        (spoil(WEIGHT, torch.nan), f"its tensor {WEIGHT} holds what no training leaves"),
        (spoil("average.mapping.w_avg", torch.inf), "mapping.w_avg holds what no training leaves"),
        (spoil("adam_d.0.exp_avg", torch.nan), "adam_d.0.exp_avg holds what no training leaves"),
        (spoil("adam_d.0.exp_avg_sq", -1.0), "exp_avg_sq holds what no training leaves"),
        (spoil("adam_g.0.step", -1.0), "adam_g.0.step holds what no training leaves"),
        (spoil("adam_g.0.step", 0.5), "adam_g.0.step holds what no training leaves"),
        (spoil("path_mean", torch.inf), "path_mean holds what no training leaves"),
    ],
)
def test_tensors_that_no_training_leaves(
    path: Path, change: Callable[[Tensors], object], said: str
) -> None:
    with_tensors(path, change)
    assert said in refusal(path)


def test_nothing_is_assigned_of_a_checkpoint_that_is_refused(path: Path) -> None:
    with_tensors(path, lambda tensors: tensors.pop("path_mean"))
    trainer = Trainer(settings(), torch.device("cpu"), torch.float32)
    before = {k: v.clone() for k, v in trainer.generator.state_dict().items()}
    with pytest.raises(TrainingError, match="path_mean is missing"):
        load_checkpoint(path, trainer)
    assert trainer.images == 0
    assert not trainer.adam_g.state
    assert all(torch.equal(v, before[k]) for k, v in trainer.generator.state_dict().items())


def test_a_run_that_starts_from_weights_may_have_no_path_mean_yet(folder: Path) -> None:
    with_tensors(RunFolder(folder).checkpoint, put("path_mean", torch.tensor(torch.nan)))
    assert run(folder)[-1].finished


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_off_checkpoint(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert refusal(path).endswith(
        "checkpoint.safetensors cannot be read (it is damaged, cut short or of another format)."
    )


def test_a_start_that_is_none(path: Path) -> None:
    arch = settings().architecture
    for change, said in [
        (spoil(WEIGHT, torch.nan), "holds NaN, infinite or huge"),
        (put(WEIGHT, torch.zeros(3)), "is missing or not of the shape"),
        (lambda t: t.pop(min(n for n in t if n.startswith("disc"))), "is missing or not"),
    ]:
        whole = path.read_bytes()
        with_tensors(path, change)
        with pytest.raises(TrainingError, match=f"cannot be the start of this run.*{said}"):
            load_start(path, arch)
        path.write_bytes(whole)
    assert load_start(path, arch).discriminator is not None
    path.write_bytes(b"no weights")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_generator(path, arch)


DAMAGED = [
    b"\xff\xfe\x00",
    b"7" * 5000,
    b"[" * 100_000,
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b'{"images": -5}',
    b'{"images": 10',
    b"\x00" * 100,
]


@pytest.mark.parametrize("name", ["log.jsonl", "scores.jsonl"])
def test_damaged_lines_are_left_out(folder: Path, tmp_path: Path, name: str) -> None:
    place = RunFolder(folder)
    if name == "scores.jsonl":
        place.add_score(Score(20, 0.5, 0.1, 10.0, "network"))
        place.add_score(Score(40, 0.4, 0.1, 9.0, "network"))
    lines = (folder / name).read_bytes().splitlines()
    read = place.reports if name == "log.jsonl" else place.scores
    whole = [repr(entry) for entry in read()]
    assert len(whole) == len(lines) > 1
    mixed = [lines[0], *DAMAGED, *lines[1:], lines[0].replace(b"}", b', "more": 1}')]
    (folder / name).write_bytes(b"\n".join(mixed) + b"\n")
    assert [repr(entry) for entry in read()] == whole
    run(folder)
    run(tmp_path / "through")
    assert_same_state(tmp_path / "through", folder)


@pytest.mark.parametrize("content", [*DAMAGED, b"\xef\xbb\xbf{}"], ids=lambda c: repr(c[:12]))
def test_a_damaged_record_is_one_sentence(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    assert "run.json cannot be read (" in refusal(RunFolder(folder).checkpoint)


def test_a_record_with_a_byte_order_mark_is_read(folder: Path) -> None:
    record = folder / "run.json"
    record.write_bytes(b"\xef\xbb\xbf" + record.read_bytes())
    assert run(folder)[-1].finished


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a folder that keeps crops of inputs whose digest is "digest"."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2, 8, 8), np.uint8)
    made = [Crop(file="field", condition="dmso") for _ in pixels]
    stack = CellStack(pixels, ("DNA", "GFP"), crops=tuple(made))
    crops = TrainingCrops(stack, stack, 1, 2, 3, Intensity())
    keep_crops(tmp_path, crops, "digest")
    return tmp_path


def test_kept_crops_are_those_of_the_inputs(kept: Path) -> None:
    back = kept_crops(kept, "digest")
    assert back is not None
    assert (back.files, back.at_border, back.unusable) == (1, 2, 3)
    assert back.training.data.dtype == np.uint8
    assert kept_crops(kept, "other") is None


@pytest.mark.parametrize("content", DAMAGED, ids=lambda c: repr(c[:12]))
def test_crops_with_a_damaged_record_are_cut_again(kept: Path, content: bytes) -> None:
    (kept / "crops.json").write_bytes(content)
    assert kept_crops(kept, "digest") is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("pixel_type", "U99999999"),
        ("pixel_type", "object"),
        ("fields", -1),
        ("at_border", "many"),
        ("intensity", {"low": 0, "high": 1e308}),
        ("intensity", None),
        ("inputs", ["digest"]),
        ("more", 1),
    ],
)
def test_crops_with_a_made_up_record_are_cut_again(kept: Path, place: str, value: object) -> None:
    file = kept / "crops.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {place: value}))
    assert kept_crops(kept, "digest") is None


def test_a_pix2pix_checkpoint_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    pix2pix_bench.run(folder, stop_at=4)
    path = folder / "checkpoint.safetensors"
    key = "napari-rls-pix2pix"
    with safe_open(path, framework="pt") as file:
        whole = str(file.metadata()[key])
    tensors = load_file(path)
    numbers = json.loads(whole)
    for text in (
        "",
        "{",
        "[]",
        json.dumps(numbers | {"steps": -5}),
        json.dumps(numbers | {"reports": [1]}),
        json.dumps(numbers | {"identity": {}}),
        json.dumps(numbers | {"more": 1}),
    ):
        save_file(tensors, path, {key: text})
        with pytest.raises(TrainingError, match="is not a checkpoint that this version"):
            pix2pix_bench.run(folder)
    for change, said in [
        (lambda t: t.pop(min(t)), "is missing"),
        (lambda t: t[max(n for n in t if "exp_avg" in n)].fill_(torch.nan), "no training leaves"),
    ]:
        spoilt = {n: t.clone() for n, t in tensors.items()}
        change(spoilt)
        save_file(spoilt, path, {key: whole})
        with pytest.raises(TrainingError, match=said):
            pix2pix_bench.run(folder)
    save_file(tensors, path, {key: whole})
    assert pix2pix_bench.run(folder)[-1].finished


def test_all_files_of_a_run_have_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        run(tmp_path / "run")
    finally:
        os.umask(before)
    modes = {
        str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode)
        for p in [tmp_path / "run", *(tmp_path / "run").rglob("*")]
    }
    assert len(modes) > 8
    assert {m for n, m in modes.items() if (tmp_path / n).is_dir()} == {0o775}
    assert {m for n, m in modes.items() if (tmp_path / n).is_file()} == {0o664}
