"""Settings of a measurement: the assay's own, changed by a file or a bundle, and by options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from napari_rls.errors import JsonError, SettingsError
from napari_rls.files.json_file import read_json
from napari_rls.measure.assay import NUCLEUS_FIELD, Assay
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.measure.registry import registry
from napari_rls.search.settings import first_problem
from napari_rls.workflow.cells.read import read_record


@dataclass(frozen=True)
class AssayOption:
    """An option of a command that is a setting of an assay.

    Parameters
    ----------
    field
        The setting.
    default
        Its value in the assay's own settings.
    of_nuclei
        Name of the setting of nuclei that it is; "" for those of the assay.
    """

    field: FieldInfo
    default: object
    of_nuclei: str = ""


@dataclass(frozen=True)
class Suggestion:
    """The measurement that a bundle suggests, as values of :class:`MeasureSettings`."""

    bundle: str
    values: Mapping[str, Any]


def suggested(files: Sequence[Path]) -> Suggestion | None:
    """Return what the bundle of the first SR file suggests, None if there is none."""
    for file in files:
        bundle = read_record(file).get("bundle")
        values = bundle.get("measurement") if isinstance(bundle, dict) else None
        if isinstance(bundle, dict) and isinstance(values, dict) and values:
            return Suggestion(str(bundle.get("name")), values)
    return None


def assay_options(assay: Assay) -> dict[str, AssayOption]:
    """Return the settings of an assay by name, those of its nuclei with ``nucleus_`` before."""
    own = assay.settings()
    options = {}
    if assay.finds_nuclei:
        nuclei = getattr(own, NUCLEUS_FIELD)
        options = {
            f"{NUCLEUS_FIELD}_{name}": AssayOption(field, getattr(nuclei, name), name)
            for name, field in NucleusSettings.model_fields.items()
        }
    return options | {
        name: AssayOption(field, getattr(own, name)) for name, field in assay.own_fields.items()
    }


def measure_settings(
    assay: str | None,
    file: Path | None,
    options: Mapping[str, Any] | None = None,
    usual: Mapping[str, Any] | None = None,
) -> MeasureSettings:
    """Make settings: the assay's own, changed by a file, changed by options.

    Parameters
    ----------
    assay
        What is measured; None takes the file's.
    file
        Settings as JSON, or None.
    options
        Options of the command by name; ``nucleus_`` stands before those of nuclei.
    usual
        Settings to take where there is no file.

    Raises
    ------
    SettingsError
        If there is no assay, the file cannot be read, or a name or value is wrong.
    """
    stored = _stored(file) if file else dict(usual or {})
    assay = assay or stored.get("assay")
    known = registry()
    if not assay:
        names = " or --assay ".join(known.assays)
        raise SettingsError(f"Say what to measure: --assay {names}.")
    offered = assay_options(known[assay])
    values = _merged(MeasureSettings(assay=assay).model_dump(mode="json"), stored)
    values["assay"] = assay
    own = values[assay]
    try:
        MeasureSettings.model_validate(values)
        for name, value in (options or {}).items():
            if name in MeasureSettings.model_fields:
                values[name] = value
            elif name not in offered:
                raise SettingsError(
                    f"--{name.replace('_', '-')} is no setting of the assay {assay}; leave it out."
                )
            elif inside := offered[name].of_nuclei:
                own[NUCLEUS_FIELD][inside] = value
            else:
                own[name] = value
        return MeasureSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"Wrong setting: {first_problem(error)}.") from None


def _stored(file: Path) -> dict[str, Any]:
    try:
        values = read_json(file)
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {file}: {error.strerror}.") from None
    except JsonError as error:
        raise SettingsError(f"{file} is not a settings file: {error}.") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file} is not a settings file (no JSON object).")
    return values


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed."""
    merged = dict(values)
    for name, value in changes.items():
        inside = merged.get(name)
        both = isinstance(inside, dict) and isinstance(value, dict)
        merged[name] = _merged(inside, value) if both else value  # type: ignore[arg-type]
    return merged
