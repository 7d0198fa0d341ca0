"""``napari-rls train-pix2pix``: add a network to a bundle that draws SR images at once."""

from __future__ import annotations

from typing import Any

from napari_rls.cli.network_options import Given, network_command, train
from napari_rls.cli.options import options_of
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.pix2pix_settings import Pix2PixSettings


@options_of(NucleusSettings)
@options_of(Pix2PixSettings)
@network_command
def train_pix2pix(given: Given, **options: Any) -> None:
    """Train a Pix2Pix network for one scale factor: a rival that the search is compared with.

    Degrades HR crops, trains a U-Net against a PatchGAN discriminator to bring the HR crops back
    (Isola et al. 2017), and writes the bundle with the network added; all else in it stays as it
    is. Ctrl-C keeps a checkpoint; the same command with --resume goes on.
    """
    from napari_rls.workflow.train.train_pix2pix import train_pix2pix as work

    train("Pix2Pix", Pix2PixSettings, work, given, options)
