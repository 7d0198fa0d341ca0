"""What the user sets for a training run, kept beside the run so that it can go on later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.part import Name
from napari_rls.models.whole_file import whole_file
from napari_rls.search.settings import first_problem
from napari_rls.training.settings import TrainSettings
from napari_rls.workflow.stack import InputError
from napari_rls.workflow.train_files import writing
from napari_rls.workflow.train_inputs import parse_channels
from napari_rls.workflow.train_manifest import Card
from napari_rls.workflow.train_record import TrainJob

HALF = "half"
"""Folder, within a run's, of its first stage at half the size."""

_PLAN, _RUN = "plan.json", "run.json"
_NOT_YET_KNOWN = ("DNA",)


class Plan(BaseModel):
    """All that a training job is made of; the channels in ``settings`` count for nothing.

    They are those that ``channels`` names, and are put there as the job begins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: tuple[str, ...] = ()
    channels: str = Field(
        default="",
        title="Channels",
        description=(
            "Names of the channels, as in DNA,GFP, in the files' order; or what the files call "
            "each, by name or index from 0, as in DNA=2,GFP=0."
        ),
    )
    dna_channel: str = ""
    pattern: str = Field(
        default="",
        title="File names",
        description=(
            "If every channel has a file of its own: how the files are named, as in "
            "{field}_{channel}*.tif. Empty if a file holds all channels."
        ),
    )
    folder: Path = Field(default_factory=lambda: Path.home() / "napari-rls")
    name: Name = Field(
        default="my-cells",
        title="Name",
        description="Name of the bundle, its file and its run's folder.",
    )
    licence: Annotated[str, Field(max_length=10_000)] = Field(
        default="not stated", title="Licence", description="Licence of the bundle, as CC-BY-4.0."
    )
    attribution: Annotated[str, Field(max_length=10_000)] = Field(
        default="not stated", title="Attribution", description="Whom to name for the images."
    )
    pixel_size: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        title="Pixel size",
        description="Side of a pixel in micrometres; 0: what the files say.",
    )
    start: str = Field(
        default="",
        title="Start from",
        description="File of a bundle of the same size and widths to start from; empty: scratch.",
    )
    grow_kimg: float = Field(
        default=0.0,
        ge=0,
        le=100_000,
        title="Half size first",
        description="Thousands of images (kimg) to train on at half the size first; 0: none.",
    )
    fit_samples: int = Field(
        default=100_000,
        ge=100,
        le=10_000_000,
        title="Samples to fit",
        description="Generated samples that flow and encoders are fitted to at the end.",
    )
    fit_epochs: int = Field(
        default=40,
        ge=1,
        le=1000,
        title="Epochs of the flow",
        description="Passes over these samples.",
    )
    settings: TrainSettings = TrainSettings(channels=_NOT_YET_KNOWN)
    nuclei: NucleusSettings = NucleusSettings()

    @property
    def bundle(self) -> Path:
        """The bundle to be written."""
        return self.folder / f"{self.name}{SUFFIX}"

    @property
    def run_folder(self) -> Path:
        """The folder of the run: checkpoint, log, samples."""
        return self.folder / f"{self.name}-run"

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run, which can go on."""
        return any((self.run_folder / place / _RUN).exists() for place in ("", HALF))

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The channels' names, as far as they can be read."""
        return tuple(part.partition("=")[0].strip() for part in self.channels.split(",") if part)

    def job(self) -> TrainJob:
        """Return the job.

        Raises
        ------
        InputError
            If something is missing or wrong.
        """
        if not self.images:
            raise InputError("Choose the images to train on first.")
        names, sources = parse_channels(self.channels)
        if not names:
            raise InputError("Name the channels of the images, as in DNA,GFP.")
        stated = self.pixel_size or None
        return TrainJob(
            images=self.images,
            settings=self.with_part("settings", "channels", names).settings,
            card=Card(self.name, "", self.licence, self.attribution, stated),
            out=self.bundle,
            folder=self.run_folder,
            pattern=self.pattern,
            sources=sources,
            dna_channel=self.dna_channel or "0",
            nuclei=self.nuclei,
            start=Path(self.start) if self.start else None,
            grow_kimg=self.grow_kimg,
            fit_samples=self.fit_samples,
            fit_epochs=self.fit_epochs,
        )

    def changed(self, **values: Any) -> Plan:
        """Return a plan with other values.

        Raises
        ------
        InputError
            If one is out of range.
        """
        return _validated({**self.model_dump(), **values})

    def with_part(self, part: str, name: str, value: Any) -> Plan:
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

    def keep(self) -> None:
        """Write the plan into its run's folder.

        Raises
        ------
        TrainingError
            If that is not possible.
        """
        path = self.run_folder / _PLAN
        with writing(path):
            self.save(path)

    @classmethod
    def load(cls, path: Path) -> Plan:
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
    def of_run(cls, folder: Path) -> Plan:
        """Return the plan of the run in a folder, which may have been moved since.

        Raises
        ------
        InputError
            If the folder holds no run that was begun here.
        """
        if not (folder / _PLAN).exists():
            where = "was begun on the command line; go on with it there, by --resume"
            if not (folder / _RUN).exists():
                where = "holds no training run; choose the folder of one (NAME-run)"
            raise InputError(f"{folder} {where}.")
        plan = cls.load(folder / _PLAN)
        moved = plan.changed(folder=folder.parent, name=folder.name.removesuffix("-run"))
        return moved if moved.run_folder == folder else plan


def _validated(values: Mapping[str, Any]) -> Plan:
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{first_problem(error)}.") from None
