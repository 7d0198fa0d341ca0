"""``napari-rls fields``: LR fields in, SR fields and one table of their cells out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field, create_model

from napari_rls.cli.measure import CHOICES, known_assay
from napari_rls.cli.options import build, given, hr_cells_option, options_of, search_settings
from napari_rls.cli.reporting import (
    FAILED,
    WRONG_USAGE,
    SearchProgress,
    exit_code,
    on_stop,
    put,
    say,
)
from napari_rls.errors import SettingsError, called
from napari_rls.files.json_file import shown
from napari_rls.measure.registry import registry
from napari_rls.search.optics import Optics
from napari_rls.search.presets import PRESETS
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.channels import split_names
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import FORMATS
from napari_rls.workflow.fields.field_settings import FieldSettings, parse_noise
from napari_rls.workflow.measure.measure_settings import measure_settings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.workflow.fields.field_task import FieldsUpdate

_SEARCH = (
    "bundle", "method", "lambda_w", "lambda_c", "steps", "samples", "seed", "intensity",
    "camera_offset", "batch_size", "device", "precision", "threads",
)  # fmt: skip
"""Settings of the search that are options of the command; a settings file may give any."""

_FINDING = ("diameter", "scout_steps")
"""Settings of how cells are found that are options."""

_Saturation = create_model(
    "_Saturation",
    saturation=(
        float | None,
        Field(
            default=None,
            description="Grey level of LR pixels at and above which one is saturated.",
        ),
    ),
)
"""What of the measurement is an option, in words for fields."""

_DEFAULTS = {"steps": "40 with a bundle's field encoder, else 100"}
"""Defaults that fields have of their own."""

_FLAGS = {"wavelength_um": "wavelength"}
"""What options of the optics are called, where not as their setting."""

_OPTIONS = {
    "psf_sigma": "--psf",
    "na": "--na",
    "wavelength_um": "--wavelength (in micrometres)",
    "ratio": "--ratio",
}
"""What settings of the optics are called as options."""

ESTIMATE = "estimate"
"""What is given as the PSF width to have it estimated."""


@options_of(Optics, only=("ratio", "na", "wavelength_um"), flags=_FLAGS)
@options_of(FieldSettings, only=_FINDING)
@options_of(_Saturation, defaults={"saturation": "the most that pixel type or camera tells"})
@options_of(Settings, only=_SEARCH, defaults=_DEFAULTS)
def fields(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES...", help=f"LR fields, or folders of them: {FORMATS}."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")],
    psf: Annotated[
        str | None,
        typer.Option(
            metavar=f"WIDTH|{ESTIMATE}",
            show_default=False,
            help="Standard deviation of the lens's Gaussian PSF in LR pixels, without what the "
            "pixels integrate (from 0 to 5), or 'estimate': by the cells of the fields, and how "
            "sharp the bundle's cells are. Without it: from NA and wavelength, else 0.45.",
        ),
    ] = None,
    noise: Annotated[
        str,
        typer.Option(
            metavar="auto|OFFSET,GAIN,READ",
            help="Noise of the camera, the same for all channels: grey level without light, grey "
            "levels a photon, and deviation of its own noise; or 'auto', estimated from the "
            "fields.",
        ),
    ] = "auto",
    assay: Annotated[
        str | None,
        typer.Option(
            "--assay",
            metavar=CHOICES,
            callback=known_assay,
            show_default=False,
            help="What is measured; without it, what suits the bundle.",
        ),
    ] = None,
    plate_map: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table with a column 'well' or 'file' and 'condition', 'dose' or others.",
        ),
    ] = None,
    hr_cells: Annotated[
        list[Path] | None,
        hr_cells_option("OUT/cells_means.csv and the page; a finished run can be given them later"),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            help="Channels of the images in the bundle's order, by index from 0 or name; without "
            "it: by the bundle's names, else as they come."
        ),
    ] = "",
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings", metavar="FILE", help="Settings file of the search; options win."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            show_default=False,
            help="Work on N fields at once, in processes of this computer with 1 thread each.",
        ),
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Work on fields where the workers of this Dask scheduler are, as "
            "tcp://10.0.0.1:8786.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make results again that are there.")
    ] = False,
    **options: Any,
) -> None:
    """Find the cells of whole LR fields, super-resolve them in their places and measure them.

    Nuclei are found in the LR image; the SR images of cells are blended into one of each field,
    OUT/fields/NAME_SR8x.ome.tif. All cells are measured into OUT/cells.csv and
    OUT/cells.parquet, a row each for SR and for the upsampled LR image, and a page,
    OUT/report.html, shows doses, controls, pictures and what is in doubt. SR pixels are generated
    by the model, not measured. What is finished stays if the run is stopped: the same command
    goes on with the rest.
    """
    with exit_code(WRONG_USAGE):
        optics = {name: options.pop(name) for name in Optics.model_fields if name in options}
        optics["psf_sigma"] = _width(psf)
        light = given({"saturation": options.pop("saturation")})
        finding = given({name: options.pop(name) for name in _FINDING})
        settings = search_settings(settings_file, options)
        with _by_options():
            microscope = Optics.parse(given(optics), "options")
        plate = PlateMap(plate_map) if plate_map else None
        wanted = split_names(channels)
        say(f"Loading {settings.bundle} ...")
        from napari_rls.models.bundle import load_bundle
        from napari_rls.workflow.fields.cluster import Workers
        from napari_rls.workflow.fields.run_fields import RunFields

        where = Workers(workers or 0, scheduler) if workers or scheduler else None
        bundle = load_bundle(settings.bundle)
        known = parse_noise(noise, len(bundle.manifest.channels), "--noise")
        usual = None if assay else dict(bundle.manifest.measurement)
        estimated = {"estimate_psf": psf == ESTIMATE}
        with _by_options():
            own = build(
                FieldSettings, {"optics": microscope, "noise": known, **estimated, **finding}
            )
        job = RunFields(
            bundle,
            settings,
            own,
            measure_settings(assay, None, light, usual or None),
            out,
            channels=wanted,
            plate_map=plate,
            overwrite=overwrite,
            workers=where,
            hr_cells=hr_cells or (),
        )
    for sentence in (*PRESETS.problems, *registry().problems.values()):
        say(sentence)
    if settings.lambda_w and bundle.manifest.flow_doubt:
        say(bundle.manifest.flow_doubt)
    failed = 0
    sentence = "Stopped: finished fields stay; the same command goes on with the rest."
    with (
        exit_code(FAILED),
        on_stop(sentence),
        _in_options(),
        FieldsView() as view,
        closing(job.updates(images)) as updates,
    ):
        for update in updates:
            view.update(update)
            failed += update.error is not None
            for path in update.written:
                put(path)
    if failed:
        raise typer.Exit(FAILED)


def _width(psf: str | None) -> float | None:
    """Return the width that --psf gives, None for one that is estimated or not given."""
    if psf in (None, ESTIMATE):
        return None
    try:
        return float(psf)
    except ValueError:
        raise SettingsError(
            f"--psf is {shown(repr(psf))}; give a width in LR pixels, as 0.45, or '{ESTIMATE}'."
        ) from None


@contextmanager
def _by_options() -> Iterator[None]:
    """Say what is wrong with the optics with the options' names."""
    try:
        yield
    except SettingsError as error:
        sentence = str(error).removeprefix("options: ")
        for name, option in _OPTIONS.items():
            sentence = re.sub(rf"\b{name}\b", option, sentence)
        raise SettingsError(sentence) from None


@contextmanager
def _in_options() -> Iterator[None]:
    """Say what a run lacks with the options' names."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(called(str(error), _OPTIONS)) from None


class FieldsView(SearchProgress):
    """Sentences, and a bar for each search of a field."""

    def __init__(self) -> None:
        super().__init__()
        self._of: tuple[str, str] | None = None
        self._bar: TaskID | None = None

    def update(self, update: FieldsUpdate) -> None:
        """Show an update."""
        if update.message:
            say(called(update.message, _OPTIONS))
        if update.step is None or update.step.step is None:
            return
        of = (update.field, update.step.stage)
        if of != self._of:
            self._of, self._bar = of, self.start(f"{update.field} ({update.step.stage})")
        assert self._bar is not None
        self.show(self._bar, update.step.step)
