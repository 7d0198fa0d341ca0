"""``napari-rls bundles import``: from another program's checkpoint to a bundle."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, exit_code, kept_path, put, say
from napari_rls.cli.resumable import check_bundle
from napari_rls.files.outputs import write_or_keep
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.part import plain_name
from napari_rls.workflow.cells.channels import split_names
from napari_rls.workflow.train.import_blueprint import ImportSettings

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.training.assemble import Fitting


@options_of(ImportSettings, defaults={"name": "that of the file"})
def import_checkpoint(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Network pickle (.pkl) of stylegan2-ada-pytorch or of StyleGAN3's StyleGAN2 "
            "config, or checkpoint (.pt) of rosinality's stylegan2-pytorch.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar=f"NAME{SUFFIX}", help="Bundle to write.")],
    channels: Annotated[
        str,
        typer.Option(help="Names of the image channels, in the generator's order, as in DNA,GFP."),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
    **options: Any,
) -> None:
    """Make a bundle of a StyleGAN2 checkpoint of another program.

    Nothing that the checkpoint brings is run. The moving average of its generator is taken as
    it is; the flow and the encoders are fitted to images and latents that it generates. What a
    checkpoint does not say (channels, intensities, pixel size, licence, ...) is for you to say.
    """
    with exit_code(WRONG_USAGE):
        check_bundle(out, overwrite=overwrite)
        settings = build(ImportSettings, options)
        if not settings.name:
            settings = settings.model_copy(
                update={"name": plain_name(out.name.removesuffix(SUFFIX))}
            )
        names = split_names(channels)
    with exit_code(FAILED):
        from napari_rls.workflow.train.import_bundle import import_checkpoint as steps

        made = _reported(steps(checkpoint, names, settings))
        if made.manifest.flow_doubt:
            say(made.manifest.flow_doubt)
        with kept_path():
            write_or_keep(out, made.save)
    put(out)


def _reported(steps: Generator[Fitting, None, Bundle]) -> Bundle:
    """Say every new line, and return what comes at the end."""
    while True:
        try:
            step = next(steps)
            if step.news:
                say(step.text)
        except StopIteration as end:
            made: Bundle = end.value
            return made
