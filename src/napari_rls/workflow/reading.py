"""What the pixels of an image are taken for: shown before a run, and kept in its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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
        Names of layers that hold True and False only.
    cells
        Number of cells.
    unnamed
        Whether nothing names the axis of channels.
    """

    axes: str = ""
    channels: tuple[tuple[str, str], ...] = ()
    assumed: tuple[str, ...] = ()
    differing: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    cells: int = 0
    unnamed: bool = False

    @property
    def certain(self) -> bool:
        """Whether the image itself says all of it."""
        return not (self.assumed or self.differing or self.unused or self.unnamed)

    @property
    def text(self) -> str:
        """What the user should see before a run, or nothing."""
        if not self.channels:
            return ""
        if not (self.assumed or self.differing or self.unused):
            return f"Read as {self.axes}; the channels by their names."
        mapped = ", ".join(f"{found} is {wanted}" for wanted, found in self.channels)
        note = f" (assumed: {', '.join(self.assumed)})" if self.assumed else ""
        return f"Read as {self.axes}; {mapped}{note}."

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
        said += [
            f"{name} holds only True and False, like a mask: the search needs intensities."
            for name in self.masks
        ]
        return said

    def record(self) -> dict[str, Any]:
        """Return this for the record of a run."""
        return {
            "axes": self.axes,
            "channels": dict(self.channels),
            "assumed": list(self.assumed),
            "warnings": self.warnings,
        }


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
    words = f"one cell of {size}"
    if cells is not None:
        words = f"{shape[cells]} cells of {size} along {called(cells)}"
    return words if channel is None else f"{words}, channels along {called(channel)}"
