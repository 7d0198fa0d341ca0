"""``napari-rls train``: from a lab's own fields to a bundle."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.progress import BarColumn, Progress, TextColumn

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import (
    FAILED,
    INTERRUPTED,
    WRONG_USAGE,
    check_new,
    console,
    exit_code,
    say,
)
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.settings import TrainSettings
from napari_rls.workflow.stack import InputError

if TYPE_CHECKING:
    from napari_rls.training.run import Progress as Step
    from napari_rls.workflow.train import TrainingCrops

SUFFIX = ".rls.safetensors"
NOT_STATED = "not stated"
FITTED = 100_000
EPOCHS = 40

_TRAINING = tuple(
    name for name in TrainSettings.model_fields if name not in {"channels", "intensity"}
)


@options_of(NucleusSettings)
@options_of(TrainSettings, only=_TRAINING)
def train(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="Whole fields with all channels: TIFF or OME-TIFF files, folders, patterns.",
        ),
    ],
    channels: Annotated[
        str,
        typer.Option(
            help="Names of the channels, as in DNA,GFP: the files' own names, or names for them "
            "in the order in which they come."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar=f"NAME{SUFFIX}", help="Bundle to write.")],
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="DIR",
            show_default=False,
            help="Folder of the run: checkpoint, log, samples (default NAME-run beside --out).",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="FILE",
            help="Bundle of the same shape whose generator to start from.",
        ),
    ] = None,
    dna_channel: Annotated[
        str, typer.Option(help="Channel that shows nuclei, by index from 0 or by name.")
    ] = "0",
    name: Annotated[str, typer.Option(help="Name of the bundle; else that of the file.")] = "",
    title: Annotated[str, typer.Option(help="Title of the bundle.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the bundle.")] = NOT_STATED,
    attribution: Annotated[str, typer.Option(help="Whom to name for the images.")] = NOT_STATED,
    pixel_size: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Side of a pixel in micrometres; else what the files say."),
    ] = None,
    fit_samples: Annotated[
        int,
        typer.Option(min=100, help="Generated samples that flow and encoders are fitted to."),
    ] = FITTED,
    fit_epochs: Annotated[
        int, typer.Option(min=1, max=1000, help="Passes over them for the flow.")
    ] = EPOCHS,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    **options: Any,
) -> None:
    """Train a bundle on your own images.

    Finds nuclei, cuts centred crops, holds a tenth of them back by file, trains StyleGAN2-ADA,
    fits the flow and the encoders, and writes the bundle. Ctrl-C keeps a checkpoint; the same
    command with --resume goes on. 8-bit images use intensities 0 to 255, others the 0.1th to
    99.9th percentile over all training fields.
    """
    folder = run or out.with_name(out.name.removesuffix(SUFFIX) + "-run")
    with exit_code(WRONG_USAGE):
        nuclei = build(NucleusSettings, _part(options, NucleusSettings))
        wanted = {"channels": tuple(c.strip() for c in channels.split(",") if c.strip())}
        settings = build(TrainSettings, _part(options, TrainSettings) | wanted)
        _check_places(out, folder, resume=resume, overwrite=overwrite)
        from napari_rls.workflow.train import Card, draft_manifest, find_images, finish, prepare

        crops = prepare(
            find_images(images), settings, dna_channel=dna_channel, nuclei=nuclei, report=say
        )
        say(crops.summary())
        settings = settings.model_copy(update={"intensity": crops.intensity})
        card = Card(name or out.name.removesuffix(SUFFIX), title, licence, attribution, pixel_size)
        draft = draft_manifest(card, crops, settings, fit_samples)
    with exit_code(FAILED), _kept(folder):
        _train(crops, settings, folder, start)
        out.parent.mkdir(parents=True, exist_ok=True)
        finish(folder, draft, out, seed=settings.seed, epochs=fit_epochs, report=say)
    typer.echo(out)


def _part(options: dict[str, Any], model: type[NucleusSettings | TrainSettings]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in model.model_fields}


def _check_places(out: Path, folder: Path, *, resume: bool, overwrite: bool) -> None:
    if not out.name.endswith(SUFFIX) or out.is_dir():
        raise InputError(f"The output {out} must be a file that ends in {SUFFIX}.")
    check_new([out], overwrite=overwrite)
    there = (folder / "run.json").exists()
    if there and not resume:
        raise InputError(
            f"{folder} holds a run already; give --resume to go on with it, or another --run."
        )
    if resume and not there:
        raise InputError(f"{folder} holds no run to resume; leave out --resume to start one.")


def _train(crops: TrainingCrops, settings: TrainSettings, folder: Path, start: Path | None) -> None:
    from napari_rls.training.run import train as steps
    from napari_rls.workflow.train import write_overview

    shown = False
    with _Bar() as bar, closing(steps(crops.training.data, settings, folder, start=start)) as run:
        for step in run:
            if not shown:
                say(f"A contact sheet of the crops: {write_overview(folder, crops)}")
                shown = True
            bar.show(step)
            if step.warning:
                say(step.warning)


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Take a kill like Ctrl-C, and say after either how to go on."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say(f"Stopped: {folder} keeps the run; the same command with --resume goes on with it.")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


class _Bar:
    """Thousands of images shown, images a second, ADA's p, time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[kimg]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[ada]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            redirect_stdout=False,
        )
        self._task = self._progress.add_task(
            "training", total=None, kimg="", speed="", ada="", left=""
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        """Show a step."""
        minutes, seconds = divmod(round(step.seconds_left), 60)
        fields: dict[str, Any] = {
            "kimg": f"{step.images / 1000:.2f}/{step.images_planned / 1000:g} kimg",
            "left": f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d} left",
        }
        if step.report:
            fields["speed"] = f"{step.report.images_per_second:.1f} images/s"
            fields["ada"] = f"ADA p {step.report.ada_p:.3f}"
        done = min(step.images, step.images_planned)
        self._progress.update(self._task, total=step.images_planned, completed=done, **fields)
