"""``napari-rls train``: from a lab's own fields to a bundle."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.options import options_of
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, Bars, exit_code, kept_path, put, say
from napari_rls.cli.resumable import check_bundle, check_run, kept, wrong_usage
from napari_rls.cli.train_options import job_of, run_folder
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.text import duration
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.bundle_card import Card
from napari_rls.workflow.train.train_job import TrainOptions

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.training.run import Progress as Step
    from napari_rls.workflow.train.train_bundle import JobUpdate

_TRAINING = tuple(
    name for name in TrainSettings.model_fields if name not in {"channels", "intensity", "camera"}
)


@options_of(NucleusSettings)
@options_of(TrainSettings, only=_TRAINING)
@options_of(TrainOptions, flags={"pattern": "channel-files"})
@options_of(Card, defaults={"name": "that of the file"}, flags={"pixel_size_um": "pixel-size"})
def train(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES...",
            show_default=False,
            help="Whole fields: TIFF, OME-TIFF, LIF, CZI or ND2 files, folders, patterns. A file "
            "holds all channels, or one; see --channel-files.",
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Names of the channels, as in DNA,GFP: the files' own names, or names for them "
            "in the order in which they come. DNA=0,GFP=2 says which of a file's channels each is, "
            "by name or by index from 0; with --channel-files, DNA=w1,GFP=w2 what stands in the "
            "file names.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar=f"NAME{SUFFIX}", show_default=False, help="Bundle to write."),
    ] = None,
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
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run that the folder holds, begun here or in napari. Images and "
            "options that are not given are those of the run: --run DIR alone will do.",
        ),
    ] = False,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="Train no more: make a bundle of what the run in the folder has so far. "
            "It can still go on by --resume.",
        ),
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="FILE",
            help="Checkpoint of a run of the same shape to start from, or a bundle.",
        ),
    ] = None,
    dna_channel: Annotated[
        str | None,
        typer.Option(
            help="Channel that shows nuclei, by index from 0 or by name (default: the one named "
            "after a stain of DNA, else 0)."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    **options: Any,
) -> None:
    """Train a bundle on your own images.

    Finds nuclei, cuts centred crops, holds a tenth of them back by field, trains StyleGAN2-ADA,
    fits the flow and the encoders, and writes the bundle, of the generator whose images are
    nearest to the crops held back (lowest KID). Ctrl-C keeps a checkpoint; the same command with
    --resume goes on, and with --finish makes a bundle of what there is. 8-bit images use
    intensities 0 to 255, others the 0.1th to 99.9th percentile over all training fields.
    """
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.train.train_bundle import train_bundle

        goes_on = resume or finish
        words = options | {
            "images": tuple(images) if images else None,
            "channels": channels,
            "out": out,
            "validation": tuple(validation) if validation else None,
            "dna_channel": dna_channel,
            "start": start,
        }
        folder = run_folder(run, out)
        check_run(folder, resume=goes_on)
        job = job_of(folder, words, goes_on)
        check_bundle(job.out, overwrite=overwrite)
    with (
        exit_code(FAILED),
        wrong_usage(),
        kept_path(),
        kept(job.folder, "with --finish makes a bundle of what it has"),
        _View() as view,
        closing(train_bundle(job, finish=finish)) as updates,
    ):
        for update in updates:
            view.update(update)
    put(job.out)


class _View(Bars):
    """Messages, and bars: thousands of images shown, images a second, ADA's p, KID, time left.

    The time that is left is that of the whole job.
    """

    def __init__(self) -> None:
        # All must stand in 80 columns.
        super().__init__("kimg", "speed", "ada", "kid", "left", width=10)
        self._sizes: dict[int | None, TaskID] = {}
        self._fit: TaskID | None = None

    def update(self, update: JobUpdate) -> None:
        """Show an update."""
        if update.message:
            say(update.message)
        if update.overview:
            say(f"A contact sheet of the crops: {update.overview}")
        if update.step:
            self._show_step(update.step, update.size, update.seconds_left)
        if update.stage == "fitting":
            if self._fit is None:
                self._fit = self.start("flow and encoders", 1.0)
            left = "" if update.seconds_left is None else f"{duration(update.seconds_left)} left"
            self.show(self._fit, update.part, left=left)

    def _show_step(self, step: Step, size: int | None, left: float | None) -> None:
        if size not in self._sizes:
            self._sizes[size] = self.start(f"{size} px")
        fields = {
            "kimg": f"{step.images / 1000:.2f}/{step.images_planned / 1000:g} kimg",
            "left": "" if left is None else f"{duration(left)} left",
        }
        if step.report:
            fields["speed"] = f"{step.report.images_per_second:.1f} images/s"
            fields["ada"] = f"ADA p {step.report.ada_p:.3f}"
        if step.score:
            fields["kid"] = f"KID {step.score.kid:.3g}"
        done = min(step.images, step.images_planned)
        self.show(self._sizes[size], done, step.images_planned, **fields)
