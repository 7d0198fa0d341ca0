"""A run of the dock, without Qt: what it works on, where it shows, what it has reached."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_rls.widgets.cells.run_words import count_cells, describe_cells, describe_reached
from napari_rls.widgets.common.state import RunOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.field_layers import FieldLayers
    from napari_rls.widgets.fields.field_table import LastField
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.fields.shared import Shared

MOST_SAMPLES = 2e9
"""Bytes of the samples of SR fields that the window shows."""

STAGES = {"scouting": "Looking again", "searching": "Searching"}


@dataclass(eq=False)
class FieldRun:
    """A run: what it works on, and where it shows.

    ``image``, ``origin``, ``result`` and so on are of the field that is worked on; of a run over
    several ``results`` has those of the fields before it, and ``faults`` why some have none.
    ``planes`` are how many fields the layers are to have, None for one. ``notes`` are sentences on
    all, ``said`` on the field that is worked on.
    """

    image: CellStack
    origin: list[Source]
    manifest: Manifest
    find_only: bool
    ratio: float
    made_with: dict[str, Any]
    planes: int | None = None
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    found: int = 0
    result: FieldResult | None = None
    layers: FieldLayers | None = None
    digest: str = ""
    drawn: set[int] = field(default_factory=set)
    kept: int = 0
    plane: int = 0
    results: dict[int, FieldResult] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    shared: Shared | None = None

    def begin(self, plane: int, image: CellStack) -> None:
        """Work on another of several fields."""
        self.image, self.plane = image, plane
        self.origin = [replace(each, cells=range(plane, plane + 1)) for each in self.origin]
        self.result, self.drawn, self.kept, self.said = None, set(), 0, []

    @property
    def ring(self) -> float:
        """Diameter in LR pixels of the ring around a cell, a third of the side of its crop."""
        return self.manifest.hr_size / self.ratio / 3

    @property
    def finished(self) -> list[int]:
        """Which cells of the field that is worked on are finished."""
        cells = self.result.collector.cells if self.result else ()
        return [k for k, cell in enumerate(cells) if cell.status in ("done", "failed")]

    @property
    def whole(self) -> dict[int, FieldResult]:
        """The fields whose cells are all done."""
        every = {**self.results, **({self.plane: self.result} if self.result else {})}
        return {plane: each for plane, each in every.items() if each.collector.complete}

    def share(self, share: float) -> float:
        """Return the share of the work that is done, by that of the field."""
        if not self.planes:
            return share
        known = {*self.results, *self.faults} - {self.plane}
        done = sum(k in known for k in range(self.planes))
        return min((done + share) / self.planes, 1.0)

    def place(self) -> str:
        """Return which of several fields is worked on, in words before others."""
        return f"Field {self.plane + 1} of {self.planes}: " if self.planes else ""

    def record(self) -> dict[str, Any]:
        """Return the record of the field so far, whose input is the field."""
        assert self.result is not None
        record = self.result.record
        pixels = self.image.data
        record["input"] |= {
            "sha256": self.digest,
            "shape": list(pixels.shape),
            "dtype": str(pixels.dtype),
        }
        return record


def why_not_measured(run: FieldRun, outcome: RunOutcome) -> str:
    """Return why the cells of a run cannot be measured, or nothing."""
    if not run.whole or (outcome is not RunOutcome.DONE and run.planes is None):
        return "The run ended before all cells were done: super-resolve again to measure them."
    if not run.manifest.measurement:
        return (
            f"The bundle {run.manifest.name} does not say what to measure: use the command "
            "napari-rls fields, which takes --assay."
        )
    return ""


def describe_results(run: FieldRun, last: LastField, outcome: RunOutcome) -> tuple[str, list[str]]:
    """Return how far a run came, and what is in doubt of it, in sentences."""
    results = list(last.results.values())
    doubts: list[str] = []
    for plane, result in last.results.items():
        collector, info = result.collector, result.collector.run
        assert info is not None
        cells, total = collector.cells, len(collector.cells)
        failed = {k: c.reason for k, c in enumerate(cells) if c.status == "failed"}
        said = [
            describe_cells(failed, total, "kept at the last good step"),
            describe_cells(info.unusual, total, "not to be trusted"),
        ]
        where = f"Field {plane + 1}: " if run.planes else ""
        doubts += [f"{where}{each}" for each in said if each]
    doubts += [f"Field {k + 1} is left out: {why}" for k, why in sorted(run.faults.items())]
    if run.planes is None:
        reached = describe_reached(results[0].collector)
    else:
        reached = _fields_reached(run, results)
    return f"{outcome}: {reached}.", doubts


def _fields_reached(run: FieldRun, results: Sequence[FieldResult]) -> str:
    collectors = [result.collector for result in results]
    cells = sum(collector.finished for collector in collectors)
    seconds = sum(collector.seconds for collector in collectors)
    whole = sum(collector.complete for collector in collectors)
    words = f"{count_cells(cells)} in {whole} of {run.planes} fields in {seconds:.1f} s"
    if whole < len(results):
        words += f", field {run.plane + 1} in part"
    return words


def say_samples(last: LastField) -> str:
    """Return in a sentence where the samples of a result are, or why they are not shown."""
    samples = [each.collector.samples for each in last.results.values()]
    if samples[0] is None:
        return ""
    shown = last.layers.samples
    if shown is not None and shown.layers:
        return f"The samples are in the hidden layer {shown.layers[0].name!r}."
    return (
        "The samples are not shown, as those of the whole field would have more than "
        f"{MOST_SAMPLES / 1e9:g} GB: crop the layer to see them. Intervals are of them."
    )
