"""A training job that takes a second: four fields of three whole cells, a tiny network."""

from __future__ import annotations

import resource
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray
from synthetic_cells import field

from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.bundle_card import Card
from napari_rls.workflow.train.train_bundle import JobUpdate, train_bundle
from napari_rls.workflow.train.train_job import TrainJob

T = TypeVar("T")

CENTRES = [(30.0, 40.0), (60.0, 25.0), (64.0, 64.0), (6.0, 80.0)]
SETTINGS = TrainSettings(
    size=16,
    channels=("DNA", "GFP"),
    z_dim=8,
    w_dim=8,
    mapping_layers=2,
    channel_max=8,
    channel_last=4,
    batch_size=4,
    kimg=0.04,
    report_kimg=0.01,
    threads=1,
    device="cpu",
    precision="float32",
)
CARD = Card(name="tiny", title="A tiny one", licence="CC0-1.0", attribution="none")


def images() -> list[NDArray[np.uint8]]:
    """Return four fields (2, 96, 96)."""
    return [np.roll(field(CENTRES), k, axis=2) for k in range(4)]


def write_fields(folder: Path) -> Path:
    """Write the fields to a new folder, a file with both channels each."""
    folder.mkdir()
    for k, image in enumerate(images()):
        tifffile.imwrite(folder / f"f{k}.tif", image, photometric="minisblack")
    return folder


def job(place: Path, /, **changes: object) -> TrainJob:
    """Return a job on the images in ``place / "fields"``."""
    plan: dict[str, object] = {
        "images": (str(place / "fields"),),
        "settings": SETTINGS,
        "card": CARD,
        "out": place / "tiny.rls.safetensors",
        "folder": place / "run",
        "fit_samples": 300,
        "fit_epochs": 1,
    }
    return TrainJob(**(plan | changes))  # type: ignore[arg-type]


def run(job: TrainJob, stop_at: tuple[int, int] | None = None) -> list[JobUpdate]:
    """Do a job; close it once it has shown so many images of a size."""
    updates = []
    iteration = train_bundle(job)
    for update in iteration:
        updates.append(update)
        if update.step and (update.size, update.step.images) == stop_at:
            iteration.close()
    return updates


def returned(work: Generator[object, None, T]) -> T:
    """Run a generator to its end and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process can grow beyond ``room`` bytes, just as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
