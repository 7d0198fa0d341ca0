"""What the user sets for a training run: a job in the words of the widget's fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from napari_rls.errors import InputError
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.field_notes import MICROMETRES
from napari_rls.models.part import Name
from napari_rls.search.settings import first_problem
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.cells.channels import split_names
from napari_rls.workflow.train.bundle_card import Card, Words
from napari_rls.workflow.train.train_job import TrainJob, TrainOptions, kept_job

HALF = "half"
"""Folder, within a run's, of its first stage at half the size."""

_RUN = "run.json"
_NOT_YET_KNOWN = ("DNA",)


class TrainPlan(Words, TrainOptions):
    """All that a training job is made of; the channels in ``settings`` count for nothing.

    They are those that ``channels`` names, and are put there as the job begins. ``validation``,
    ``out`` and ``run`` are those of a run that was begun on the command line: images to validate
    on, bundle and folder of other names than here.
    """

    images: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    channels: str = Field(
        default="",
        title="Channels",
        description=(
            "Names of the channels, as in DNA,GFP, in the files' order; or what the files call "
            "each, by name or index from 0, as in DNA=2,GFP=0."
        ),
    )
    dna_channel: str = ""
    folder: Path = Field(default_factory=lambda: Path.home() / "napari-rls")
    name: Name = Field(
        default="my-cells",
        title="Name",
        description="Name of the bundle, its file and its run's folder.",
    )
    out: Path | None = None
    run: Path | None = None
    pixel_size: Annotated[float, MICROMETRES] = Field(
        default=0.0,
        ge=0,
        le=1000,
        title="Pixel size",
        description="Side of a pixel; 0: what the files say.",
    )
    start: str = Field(
        default="",
        title="Start from",
        description="File of a bundle of the same size and widths to start from; empty: scratch.",
    )
    settings: TrainSettings = TrainSettings(channels=_NOT_YET_KNOWN)
    nuclei: NucleusSettings = NucleusSettings()

    @property
    def bundle(self) -> Path:
        """The bundle to be written."""
        return self.out or self.folder / f"{self.name}{SUFFIX}"

    @property
    def run_folder(self) -> Path:
        """The folder of the run: checkpoint, log, samples."""
        return self.run or self.folder / f"{self.name}-run"

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run, which can go on."""
        return any((self.run_folder / place / _RUN).exists() for place in ("", HALF))

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The channels' names, as far as they can be read."""
        try:
            parts = split_names(self.channels)
        except InputError:
            return ()
        return tuple(part.partition("=")[0].strip() for part in parts)

    def job(self) -> TrainJob:
        """Return the job.

        Raises
        ------
        InputError
            If something is missing or wrong.
        """
        from napari_rls.workflow.train.fields import parse_channels

        if not self.images:
            raise InputError("Choose the images to train on first.")
        names, sources = parse_channels(self.channels)
        if not names:
            raise InputError("Name the channels of the images, as in DNA,GFP.")
        stated = self.pixel_size or None
        dna = self.dna_channel or "0"
        if dna.isdecimal() and dna in names:  # A number would be taken for an index.
            dna = str(names.index(dna))
        return TrainJob(
            images=self.images,
            settings=self.with_part("settings", "channels", names).settings,
            card=Card.of(name=self.name, pixel_size_um=stated, **self._own(Words)),
            out=self.bundle,
            folder=self.run_folder,
            validation=self.validation,
            sources=sources,
            dna_channel=dna,
            nuclei=self.nuclei,
            start=Path(self.start) if self.start else None,
            **self._own(TrainOptions),
        )

    def _own(self, part: type[BaseModel]) -> dict[str, Any]:
        """Return the values that the plan shares with a part of the job."""
        return {name: getattr(self, name) for name in part.model_fields}

    def changed(self, **values: Any) -> TrainPlan:
        """Return a plan with other values.

        Raises
        ------
        InputError
            If one is out of range.
        """
        if {"name", "folder"} & values.keys():
            # Another run, which is called by the fields alone.
            values = {"out": None, "run": None, **values}
        if "images" in values:
            values = {"validation": (), **values}
        return _validated({**self.model_dump(), **values})

    def with_part(self, part: str, name: str, value: Any) -> TrainPlan:
        """Return a plan with one other value in ``settings`` or ``nuclei``.

        Raises
        ------
        InputError
            If it is out of range.
        """
        return self.changed(**{part: {**getattr(self, part).model_dump(), name: value}})

    def save(self, path: Path) -> None:
        """Write the plan as JSON, whole or not at all."""
        with whole_file(path) as draft:
            draft.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> TrainPlan:
        """Read a plan.

        Raises
        ------
        InputError
            If the file cannot be read or holds a wrong name or value.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{path} cannot be read.") from None
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InputError(f"{path} is no plan of a run: {first_problem(error)}.") from None

    @classmethod
    def of_run(cls, folder: Path) -> TrainPlan:
        """Return the plan of the run in a folder, which may have been moved since.

        It may have been begun here or on the command line.

        Raises
        ------
        InputError
            If the folder holds no run, or none that this widget can go on with.
        """
        job = kept_job(folder)
        if not isinstance(job.card, Card):
            raise InputError(
                f"The run in {folder} was begun in Python with a blueprint of its own; go on with "
                "it there."
            )
        return cls.of_job(job)

    @classmethod
    def of_job(cls, job: TrainJob) -> TrainPlan:
        """Return the plan of a job that a user describes in words.

        Raises
        ------
        InputError
            If a value is out of the range of this widget's fields.
        """
        card, folder = job.card, job.out.parent
        assert isinstance(card, Card)
        names = job.settings.channels
        pairs = zip(names, job.sources, strict=True) if job.sources else ((n,) for n in names)
        same = ("images", "validation", "dna_channel", "nuclei", *TrainOptions.model_fields)
        plan = _validated(
            {name: getattr(job, name) for name in same}
            | {name: getattr(card, name) for name in Words.model_fields}
            | {
                "settings": job.settings.model_copy(update={"channels": _NOT_YET_KNOWN}),
                "channels": ",".join(map("=".join, pairs)),
                "folder": folder,
                "name": card.name,
                "pixel_size": card.pixel_size_um or 0.0,
                "start": str(job.start or ""),
            }
        )
        # Only what has other names than the fields would give it is told apart.
        other = {"out": (plan.bundle, job.out), "run": (plan.run_folder, job.folder)}
        places = {name: own for name, (usual, own) in other.items() if own != usual}
        return plan.model_copy(update=places)


def _validated(values: Mapping[str, Any]) -> TrainPlan:
    try:
        return TrainPlan.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{first_problem(error)}.") from None
