"""What a run over fields has finished, as its page tells it: table, files, what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from napari_rls.measure.columns import Column
from napari_rls.measure.dictionary import columns_of, measurements
from napari_rls.workflow.fields.field_files import FieldFile, FieldPaths
from napari_rls.workflow.fields.shared import Shared
from napari_rls.workflow.measure.measurements import Measurements

_NAMED = 5
"""Fields that are named where a sentence is of some."""


@dataclass(frozen=True, eq=False)
class FinishedField:
    """A field whose files are whole, with what was measured of its cells."""

    file: FieldFile
    paths: FieldPaths
    measured: Measurements

    @property
    def table(self) -> pd.DataFrame:
        """The rows of its cells."""
        return self.measured.table


@dataclass(frozen=True, eq=False)
class PlateMeans:
    """Means of wells and conditions that HR cells correct, and how they were made."""

    table: pd.DataFrame
    record: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class FinishedFields:
    """All that a run has finished.

    Attributes
    ----------
    fields
        The fields, in order.
    table, record
        The table of all their cells, and how it was made.
    shared
        What all fields share.
    left_out
        What is no field of the results, and in a sentence why.
    said
        What else was said of the files, in sentences.
    means
        Means that HR cells correct; None without HR cells.
    """

    fields: tuple[FinishedField, ...]
    table: pd.DataFrame
    record: Mapping[str, Any]
    shared: Shared
    left_out: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = ()
    means: PlateMeans | None = None

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """What the columns of the table are."""
        return columns_of(self.table, self.record)

    @property
    def headline(self) -> str:
        """The measurement that the assay is about."""
        return measurements(self.columns)[0]

    @cached_property
    def microscopes(self) -> tuple[Mapping[str, Any], ...]:
        """How fields were seen, each way once, without what was assumed."""
        return tuple(self._told[0])

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """What was estimated, assumed, or is in doubt, each sentence once."""
        told = []
        for sentence, names in self._told[1].items():
            rest = len(names) - _NAMED
            named = ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
            told.append(sentence if len(names) == len(self.fields) else f"{named}: {sentence}")
        warnings = [*self.record.get("warnings", ())]
        if self.means is not None:
            warnings += self.means.record["warnings"]
        return tuple(dict.fromkeys([*self.said, *self.shared.words, *told, *warnings]))

    @cached_property
    def _told(self) -> tuple[list[Mapping[str, Any]], dict[str, list[str]]]:
        """Return microscopes, and fields by what their records say, read one after the other."""
        microscopes: list[Mapping[str, Any]] = []
        sentences: dict[str, list[str]] = {}
        for one in self.fields:
            record = one.paths.record()
            microscope = dict(record.get("microscope", {}))
            read = record.get("input", {}).get("read", {})
            for sentence in (*microscope.pop("assumed", ()), *_reading(read)):
                sentences.setdefault(sentence, []).append(one.file.name)
            if microscope and microscope not in microscopes:
                microscopes.append(microscope)
        return microscopes, sentences


def _reading(read: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the record of a field says of how its file was read."""
    if assumed := read.get("assumed"):
        channels = read.get("channels", {})
        mapped = ", ".join(f"{found} is {wanted}" for wanted, found in channels.items())
        yield f"Channels: {mapped} (assumed: {', '.join(assumed)})."
    yield from read.get("warnings", ())
