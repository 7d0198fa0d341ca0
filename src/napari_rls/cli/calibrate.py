"""``napari-rls bundles calibrate``: measure on held-out cells how far to trust a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_rls.cli.measure import CHOICES, MeasureFile, known_assay
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, exit_code, kept_path, put, say
from napari_rls.cli.resumable import check_bundle
from napari_rls.files.outputs import write_or_keep
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.measure.measure_settings import measure_settings


def calibrate(
    bundle: Annotated[
        str, typer.Argument(metavar="NAME_OR_FILE", help="The bundle that made the SR files.")
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="SR.tif...",
            help="SR cells of degraded held-out crops with their samples beside them, a file for "
            "each factor.",
        ),
    ],
    gt: Annotated[Path, typer.Option("--gt", metavar="HR.tif", help="The held-out HR crops.")],
    assay: Annotated[
        str,
        typer.Option("--assay", metavar=CHOICES, callback=known_assay, help="What is measured."),
    ],
    data: Annotated[
        str, typer.Option("--data", help="Name of the held-out crops, for the bundle's manifest.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar=f"NAME{SUFFIX}", help="Bundle to write.")],
    settings_file: MeasureFile = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle.")] = False,
) -> None:
    """Measure on held-out cells how far to trust a bundle, and store it in its manifest.

    Degrade HR crops that the generator was not trained on, super-resolve them with samples,
    and give both here. Intervals of measurements are corrected so that they hold the true
    value as often as they say (split-conformal), and LR residuals and log-densities of the
    crops become the measure of what is ordinary. Bundles say both with every later result.
    How often intervals held the true value, and how wide they are, is stored as drawn and as
    corrected, each cell judged by a correction that was fitted on other wells.
    Limits of the trust mask are stored too, what LR images leave open of each measurement,
    and what becomes of LR crops of noise and of empty background, which are searched.
    """
    with exit_code(WRONG_USAGE):
        check_bundle(out, overwrite=overwrite)
        chosen = measure_settings(assay, settings_file)
    with exit_code(FAILED):
        from napari_rls.models.bundle import load_bundle
        from napari_rls.workflow.measure.calibrate_bundle import calibrate_bundle

        loaded, truth = load_bundle(bundle), read_stack(gt)
        for update in calibrate_bundle(loaded, files, truth, chosen, data):
            if update.file is not None:
                say(f"Measuring {update.file.name} ...")
        assert update.bundle is not None
        with kept_path():
            write_or_keep(out, update.bundle.save)
    put(out)
