"""The cells of a benchmark: read, cut, given their conditions, chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.evaluation.controls import control_pair, members
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.manifest import Manifest
from napari_rls.text import names_of
from napari_rls.workflow.benchmark.benchmark_settings import BenchmarkSettings
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.crops import cut_crops, join
from napari_rls.workflow.cells.plate_map import PlateMap, condition_of
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.reading import Reading
from napari_rls.workflow.cells.stack import CellStack, Crop, content_digest
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.wells import well_of
from napari_rls.workflow.measure.rows import source_name


@dataclass(frozen=True, eq=False)
class BenchmarkCells:
    """HR cells with their wells and conditions.

    Parameters
    ----------
    hr
        The cells that every method super-resolves; every cell has a crop record.
    pool
        All cells of the files, from which ``hr`` was chosen; the first numbers of the
        classifier are from here.
    classifier
        Cells of files that are there for the classifier alone, or None.
    chosen
        Indices of ``hr`` in ``pool``.
    plate_map
        What was done to the wells, or None.
    readings
        What each file was taken for.
    """

    hr: CellStack
    pool: CellStack
    classifier: CellStack | None
    chosen: NDArray[np.intp]
    plate_map: PlateMap | None = None
    readings: tuple[tuple[str, Reading], ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the chosen cells."""
        return content_digest(self.hr.data)


def read_cells(
    files: Sequence[Path],
    manifest: Manifest,
    settings: BenchmarkSettings,
    *,
    plate_map: PlateMap | None = None,
    classifier: Sequence[Path] = (),
) -> BenchmarkCells:
    """Read HR cells, or cut them out of whole fields, and choose some of every well.

    Parameters
    ----------
    files
        HR cells of the bundle's size, or larger fields, TIFF or OME-TIFF.
    manifest
        The bundle's: size, channels, how nuclei are found.
    settings
        How many cells are chosen, and the seed.
    plate_map
        Wells and conditions of the files; without it, what the files say.
    classifier
        Files of cells that the classifier of phenotypes is trained on.

    Raises
    ------
    InputError
        If a file cannot be used, or there is no cell.
    """
    pool, readings = read_pool(files, manifest, plate_map)
    apart = None
    if classifier:
        apart, others = read_pool(classifier, manifest, plate_map)
        readings += others
    chosen = choose(pool, settings.cells, settings.seed)
    crops = tuple(pool.crops[k] for k in chosen)
    return BenchmarkCells(
        replace(pool, data=pool.data[chosen], crops=crops),
        pool,
        apart,
        chosen,
        plate_map,
        tuple(readings),
    )


def choose(stack: CellStack, count: int, seed: int) -> NDArray[np.intp]:
    """Return indices of at most ``count`` random cells of every well and condition, in order."""
    picked = [members[:count] for members in _shuffled(stack, seed)]
    return np.sort(np.concatenate(picked)).astype(np.intp)


def choose_of_all(stack: CellStack, count: int, seed: int) -> NDArray[np.intp]:
    """Return indices of at most ``count`` random cells in all, as many of each well, in order."""
    groups = _shuffled(stack, seed)
    turns = np.concatenate([np.arange(len(members)) for members in groups])
    first = np.argsort(turns, kind="stable")[:count]
    return np.sort(np.concatenate(groups)[first]).astype(np.intp)


def _shuffled(stack: CellStack, seed: int) -> list[NDArray[np.intp]]:
    """Return the cells of every well and condition in an order drawn by lot."""
    rng = np.random.default_rng(seed)
    groups: dict[tuple[str, str], list[int]] = {}
    for k, crop in enumerate(stack.crops):
        groups.setdefault((crop.well or crop.file, crop.condition), []).append(k)
    return [rng.permutation(members) for members in groups.values()]


def pair_of_conditions(
    conditions: Sequence[str], settings: BenchmarkSettings
) -> tuple[str, str] | str:
    """Return the negative and the positive condition, or in a sentence why there are none.

    They are those asked for; else the controls
    (:func:`~napari_rls.evaluation.controls.control_pair`).

    Raises
    ------
    InputError
        If one was asked for and is not there, or both are the same.
    """
    names = list(dict.fromkeys(conditions))
    asked = (settings.negative, settings.positive)
    if any(asked):
        if not all(asked):
            raise InputError("Give both --negative and --positive, or none of them.")
        for name in asked:
            if not members(names, name):
                raise InputError(
                    f"There is no condition {name!r}; the cells are in "
                    f"{', '.join(repr(n) for n in names[:12])}."
                )
        if set(members(names, asked[0])) & set(members(names, asked[1])):
            raise InputError(
                f"The conditions {asked[0]!r} and {asked[1]!r} have cells in common; name them in "
                "full."
            )
        return asked
    if pair := control_pair(names):
        return pair
    named = [name for name in names if name]
    if len(named) < 2:
        return (
            f"The cells are in {len(named) or 'no'} known condition{'' if len(named) == 1 else 's'}"
            "; two are needed (--plate-map tells the conditions of wells)."
        )
    return (
        f"The cells are in {len(named)} conditions; --negative and --positive say which two to "
        "compare."
    )


