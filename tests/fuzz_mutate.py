"""Change files at random as damage and malice do: bytes, JSON, XML, archives, tags of TIFF."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tifffile

Mutator = Callable[[random.Random, bytes], bytes]

INTEGERS = (0, 1, -1, 2, 7, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
NUMBERS = ("0", "-1", "1e308", "-1e999", "1e-320", "NaN", "Infinity", "9" * 30, "9" * 5000, "1_0")
TEXTS = (
    "",
    "\x1b[31m\x1b]0;title\x07",
    "=1+1",
    "../../../etc/passwd",
    "__import__('os').system('true')",
    "\ud800",
    "\u202e",
    "U99999999",
    "save",
    "a" * 100_000,
    "[red]name[/red]",
    "$x_$",
    "<b>&amp;</b>",
    "\0",
)
DEEP, DIGITS = "@deep@", "@digits@"
VALUES: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], {"": None}, 0, -1, 1, 2**31, 2**63, 10**18, 0.5, 1e308, -1e308,
    float("nan"), float("inf"), DEEP, DIGITS, *TEXTS,
)  # fmt: skip
ENTITIES = (
    b'<!DOCTYPE a [<!ENTITY a "hahahahaha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + k, b"&%c;" % (97 + k) * 10) for k in range(9)
    ) + b"]>"
)  # fmt: skip


def raw(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(changed) + 1)
        length = min(rng.choice((1, 2, 4, 8, 64, 1024)), len(changed) - place)
        match rng.randrange(9):
            case 0 | 1 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 2:
                changed[place : place + length] = rng.randbytes(length)
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = changed[place : place + length]
            case 5:
                changed[place : place + length] = bytes(length)
            case 6 if len(changed) - place >= 8:
                size = rng.choice((1, 2, 4, 8))
                value = rng.choice(INTEGERS) % 2 ** (8 * size)
                changed[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))
            case 7:
                del changed[place:]
            case 8:
                other = rng.randrange(len(changed) + 1)
                changed[place : place + length] = changed[other : other + length]
            case _:
                pass
    return bytes(changed)


def text(rng: random.Random, data: bytes) -> bytes:
    """Change numbers, words and lines of a text."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        match rng.randrange(7):
            case 0 | 1:
                found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
                new = rng.choice(NUMBERS).encode()
            case 2:
                found = list(re.finditer(rb"\w+", data))
                new = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
            case 3:
                found = list(re.finditer(rb"[,;\t\n\"'{}\[\]<>=]", data))
                new = rng.choice((b"", b",", b";", b"\t", b"\n", b'"', b"\r", b"[", b"}"))
            case 4:
                lines = data.split(b"\n")
                k = rng.randrange(len(lines))
                lines[k:k] = [lines[k][:10_000]] * rng.choice((2, 3, 1000))
                return b"\n".join(lines)
            case 5:
                return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"[" * 100_000)) + data
            case _:
                return data.replace(b",", rng.choice((b";", b"\t", b",,", b'","')))
        if found:
            one = rng.choice(found)
            data = data[: one.start()] + new + data[one.end() :]
    return data


def json_tree(rng: random.Random, data: bytes) -> bytes:
    """Change values and names of a JSON text."""
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            value = rng.choice(VALUES)
            continue
        home, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del home[key]
            case 1 if isinstance(home, dict):
                home[rng.choice(TEXTS)] = home[key]
            case 2 if isinstance(home[key], list) and home[key]:
                home[key] *= rng.choice((2, 1000))
            case 3:
                home[key] = [home[key]]
            case _:
                home[key] = rng.choice(VALUES)
    if rng.random() < 0.03:
        value = rng.choice(VALUES)
    made = json.dumps(value).encode()
    made = made.replace(f'"{DEEP}"'.encode(), b"[" * 100_000 + b"]" * 100_000)
    return made.replace(f'"{DIGITS}"'.encode(), b"9" * 5000)


def json_lines(rng: random.Random, data: bytes) -> bytes:
    """Change a line of JSON lines."""
    lines = data.split(b"\n")
    k = rng.randrange(len(lines))
    if lines[k]:
        lines[k] = rng.choice((json_tree, text, raw))(rng, lines[k])
    return b"\n".join(lines)


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(inner)


