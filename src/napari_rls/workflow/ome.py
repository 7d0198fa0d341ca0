"""What an OME-XML header says of an image, and the record that napari-rls adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar
from xml.etree import ElementTree

from pydantic import TypeAdapter, ValidationError

from napari_rls.workflow.collect import PROVENANCE_KEY
from napari_rls.workflow.stack import CellStack, Crop

_MICROMETRES = {
    "": 1.0,
    "m": 1e6,
    "mm": 1e3,
    "micron": 1.0,
    "microns": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "nm": 1e-3,
}

T = TypeVar("T")

_CROPS = TypeAdapter(tuple[Crop, ...])
_RECORD: TypeAdapter[Mapping[str, Any]] = TypeAdapter(dict[str, Any])


@dataclass(frozen=True)
class Header:
    """What a file says of its image; empty where it says nothing.

    Where napari-rls wrote the file, ``leading`` is the true name of the first axis, or
    "" without one, and ``record`` the provenance.
    """

    channels: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    leading: str | None = None
    crops: tuple[Crop, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


def parse_ome(xml: str) -> Header:
    """Read the header of the first image of an OME-XML text.

    Raises
    ------
    ValueError
        If the text is not well-formed or our own record in it is damaged.
    """
    try:
        # expat, since 2.4.1, refuses entities that expand without bound.
        root = ElementTree.fromstring(xml)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError(f"its OME-XML header is damaged ({error})") from None
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return Header()
    channels = pixels.findall("{*}Channel")
    names = [channel.get("Name", "") for channel in channels]
    colours = [_hex(channel.get("Color", "")) for channel in channels]
    values = _annotation(root)
    return Header(
        channels=tuple(names) if all(names) else (),
        colours=tuple(colours) if all(colours) else (),
        pixel_size_um=_pixel_size(pixels),
        leading=values.get("leading"),
        crops=_validate(_CROPS, values.get("crops", "[]"), "record of crops"),
        record=_validate(_RECORD, values.get("record", "{}"), "provenance"),
    )


def in_micrometres(size: float, unit: str) -> float | None:
    """Return a length in micrometres, or None for an unknown unit or a length of nothing."""
    scale = _MICROMETRES.get(unit.strip().lower())
    return size * scale if scale is not None and 0 < size < float("inf") else None


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
    channel: dict[str, Any] = {"Name": list(stack.channels)}
    if colours:
        channel["Color"] = [_rgba(colour) for colour in colours]
    metadata: dict[str, Any] = {
        "Name": title,
        "Description": description,
        "Channel": channel,
        "MapAnnotation": {
            "Namespace": PROVENANCE_KEY,
            "leading": stack.leading or "",
            "crops": json.dumps([asdict(crop) for crop in stack.crops]),
            "record": json.dumps(record or {}),
        },
    }
    if stack.pixel_size_um is not None:
        for axis in "XY":
            metadata[f"PhysicalSize{axis}"] = stack.pixel_size_um
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    return metadata


def _validate(wanted: TypeAdapter[T], text: str, what: str) -> T:
    try:
        return wanted.validate_json(text)
    except ValidationError as error:
        raise ValueError(f"its {what} is damaged ({error.errors()[0]['msg']})") from None


def _annotation(root: ElementTree.Element) -> dict[str, str]:
    for annotation in root.iterfind("{*}StructuredAnnotations/{*}MapAnnotation"):
        if annotation.get("Namespace") == PROVENANCE_KEY:
            entries = annotation.iterfind("{*}Value/{*}M")
            return {entry.get("K", ""): entry.text or "" for entry in entries}
    return {}


def _pixel_size(pixels: ElementTree.Element) -> float | None:
    """Return the side of a pixel in micrometres; None if unknown or if pixels are not square."""
    sides = []
    for axis in "XY":
        try:
            size = float(pixels.get(f"PhysicalSize{axis}", "nan"))
        except ValueError:
            return None
        sides.append(in_micrometres(size, pixels.get(f"PhysicalSize{axis}Unit", "µm")))
    x, y = sides
    return x if x is not None and y is not None and abs(x - y) <= 0.01 * x else None


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
