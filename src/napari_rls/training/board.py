"""Losses, scores and sample sheets for TensorBoard, in a run's own folder."""

from __future__ import annotations

import math
import re
import struct
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensorboardX.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboardX.record_writer import masked_crc32c  # type: ignore[import-untyped]
from tensorboardX.summary import Summary, image, scalar  # type: ignore[import-untyped]

from napari_rls.files.whole_file import append_whole
from napari_rls.training.grid import sheet
from napari_rls.training.run_folder import Report, Score, unwritable

_TAGS = {
    "images_per_second": "speed/images_per_second",
    "discriminator_loss": "loss/discriminator",
    "generator_loss": "loss/generator",
    "r1": "loss/r1",
    "path_length": "loss/path_length",
    "ada_p": "ADA/p",
    "real_sign": "ADA/real_sign",
}


_NAME = re.compile(r"events\.out\.tfevents\.(\d{1,12})\.", re.ASCII)


class Board:
    """An event file in ``folder`` for each start of the run; a step is an image shown.

    Records are appended at once: tensorboardX's own writer hands them to a thread, and
    waits for ever once that has died of a full disk.

    Parameters
    ----------
    folder
        Where the event files lie.
    images
        Images shown so far: a reader forgets what earlier files say of later ones,
        since it is done again.
    """

    def __init__(self, folder: Path, images: int) -> None:
        # Readers take files in the order of their names: each start needs a later one.
        named = (_NAME.match(file.name) for file in folder.glob("events.out.tfevents.*"))
        stamps = [int(found[1]) for found in named if found]
        stamp = max([int(time.time()), *(s + 1 for s in stamps)])
        self.file = folder / f"events.out.tfevents.{stamp}.{images:09d}"
        self.images = images

    def add_report(self, report: Report) -> None:
        """Write a report; raise TrainingError if that fails."""
        values = {tag: getattr(report, name) for name, tag in _TAGS.items()}
        self._write(_scalars(values), report.images)

    def add_score(self, score: Score) -> None:
        """Write a score under the name of its feature network; raise TrainingError likewise."""
        name = re.sub(r"[^\w.-]+", "_", score.features)
        values = {f"KID/{name}": score.kid, f"FID/{name}": score.fid}
        self._write(_scalars(values), score.images)

    def add_samples(self, images: int, samples: NDArray[np.float32]) -> None:
        """Write a sheet of samples (n, C, H, W), -1 to 1; raise TrainingError likewise."""
        picture = image("samples/generated", sheet(samples), dataformats="HWC")
        self._write(list(picture.value), images)

    def _write(self, values: list[Summary.Value], step: int) -> None:
        records = _record(step, summary=Summary(value=values))
        try:
            if not self.file.exists() or not self.file.stat().st_size:
                self.file.parent.mkdir(exist_ok=True)
                start = SessionLog(status=SessionLog.START)
                head = _record(0, file_version="brain.Event:2")
                records = head + _record(self.images + 1, session_log=start) + records
            # A half-written record would end the file for every reader.
            append_whole(self.file, records)
        except OSError as error:
            raise unwritable(self.file.parent, error) from None


def _record(step: int, **content: object) -> bytes:
    """Return an event as a record: length and content, each with its checksum."""
    event: bytes = Event(step=step, wall_time=time.time(), **content).SerializeToString()
    length = struct.pack("<Q", len(event))
    checks = [struct.pack("<I", masked_crc32c(part)) for part in (length, event)]
    return length + checks[0] + event + checks[1]


def _scalars(values: dict[str, float]) -> list[Summary.Value]:
    return [
        entry
        for tag, value in values.items()
        if math.isfinite(value)
        for entry in scalar(tag, value).value
    ]
