"""All that is measured of one cell: values by column, quality flags, and where they come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from napari_rls.errors import InputError, SettingsError
from napari_rls.measure.assay import Assay, Measured, Measurement
from napari_rls.measure.columns import (
    FIXED,
    NO_NUCLEUS,
    NOT_FINITE,
    SATURATED,
    TOUCHES_BORDER,
    summary_columns,
)
from napari_rls.measure.registry import registry
from napari_rls.models.part import Checked


class MeasureSettings(Checked):
    """What is measured, and how: the same for every kind of image of a cell.

    Beside the fields it has the settings of every assay that there is, under its name.

    Examples
    --------
    >>> settings = MeasureSettings(assay="translocation", translocation={"gap": 2})
    >>> settings.own.gap
    2.0
    """

    # The settings of assays are those that a validator has made.
    model_config = ConfigDict(frozen=True, extra="allow")

    assay: str = Field(title="Assay", description="What is measured.")
    dna: str = Field(
        default="",
        title="DNA channel",
        description="Channel that shows nuclei, by index from 0 or by name; without it the one "
        "named after a stain of DNA, else the first.",
    )
    signal: str = Field(
        default="",
        title="Signal channel",
        description="Channel that is measured, by index from 0 or by name; without it the other of "
        "two, else the second.",
    )
    saturation: float | None = Field(
        default=None,
        allow_inf_nan=False,
        title="Saturation",
        description="Level at and above which a pixel is saturated, in the image's unit; "
        "saturation is not looked for without it.",
    )
    camera_offset: float | None = Field(
        default=None,
        allow_inf_nan=False,
        title="Camera offset",
        description="Intensity of pixels without any light, in the image's unit, which is "
        "subtracted from all images before they are measured; nothing is without it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _settings_of_assays(cls, values: Any) -> Any:
        """Make the settings of every assay, and refuse what no assay has."""
        if not isinstance(values, Mapping):
            return values
        known = registry()
        faults: list[InitErrorDetails] = []
        if isinstance(name := values.get("assay"), str) and name not in known.assays:
            try:
                known[name]
            except SettingsError as error:
                fault = _custom_fault("assay", str(error).rstrip("."))
                faults.append(InitErrorDetails(type=fault, loc=(), input=name))
        made: dict[str, Any] = {}
        for name in values:
            if name in cls.model_fields:
                made[name] = values[name]
            elif name not in known.assays:
                faults.append(
                    InitErrorDetails(type="extra_forbidden", loc=(name,), input=values[name])
                )
        for name, assay in known.assays.items():
            try:
                made[name] = assay.settings.model_validate(values.get(name, {}))
            except ValidationError as error:
                faults += _placed(error, name)
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return made

    @property
    def of(self) -> Assay:
        """The assay."""
        return registry()[self.assay]

    @property
    def own(self) -> Any:
        """The settings of the assay, of its own class."""
        return getattr(self, self.assay)

    def stored(self) -> dict[str, Any]:
        """Return what records and bundles hold: nothing of other assays than the chosen one."""
        others = registry().assays.keys() - {self.assay}
        return self.model_dump(mode="json", exclude=set(others))


def _placed(error: ValidationError, name: str) -> list[InitErrorDetails]:
    """Return the faults of an assay's settings as those of a part of others."""
    return [
        InitErrorDetails(
            # pydantic knows only its own kinds by name.
            type=fault["type"]
            if fault["type"] in _KINDS_OF_FAULTS
            else _custom_fault(fault["type"], fault["msg"]),
            loc=(name, *fault["loc"]),
            input=fault["input"],
            ctx=fault.get("ctx", {}),
        )
        for fault in error.errors(include_url=False)
    ]


_KINDS_OF_FAULTS = frozenset(get_args(ErrorType))


def _custom_fault(kind: str, text: str) -> PydanticCustomError:
    """Return a fault with a text that is no template."""
    return PydanticCustomError(kind, "{text}", {"text": text})


_SUFFIXES = {1: "_um", 2: "_um2"}


@dataclass(frozen=True, eq=False)
class MeasuredCell:
    """What was measured of a cell.

    Parameters
    ----------
    values
        A number for every column of :func:`column_names`; NaN where it cannot be measured.
    flags
        ``Quality_NoNucleus`` (none near the crop's centre), ``Quality_TouchesBorder`` (the
        nucleus reaches the crop's border), ``Quality_Saturated`` (a pixel of the labelled
        parts is), ``Quality_NotFinite`` (a pixel of the assay's channels is not).
    labels
        Label images (H, W), int32, of the assay's overlays, as of ``nucleus`` and
        ``cytoplasm``, 1 where they are, or ``nucleus`` and ``spots``, counted from 1.
    """

    values: dict[str, float]
    flags: dict[str, bool]
    labels: dict[str, NDArray[np.int32]]


