"""``napari-rls bundles calibrate``: measure on held-out cells how far to trust a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from napari_rls.cli.measure import MeasureFile, measure_settings
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, exit_code, kept_path, put, say
from napari_rls.cli.resumable import check_bundle
from napari_rls.errors import InputError
from napari_rls.files.outputs import write_or_keep
from napari_rls.measure.cells import AssayName
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.manifest import FORMAT_VERSION
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.super_resolve.sr_files import samples_path


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
    assay: Annotated[AssayName, typer.Option("--assay", help="What is measured.")],
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
    """
    with exit_code(WRONG_USAGE):
        check_bundle(out, overwrite=overwrite)
        chosen = measure_settings(assay, settings_file)
    with exit_code(FAILED):
        from napari_rls.models.bundle import load_bundle
        from napari_rls.workflow.measure.trust_levels import calibrate as trust_of

        loaded = load_bundle(bundle)
        truth = read_stack(gt)
        found = {}
        for file in files:
            stack, record = read_stack(file), read_record(file)
            if not record.get("generated"):
                raise InputError(f"{file.name} holds no SR cells; give what super-resolve wrote.")
            beside = samples_path(file)
            if not beside.is_file():
                raise InputError(
                    f"There are no samples {beside.name} beside {file.name}; super-resolve with "
                    "--samples 5."
                )
            samples = read_samples(beside, stack, record)
            say(f"Measuring {file.name} ...")
            trust = trust_of(loaded.manifest, stack, samples, record, truth, chosen, data)
            if trust.factor in found:
                raise InputError(f"Two SR files are of {trust.factor}x; give one of each factor.")
            found[trust.factor] = trust
        manifest = loaded.manifest.model_copy(
            update={
                "format_version": FORMAT_VERSION,
                "trust": tuple(found[factor] for factor in sorted(found)),
                "measurement": found[min(found)].measurement,
            }
        )
        with kept_path():
            write_or_keep(out, replace(loaded, manifest=manifest).save)
    put(out)
