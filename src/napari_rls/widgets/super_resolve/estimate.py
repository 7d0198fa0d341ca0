"""How long a run will take, before it starts: from earlier runs here, or by a rule of thumb."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from napari_rls.errors import JsonError
from napari_rls.files.json_file import read_model
from napari_rls.files.whole_file import whole_file
from napari_rls.text import duration

if TYPE_CHECKING:
    from pathlib import Path

    from napari_rls.models.manifest import Manifest
    from napari_rls.search.settings import Settings

SIDE = 64
"""Side of the SR images, in pixels, that a step is counted for."""

SECONDS = 0.004
"""Seconds of a step of one cell on one CPU core, where no run has been seen yet."""

LOADING = 2.0
"""Seconds until the first step."""

SAMPLING = 2
"""Steps of the search that a step of the sampling costs."""

DRAWN = 10
"""Steps that an image costs which is drawn at once."""

_FILE = "speed.json"


def work(settings: Settings, manifest: Manifest, cells: int) -> float:
    """Return how much a run has to do, in steps of a cell of :data:`SIDE` pixels."""
    drawn = settings.method in ("pix2pix", "flow")
    steps = DRAWN if drawn else settings.search_steps
    if settings.posterior == "flow" or (settings.posterior == "auto" and manifest.flow_matching):
        steps += DRAWN * settings.samples
    elif settings.samples:
        steps += SAMPLING * settings.sample_steps
    return cells * steps * manifest.hr_size / SIDE


def describe_time(settings: Settings, manifest: Manifest, cells: int, memory: Path) -> str:
    """Return in a sentence how long a run will take; ``memory`` is the file of the settings."""
    known = _rates(memory).get(_key(settings))
    seconds = LOADING + work(settings, manifest, cells) * (known or SECONDS)
    source = "from the last run here" if known else "a rule of thumb for a CPU"
    what = "1 cell" if cells == 1 else f"{cells} cells"
    return f"About {duration(seconds)} for {what} (estimate: {source})."


def note_run(
    settings: Settings, manifest: Manifest, cells: int, seconds: float, memory: Path
) -> None:
    """Remember how fast a run was; that this is not possible is no loss."""
    done = work(settings, manifest, cells)
    if done <= 0 or seconds <= 0:
        return
    rates = {**_rates(memory), _key(settings): seconds / done}
    path = memory.with_name(_FILE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            draft.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")
    except OSError:
        return


def _key(settings: Settings) -> str:
    """Return what speed depends on most."""
    return f"{settings.method} {settings.device} {settings.precision} {settings.threads}"


def _rates(memory: Path) -> dict[str, PositiveFloat]:
    try:
        return read_model(memory.with_name(_FILE), dict[str, PositiveFloat])
    except (OSError, JsonError):
        return {}
