"""What an OME-XML header says of an image, and the record that napari-rls adds to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from pydantic import TypeAdapter, ValidationError

from napari_rls.errors import JsonError, TiffError
from napari_rls.files.json_file import first_fault, parse_json
from napari_rls.text import for_xml
from napari_rls.workflow.cells.lengths import in_micrometres, square_side, unknown_unit
from napari_rls.workflow.cells.stack import CellStack, Crop

PROVENANCE_KEY = "napari-rls"
"""Key of the record in ``layer.metadata`` and namespace of it in files."""

_UNIT = "PhysicalSize{}Unit"

MAX_HEADER = 64 * 2**20
"""Characters of a header: records of crops have some hundred for each."""

MAX_PLANES = 500_000
"""Planes of a set of files."""

_MAX_SIDE = 2**31
_SHOWN = 80

T = TypeVar("T")

_CROPS = TypeAdapter(tuple[Crop, ...])
_RECORD: TypeAdapter[Mapping[str, Any]] = TypeAdapter(dict[str, Any])


@dataclass(frozen=True)
class Header:
    """What a file says of its images; empty where it says nothing.

    Where napari-rls wrote the file, ``leading`` is the true name of the first axis, or
    "" without one, and ``record`` the provenance. ``unit`` is that of the pixel size, if it is
    none that is known.
    """

    images: int = 1
    channels: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    unit: str = ""
    leading: str | None = None
    crops: tuple[Crop, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


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
    root = _root(xml)
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


def parse_ome(xml: str) -> Header:
    """Read what an OME-XML text says of its images, which are of one kind.

    Raises
    ------
    TiffError
        If the text is not well-formed, our own record in it is damaged, pixels are not square
        or images differ.
    """
    root = _root(xml)
    images = [p for p in root.iterfind("{*}Image/{*}Pixels") if p.find("{*}TiffData") is not None]
    pixels = images[0] if images else root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return Header()
    for other in images[1:]:
        if _said(other) != _said(pixels):
            raise TiffError(
                "its images differ in channels or pixel size",
                "save each in a file of its own",
            )
    channels = pixels.findall("{*}Channel")
    names = [channel.get("Name", "") for channel in channels]
    colours = [_hex(channel.get("Color", "")) for channel in channels]
    values = _annotation(root)
    return Header(
        images=len(images),
        channels=tuple(names) if all(names) else (),
        colours=tuple(colours) if all(colours) else (),
        pixel_size_um=_pixel_size(pixels),
        unit=next(
            (unit for axis in "XY" if (unit := unknown_unit(pixels.get(_UNIT.format(axis), "")))),
            "",
        ),
        leading=values.get("leading"),
        crops=_validate(_CROPS, values.get("crops", "[]"), "record of crops"),
        record=_validate(_RECORD, values.get("record", "{}"), "provenance"),
    )


def ome_metadata(
    stack: CellStack,
    *,
    title: str,
    description: str,
    colours: tuple[str, ...] = (),
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the metadata that tifffile writes as the OME-XML header of a stack.

    Parameters
    ----------
    stack
        The cells; their channel names, pixel size, leading axis and crops are written.
    title, description
        Name and description of the image.
    colours
        Display colours of the channels, #rrggbb, or none.
    record
        Provenance: plain numbers, strings, lists and dicts.
    """
    channel: dict[str, Any] = {"Name": [for_xml(name) for name in stack.channels]}
    if colours:
        channel["Color"] = [_rgba(colour) for colour in colours]
    metadata: dict[str, Any] = {
        "Name": for_xml(title),
        "Description": for_xml(description),
        "Channel": channel,
        "MapAnnotation": {
            "Namespace": PROVENANCE_KEY,
            "leading": for_xml(stack.leading or ""),
            "crops": json.dumps([asdict(crop) for crop in stack.crops]),
            "record": json.dumps(record or {}),
        },
    }
    if stack.pixel_size_um is not None:
        for axis in "XY":
            metadata[f"PhysicalSize{axis}"] = stack.pixel_size_um
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    return metadata


