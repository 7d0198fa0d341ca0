"""What an assay is: settings, what is measured of a cell with them, and how it is shown.

An assay is one object. The package brings two, :data:`napari_rls.measure.translocation.ASSAY`
and :data:`napari_rls.measure.spots.ASSAY`; other packages bring theirs by an entry point of
the group ``napari_rls.assays``, see :mod:`napari_rls.measure.registry`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from napari_rls.measure.columns import FIXED, summary_columns
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.part import Checked

Role = Literal["dna", "signal"]
"""What a channel is for: it shows nuclei, or is measured."""

PlotKind = Literal["conditions", "doses", "agreement", "coverage", "held_out"]

PLOTS: Final[tuple[PlotKind, ...]] = get_args(PlotKind)
"""Plots of a table of cells, see :mod:`napari_rls.evaluation.plots`."""

NUCLEUS_FIELD: Final = "nucleus"
"""The field of an assay's settings that holds how nuclei are found, if it has one."""

TAKEN: Final = frozenset(
    {"assay", "dna", "signal", "saturation", "files", "out", "gt", "lr", "kind", "factor"}
    | {"plate_map", "settings", "settings_file", "overwrite", "help", "version", "own", "stored"}
    | {"camera_offset"}
    | {f"{NUCLEUS_FIELD}_{name}" for name in NucleusSettings.model_fields}
)
"""Names of settings and options of every measurement, which no assay's setting may have."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLUMN = re.compile(r"\w+", re.ASCII)


class AssaySettings(Checked):
    """Base of the settings of an assay: they do not change, and refuse what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Measurement:
    """A number that an assay measures of every cell.

    Parameters
    ----------
    key
        Under which :attr:`Measured.values` has it.
    name
        Name of its column after CellProfiler's fashion, with ``{dna}`` and ``{signal}`` for
        the names of the channels.
    title
        Its name where room is scarce: words with a blank between them.
    unit, meaning
        What it holds; the meaning is a sentence.
    power
        Power of the pixel size in it. If not 0, and the pixel size is known, there is a
        second column in micrometres, or square micrometres.
    least, most
        What it can be; intervals end there.
    micrometres
        Whether this is that second column.
    """

    key: str
    name: str
    title: str
    unit: str
    meaning: str
    power: Literal[0, 1, 2] = 0
    least: float = -np.inf
    most: float = np.inf
    micrometres: bool = False


NUCLEUS_AREA: Final = Measurement(
    "nucleus_area",
    "Nuclei_AreaShape_Area",
    "Nuclei Area",
    "square pixels",
    "Area of the nucleus.",
    2,
    least=0,
)
"""The area of the nucleus, where an assay measures it."""


@dataclass(frozen=True)
class Overlay:
    """A part of a cell that is labelled.

    Parameters
    ----------
    part
        Under which :attr:`Measured.labels` has it.
    title
        What the layers of labels are called, behind the kind of image.
    colour
        Their colour, ``#rrggbb``.
    """

    part: str
    title: str
    colour: str


NUCLEUS: Final = Overlay("nucleus", "nuclei", "#f0e442")
"""The first overlay of every assay: the nucleus is where a cell is."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What an assay finds in the crop of a cell.

    Parameters
    ----------
    values
        A number for the key of every measurement, lengths in pixels; NaN where it cannot be
        measured.
    labels
        For every overlay an image (H, W), bool or int: not 0 where the part is. Without a
        nucleus near the crop's centre, that of the nucleus is 0 everywhere.
    """

    values: Mapping[str, float]
    labels: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, found: object, assay: Assay, **labels: NDArray[Any]) -> Measured:
        """Return what an object knows as attributes that are called as the assay's keys."""
        return cls({one.key: getattr(found, one.key) for one in assay.measurements}, labels)


