"""Degrade a user's own HR cells, super-resolve them, and compare measurements with the truth."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_rls.errors import InputError
from napari_rls.evaluation.tables import IMAGE
from napari_rls.files.outputs import check_outputs
from napari_rls.measure.cells import MeasureSettings, headline_columns
from napari_rls.measure.columns import LOOK_PERCENTILE
from napari_rls.models.bundle import Bundle
from napari_rls.models.manifest import Manifest
from napari_rls.search.settings import FACTORS
from napari_rls.workflow.benchmark.chosen_cells import choose_of_all, read_pool
from napari_rls.workflow.benchmark.measures import measurement_of
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.cells.reading import told_readings
from napari_rls.workflow.cells.stack import CellStack, content_digest
from napari_rls.workflow.cells.usable import scale_doubt
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.check.check_settings import CheckSettings
from napari_rls.workflow.check.found import Found, compare
from napari_rls.workflow.check.verdict import Verdict, judge
from napari_rls.workflow.measure.image_sets import ImageSet, find_channels
from napari_rls.workflow.measure.measure_settings import measure_settings
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.super_resolve.resolve_files import FileUpdate, ResolveFiles
from napari_rls.workflow.super_resolve.sr_files import kind_of, samples_path

HR_FILE = "HR.ome.tif"

FACTOR = "factor"

_SMALLEST = 4
"""Pixels of an LR crop's side at least, for a bundle that tells no factors of its own."""


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check found.

    Parameters
    ----------
    hr
        The cells, as they are in the folder.
    pool
        Number of cells that they were chosen from.
    manifest, settings, measurement
        Of which bundle, and how.
    files
        SR files by factor.
    cells
        What was measured: a row per factor, kind of image and cell.
    found
        For each factor and main measurement what was found, and the verdict.
    doubts
        What is assumed or in doubt, in sentences, each once.
    """

    hr: CellStack
    pool: int
    manifest: Manifest
    settings: CheckSettings
    measurement: MeasureSettings
    files: Mapping[int, Path]
    cells: pd.DataFrame
    found: tuple[tuple[Found, Verdict], ...]
    doubts: tuple[str, ...]

    @property
    def factors(self) -> tuple[int, ...]:
        """The scale factors."""
        return tuple(self.files)

    def of(self, factor: int) -> pd.DataFrame:
        """Return what was measured at a factor."""
        return self.cells[self.cells[FACTOR] == factor].drop(columns=FACTOR)


@dataclass(frozen=True, eq=False)
class CheckUpdate:
    """How far a check is: a sentence, an update of a search, or cells measured; last the result.

    ``done`` of ``total`` images of ``label`` are measured, if ``total`` is not 0.
    """

    message: str = ""
    search: FileUpdate | None = None
    label: str = ""
    done: int = 0
    total: int = 0
    result: Checked | None = None


@dataclass(frozen=True, eq=False)
class CheckCells:
    """The cells of a check, and how their files were read."""

    hr: CellStack
    pool: int
    told: tuple[str, ...] = field(default=())


def factors_of(bundle: Bundle, settings: CheckSettings) -> tuple[int, ...]:
    """Return the scale factors of a check: those asked for, else all of the bundle.

    Raises
    ------
    InputError
        If one does not divide the bundle's HR size, or there is none.
    """
    manifest = bundle.manifest
    size = manifest.hr_size
    own = {*bundle.encoders, *(trust.factor for trust in manifest.trust)}
    usual = [factor for factor in FACTORS if not size % factor and size // factor >= _SMALLEST]
    factors = settings.factors or tuple(sorted(own or usual))
    for factor in factors:
        if size % factor or factor >= size:
            raise InputError(
                f"The factor {factor} does not bring LR crops to the {size} pixels of the bundle "
                f"{manifest.name}; its factors are {', '.join(map(str, sorted(own or usual)))}."
            )
    if not factors:
        raise InputError(f"The bundle {manifest.name} tells no scale factor; give --factors.")
    return factors


def check_measurement(manifest: Manifest, assay: str) -> MeasureSettings:
    """Return what is measured: what the bundle suggests, or another assay with its settings.

    Raises
    ------
    InputError, SettingsError
        If there is no such assay, or the bundle suggests nothing and none is given.
    """
    if not assay and (suggested := measurement_of(manifest)) is not None:
        return suggested
    return measure_settings(assay or None, None, usual=manifest.measurement)


def read_check_cells(
    files: Sequence[Path], manifest: Manifest, settings: CheckSettings, channels: Sequence[str] = ()
) -> CheckCells:
    """Read HR cells, or cut them out of whole fields, and choose some at random.

    Parameters
    ----------
    files
        HR cells of the bundle's size, or larger fields.
    manifest
        The bundle's: size, channels, how nuclei are found.
    settings
        How many cells, and the seed.
    channels
        Channels of the files in the bundle's order, by name or index; empty: by their names.

    Raises
    ------
    InputError
        If a file cannot be used or is given twice, or there is no cell.
    """
    known = [file.resolve() for file in files]
    if twice := [file for file, same in zip(files, known, strict=True) if known.count(same) > 1]:
        raise InputError(f"{twice[0]} is given twice; its cells would be there twice.")
    pool, readings = read_pool(files, manifest, channels=channels)
    chosen = choose_of_all(pool, settings.cells, settings.seed)
    hr = replace(
        pool, data=pool.data[chosen], crops=tuple(pool.crops[k] for k in chosen), leading="N"
    )
    told = [*told_readings(readings)]
    if doubt := scale_doubt(pool.pixel_size_um, manifest, 1):
        told.append(doubt)
    elif pool.pixel_size_um is None or manifest.pixel_size_um is None:
        whose = "images do" if manifest.pixel_size_um else f"bundle {manifest.name} does"
        told.append(
            "Whether cells are as large in pixels as those that the bundle knows could not be "
            f"compared: the {whose} not tell the size of a pixel."
        )
    return CheckCells(hr, len(pool), tuple(told))


def check(
    cells: CheckCells,
    bundle: Bundle,
    settings: CheckSettings,
    folder: Path,
    *,
    overwrite: bool = False,
) -> Generator[CheckUpdate, None, None]:
    """Check a bundle on cells; all images are kept in the folder, and what is there is not redone.

    Raises
    ------
    InputError, SettingsError
        If bundle, factors, measurement and cells do not go together, or the folder holds
        a check of others and ``overwrite`` is not set.
    OSError
        If a file cannot be written.
    """
    manifest = bundle.manifest
    factors = factors_of(bundle, settings)
    measurement = check_measurement(manifest, settings.assay)
    measurement, _ = find_channels([ImageSet("GT", cells.hr)], measurement)
    job = ResolveFiles(bundle, settings.search, folder, overwrite=overwrite)
    images = (2 + settings.search.samples) * (1 + len(factors))
    check_outputs([folder / HR_FILE], 4 * images * cells.hr.data.size)
    hr = replace(cells.hr, name="HR")
    record = {"check": settings.model_dump(mode="json"), "bundle": manifest.name}
    _keep(folder / HR_FILE, hr, "HR cells of a check.", record, overwrite)
    made: dict[int, Path] = {}
    for factor in factors:
        degrade = DegradeSettings(factor=factor, operator=settings.operator)
        path = folder / f"LR{factor}x.ome.tif"
        small = degrade_stack(hr, degrade)
        record = {"degrade": degrade.model_dump(mode="json")}
        _keep(path, small, f"Degraded {factor}x.", record, overwrite)
        own = settings.search.model_copy(update={"factor": factor})
        made[factor] = folder / f"LR{factor}x_{kind_of(own)}.ome.tif"
        with closing(job.updates([path])) as updates:
            for update in updates:
                if update.error is not None:
                    raise update.error
                yield CheckUpdate(search=update)
    tables: list[pd.DataFrame] = []
    results: list[tuple[Found, Verdict]] = []
    doubts = dict.fromkeys(cells.told)
    for factor, path in made.items():
        table, told, judged = yield from _measured(factor, path, hr, measurement)
        doubts |= dict.fromkeys(f"{factor}x: {words}" for words in told)
        for column in headline_columns(measurement):
            found = compare(table, factor, column, judged=judged)
            results.append((found, judge(found)))
        table.insert(0, FACTOR, factor)
        tables.append(table)
    yield CheckUpdate(
        result=Checked(
            hr,
            cells.pool,
            manifest,
            settings,
            measurement,
            made,
            pd.concat(tables, ignore_index=True),
            tuple(results),
            tuple(doubts),
        )
    )


def _keep(
    path: Path, stack: CellStack, description: str, record: dict[str, Any], overwrite: bool
) -> None:
    """Write images, if those very ones are not there already."""
    if path.exists() and not overwrite:
        if content_digest(read_stack(path).data) != content_digest(stack.data):
            raise InputError(
                f"{path} is of a check of other images or settings; give another --out, or "
                "--overwrite to replace it."
            )
        return
    write_stack(path, stack, description=description, record=record)


def _measured(
    factor: int, path: Path, hr: CellStack, settings: MeasureSettings
) -> Generator[CheckUpdate, None, tuple[pd.DataFrame, list[str], bool]]:
    """Measure LR, SR and true images; return the table, doubts, and whether cells are judged."""
    sr, record = read_stack(path), read_record(path)
    samples = read_samples(samples_path(path), sr, record)
    small = read_stack(path.with_name(f"LR{factor}x.ome.tif"))
    sets = [ImageSet("LR", small), ImageSet("SR", sr, samples, record), ImageSet("GT", hr)]
    for update in measure(sets, settings):
        if update.result is not None:
            break
        yield CheckUpdate(label=f"{factor}x", done=update.done, total=update.total)
    assert update.result is not None
    told = [*_doubts(record), *update.result.record["warnings"]]
    table = update.result.table
    percentile = table.loc[table[IMAGE] == "SR", LOOK_PERCENTILE]
    return table, told, bool(percentile.notna().any())


def _doubts(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a run told of its images, from its record."""
    intensity = record["intensity"]
    if intensity["doubt"]:
        yield intensity["doubt"]
    for name, what in (("skipped", "was skipped"), ("failed", "has no image")):
        cells = [cell for cell in record["cells"] if cell["status"] == name]
        if cells:
            yield f"{len(cells)} cells: the first {what}, as {cells[0]['reason']}."
    if unusual := intensity["unusual"]:
        yield f"{len(unusual)} cells are not to be trusted: {next(iter(unusual.values()))}."
