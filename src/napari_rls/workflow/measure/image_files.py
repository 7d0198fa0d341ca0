"""Files of images to measure: which kind each is, and which are of the same cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_rls.errors import InputError
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.write import FRAMES_KEY, STATISTIC_KEY
from napari_rls.workflow.measure.image_sets import ImageSet, Kind
from napari_rls.workflow.super_resolve.sr_files import samples_path


def read_images(
    files: Sequence[Path],
    *,
    lr: Sequence[Path] = (),
    gt: Sequence[Path] = (),
    kind: Kind | None = None,
) -> list[list[ImageSet]]:
    """Read files and put those of the same cells together, in the order in which they come.

    An SR file is known by its record, an LR file by its record too or by images smaller
    than the others; all else is HR. Files of samples and steps are left out: the samples
    beside an SR file come with it.

    Parameters
    ----------
    files
        Files of any kinds. If there are several of a kind, there are as many of each kind.
    lr, gt
        Files that are LR and GT.
    kind
        What all of ``files`` are, whatever they say.

    Returns
    -------
    list of list of ImageSet
        For each group of cells, the images of every kind.

    Raises
    ------
    InputError
        If a file cannot be read, or the numbers of files do not go together.
    """
    # The same LR or GT file may go with several SR files; the parts of one set are one file.
    read: list[tuple[Path, Kind | None]] = [(path, kind) for path in one_of_each_set(files)[0]]
    own = len(read)
    others: dict[Kind, Sequence[Path]] = {"LR": lr, "GT": gt}
    for given_as, paths in others.items():
        whole = one_of_each_set(list(dict.fromkeys(paths)))[0]
        read += [(path, given_as) for path in paths if path in whole]
    records = [read_record(path) for path, _ in read]
    for (path, _), record in zip(read[own:], records[own:], strict=True):
        if record.get("generated"):
            raise InputError(
                f"{path.name} holds SR images, which are generated: neither LR nor the truth; give "
                "it without --lr or --gt."
            )
    for (path, _), record in zip(read, records, strict=True):
        if statistic := record.get(STATISTIC_KEY):
            raise InputError(
                f"{path.name} holds the {statistic}, which is no image of a cell; give the SR file."
            )
    found = [
        (path, read_stack(path), record, wanted)
        for (path, wanted), record in zip(read, records, strict=True)
        if FRAMES_KEY not in record
    ]
    largest = max((stack.data.shape[-2] for _, stack, _, _ in found), default=0)
    by_kind: dict[Kind, list[ImageSet]] = {"LR": [], "SR": [], "HR": [], "GT": []}
    for path, stack, record, wanted in found:
        one = _image_set(path, stack, record, wanted or _kind(stack, record, largest))
        by_kind[one.kind].append(one)
    given = {name: sets for name, sets in by_kind.items() if sets}
    if not given:
        raise InputError("There are no images to measure; give SR, HR or LR files.")
    if len({len(sets) for sets in given.values()}) > 1:
        counts = ", ".join(f"{len(sets)} {name}" for name, sets in given.items())
        raise InputError(
            f"The files are {counts}; give as many of each kind, in the same order, or say with "
            "--kind what they are."
        )
    return [list(group) for group in zip(*given.values(), strict=True)]


def _kind(stack: CellStack, record: Mapping[str, Any], largest: int) -> Kind:
    if record.get("generated"):
        return "SR"
    return "LR" if "degrade" in record or stack.data.shape[-2] < largest else "HR"


def _image_set(path: Path, stack: CellStack, record: Mapping[str, Any], kind: Kind) -> ImageSet:
    if kind != "SR":
        return ImageSet(kind, stack)
    beside = samples_path(path)
    samples = read_samples(beside, stack, record) if beside.is_file() else None
    return ImageSet(kind, stack, samples, record)