def _root(xml: str) -> ElementTree.Element:
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


def part_files(xml: str, path: Path) -> dict[str, str]:
    """Return the files that the planes of a set are in, itself included: names by their UUIDs.

    Empty if the file is no part of a set.

    Raises
    ------
    TiffError
        If the text is damaged.
    """
    root = _root(xml)
    parts = {root.get("UUID") or path.name: path.name}
    for image in _children(root, "Image"):
        for pixels in _children(image, "Pixels"):
            parts |= _parts(root, pixels, path)
    return parts if len(parts) > 1 else {}


def uuid_of(xml: str) -> str:
    """Return the identifier that a file gives itself, or ""."""
    return _root(xml).get("UUID", "")


def master_of(xml: str) -> str:
    """Return the name of the file that has the header of a set, if it is another, else ""."""
    only = _root(xml).find("{*}BinaryOnly")
    return "" if only is None else only.get("MetadataFile", "")


def _parts(root: ElementTree.Element, pixels: ElementTree.Element, path: Path) -> dict[str, str]:
    """Return the other files of a set by their UUIDs."""
    own, parts = root.get("UUID"), {}
    for uuid in (u for data in _children(pixels, "TiffData") for u in _children(data, "UUID")):
        name = uuid.get("FileName", "")
        if uuid.text != own and name.lower() != path.name.lower():
            parts[uuid.text or name] = name
    return parts


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


def _check_files(root: ElementTree.Element, pixels: ElementTree.Element, path: Path) -> bool:
    """Check the other files of a set, and return whether there are any."""
    others = _parts(root, pixels, path)
    for name in others.values():
        check_beside(name, path)
    return bool(others)


def _said(pixels: ElementTree.Element) -> tuple[list[str], float | None]:
    return [c.get("Name", "") for c in pixels.findall("{*}Channel")], _pixel_size(pixels)


def _check_modulo(along: ElementTree.Element) -> None:
    try:
        start, end, step = (float(along.get(key, "1")) for key in ("Start", "End", "Step"))
        fits = abs(end - start) <= abs(step) * MAX_PLANES
    except ValueError:
        fits = False
    if not fits:
        raise TiffError("its header has an axis without end")


def _validate(wanted: TypeAdapter[T], text: str, what: str) -> T:
    try:
        return wanted.validate_python(parse_json(text))
    except JsonError as error:
        raise TiffError(f"its {what} is damaged: {error}") from None
    except ValidationError as error:
        raise TiffError(f"its {what} is damaged: {first_fault(error)}") from None


def _annotation(root: ElementTree.Element) -> dict[str, str]:
    for annotation in root.iterfind("{*}StructuredAnnotations/{*}MapAnnotation"):
        if annotation.get("Namespace") == PROVENANCE_KEY:
            entries = annotation.iterfind("{*}Value/{*}M")
            return {entry.get("K", ""): entry.text or "" for entry in entries}
    return {}


def _pixel_size(pixels: ElementTree.Element) -> float | None:
    """Return the side of a pixel in micrometres; None if unknown."""
    sides = []
    for axis in "XY":
        try:
            size = float(pixels.get(f"PhysicalSize{axis}", "nan"))
        except ValueError:
            return None
        sides.append(in_micrometres(size, pixels.get(_UNIT.format(axis), "µm")))
    return square_side(*sides)


def _rgba(colour: str) -> int:
    """Return #rrggbb, opaque, as the signed 32-bit number that OME stores."""
    value = int(colour.removeprefix("#"), 16) << 8 | 0xFF
    return value - (1 << 32) if value >= 1 << 31 else value


def _hex(rgba: str) -> str:
    """Return the signed 32-bit number that OME stores as #rrggbb, or "" if it is none."""
    try:
        return f"#{int(rgba) >> 8 & 0xFFFFFF:06x}"
    except ValueError:
        return ""
