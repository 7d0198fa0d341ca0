"""``napari-rls train-start``: let searches start at images that look like cells."""

from __future__ import annotations

from typing import Any

from napari_rls.cli.network_options import Given, network_command, train
from napari_rls.cli.options import options_of
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.start_settings import StartSettings


@options_of(NucleusSettings)
@options_of(StartSettings)
@network_command
def train_start(given: Given, **options: Any) -> None:
    """Train the start of searches, so that a few steps will do, of crops as of fields.

    Degrades HR crops as random microscopes do, trains what estimates latents in the bundle's field
    encoder (train-fields) against a discriminator, so that what the generator draws of them looks
    like cells, and writes the bundle with it; all else in it stays as it is. Ctrl-C keeps a
    checkpoint; the same command with --resume goes on.
    """
    from napari_rls.workflow.train.train_start import train_start as work

    train("Start", StartSettings, work, given, options)
