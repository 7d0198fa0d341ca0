"""Which channel of an image is meant: by its name, or by its index from 0."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from napari_rls.errors import InputError
from napari_rls.workflow.cells.stack import CellStack, no_channel

_DNA = re.compile("dna|hoechst|dapi|draq|nucle", re.IGNORECASE)
_INDEXED = re.compile(r"channel (\d+)")


def same_name(one: str, other: str) -> bool:
    """Whether two names are of one channel: case, outer spaces and how letters are coded aside."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    # An accent may be a sign of its own, a letter wide, a micro sign the Greek letter.
    return unicodedata.normalize("NFKC", name).strip().casefold()


def shows_dna(name: str) -> bool:
    """Whether a name is that of a stain of DNA, or of nuclei."""
    return _DNA.search(_plain(name)) is not None


def split_names(text: str) -> tuple[str, ...]:
    """Split ``DNA,GFP`` at its commas; a name with a comma stands in double quotes.

    Raises
    ------
    InputError
        If a quote is not closed.

    Examples
    --------
    >>> split_names('DNA, "GFP, fixed"')
    ('DNA', 'GFP, fixed')
    """
    try:
        (parts,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        raise InputError(
            f"{text} is no list of channels; give them as in DNA,GFP, a name that has a comma in "
            'double quotes, as in "DNA, fixed",GFP.'
        ) from None
    return tuple(part.strip() for part in parts if part.strip())


def join_names(names: Sequence[str]) -> str:
    """Return names as one text that :func:`split_names` splits again."""
    quoted = (
        '"' + name.replace('"', '""') + '"' if set(name) & {",", '"'} else name for name in names
    )
    return ",".join(quoted)


def nucleus_channel(stack: CellStack, wanted: str = "") -> int:
    """Return the channel that shows nuclei: the one given, that named after DNA, or the first.

    Raises
    ------
    InputError
        If there is no such channel, or several are called so.
    """
    stain = None if wanted else dna_index(stack.channels)
    return channel_index(stack, wanted or "0") if stain is None else stain


def named(names: Sequence[str], wanted: str, source: str) -> int | None:
    """Return the place of a name, or None if it is not there.

    Parameters
    ----------
    names
        Names of the channels.
    wanted
        The name that is looked for; a number is a name here.
    source
        What has these channels, for the message.

    Raises
    ------
    InputError
        If several channels are called so.
    """
    found = [k for k, name in enumerate(names) if same_name(name, wanted)]
    exact = [k for k in found if names[k].strip() == wanted.strip()]
    if len(found) > 1 and len(exact) != 1:
        raise InputError(
            f"{source} has {len(found)} channels named {wanted.strip()} (numbers "
            f"{', '.join(map(str, found))}); say by its number which is meant, counted from 0."
        )
    return next(iter(exact or found), None)


def channel_index(stack: CellStack, name: str) -> int:
    """Return the index of a channel given by its name or by its index from 0.

    A number is an index, whatever the channels are called.

    Raises
    ------
    InputError
        If there is no such channel, or several are called so.
    """
    text = name.strip()
    index = int(text) if text.isdecimal() else named(stack.channels, text, stack.name)
    if index is None and (match := _INDEXED.fullmatch(text.casefold())):
        index = int(match[1])
    if index is None or index >= len(stack.channels):
        raise no_channel(stack, text)
    return index


def channel_label(stack: CellStack, index: int) -> str:
    """Return what a channel is called such that :func:`channel_index` finds it again."""
    name = stack.channels[index].strip()
    twice = sum(same_name(name, other) for other in stack.channels) > 1
    return f"channel {index}" if twice or not name or name.isdecimal() else name


def dna_index(names: Sequence[str]) -> int | None:
    """Return the one channel that is named after a stain of DNA, if there is just one."""
    found = [k for k, name in enumerate(names) if shows_dna(name)]
    return found[0] if len(found) == 1 else None


def match_names(names: Sequence[str], wanted: Sequence[str], source: str) -> tuple[int, ...] | None:
    """Return which channel is which of the wanted ones, by what is known of them.

    By the names; a stain of DNA is the channel that is named after DNA; what is left over
    is at its own place, or in the only place that is left.

    Parameters
    ----------
    names
        Names of the channels.
    wanted
        Names of the channels that are looked for.
    source
        What has these channels, for messages.

    Returns
    -------
    tuple of int or None
        Indices into ``names``; None if nothing tells, since the numbers differ.

    Raises
    ------
    InputError
        If some names are known but elsewhere than expected, and others could be several.
    """
    found = [named(names, name, source) for name in wanted]
    free = [k for k in range(len(names)) if k not in found]
    lacking = [k for k, index in enumerate(found) if index is None]
    stains = [k for k in lacking if shows_dna(wanted[k])]
    stained = [k for k in free if shows_dna(names[k])]
    if len(stains) == len(stained) == 1:
        found[stains[0]] = stained[0]
        free.remove(stained[0])
        lacking.remove(stains[0])
    if lacking and len(names) != len(wanted):
        return None
    if set(lacking) == set(free):
        found = [k if index is None else index for k, index in enumerate(found)]
    elif len(lacking) == 1:
        found[lacking[0]] = free[0]
    indices = tuple(index for index in found if index is not None)
    if len(indices) < len(wanted):
        raise InputError(
            f"{source} has the channels {', '.join(names)}, some of which are known but not at "
            f"their places among {', '.join(wanted)}; say which channel is which "
            "(--channels on the command line)."
        )
    return indices


def choose_channels(stack: CellStack, wanted: Sequence[str], needed: Sequence[str]) -> CellStack:
    """Return the stack with its channels in the order in which a bundle needs them.

    Its ``reading`` says what was taken for what.

    Parameters
    ----------
    stack
        The cells as read.
    wanted
        Names or indices (from 0) of the stack's channels, one for each needed one. If
        empty, channels are taken by the bundle's names, see :func:`match_names`, and as they
        come where these tell nothing.
    needed
        The bundle's channel names.

    Raises
    ------
    InputError
        If there is no such channel, one is named twice, their number is wrong, or names are
        in other places and do not tell which channel is which.
    """
    if not wanted:
        indices = match_names(stack.channels, needed, stack.name)
        return stack if indices is None else _chosen(stack, indices, needed)
    if len(wanted) != len(needed):
        raise InputError(
            f"{len(wanted)} channel(s) were chosen but the bundle needs {len(needed)} "
            f"({', '.join(needed)}), in this order."
        )
    indices = tuple(channel_index(stack, name) for name in wanted)
    if len(set(indices)) < len(indices):
        raise InputError(f"{', '.join(wanted)} names a channel twice; each can be used once.")
    chosen = _chosen(stack, indices, needed)
    # What the user has said is neither assumed nor left out by mistake.
    return replace(
        chosen, reading=replace(chosen.reading, assumed=(), differing=(), unused=(), unnamed=False)
    )


def _chosen(stack: CellStack, indices: tuple[int, ...], needed: Sequence[str]) -> CellStack:
    names = [name.strip() for name in stack.channels]
    pairs = [(need, names[k], k) for need, k in zip(needed, indices, strict=True)]
    others = [pair for pair in pairs if not same_name(*pair[:2])]
    reading = replace(
        stack.reading,
        channels=tuple((need, name) for need, name, _ in pairs),
        assumed=tuple(need for need, name, k in others if _is_unnamed(name, k)),
        differing=tuple((need, name) for need, name, k in others if not _is_unnamed(name, k)),
        unused=tuple(name for k, name in enumerate(names) if k not in indices),
        cells=len(stack),
    )
    # Choosing would copy pixels that are in order.
    ordered = indices == tuple(range(len(names)))
    return replace(stack if ordered else stack.select(indices), reading=reading)


def _is_unnamed(name: str, index: int) -> bool:
    return same_name(name, f"channel {index}")
