"""What an OME-XML header promises of the files that it is of, checked before it is believed."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from napari_rls.errors import TiffError

MAX_HEADER = 64 * 2**20
"""Characters of a header: records of crops have some hundred for each."""

MAX_PLANES = 500_000
"""Planes of a set of files."""

_MAX_SIDE = 2**31
_SHOWN = 80


def check_ome(xml: str, path: Path, pages: int, page_size: int) -> None:
    """Check that an OME-XML text promises what a file can hold, before it is believed.

    Parameters
    ----------
    xml
        The text.
    path
        The file that it stands in; other files of its set must lie beside it.
    pages, page_size
        How many planes the file has, and pixels of the first.

    Raises
    ------
    TiffError
        If it promises more, its set is not complete, or it is damaged.
    """
    root = ome_root(xml)
    for along in root.iter():
        if "ModuloAlong" in along.tag:
            _check_modulo(along)
    for pixels in (p for i in _children(root, "Image") for p in _children(i, "Pixels")):
        sizes = [_whole(pixels, f"Size{axis}", 0) for axis in "XYCZT"]
        if not all(1 <= size < _MAX_SIDE for size in sizes):
            raise TiffError("its header gives no size that an image can have")
        others = _check_files(root, pixels, path)
        most = MAX_PLANES if others else pages
        promised = math.prod(sizes) // max(page_size, 1)
        if promised > most:
            raise TiffError(
                f"its header promises {promised:,} planes and it holds {pages:,}",
                "it is cut short or was not recorded to its end; export what there is again",
            )
        planes, work = math.prod(sizes[2:]), 0
        for data in _children(pixels, "TiffData"):
            count = _whole(data, "PlaneCount", _whole(data, "NumPlanes", "IFD" in data.attrib))
            if not 0 <= count <= planes:
                raise TiffError(f"its header places {count:,} planes among {planes:,}")
            work += count or pages
        if work > 4 * (planes + pages) + 1000:
            raise TiffError("its header gives each plane many times")


def check_entities(xml: str) -> None:
    """Check that a header defines no names of its own for texts, which grow without bound.

    Raises
    ------
    TiffError
        If it does.
    """
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise TiffError("its header defines entities, which no microscope's does")


def part_files(xml: str, path: Path) -> dict[str, str]:
    """Return the files that the planes of a set are in, itself included: names by their UUIDs.

    Empty if the file is no part of a set.

    Raises
    ------
    TiffError
        If the text is damaged.
    """
    root = ome_root(xml)
    parts = {root.get("UUID") or path.name: path.name}
    for image in _children(root, "Image"):
        for pixels in _children(image, "Pixels"):
            parts |= _parts(root, pixels, path)
    return parts if len(parts) > 1 else {}


def uuid_of(xml: str) -> str:
    """Return the identifier that a file gives itself, or ""."""
    return ome_root(xml).get("UUID", "")


def master_of(xml: str) -> str:
    """Return the name of the file that has the header of a set, if it is another, else ""."""
    only = ome_root(xml).find("{*}BinaryOnly")
    return "" if only is None else only.get("MetadataFile", "")


def check_beside(name: str, path: Path) -> None:
    """Check that a file of a set lies beside another.

    Raises
    ------
    TiffError
        If it does not, or its name leads elsewhere.
    """
    shown = name[:_SHOWN]
    if not name or name in {".", ".."} or any(sign in name for sign in "/\\:\0"):
        raise TiffError(f"its header names the file {shown!r}, which is not beside it")
    if not (path.parent / name).is_file():
        raise TiffError(
            f"it belongs to the file {shown}, which is not beside it",
            f"put {shown} there by this name, or export the images as one file",
        )


def ome_root(xml: str) -> ElementTree.Element:
    """Return the outermost element of an OME-XML text.

    Raises
    ------
    TiffError
        If it is too long, is damaged or defines entities.
    """
    if len(xml) > MAX_HEADER:
        raise TiffError(f"its header has more than {MAX_HEADER:,} characters")
    check_entities(xml)
    try:
        return ElementTree.fromstring(xml)  # noqa: S314  entities are refused above
    except (ElementTree.ParseError, ValueError) as error:
        raise TiffError(f"its OME-XML header is damaged: {error}") from None


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    # As tifffile finds them: of any namespace.
    return [child for child in element if child.tag.endswith(name)]


def _whole(element: ElementTree.Element, name: str, default: int) -> int:
    text = element.get(name)
    try:
        return default if text is None else int(text)
    except ValueError:
        raise TiffError(f"its header has no whole number in {name}") from None


def _parts(root: ElementTree.Element, pixels: ElementTree.Element, path: Path) -> dict[str, str]:
    """Return the other files of a set by their UUIDs."""
    own, parts = root.get("UUID"), {}
    for uuid in (u for data in _children(pixels, "TiffData") for u in _children(data, "UUID")):
        name = uuid.get("FileName", "")
        if uuid.text != own and name.lower() != path.name.lower():
            parts[uuid.text or name] = name
    return parts


def _check_files(root: ElementTree.Element, pixels: ElementTree.Element, path: Path) -> bool:
    """Check the other files of a set, and return whether there are any."""
    others = _parts(root, pixels, path)
    for name in others.values():
        check_beside(name, path)
    return bool(others)


def _check_modulo(along: ElementTree.Element) -> None:
    try:
        start, end, step = (float(along.get(key, "1")) for key in ("Start", "End", "Step"))
        fits = abs(end - start) <= abs(step) * MAX_PLANES
    except ValueError:
        fits = False
    if not fits:
        raise TiffError("its header has an axis without end")
