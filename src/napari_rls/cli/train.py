"""``napari-rls train``: from a lab's own fields to a bundle."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, Bars, exit_code, put, say
from napari_rls.cli.resumable import check_places, kept, wrong_usage
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.text import duration
from napari_rls.training.settings import TrainSettings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.training.run import Progress as Step
    from napari_rls.workflow.train_job import JobUpdate

NOT_STATED = "not stated"
FITTED = 100_000
EPOCHS = 40

_TRAINING = tuple(
    name for name in TrainSettings.model_fields if name not in {"channels", "intensity", "camera"}
)


@options_of(NucleusSettings)
@options_of(TrainSettings, only=_TRAINING)
def train(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="Whole fields: TIFF or OME-TIFF files, folders, patterns. A file holds all "
            "channels, or one; see --channel-files.",
        ),
    ],
    channels: Annotated[
        str,
        typer.Option(
            help="Names of the channels, as in DNA,GFP: the files' own names, or names for them "
            "in the order in which they come. DNA=0,GFP=2 says which of a file's channels each is, "
            "by name or by index from 0; with --channel-files, DNA=w1,GFP=w2 what stands in the "
            "file names."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar=f"NAME{SUFFIX}", help="Bundle to write.")],
    channel_files: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            show_default=False,
            help="Every file holds one channel, and this is how they are named, as in "
            "'{field}_{channel}.tif': {field} is what the files of one field share, {channel} the "
            "channel, * anything; folders may belong to it, as in '{channel}/{field}.tif'.",
        ),
    ] = "",
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGES",
            show_default=False,
            help="Images to validate on, and not to train on; may be repeated (default: a tenth of "
            "the crops, by field).",
        ),
    ] = None,
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
            help="Checkpoint of a run of the same shape to start from, or a bundle.",
        ),
    ] = None,
    grow_kimg: Annotated[
        float,
        typer.Option(
            min=0,
            help="Thousands of images to train on at half the size first, which is fast; then the "
            "generator grows to full size.",
        ),
    ] = 0,
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
    generator: Annotated[
        Literal["best", "last"],
        typer.Option(
            help="Generator to make a bundle of: the best by KID, or the last one. With --resume "
            "on a run that is done, it makes another bundle of that run."
        ),
    ] = "best",
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

    Finds nuclei, cuts centred crops, holds a tenth of them back by field, trains StyleGAN2-ADA,
    fits the flow and the encoders, and writes the bundle, of the generator whose images are
    nearest to the crops held back (lowest KID). Ctrl-C keeps a checkpoint; the same command with
    --resume goes on. 8-bit images use intensities 0 to 255, others the 0.1th to 99.9th percentile
    over all training fields.
    """
    folder = run or out.with_name(out.name.removesuffix(SUFFIX) + "-run")
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.train_inputs import parse_channels
        from napari_rls.workflow.train_job import TrainJob, train_bundle
        from napari_rls.workflow.train_manifest import Card

        names, sources = parse_channels(channels)
        job = TrainJob(
            images=tuple(images),
            settings=build(TrainSettings, _part(options, TrainSettings) | {"channels": names}),
            card=Card(
                name or out.name.removesuffix(SUFFIX), title, licence, attribution, pixel_size
            ),
            out=out,
            folder=folder,
            validation=tuple(validation or ()),
            pattern=channel_files,
            sources=sources,
            dna_channel=dna_channel,
            nuclei=build(NucleusSettings, _part(options, NucleusSettings)),
            start=start,
            grow_kimg=grow_kimg,
            generator=generator,
            fit_samples=fit_samples,
            fit_epochs=fit_epochs,
        )
        check_places(out, folder, resume=resume, overwrite=overwrite)
    with (
        exit_code(FAILED),
        wrong_usage(),
        kept(folder),
        _View() as view,
        closing(train_bundle(job)) as updates,
    ):
        for update in updates:
            view.update(update)
    put(out)


def _part(options: dict[str, Any], model: type[NucleusSettings | TrainSettings]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in model.model_fields}


class _View(Bars):
    """Messages, and a bar: thousands of images shown, images a second, ADA's p, KID, time left."""

    def __init__(self) -> None:
        # All must stand in 80 columns.
        super().__init__("kimg", "speed", "ada", "kid", "left", width=10)
        self._bars: dict[int | None, TaskID] = {}

    def update(self, update: JobUpdate) -> None:
        """Show an update."""
        if update.message:
            say(update.message)
        if update.overview:
            say(f"A contact sheet of the crops: {update.overview}")
        if update.step:
            self._show_step(update.step, update.size)

    def _show_step(self, step: Step, size: int | None) -> None:
        if size not in self._bars:
            self._bars[size] = self.start(f"{size} px")
        fields = {
            "kimg": f"{step.images / 1000:.2f}/{step.images_planned / 1000:g} kimg",
            "left": f"{duration(step.seconds_left)} left",
        }
        if step.report:
            fields["speed"] = f"{step.report.images_per_second:.1f} images/s"
            fields["ada"] = f"ADA p {step.report.ada_p:.3f}"
        if step.score:
            fields["kid"] = f"KID {step.score.kid:.3g}"
        done = min(step.images, step.images_planned)
        self.show(self._bars[size], done, step.images_planned, **fields)
