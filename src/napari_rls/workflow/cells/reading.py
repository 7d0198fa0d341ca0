"""What the pixels of an image are taken for: shown before a run, and kept in its record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from napari_rls.workflow.cells.wells import WellGuess, told_wells, wells_record

WELLS_KEY = "wells_from_names"
"""Key of records: which wells were taken from which names of files, and what else they may be."""

_SIZES = re.compile(r"\b(one|\d+) (cells?|x \d+|planes|tiles|time points)\b")


@dataclass(frozen=True)
class Reading:
    """What the pixels of LR cells are taken for.

    Parameters
    ----------
    axes
        What the axes run over, in words.
    channels
        For each channel of the bundle, what is taken for it, in words.
    assumed
        Names of those that nothing names.
    differing
        What is taken for each channel whose name is another one, in words.
    unused
        Channels of the image that are not used, in words.
    masks
        Names of layers or files that hold True and False only.
    cells
        Number of cells.
    unnamed
        Whether nothing names the axis of channels.
    wells
        For names of files, the wells that were taken from them.
    apart
        What is taken for cells though its axis has another name, in words.
    alike
        Names that several channels of the image have, one of which is used, and their
        indices.
    blank
        In words, how much of the image may never have been written.
    unit
        That of the pixel size as the file has it, if it is none that is known.
    """

    axes: str = ""
    channels: tuple[tuple[str, str], ...] = ()
    assumed: tuple[str, ...] = ()
    differing: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    cells: int = 0
    unnamed: bool = False
    wells: Mapping[str, WellGuess] = field(default_factory=dict, hash=False)
    apart: str = ""
    alike: tuple[tuple[str, tuple[int, ...]], ...] = ()
    blank: str = ""
    unit: str = ""

    @property
    def certain(self) -> bool:
        """Whether the image itself says all of it."""
        doubted = self.unnamed or self.apart or self.masks or self.blank or self.unit
        return not (self.assumed or self.differing or self.unused or doubted)

    @property
    def way(self) -> Reading:
        """What is the same for files of other sizes that are read alike."""
        return replace(
            self,
            axes=_SIZES.sub("", self.axes),
            cells=min(self.cells, 2),
            apart=_SIZES.sub("", self.apart),
            masks=("",) * len(self.masks),
            blank="some" if self.blank else "",
            wells={},
        )

    @property
    def text(self) -> str:
        """What the user should see before a run, or nothing."""
        if not self.channels:
            return ""
        how = "the channels by their names"
        if self.assumed or self.differing or self.unused:
            mapped = ", ".join(f"{found} is {wanted}" for wanted, found in self.channels)
            note = f" (assumed: {', '.join(self.assumed)})" if self.assumed else ""
            how = f"{mapped}{note}"
        return " ".join([f"Read as {self.axes}; {how}.", *told_wells(self.wells)])

    @property
    def warnings(self) -> list[str]:
        """What is probably not what the user means, in sentences."""
        said = []
        if self.differing:
            mapped = ", ".join(f"{found} is taken for {wanted}" for wanted, found in self.differing)
            said.append(f"The channels' names differ from the bundle's: {mapped}.")
        if self.unused:
            plural = len(self.unused) > 1
            said.append(
                f"The bundle has fewer channels than the image: {', '.join(self.unused)} "
                f"{'are' if plural else 'is'} not used."
            )
            if self.unnamed and self.cells == 1:
                said.append(
                    "If its axis of channels runs over cells, choose one layer per channel."
                )
            elif self.unnamed and self.cells == len(self.channels):
                said.append(
                    f"Its other axis has {self.cells}, as many as the bundle has channels: if that "
                    "is the channels', name the axes, as in C, T, Y, X (of a layer, axis_labels)."
                )
        said += [
            f"Channels {', '.join(map(str, places))} of the image are all called {name}: see that "
            "the one that is meant is chosen."
            for name, places in self.alike
        ]
        if self.apart:
            said.append(
                f"Each of its {self.apart} is taken for a cell or field of its own; if that is "
                "wrong, give one of each, or a projection."
            )
        said += [self.blank_words] if self.blank else []
        said += [
            f"{name} holds only True and False, like a mask: the search needs intensities."
            for name in self.masks
        ]
        return [*said, self.unit_words] if self.unit else said

    @property
    def blank_words(self) -> str:
        """What is to be said of parts that may never have been written, or ""."""
        return self.blank and (
            f"{self.blank} of the image hold nothing: see that it was written to its end."
        )

    @property
    def unit_words(self) -> str:
        """What is to be said of the unit of the pixel size, or ""."""
        return self.unit and (
            f"The pixel size of the image is given in {self.unit!r}, which is no unit of length "
            "known here, so that it counts for nothing: save the image with its pixel size in "
            "micrometres, or go on without."
        )

    def record(self) -> dict[str, Any]:
        """Return this for the record of a run."""
        return {
            "axes": self.axes,
            "channels": dict(self.channels),
            "assumed": list(self.assumed),
            "warnings": self.warnings,
            **({WELLS_KEY: wells_record(self.wells)} if self.wells else {}),
        }


def told_readings(readings: Sequence[tuple[str, Reading]]) -> list[str]:
    """Return what to say before a run of how files were read, a sentence for each way.

    Nothing if all were read in the same way, of which the files themselves say all.

    Parameters
    ----------
    readings
        Names of the files, and what they were taken for.
    """
    ways: dict[Reading, list[tuple[str, Reading]]] = {}
    for name, reading in readings:
        ways.setdefault(reading.way, []).append((name, reading))
    if len(ways) < 2 and all(way.certain for way in ways):
        return []
    said = []
    for files in ways.values():
        name, reading = files[0]
        which = f"{len(files)} files like {name}" if len(files) > 1 else name
        said.append(" ".join([f"{which}: {reading.text}", *reading.warnings]))
    return said


def describe_axes(
    shape: Sequence[int],
    channel: int | None,
    cells: int | None,
    labels: Sequence[str] | None = None,
) -> str:
    """Return in words what the axes of an image run over.

    Parameters
    ----------
    shape
        The image's shape; the last two axes are y and x.
    channel, cells
        Axes of channels and cells, None for one that is not there.
    labels
        What the image calls its axes, if known.
    """

    def called(axis: int) -> str:
        label = labels[axis].strip() if labels else ""
        return f"axis {axis} ({label})" if label.isalpha() else f"axis {axis}"

    size = f"{shape[-2]} x {shape[-1]} pixels"
    words = f"one image of {size}"
    if cells is not None:
        words = f"{shape[cells]} cells of {size} along {called(cells)}"
    return words if channel is None else f"{words}, channels along {called(channel)}"
