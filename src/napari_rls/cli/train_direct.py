"""``napari-rls train-direct``: add what tells measurements of LR images without any image."""

from __future__ import annotations

from typing import Any

from napari_rls.cli.network_options import Given, network_command, train
from napari_rls.cli.options import options_of
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.direct_settings import DirectSettings


@options_of(NucleusSettings)
@options_of(DirectSettings)
@network_command
def train_direct(given: Given, **options: Any) -> None:
    """Train what tells measurements of LR images without any image: a rival of all that draws one.

    Measures HR crops as the bundle suggests, trains a small network to tell quantiles of that
    from the degraded crops, widens its intervals until they hold on held-out crops (conformalised
    quantile regression, Romano et al. 2019), and writes the bundle with the network added; all
    else in it stays as it is. Ctrl-C keeps a checkpoint; the same command with --resume goes on.
    """
    from napari_rls.workflow.measure.train_direct import train_direct as work

    train("Direct", DirectSettings, work, given, options)
