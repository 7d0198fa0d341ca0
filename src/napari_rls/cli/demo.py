"""``napari-rls demo``: the main job on simulated fields, or on cells that the bundle draws."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.fields import FieldsView
from napari_rls.cli.options import build, given, options_of
from napari_rls.cli.reporting import (
    FAILED,
    WRONG_USAGE,
    SearchProgress,
    exit_code,
    kept_path,
    put,
    say,
)
from napari_rls.errors import NO_NAPARI
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.search.optics import USUAL_SIGMA, Optics
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.examples import SIMULATED_FOR, Sample, draw_sample
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.measure.measure_settings import measure_settings
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import result_stack, write_result

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.workflow.fields.demo_fields import DemoPlate

FOLDER, SHEET = Path("napari-rls-demo"), "demo.png"


@options_of(Settings, only=("bundle", "factor", "steps", "seed", "device"))
def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            show_default=False,
            help=f"Write files to this folder rather than open a window (default {FOLDER}).",
        ),
    ] = None,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="Write files even where there is a display.")
    ] = False,
    cells: Annotated[
        int, typer.Option(min=1, max=1000, help="Cells, in simulated fields about so many.")
    ] = 24,
    **options: Any,
) -> None:
    """Super-resolve cells that are not real: simulated fields, or cells that the bundle draws.

    Fields of two conditions are simulated where the bundle is of an assay that can be; else
    the bundle draws cells. Opens napari with the plugin at work on a field where there are
    napari and a display. Otherwise writes LR, SR and true images (OME-TIFF), for fields also
    the table of their cells and the page (HTML) of the run, and a picture of all (PNG), and
    says where; the options below, but for --no-window, are about these files.
    """
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.fields.demo_fields import DEMO_BUNDLE, DEMO_STEPS, simulate_plate

        settings = build(Settings, {"bundle": DEMO_BUNDLE, "steps": DEMO_STEPS} | given(options))
    if out is None and not no_window and has_display() and _shown_in_napari():
        return
    folder = out or FOLDER
    with exit_code(WRONG_USAGE):
        from napari_rls.models.bundle import load_bundle

        check_outputs([folder / SHEET])
        bundle = load_bundle(settings.bundle)
    if assay := SIMULATED_FOR.get(bundle.manifest.name):
        with exit_code(FAILED):
            _fields(
                simulate_plate(assay, cells, settings.factor, settings.seed),
                bundle,
                settings,
                folder,
            )
        return
    with exit_code(WRONG_USAGE):
        sample = draw_sample(bundle, cells, settings.factor, settings.seed)
    with exit_code(FAILED), kept_path():
        result = _search(sample, bundle, settings)
        for path in write_or_keep(folder, lambda place: write_demo(place, sample, result)):
            put(path)


def _fields(plate: DemoPlate, bundle: Bundle, settings: Settings, folder: Path) -> None:
    """Super-resolve simulated fields as ``fields`` does, and draw them beside the truth."""
    from napari_rls.workflow.cells.contact_sheet import write_png
    from napari_rls.workflow.fields.demo_fields import plate_picture, write_plate
    from napari_rls.workflow.fields.run_fields import RunFields

    *images, wells = write_plate(folder / "plate", plate)
    for path in images:
        put(path)
    job = RunFields(
        bundle,
        settings.model_copy(update={"samples": 0}),
        FieldSettings(optics=Optics(ratio=plate.ratio, psf_sigma=USUAL_SIGMA), noise=plate.noise),
        measure_settings(None, None, {}, dict(bundle.manifest.measurement)),
        folder / "results",
        plate_map=PlateMap(wells),
        overwrite=True,
    )
    with FieldsView() as view, closing(job.updates(images)) as updates:
        for update in updates:
            view.update(update)
            for path in update.written:
                put(path)
    write_png(folder / SHEET, plate_picture(plate, folder / "results"))
    put(folder / SHEET)


def _shown_in_napari() -> bool:
    """Open napari with the plugin at work and return whether that went well; say if it did not."""
    if find_spec("napari") is None:
        say(f"{NO_NAPARI} Writing files instead.")
        return False
    say("Opening napari ...")
    window = [sys.executable, "-m", "napari_rls.widgets", "--field"]
    if subprocess.run(window, check=False).returncode == 0:  # noqa: S603  our own module
        return True
    say("napari could not be opened; writing files instead.")
    return False


def has_display() -> bool:
    """Whether a window can be opened here."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform != "linux" or any(os.environ.get(name) for name in names)


def write_demo(folder: Path, sample: Sample, result: Collector) -> list[Path]:
    """Write LR, SR and true images and the contact sheet; return their paths."""
    from napari_rls.workflow.cells.contact_sheet import contact_sheet, write_png

    if result.run is None:
        raise ValueError("nothing was searched")
    factor, manifest = result.run.settings.factor, result.run.manifest
    colours = [channel.colour for channel in manifest.channels]
    paths = [
        folder / f"demo_LR{factor}x.ome.tif",
        folder / f"demo_SR{factor}x.ome.tif",
        folder / "demo_truth.ome.tif",
        folder / SHEET,
    ]
    title = sample.label.capitalize()
    write_stack(paths[0], sample.lr, description=f"{title}.", colours=colours)
    write_result(paths[1], result)
    write_stack(paths[2], sample.truth, description=f"{title}.", colours=colours)
    rows = {
        f"LR\n(degraded {factor}x)": sample.lr.data,
        "SR\n(generated)": result_stack(result).data,
        "truth\n(not real cells)": sample.truth.data,
    }
    write_png(paths[3], contact_sheet(rows, colours, f"{title}: {manifest.name}"))
    return paths


def _search(sample: Sample, bundle: Bundle, settings: Settings) -> Collector:
    from napari_rls.workflow.super_resolve.kept_resolver import super_resolve

    result = Collector(sample.lr, bundle.manifest.hr_size)
    with SearchProgress() as progress:
        bar = progress.start("demo")
        for update in super_resolve(sample.lr, bundle, settings):
            result.add(update)
            progress.show(bar, update)
    return result
