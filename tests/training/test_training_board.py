"""Event files for TensorBoard, read as TensorBoard reads them."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_bench import crops, run, settings
from score_bench import kid_of, scored
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tiny_job import full_disk

from napari_rls.errors import TrainingError
from napari_rls.training.board import Board
from napari_rls.training.run import train
from napari_rls.training.run_folder import RunFolder, Score


def events(folder: Path) -> list[Event]:
    """All events of all files that a reader keeps: a start takes away what lies after it."""
    kept: list[Event] = []
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]
            if event.session_log.status == SessionLog.START:
                kept = [e for e in kept if e.step < event.step]
            kept.append(event)
    return kept


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_the_board_shows_what_the_log_says_once_each_after_resuming(tmp_path: Path) -> None:
    place = RunFolder(tmp_path / "run")
    scored(place.path, kid_of, stop_at=44)
    kept = place.checkpoint.read_bytes()
    scored(place.path, kid_of, stop_at=84)
    # As a kill leaves it: the board knows more than the checkpoint.
    place.checkpoint.write_bytes(kept)
    scored(place.path, kid_of)
    found = scalars(place.board)
    for tag, name in {
        "loss/discriminator": "discriminator_loss",
        "loss/generator": "generator_loss",
        "loss/path_length": "path_length",
        "ADA/p": "ada_p",
        "speed/images_per_second": "images_per_second",
    }.items():
        reports = [(r.images, getattr(r, name)) for r in place.reports()]
        expected = [(images, value) for images, value in reports if np.isfinite(value)]
        np.testing.assert_allclose(found[tag], expected, rtol=1e-6)
    assert [step for step, _ in found["loss/discriminator"]] == [20, 40, 60, 80, 100, 120]
    expected_kid = [(s.images, s.kid) for s in place.scores()]
    np.testing.assert_allclose(found["KID/test_features"], expected_kid, rtol=1e-6)
    assert [step for step, _ in found["FID/test_features"]] == [40, 80, 120]
    pictures = [
        (e.step, v.image) for e in events(place.board) for v in e.summary.value if v.image.width
    ]
    assert [step for step, _ in pictures] == [40, 80, 120]
    with Image.open(tmp_path / "run" / "samples" / "000000.png") as sheet:
        assert (2 * pictures[0][1].width, 2 * pictures[0][1].height) == sheet.size


def test_a_board_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    iteration = train(crops(), settings(), tmp_path / "run")
    updates = [next(iteration) for _ in range(6)]
    with full_disk(10):
        updates += [next(iteration) for _ in range(5)]
    updates += list(iteration)
    place = RunFolder(tmp_path / "run")
    failed = [p.images for p in updates if str(place.board) in p.warning]
    assert failed == [40]
    # What was cut off was taken back, so that what came later can be read.
    steps = [step for step, _ in scalars(place.board)["loss/discriminator"]]
    assert steps == [20, 60, 80, 100, 120]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("")
    board = Board(tmp_path / "tensorboard", 0)
    with pytest.raises(TrainingError, match=r"Cannot write .*tensorboard"):
        board.add_score(Score(1, 0.1, 0.1, 1.0, "features"))


def test_a_run_without_scores_has_no_score_curves(tmp_path: Path) -> None:
    run(tmp_path / "run", stop_at=40)
    assert not any("KID" in tag for tag in scalars(RunFolder(tmp_path / "run").board))


def test_files_of_other_names_are_no_hindrance(tmp_path: Path) -> None:
    for name in ("x.y", "1.", "9" * 200 + ".1", "\u0663.1", "99999999999.0"):
        (tmp_path / f"events.out.tfevents.{name}").touch()
    assert Board(tmp_path, 7).file.name == "events.out.tfevents.100000000000.000000007"
