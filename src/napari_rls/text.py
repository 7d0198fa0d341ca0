"""Texts of others (names, descriptions, messages), made safe for where they are shown.

A channel's or a condition's name, a bundle's description or a file's name is text and
nothing else: each place that would read more into it has one function here.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""Return a text without anything that a terminal would obey.

    Control characters (ESC sequences, backspaces, changes of direction) and halves of
    surrogate pairs are written as escapes; with ``lines``, line ends stay.

    Examples
    --------
    >>> for_terminal("red \x1b[31mcell")
    'red \\x1b[31mcell'
    """
    return "".join(
        character
        if (lines and character == "\n") or unicodedata.category(character) not in _INVISIBLE
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def for_qt(text: str) -> str:
    """Return a text as rich text that Qt shows as it is, for tooltips and messages.

    Qt guesses whether a text is HTML, and renders what it takes for it; labels are better
    set to plain text.

    Examples
    --------
    >>> for_qt("a <b>cell</b>")
    '<qt>a &lt;b&gt;cell&lt;/b&gt;</qt>'
    """
    if not text:
        return ""
    return f"<qt>{html.escape(for_terminal(text, lines=True)).replace(chr(10), '<br>')}</qt>"


def for_table(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula.

    One that begins like a formula gets an apostrophe before it, see :func:`from_table`.

    Examples
    --------
    >>> for_table("=1+1"), for_table("dmso")
    ("'=1+1", 'dmso')
    """
    guarded = text.lstrip("'").startswith(FORMULA_SIGNS)
    return f"'{text}" if guarded else text


def from_table(text: str) -> str:
    """Return what :func:`for_table` was given.

    Examples
    --------
    >>> from_table("'=1+1"), from_table("'s")
    ('=1+1', "'s")
    """
    guarded = text.startswith("'") and text.lstrip("'").startswith(FORMULA_SIGNS)
    return text[1:] if guarded else text


def name_of(path: PurePath) -> str:
    r"""Return a file's name as text that can be written anywhere.

    Names of files need not be UTF-8: Python has halves of surrogate pairs for other bytes,
    which no file, table or window takes.

    Examples
    --------
    >>> name_of(PurePath("folder/µ.tif")), name_of(PurePath("a" + chr(0xDCFF)))
    ('µ.tif', 'a\\udcff')
    """
    return _writable(path.name)


def names_of(paths: Sequence[PurePath]) -> list[str]:
    """Return the files' names, with the folders above that tell files of one name apart.

    Examples
    --------
    >>> names_of([PurePath("a/x/B03.tif"), PurePath("b/x/B03.tif"), PurePath("b/x/B04.tif")])
    ['a/x/B03.tif', 'b/x/B03.tif', 'B04.tif']
    """
    names = [name_of(path) for path in paths]
    for depth in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        counts = Counter(names)
        names = [
            name if counts[name] == 1 else _writable(PurePath(*path.parts[-depth:]).as_posix())
            for name, path in zip(names, paths, strict=True)
        ]
    return names


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def for_xml(text: str) -> str:
    r"""Return a text with what XML cannot hold, escaped or not, written as escapes.

    Examples
    --------
    >>> for_xml("red \x1b[31m & µ")
    'red \\x1b[31m & µ'
    """
    return _NOT_IN_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def for_figure(text: str) -> str:
    r"""Return a text that matplotlib does not take for a formula.

    Examples
    --------
    >>> for_figure("$x_$")
    '\\$x_\\$'
    """
    return text.replace("$", r"\$")


def byte_count(size: float) -> str:
    """Return a number of bytes as people read it, as in 12.3 MB."""
    unit = "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}" if size < 1e6 else f"{size:.1e} {unit}"


def duration(seconds: float) -> str:
    """Return a length of time in words, as exactly as an estimate deserves.

    Examples
    --------
    >>> duration(42.3), duration(200), duration(33000)
    ('42 s', '3 min', '9.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86400:.0f} days"
