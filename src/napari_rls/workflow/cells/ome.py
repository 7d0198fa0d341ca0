"""What an OME-XML header says of an image, and the record that napari-rls adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar
from xml.etree import ElementTree

from pydantic import TypeAdapter, ValidationError

from napari_rls.errors import JsonError, TiffError
from napari_rls.files.json_file import first_fault, parse_json
from napari_rls.text import for_xml
from napari_rls.workflow.cells.lengths import in_micrometres, square_side, unknown_unit
from napari_rls.workflow.cells.ome_files import ome_root
from napari_rls.workflow.cells.stack import CellStack, Crop

PROVENANCE_KEY = "napari-rls"
"""Key of the record in ``layer.metadata`` and namespace of it in files."""

_UNIT = "PhysicalSize{}Unit"

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


def parse_ome(xml: str) -> Header:
    """Read what an OME-XML text says of its images, which are of one kind.

    Raises
    ------
    TiffError
        If the text is not well-formed, our own record in it is damaged, pixels are not square
        or images differ.
    """
    root = ome_root(xml)
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


def _said(pixels: ElementTree.Element) -> tuple[list[str], float | None]:
    return [c.get("Name", "") for c in pixels.findall("{*}Channel")], _pixel_size(pixels)


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
