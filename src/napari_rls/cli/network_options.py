"""What the commands have in common that train a network on HR images and add it to a bundle."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from napari_rls.cli.options import build
from napari_rls.cli.reporting import (
    FAILED,
    WRONG_USAGE,
    Bars,
    exit_code,
    kept_path,
    put,
    say,
)
from napari_rls.cli.resumable import check_bundle, check_run, kept, wrong_usage
from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle_file import SUFFIX, read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.text import duration
from napari_rls.training.loop_settings import LoopSettings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.training.loop import Progress
    from napari_rls.workflow.train.hr_images import HRImages
    from napari_rls.workflow.train.network_job import NetworkJob, NetworkUpdate

SettingsT = TypeVar("SettingsT", bound=LoopSettings)

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="HR.ome.tif...",
        help="HR images with the bundle's channels: whole fields, of which crops are cut, or "
        "stacks of crops of the bundle's size; files, folders, patterns.",
    ),
]
BundleName = Annotated[
    str, typer.Option("--bundle", metavar="NAME_OR_FILE", help="Bundle to add it to.")
]
Out = Annotated[Path, typer.Option("--out", metavar=f"NAME{SUFFIX}", help="Bundle to write.")]
ChannelSources = Annotated[
    str,
    typer.Option(
        show_default=False,
        help="Which of a file's channels each of the bundle's is, by name or by index from 0, "
        "as in DNA=0,GFP=2 (default: the one of its name, or else the order in the file).",
    ),
]
Validation = Annotated[
    list[str] | None,
    typer.Option(
        metavar="IMAGES",
        show_default=False,
        help="Images to look at and not to train on; may be repeated (default: a tenth of the "
        "crops, by file).",
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="DIR",
        show_default=False,
        help="Folder of the run: crops, checkpoint, log (default NAME-run beside --out).",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run that the folder holds.")]
DnaChannel = Annotated[
    str,
    typer.Option(
        show_default=False,
        help="Channel that shows nuclei, by index from 0 or by name (default: the one named "
        "after a stain of DNA, else 0).",
    ),
]
Data = Annotated[str, typer.Option(help="Name of the HR images, for the bundle's manifest.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")]


@dataclass(frozen=True)
class Given:
    """What each of these commands is given, beside the settings of its network."""

    images: Images
    bundle: BundleName
    out: Out
    channels: ChannelSources = ""
    validation: Validation = None
    run: Run = None
    resume: Resume = False
    dna_channel: DnaChannel = ""
    data: Data = "the user's own images"
    overwrite: Overwrite = False

    @property
    def folder(self) -> Path:
        """The folder of the run: the one given, or that beside the bundle to write."""
        return self.run or self.out.with_name(self.out.name.removesuffix(SUFFIX) + "-run")

    def hr_images(self, options: Mapping[str, Any]) -> HRImages:
        """Return where the HR crops of the bundle come from; ``options`` say how nuclei are found.

        Raises
        ------
        InputError
            If ``channels`` does not tell of each of the bundle's channels.
        SettingsError
            If an option of how nuclei are found cannot be used.
        """
        from napari_rls.workflow.train.hr_images import HRImages

        nuclei = {k: v for k, v in options.items() if k in NucleusSettings.model_fields}
        return HRImages(
            tuple(self.images),
            tuple(self.validation or ()),
            sources=_sources(self.channels, self.bundle),
            dna_channel=self.dna_channel or _dna(self.bundle),
            nuclei=build(NucleusSettings, nuclei),
        )


def network_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the arguments of :class:`Given`, which it takes as the first of its own."""
    parameters = inspect.signature(Given, eval_str=True).parameters

    @functools.wraps(command)
    def wrapper(**options: Any) -> None:
        command(Given(**{name: options.pop(name) for name in parameters}), **options)

    rest = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
    wrapper.__signature__ = inspect.Signature([*parameters.values(), rest])  # type: ignore[attr-defined]
    return wrapper


def train(
    name: str,
    settings: type[SettingsT],
    work: Callable[[NetworkJob[SettingsT]], Generator[NetworkUpdate, None, None]],
    given: Given,
    options: Mapping[str, Any],
) -> None:
    """Train a network of a name, show how far it is, and write the bundle that it is added to."""
    folder = given.folder
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.train.network_job import NetworkJob

        own = {k: v for k, v in options.items() if k in settings.model_fields}
        job = NetworkJob(
            hr=given.hr_images(options),
            bundle=given.bundle,
            settings=build(settings, own),
            out=given.out,
            folder=folder,
            data=given.data,
        )
        check_bundle(given.out, overwrite=given.overwrite)
        check_run(folder, resume=given.resume)
    with (
        exit_code(FAILED),
        wrong_usage(),
        kept_path(),
        kept(folder),
        NetworkView(name) as view,
        closing(work(job)) as updates,
    ):
        for update in updates:
            view.update(update)
    put(given.out)


def _sources(channels: str, bundle: str) -> tuple[str, ...]:
    """Return where a file has the bundle's channels, in the bundle's order; () if not told."""
    from napari_rls.workflow.cells.channels import named
    from napari_rls.workflow.train.fields import parse_channels

    if not channels:
        return ()
    own = read_manifest(find_bundle(bundle)).channel_names
    names, sources = parse_channels(channels)
    places = [named(names, name, "--channels") for name in own]
    if len(names) != len(own) or None in places or not sources:
        raise InputError(
            f"--channels {channels} must tell for each channel of the bundle which one of the file "
            f"it is, as in {','.join(f'{name}={k}' for k, name in enumerate(own))}."
        )
    return tuple(sources[k] for k in places if k is not None)


def _dna(bundle: str) -> str:
    """Return the number of the bundle's channel that shows nuclei."""
    from napari_rls.workflow.cells.channels import dna_index

    return str(dna_index(read_manifest(find_bundle(bundle)).channel_names) or 0)


class NetworkView(Bars):
    """Messages, and a bar of a name: steps, images a second, held-out L1, time left."""

    def __init__(self, name: str) -> None:
        # All must stand in 80 columns.
        super().__init__("steps", "speed", "l1", "left", width=10)
        self._name = name
        self._bar: TaskID | None = None

    def update(self, update: NetworkUpdate) -> None:
        """Show an update."""
        if update.message:
            say(update.message)
        if update.step:
            self._show_step(update.step)

    def _show_step(self, step: Progress[Any, Any]) -> None:
        if self._bar is None:
            self._bar = self.start(self._name, step.steps_planned)
        fields = {
            "steps": f"{step.steps}/{step.steps_planned}",
            "left": f"{duration(step.seconds_left)} left",
        }
        if step.report:
            fields["speed"] = f"{step.report.images_per_second:.0f} images/s"
            fields["l1"] = f"L1 {step.report.held_out_l1:.4f}"
        self.show(self._bar, step.steps, step.steps_planned, **fields)