def measure_cell(
    image: NDArray[np.generic],
    dna: int,
    signal: int,
    settings: MeasureSettings,
    pixel_size_um: float | None = None,
) -> MeasuredCell:
    """Measure the cell in the centre of a crop.

    Parameters
    ----------
    image
        A crop (C, H, W) in any unit, a nucleus in its centre.
    dna, signal
        Indices of the channel that shows nuclei and of the measured one.
    settings
        What is measured, and how. Its channel names stand in the columns' names.
    pixel_size_um
        Side of a pixel in micrometres; without it nothing is in micrometres.

    Raises
    ------
    InputError
        If the assay does not give what it says that it measures or labels.
    """
    assay = settings.of
    places = {role: {"dna": dna, "signal": signal}[role] for role in assay.channels}
    offset = settings.camera_offset
    light = image if offset is None else image.astype(np.float64) - offset
    measured = assay.measure(light, settings.own, **places)
    labels = _labels(assay, measured, image.shape[-2:])
    nucleus = labels["nucleus"] > 0
    planes = np.stack([image[place] for place in places.values()])
    finite = bool(np.isfinite(planes).all())
    level = settings.saturation
    used = np.any(list(labels.values()), axis=0)
    return MeasuredCell(
        _values(measured, settings, pixel_size_um),
        {
            NO_NUCLEUS: finite and not nucleus.any(),
            TOUCHES_BORDER: bool(nucleus[[0, -1]].any() or nucleus[:, [0, -1]].any()),
            SATURATED: level is not None and bool((planes[:, used] >= level).any()),
            NOT_FINITE: not finite,
        },
        labels,
    )


def column_names(settings: MeasureSettings, *, micrometres: bool) -> dict[str, Measurement]:
    """Return what an assay measures by the names of the columns, in the table's order.

    A column in micrometres follows the one in pixels.

    Parameters
    ----------
    settings
        The assay and the names of its channels; without a name, ``DNA`` and ``Signal``.
    micrometres
        Whether to add those in micrometres and square micrometres.
    """
    names = {}
    for one in settings.of.measurements:
        name = one.name.format_map(_labels_of_channels(settings))
        names[name] = one
        if micrometres and one.power:
            unit = one.unit.replace("pixels", "micrometres")
            suffix = _SUFFIXES[one.power]
            names[name + suffix] = replace(
                one, title=one.title + suffix.replace("_", " "), unit=unit, micrometres=True
            )
    return names


def headline_columns(settings: MeasureSettings) -> list[str]:
    """Return the columns of the headlines of an assay, lengths in pixels, the first one first."""
    names = column_names(settings, micrometres=False)
    assay = settings.of
    chosen = [name for name in names if names[name].key in assay.headline]
    return sorted(chosen, key=lambda name: assay.headline_of(names[name].key))


def check_columns(settings: MeasureSettings) -> None:
    """Check that no two columns of a table get the same name from the channels' names.

    Raises
    ------
    InputError
        If they do.
    """
    names = [
        one.name.format_map(_labels_of_channels(settings)) + suffix
        for one in settings.of.measurements
        for suffix in ("", *([_SUFFIXES[one.power]] if one.power else []))
    ]
    ends = (end for name in names for end in summary_columns(name).values())
    counts = Counter((*FIXED, *names, *ends))
    if twice := next((name for name in names if counts[name] > 1), ""):
        raise InputError(
            f"With channels called {settings.dna} and {settings.signal} two columns of the table "
            f"would be called {twice}; give one of the channels another name."
        )


def title_of(measurement: Measurement, settings: MeasureSettings) -> str:
    """Return what a measurement is called where room is scarce, with the channels' names."""
    return measurement.title.format_map(_labels_of_channels(settings))


def _labels_of_channels(settings: MeasureSettings) -> dict[str, str]:
    """Return the channels' names without what CellProfiler's names of channels never hold."""
    given = {"dna": (settings.dna, "DNA"), "signal": (settings.signal, "Signal")}
    return {role: re.sub(r"\W", "", name) or usual for role, (name, usual) in given.items()}


def _labels(
    assay: Assay, measured: Measured, shape: tuple[int, ...]
) -> dict[str, NDArray[np.int32]]:
    parts = [overlay.part for overlay in assay.overlays]
    for part in parts:
        if part not in measured.labels or measured.labels[part].shape != shape:
            raise InputError(
                f"The assay {assay.name} gives no labels of {part!r} of the image's size; mend it."
            )
    return {part: np.asarray(measured.labels[part]).astype(np.int32) for part in parts}


def _values(
    measured: Measured, settings: MeasureSettings, pixel_size_um: float | None
) -> dict[str, float]:
    values = {}
    for name, one in column_names(settings, micrometres=pixel_size_um is not None).items():
        if one.key not in measured.values:
            raise InputError(f"The assay {settings.assay} gives no {one.key!r}; mend it.")
        value = float(measured.values[one.key])
        size = pixel_size_um if one.micrometres and pixel_size_um is not None else 1.0
        values[name] = value * size**one.power
    return values