def is_in(stack: CellStack, condition: str) -> NDArray[np.bool_]:
    """Return which cells (N,) are in a condition, given in full or by some of its parts."""
    names = [crop.condition for crop in stack.crops]
    return np.isin(names, members(list(dict.fromkeys(names)), condition))


def read_pool(
    files: Sequence[Path],
    manifest: Manifest,
    plate_map: PlateMap | None = None,
    channels: Sequence[str] = (),
) -> tuple[CellStack, list[tuple[str, Reading]]]:
    """Read HR cells, or cut them out of whole fields; return all of them, and how files were read.

    Parameters
    ----------
    files, manifest, plate_map
        As for :func:`read_cells`.
    channels
        Channels of the files in the bundle's order, by name or index; empty: by the bundle's
        names, else as they come.

    Raises
    ------
    InputError
        If a file cannot be used, or there is no cell.
    """
    files = one_of_each_set(files)[0]
    names = names_of([path.absolute() for path in files])
    stacks = [
        _cells(path, name, manifest, plate_map, channels)
        for path, name in zip(files, names, strict=True)
    ]
    joined = join(stacks, name=", ".join(names[:3]))
    finite = np.isfinite(joined.data).all((1, 2, 3))
    if not finite.all():
        raise InputError(
            f"{int((~finite).sum())} of the {len(finite)} HR cells hold pixels that are no "
            "numbers; leave them out."
        )
    return joined, [(name, s.reading) for name, s in zip(names, stacks, strict=True)]


def _cells(
    path: Path,
    name: str,
    manifest: Manifest,
    plate_map: PlateMap | None,
    channels: Sequence[str],
) -> CellStack:
    """Read HR cells, or cut them out of fields; ``name`` is the file's, told apart from others."""
    if read_record(path).get("generated"):
        raise InputError(
            f"{path.name} holds SR images, which are generated and no truth; give HR images."
        )
    read = replace(read_stack(path), name=name)
    stack = choose_channels(read, channels, manifest.channel_names)
    wanted, (height, width) = manifest.hr_size, stack.data.shape[-2:]
    if len(stack.channels) != len(manifest.channel_names):
        raise InputError(
            f"{path.name} has {len(stack.channels)} channels but the bundle {manifest.name} needs "
            f"{len(manifest.channel_names)} ({', '.join(manifest.channel_names)}); give images of "
            "these channels, or another bundle."
        )
    # Files without names of channels have them in the bundle's order.
    stack = replace(stack, channels=manifest.channel_names)
    if (height, width) != (wanted, wanted):
        if min(height, width) < wanted:
            raise InputError(
                f"{path.name} has images of {height} x {width} pixels; HR cells of the bundle "
                f"{manifest.name} have {wanted} x {wanted}, and whole fields are larger."
            )
        dna, nuclei = _nuclei(manifest)
        return cut_crops(stack, wanted, dna_channel=dna, settings=nuclei, plate_map=plate_map).stack
    crops = stack.crops or (Crop(source_name(name)),) * len(stack)
    return replace(stack, crops=tuple(_told(crop, name, plate_map) for crop in crops))


def _nuclei(manifest: Manifest) -> tuple[int, NucleusSettings | None]:
    """Return the channel that shows nuclei and how they are found, as the bundle suggests."""
    measurement: Mapping[str, Any] = manifest.measurement
    own = measurement.get(measurement.get("assay", ""), {}).get("nucleus")
    dna = measurement.get("dna", "")
    index = manifest.channel_names.index(dna) if dna in manifest.channel_names else 0
    return index, None if own is None else NucleusSettings.model_validate(own)


def _told(crop: Crop, name: str, plate_map: PlateMap | None) -> Crop:
    """Return a crop's record with what the plate map or the file's name says of its well."""
    file = crop.file or name
    crop = replace(crop, file=file, well=crop.well or well_of(file))
    entry = plate_map.entry(crop.file, crop.well) if plate_map else None
    if entry is None:
        return crop
    return replace(crop, well=entry["well"] or crop.well, condition=condition_of(entry))
