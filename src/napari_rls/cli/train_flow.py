"""``napari-rls train-flow``: add what draws images at random which a cell may have."""

from __future__ import annotations

from typing import Any

from napari_rls.cli.network_options import Given, network_command, train
from napari_rls.cli.options import options_of
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.flow_matching_settings import FlowMatchingSettings


@options_of(NucleusSettings)
@options_of(FlowMatchingSettings)
@network_command
def train_flow(given: Given, **options: Any) -> None:
    """Train what draws images at random which a cell may have, given its LR image.

    Degrades HR crops as random microscopes do, trains a network by conditional flow matching
    (Lipman et al. 2023) to bring noise to images of the cells, and writes the bundle with the
    network added; all else in it stays as it is. The bundle needs a field encoder that draws the
    expected image (train-fields). Ctrl-C keeps a checkpoint; the same command with --resume goes
    on.
    """
    from napari_rls.workflow.train.train_flow import train_flow as work

    train("Flow matching", FlowMatchingSettings, work, given, options)
