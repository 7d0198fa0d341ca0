"""In what two runs differ that should be one: settings by their names, old and new."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from napari_rls.files.json_file import shown

_TOLD = 5
"""Changes that are told."""

_MISSING = object()


def changes(
    old: Mapping[str, object], new: Mapping[str, object], leave_out: Collection[str] = ()
) -> list[str]:
    """Return the entries that differ, as "name: old, now new".

    Parameters
    ----------
    old, new
        Entries by name; those of mappings in them are called "outer.inner".
    leave_out
        Names of entries that may differ.

    Examples
    --------
    >>> changes({"steps": 3, "optics": {"ratio": 8}}, {"steps": 3, "optics": {"ratio": 4}})
    ['optics.ratio: 8, now 4']
    """
    before, now = dict(_flat(old)), dict(_flat(new))
    return [
        f"{shown(name)}: {_text(before, name)}, now {_text(now, name)}"
        for name in dict.fromkeys((*before, *now))
        if name not in leave_out and before.get(name, _MISSING) != now.get(name, _MISSING)
    ]


def told_changes(found: Sequence[str]) -> str:
    """Return changes in a row, not more of them than help."""
    return "; ".join([*found[:_TOLD], *(["..."] if len(found) > _TOLD else [])])


def _flat(entries: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in entries.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _text(entries: Mapping[str, object], name: str) -> str:
    value = entries.get(name, _MISSING)
    return "not given" if value is None or value is _MISSING else shown(str(value))