@dataclass(frozen=True, eq=False)
class Assay:
    """One object holds all that is known of an assay.

    Parameters
    ----------
    name
        What options, files and code call it: lower-case letters, digits and underscores.
    title
        What users read.
    settings
        An :class:`AssaySettings` with a default for every field: numbers, texts, yes or no,
        choices (``Literal``), or numbers that may be left out (``float | None``), and if wanted
        ``nucleus: NucleusSettings``. Titles, descriptions and bounds become fields of the dock
        and options of the command line.
    measure
        ``measure(image, settings, dna=..., signal=...)`` gives a :class:`Measured`. The image
        (C, H, W) is a crop with a cell in its centre, in any unit; ``dna`` and ``signal`` are
        indices of its channels, of those in ``channels`` only. It may run in any thread, and
        raises nothing because of what a cell looks like.
    measurements
        What it measures, in the order of the columns.
    headline
        Keys of the measurements that it is about; the first one stands first in tables, plots
        and reports.
    overlays
        What it labels; :data:`NUCLEUS` first.
    channels
        What it needs of channels.
    plots
        What can be plotted of its tables.

    Raises
    ------
    ValueError
        If the parts do not go together; the message is the end of a sentence.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_rls.measure.nuclei import central_nucleus, find_nuclei
    >>> class Settings(AssaySettings):
    ...     reach: float = 6.0
    >>> def size(image, settings, dna):
    ...     labels = find_nuclei(image[dna]).labels
    ...     own = central_nucleus(labels, settings.reach)
    ...     nucleus = (labels == own) & (own > 0)
    ...     return Measured({"area": nucleus.sum() or np.nan}, {"nucleus": nucleus})
    >>> area = Measurement("area", "Nuclei_Size", "Size", "square pixels", "Area.", power=2)
    >>> Assay("size", "Size", Settings, size, (area,), ("area",), channels=("dna",)).name
    'size'
    """

    name: str
    title: str
    settings: type[AssaySettings]
    measure: Callable[..., Measured]
    measurements: tuple[Measurement, ...]
    headline: tuple[str, ...]
    overlays: tuple[Overlay, ...] = (NUCLEUS,)
    channels: tuple[Role, ...] = ("dna", "signal")
    plots: tuple[PlotKind, ...] = PLOTS

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(problem)

    def headline_of(self, key: str) -> int:
        """Return the place of a measurement among the headlines, from 1; 0 if it is none."""
        return self.headline.index(key) + 1 if key in self.headline else 0

    @property
    def finds_nuclei(self) -> bool:
        """Whether its settings hold how nuclei are found."""
        return NUCLEUS_FIELD in self.settings.model_fields

    @property
    def own_fields(self) -> dict[str, FieldInfo]:
        """Its settings by name, without those of nuclei."""
        return {n: f for n, f in self.settings.model_fields.items() if n != NUCLEUS_FIELD}


def _problems(assay: Assay) -> Iterator[str]:
    """Yield what does not go together."""
    if not _NAME.fullmatch(assay.name) or assay.name in TAKEN or hasattr(BaseModel, assay.name):
        yield (
            f"its name is {assay.name!r}: it must be lower-case letters, digits and underscores, "
            f"and none of {', '.join(sorted(TAKEN))}"
        )
    settings: Any = assay.settings
    if not (isinstance(settings, type) and issubclass(settings, AssaySettings)):
        yield "its settings must be a class that is derived from AssaySettings"
        return
    try:
        assay.settings()
    except ValidationError:
        yield "its settings cannot be made without values: give every field a default"
    yield from _setting_problems(assay)
    keys = [one.key for one in assay.measurements]
    if not keys or not assay.headline or not set(assay.headline) <= set(keys):
        yield "it needs measurements, and headlines that are keys of them"
    if not assay.channels or not set(assay.channels) <= set(get_args(Role)):
        yield f"its channels must be of {', '.join(get_args(Role))}"
    if not assay.plots or not set(assay.plots) <= set(PLOTS):
        yield f"its plots must be of {', '.join(PLOTS)}"
    parts = [overlay.part for overlay in assay.overlays]
    if parts[:1] != [NUCLEUS.part] or len(set(parts)) < len(parts):
        yield "its overlays must begin with the nucleus, and each part must be there once"
    yield from _column_problems(assay)


def _setting_problems(assay: Assay) -> Iterator[str]:
    for name, field in assay.settings.model_fields.items():
        if name == NUCLEUS_FIELD and field.annotation is NucleusSettings:
            continue
        if name in TAKEN:
            yield f"its setting {name!r} has the name of a setting of every measurement"
        if not _is_plain(field.annotation):
            yield f"its setting {name!r} is no number, text, yes or no, or choice of them"


def _column_problems(assay: Assay) -> Iterator[str]:
    names: list[str] = []
    for one in assay.measurements:
        try:
            name = one.name.format_map({role: role for role in assay.channels})
            one.title.format_map({role: role for role in assay.channels})
        except (KeyError, ValueError, IndexError):
            name = ""
        if not _COLUMN.fullmatch(name):
            yield (
                f"its column {one.name!r} must be of letters, digits and underscores, with no "
                "more than its channels in braces, as {dna}; so must its title"
            )
        names.append(name)
    taken = [*FIXED, *names, *(end for name in names for end in summary_columns(name).values())]
    for name in names:
        if taken.count(name) > 1:
            yield f"its column {name!r} has the name of another column"


def _is_plain(annotation: Any) -> bool:
    """Return whether options and fields can be made of a setting of this type."""
    if get_origin(annotation) is Literal:
        return len({type(choice) for choice in get_args(annotation)}) == 1
    if get_origin(annotation) in {Union, UnionType}:
        return set(get_args(annotation)) == {float, type(None)}
    return annotation in {int, float, str, bool}
