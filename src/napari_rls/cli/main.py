"""The command ``napari-rls``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from napari_rls.cli.benchmark import benchmark
from napari_rls.cli.bundles import bundles
from napari_rls.cli.check import check
from napari_rls.cli.demo import demo
from napari_rls.cli.fields import fields
from napari_rls.cli.images import crops, degrade
from napari_rls.cli.means import means
from napari_rls.cli.measure import measure
from napari_rls.cli.options import ListCommand
from napari_rls.cli.reporting import Commands
from napari_rls.cli.simulate import simulate
from napari_rls.cli.super_resolve import super_resolve
from napari_rls.cli.train import train
from napari_rls.cli.train_direct import train_direct
from napari_rls.cli.train_fields import train_fields
from napari_rls.cli.train_flow import train_flow
from napari_rls.cli.train_pix2pix import train_pix2pix
from napari_rls.version import __version__

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(super_resolve)
app.command()(fields)
app.command()(crops)
app.command()(degrade)
app.command()(simulate)
app.command()(measure)
app.command()(means)
app.command()(check)
app.command()(train)
app.command()(train_pix2pix)
app.command()(train_fields)
app.command()(train_flow)
app.command()(train_direct)
app.command(cls=ListCommand)(benchmark)
app.add_typer(bundles, name="bundles")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-rls {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Super-resolve single-cell microscopy images by Regularized Latent Search.

    Fields become HR cells with 'crops', HR cells become LR cells with 'degrade', and LR cells
    become SR cells with 'super-resolve'. 'measure' makes a table of measurements of them all,
    and 'means' corrects means of wells by HR images of a few cells. 'check' tells from HR cells of
    your own what of it to trust.
    'fields' does all of it for whole LR images of a microscope: it finds their cells too.
    'simulate' makes HR cells of known truth. 'train' makes a bundle of your own images,
    'train-fields' adds to one what starts the search in fields, 'train-flow' what draws samples,
    and 'train-pix2pix' and 'train-direct' rivals of the search. 'benchmark' compares methods.
    'demo' shows it all without any data of your own.
    """
    # Figures are drawn into files: no window is asked for, and what the variable says of one, or
    # of a backend that is not there, does not matter.
    os.environ["MPLBACKEND"] = "agg"