def xml(rng: random.Random, data: bytes) -> bytes:
    """Change attributes and elements of an XML text."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        if len(data) > 1_000_000:
            break
        attributes = list(re.finditer(rb'(\w+)="([^"]*)"', data))
        elements = list(re.finditer(rb"<(\w+)\b[^<>]*/>|<(\w+)\b[^<>]*>[^<>]*</\2>", data))
        match rng.randrange(8):
            case 0 | 1 | 2 if attributes:
                one = rng.choice(attributes)
                new = rng.choice(
                    [str(rng.choice(INTEGERS)), str(rng.choice(INTEGERS)), *NUMBERS, *TEXTS]
                )
                new = new.replace('"', "").replace("<", "").replace("\0", "")
                inside = new[:5000].encode("utf-8", "replace")
                data = data[: one.start(2)] + inside + data[one.end(2) :]
            case 3 if elements:
                one = rng.choice(elements)
                data = data[: one.start()] + data[one.end() :]
            case 4 if elements:
                one = rng.choice(elements)
                data = (
                    data[: one.start()]
                    + one[0][:2000] * rng.choice((2, 5, 3000))
                    + data[one.end() :]
                )
            case 5:
                start = data.find(b"?>") + 2
                data = data[:start] + ENTITIES + data[start:].replace(b'="', b'="&j;', 1)
            case 6 if b"{" in data:
                data = data.replace(b"{", rng.choice((b"[" * 1000, b"{&quot;a&quot;:", b"")), 1)
            case _:
                data = raw(rng, data)
    return data


def ome(rng: random.Random, data: bytes) -> bytes:
    """Change the OME-XML header of a TIFF file, and leave its pixels as they are."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        pixels = np.stack([page.asarray() for page in tiff.pages])
        header = tiff.pages.first.description.encode()
    made = io.BytesIO()
    description = xml(rng, header).replace(b"\0", b"")
    compression = rng.choice((None, None, "zlib"))
    tifffile.imwrite(
        made, pixels, description=description, metadata=None, photometric="minisblack",
        compression=compression,
    )  # fmt: skip
    return made.getvalue()


def tags(rng: random.Random, data: bytes) -> bytes:
    """Change entries of the image file directories of a little-endian TIFF file."""
    changed = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        entries = [tag for page in tiff.pages for tag in page.tags.values()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        tag = rng.choice(entries)
        code, dtype, count, value = struct.unpack_from("<HHII", changed, tag.offset)
        match rng.randrange(5):
            case 0:
                code = rng.choice(
                    (code, 256, 257, 258, 259, 273, 277, 278, 279, 284, 322, 324, 330)
                )
            case 1:
                dtype = rng.randrange(1, 19)
            case 2:
                count = rng.choice(INTEGERS) % 2**32
            case _:
                value = rng.choice((*INTEGERS, len(data) - 1, 8, 32773, 34925)) % 2**32
        struct.pack_into("<HHII", changed, tag.offset, code, dtype, count, value)
    return bytes(changed)


def archive(members: Sequence[tuple[str, Mutator]]) -> Mutator:
    """Return what changes a member of a zip archive, by its ending, and makes it whole again."""

    def change(rng: random.Random, data: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            parts = [(entry.filename, old.read(entry)) for entry in old.infolist()]
        k = rng.randrange(len(parts))
        name, content = parts[k]
        match rng.randrange(8):
            case 0:
                parts.append((rng.choice((name, name.upper())), bytes(2**20)))
            case 1:
                del parts[k]
            case 2:
                parts[k] = (rng.choice((name + "x", "../" + name, name.upper(), "")), content)
            case 3:
                parts.append((name + "2", bytes(2**26)))
            case _:
                ways = [way for ending, way in members if name.endswith(ending)] or [raw]
                parts[k] = (name, rng.choice(ways)(rng, content))
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
            for part_name, part in parts:
                new.writestr(zipfile.ZipInfo(part_name), part, zipfile.ZIP_DEFLATED)
        return made.getvalue()

    return change


def npy(rng: random.Random, data: bytes) -> bytes:
    """Change the header of an array as numpy writes it, keeping its length."""
    length = int.from_bytes(data[8:10], "little")
    header = text(rng, data[10 : 10 + length].rstrip())
    return data[:8] + len(header).to_bytes(4, "little")[:2] + header + data[10 + length :]


def safetensors(rng: random.Random, data: bytes) -> bytes:
    """Change the header of a safetensors file, as JSON or what is JSON inside it."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.6:
        value = json.loads(header)
        notes = value.get("__metadata__", {})
        if notes:
            name = rng.choice(list(notes))
            way = json_tree if notes[name][:1] in "{[" else text
            inner = way(rng, notes[name].encode())
            notes[name] = inner.decode("utf-8", "replace")
        header = json.dumps(value).encode()
    else:
        header = json_tree(rng, header)
    return len(header).to_bytes(8, "little") + header + rest


def opcodes(rng: random.Random, data: bytes) -> bytes:
    """Put calls, names and copies into a pickle."""
    place = rng.randrange(2, len(data))
    call = rng.choice(
        (
            b"cos\nsystem\n(X\x04\x00\x00\x00truetR0",
            b"cbuiltins\nexec\n(X\x01\x00\x00\x001tR0",
            b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R0",
            b"ctorch\nload\n(X\x01\x00\x00\x00atR0",
            b"(lp0\n" + b"0" * 3 + b"h\x00",
            b"]" + b"]a" * 3000,
            b"B\xff\xff\xff\x7f",
            b"\x8e" + b"\xff" * 7 + b"\x0f",
            b"r\xff\xff\xff\x7f",
        )
    )
    return data[:place] + call + data[place:]
