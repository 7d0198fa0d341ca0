"""``napari-rls train-fields``: add what starts the search of cells in LR fields to a bundle."""

from __future__ import annotations

from typing import Any

from napari_rls.cli.network_options import Given, network_command, train
from napari_rls.cli.options import options_of
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.field_encoder_settings import FieldEncoderSettings


@options_of(NucleusSettings)
@options_of(FieldEncoderSettings)
@network_command
def train_fields(given: Given, **options: Any) -> None:
    """Train what starts the search of cells in LR fields, for a microscope of any resolution.

    Degrades HR crops as random microscopes do, of any ratio of pixel sizes, PSF, noise and place
    on the pixel grid, trains a network to find the latents of which the generator draws the HR
    crops, and writes the bundle with the network added; all else in it stays as it is. Ctrl-C
    keeps a checkpoint; the same command with --resume goes on.
    """
    from napari_rls.workflow.train.train_fields import train_fields as work

    train("Field encoder", FieldEncoderSettings, work, given, options)
