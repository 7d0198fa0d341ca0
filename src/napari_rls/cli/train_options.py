"""From the options of ``napari-rls train`` to its job; what is left out a run's record tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from napari_rls.cli.options import build, given
from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.blueprint import Blueprint
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.part import plain_name
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.cells.channels import dna_index
from napari_rls.workflow.train.bundle_card import Card
from napari_rls.workflow.train.fields import parse_channels
from napari_rls.workflow.train.train_job import RECORD, TrainJob, kept_job

Model = TypeVar("Model", NucleusSettings, TrainSettings)

_NEEDED = {
    "images": "the images: files, folders or patterns",
    "channels": "their channels, as in --channels DNA,GFP",
    "out": f"the bundle to write: --out NAME{SUFFIX}",
}


def run_folder(run: Path | None, out: Path | None) -> Path:
    """Return the run's folder.

    Raises
    ------
    InputError
        If nothing tells which it is.
    """
    if run is not None:
        return run
    if out is None:
        raise InputError(f"Give {_NEEDED['out']}, or the folder of a run: --run DIR.")
    return out.with_name(out.name.removesuffix(SUFFIX) + "-run")


def job_of(folder: Path, words: Mapping[str, Any], old: bool) -> TrainJob:
    """Return the job that a command line asks for.

    Parameters
    ----------
    folder
        The run's folder.
    words
        Fields of the job, of its settings and of its card, ``channels`` as on the command
        line; None for those that were not given.
    old
        Whether the run in the folder goes on: what is not given is as its record says.

    Raises
    ------
    InputError
        If something is missing or wrong.
    SettingsError
        If a value is out of range.
    """
    before = kept_job(folder) if old and (folder / RECORD).exists() else None
    values = given(dict(words))
    if before is None and (
        missing := [text for name, text in _NEEDED.items() if name not in values]
    ):
        raise InputError(f"Give {' and '.join(missing)}.")
    if "channels" in values:
        values["channels"], values["sources"] = parse_channels(values["channels"])
    if before is None and "dna_channel" not in values:
        values["dna_channel"] = str(dna_index(values["channels"]) or 0)
    parts = {
        "folder": folder,
        "settings": _changed(before.settings if before else None, TrainSettings, values),
        "nuclei": _changed(before.nuclei if before else None, NucleusSettings, values),
        "card": _card(before, values),
    }
    own = {name: value for name, value in values.items() if name in TrainJob.model_fields}
    return build(TrainJob, (dict(before) if before else {}) | own | parts)


def _changed(before: Model | None, model: type[Model], values: Mapping[str, Any]) -> Model:
    own = {name: value for name, value in values.items() if name in model.model_fields}
    return build(model, (before.model_dump() if before else {}) | own)


def _card(before: TrainJob | None, values: Mapping[str, Any]) -> Card | Blueprint:
    said = {name: value for name, value in values.items() if name in Card.model_fields}
    if before is None:
        name = plain_name(values["out"].name.removesuffix(SUFFIX))
        return Card.of(**{"name": name, **said})
    if not said:
        return before.card
    if isinstance(before.card, Card):
        return before.card.but(**said)
    raise InputError(
        f"The run in {before.folder} was begun with a blueprint, which says the {', '.join(said)} "
        "of the bundle."
    )
