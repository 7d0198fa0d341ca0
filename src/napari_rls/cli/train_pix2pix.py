"""``napari-rls train-pix2pix``: add a network to a bundle that draws SR images at once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, Bars, exit_code, kept_path, put, say
from napari_rls.cli.resumable import check_bundle, check_run, kept, wrong_usage
from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle_file import SUFFIX, read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.text import duration
from napari_rls.training.pix2pix_settings import Pix2PixSettings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.training.pix2pix import Progress as Step
    from napari_rls.workflow.train.train_pix2pix import Pix2PixUpdate


@options_of(NucleusSettings)
@options_of(Pix2PixSettings)
def train_pix2pix(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="HR.ome.tif...",
            help="HR images with the bundle's channels: whole fields, of which crops are cut, or "
            "stacks of crops of the bundle's size; files, folders, patterns.",
        ),
    ],
    bundle: Annotated[
        str, typer.Option("--bundle", metavar="NAME_OR_FILE", help="Bundle to add it to.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar=f"NAME{SUFFIX}", help="Bundle to write.")],
    channels: Annotated[
        str,
        typer.Option(
            show_default=False,
            help="Which of a file's channels each of the bundle's is, by name or by index from 0, "
            "as in DNA=0,GFP=2 (default: the one of its name, or else the order in the file).",
        ),
    ] = "",
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGES",
            show_default=False,
            help="Images to look at and not to train on; may be repeated (default: a tenth of the "
            "crops, by file).",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="DIR",
            show_default=False,
            help="Folder of the run: crops, checkpoint, log (default NAME-run beside --out).",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds.")
    ] = False,
    dna_channel: Annotated[
        str,
        typer.Option(
            show_default=False,
            help="Channel that shows nuclei, by index from 0 or by name (default: the one named "
            "after a stain of DNA, else 0).",
        ),
    ] = "",
    data: Annotated[
        str, typer.Option(help="Name of the HR images, for the bundle's manifest.")
    ] = "the user's own images",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    **options: Any,
) -> None:
    """Train a Pix2Pix network for one scale factor: a rival that the search is compared with.

    Degrades HR crops, trains a U-Net against a PatchGAN discriminator to bring the HR crops back
    (Isola et al. 2017), and writes the bundle with the network added; all else in it stays as it
    is. Ctrl-C keeps a checkpoint; the same command with --resume goes on.
    """
    folder = run or out.with_name(out.name.removesuffix(SUFFIX) + "-run")
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.train.hr_images import HRImages
        from napari_rls.workflow.train.train_pix2pix import Pix2PixJob
        from napari_rls.workflow.train.train_pix2pix import train_pix2pix as work

        nuclei = {k: v for k, v in options.items() if k in NucleusSettings.model_fields}
        own = {k: v for k, v in options.items() if k in Pix2PixSettings.model_fields}
        job = Pix2PixJob(
            hr=HRImages(
                tuple(images),
                tuple(validation or ()),
                sources=_sources(channels, bundle),
                dna_channel=dna_channel or _dna(bundle),
                nuclei=build(NucleusSettings, nuclei),
            ),
            bundle=bundle,
            settings=build(Pix2PixSettings, own),
            out=out,
            folder=folder,
            data=data,
        )
        check_bundle(out, overwrite=overwrite)
        check_run(folder, resume=resume)
    with (
        exit_code(FAILED),
        wrong_usage(),
        kept_path(),
        kept(folder),
        _View() as view,
        closing(work(job)) as updates,
    ):
        for update in updates:
            view.update(update)
    put(out)


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


class _View(Bars):
    """Messages, and a bar: steps, images a second, held-out L1, time left."""

    def __init__(self) -> None:
        # All must stand in 80 columns.
        super().__init__("steps", "speed", "l1", "left", width=10)
        self._bar: TaskID | None = None

    def update(self, update: Pix2PixUpdate) -> None:
        """Show an update."""
        if update.message:
            say(update.message)
        if update.step:
            self._show_step(update.step)

    def _show_step(self, step: Step) -> None:
        if self._bar is None:
            self._bar = self.start("Pix2Pix", step.steps_planned)
        fields = {
            "steps": f"{step.steps}/{step.steps_planned}",
            "left": f"{duration(step.seconds_left)} left",
        }
        if step.report:
            fields["speed"] = f"{step.report.images_per_second:.0f} images/s"
            fields["l1"] = f"L1 {step.report.held_out_l1:.4f}"
        self.show(self._bar, step.steps, step.steps_planned, **fields)
