"""Write small files as microscopes do: LIF and ND2 byte by byte, CZI by Zeiss' own library.

They hold what the readers look at and no more: files of real microscopes have many more parts.
"""

import re
import struct
from itertools import accumulate
from xml.etree import ElementTree

import numpy as np


def write_lif(path, series, names=("DNA", "GFP"), pixel_size_um=0.65):
    """Write a LIF file with one series of planes (C, y, x), or stacks (C, Z, y, x), for each."""
    root = ElementTree.Element("LMSDataContainerHeader", Version="2")
    project = ElementTree.SubElement(root, "Element", Name="Project", UniqueID="0")
    children = ElementTree.SubElement(project, "Children")
    blocks = []
    for k, pixels in enumerate(series):
        data = np.ascontiguousarray(pixels, "<u2")
        element = ElementTree.SubElement(children, "Element", Name=f"Series{k}", UniqueID=str(k))
        image = ElementTree.SubElement(ElementTree.SubElement(element, "Data"), "Image")
        described = ElementTree.SubElement(image, "ImageDescription")
        channels = ElementTree.SubElement(described, "Channels")
        for c, name in enumerate(names):
            bits = {
                "DataType": "0",
                "ChannelTag": "0",
                "Resolution": "16",
                "NameOfMeasuredQuantity": "",
            }
            bits |= {"Min": "0", "Max": "65535", "Unit": "", "LUTName": name, "IsLUTInverted": "0"}
            bits |= {"BytesInc": str(c * data[0].nbytes), "BitInc": "0"}
            ElementTree.SubElement(channels, "ChannelDescription", bits)
        dimensions = ElementTree.SubElement(described, "Dimensions")
        steps = [data.itemsize, *accumulate(data.shape[:0:-1], int.__mul__, initial=data.itemsize)][
            1:
        ]
        for dim, (size, step) in enumerate(zip(data.shape[:0:-1], steps, strict=False), start=1):
            length = pixel_size_um * 1e-6 * (size - 1)
            bits = {"DimID": str(dim), "NumberOfElements": str(size), "Origin": "0", "Unit": "m"}
            bits |= {"Length": repr(length), "BytesInc": str(step), "BitInc": "0"}
            ElementTree.SubElement(dimensions, "DimensionDescription", bits)
        ElementTree.SubElement(
            element, "Memory", Size=str(data.nbytes), MemoryBlockID=f"MemBlock_{k}"
        )
        name = f"MemBlock_{k}".encode("utf-16-le")
        head = struct.pack("<BQBI", 0x2A, data.nbytes, 0x2A, len(name) // 2) + name
        blocks.append(struct.pack("<II", 0x70, len(head)) + head + data.tobytes())
    xml = ElementTree.tostring(root).decode().encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2)
    path.write_bytes(head + xml + b"".join(blocks))


def write_czi(path, scenes, names=("DNA", "GFP"), pixel_size_um=0.65, *, told=True):
    """Write a CZI file with scenes (C, y, x) or (C, Z, y, x), named in its header if ``told``."""
    from pylibCZIrw import czi

    with czi.create_czi(str(path), exist_ok=True) as file:
        for s, data in enumerate(scenes):
            stack = data[:, None] if data.ndim == 3 else data
            for c, z in np.ndindex(stack.shape[:2]):
                plane = {"C": c, "Z": z, "T": 0}
                place = {"location": (s * 1000, 0)} | ({"scene": s} if len(scenes) > 1 else {})
                file.write(np.ascontiguousarray(stack[c, z])[..., None], plane=plane, **place)
        side = pixel_size_um * 1e-6
        file.write_metadata(
            "cells", channel_names=dict(enumerate(names)), scale_x=side, scale_y=side
        )
    if len(scenes) > 1 and told:
        _tell_scenes(path, len(scenes))


def _tell_scenes(path, count):
    """Name the scenes in a header of the same length: what indents it makes room."""
    whole = path.read_bytes()
    start = whole.index(b"<ImageDocument>")
    end = whole.index(b"</ImageDocument>")
    listed = b"".join(b'<Scene Index="%d" Name="P%d"/>' % (k, k + 1) for k in range(count))
    xml = re.sub(rb">\s+<", b"><", whole[start:end])
    xml = re.sub(rb"<Application>.*</Application>|<Comment>.*</Comment>", b"", xml)
    scenes = b"<Dimensions><S><Scenes>" + listed + b"</Scenes></S>"
    xml = xml.replace(b"<Dimensions>", scenes, 1).ljust(end - start)
    assert len(xml) == end - start
    path.write_bytes(whole[:start] + xml + whole[end:])


def write_nd2(path, positions, names=("DNA", "GFP"), pixel_size_um=0.65, *, lacking=0):
    """Write an ND2 file with a position (C, y, x) each; the last ``lacking`` were not recorded."""
    channels, height, width = positions[0].shape
    count = len(positions) - lacking
    attributes = {"uiWidth": width, "uiHeight": height, "uiWidthBytes": width * channels * 2}
    attributes |= {"uiComp": channels, "uiBpcInMemory": 16, "uiBpcSignificant": 16}
    attributes |= {"uiSequenceCount": count, "eCompression": 2, "uiTileWidth": 0, "uiTileHeight": 0}
    planes = {
        f"a{c}": {"sDescription": name, "uiCompCount": 1, "pFluorescentProbe": {"m_sName": name}}
        for c, name in enumerate(names)
    }
    metadata = {"bCalibrated": pixel_size_um is not None, "dCalibration": pixel_size_um or 1.0}
    metadata["sPicturePlanes"] = {"uiCount": len(names), "sPlaneNew": planes}
    chunks = {
        "ImageAttributes!": _variant(attributes),
        "ImageMetadataSeq|0!": _variant(metadata),
        "CustomData|AcqTimesCache!": np.arange(len(positions), dtype="<f8").tobytes(),
    }
    if len(positions) > 1:
        points = {f"i{k:010d}": {"dPosX": float(k)} for k in range(len(positions))}
        loop = {"uiCount": len(positions), "Points": points}
        chunks["ImageMetadata!"] = _variant({"eType": 2, "uLoopPars": loop})
    for k, data in enumerate(positions[:count]):
        pixels = np.ascontiguousarray(np.moveaxis(data, 0, -1), "<u2")
        chunks[f"ImageDataSeq|{k}!"] = bytes(8) + pixels.tobytes()
    magic, reserved = 0x0ABECEDA, 4072
    whole = struct.pack("<IIQ32s64s", magic, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver2.0")
    whole, listed = whole.ljust(4096, b"\0"), b""
    for name, data in chunks.items():
        listed += name.encode() + struct.pack("<QQ", len(whole), len(data))
        head = struct.pack("<IIQ", magic, reserved, len(data)) + name.encode()
        whole += head.ljust(16 + reserved, b"\0") + data
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    listed += end + struct.pack("<Q", len(whole))
    name = b"ND2 FILEMAP SIGNATURE NAME 0001!"
    path.write_bytes(whole + struct.pack("<IIQ", magic, 32, len(listed)) + name + listed)


def _variant(values):
    """Return values as Nikon's XML has them."""
    root = ElementTree.Element("variant", version="1.0")
    _add(ElementTree.SubElement(root, "no_name", runtype="CLxListVariant"), values)
    return ElementTree.tostring(root)


def _add(parent, values):
    kinds = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}
    for name, value in values.items():
        if isinstance(value, dict):
            _add(ElementTree.SubElement(parent, name, runtype="CLxListVariant"), value)
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            ElementTree.SubElement(parent, name, runtype=kinds[type(value)], value=text)
