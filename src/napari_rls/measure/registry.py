"""The assays that there are: the package's own, and those that other packages bring.

A package brings an assay by an entry point of the group ``napari_rls.assays`` whose object is
an :class:`~napari_rls.measure.assay.Assay`::

    [project.entry-points."napari_rls.assays"]
    nuclear_mean = "my_package:ASSAY"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

from napari_rls.errors import SettingsError
from napari_rls.measure import spots, translocation
from napari_rls.measure.assay import Assay
from napari_rls.text import for_terminal

GROUP: Final = "napari_rls.assays"

BUILT_IN: Final = (translocation.ASSAY, spots.ASSAY)


@dataclass(frozen=True, eq=False)
class Registry:
    """The assays by name, the package's own first, and why others are not among them.

    Parameters
    ----------
    assays
        The assays that can be chosen.
    problems
        A sentence for every assay that a package brings and that cannot be chosen, by the
        name of its entry point.
    """

    assays: Mapping[str, Assay]
    problems: Mapping[str, str]

    def __getitem__(self, name: object) -> Assay:
        """Return an assay.

        Raises
        ------
        SettingsError
            If there is none of this name; the message says why, if that is known.
        """
        if isinstance(name, str) and name in self.assays:
            return self.assays[name]
        if isinstance(name, str) and name in self.problems:
            raise SettingsError(self.problems[name])
        raise SettingsError(
            f"There is no assay {for_terminal(repr(name))}; choose {' or '.join(self.assays)}, or "
            "install the package that brings it."
        )


@cache
def registry() -> Registry:
    """Return the assays that there are; other packages are looked for once."""
    assays = {assay.name: assay for assay in BUILT_IN}
    problems: dict[str, str] = {}
    brought: dict[str, Assay] = {}
    by: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _package(point))):
        package = _package(point)
        if by.setdefault(point.name, package) != package:
            brought.pop(point.name, None)
            problems[point.name] = (
                f"The packages {by[point.name]} and {package} both bring an assay {point.name!r}, "
                "and neither can be chosen; uninstall one of them."
            )
            continue
        reason = ""
        try:
            assay = point.load()
            reason = _refused(assay, point.name, {**assays, **brought})
        except Exception as error:  # noqa: BLE001 - a package of others may raise whatever it likes
            text = next(iter(str(error).splitlines()), "").rstrip(".")
            reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if reason:
            problems[point.name] = (
                f"The assay {point.name!r} of the package {package} cannot be chosen "
                f"({for_terminal(reason)}); mend or uninstall the package."
            )
        else:
            brought[point.name] = assay
    return Registry(MappingProxyType(assays | brought), MappingProxyType(problems))


def _package(point: EntryPoint) -> str:
    return "?" if point.dist is None else str(point.dist.name)


def _refused(found: Any, name: str, others: Mapping[str, Assay]) -> str:
    """Return why what an entry point holds cannot be an assay beside others, or ""."""
    if not isinstance(found, Assay):
        return "it is no Assay"
    if found.name != name:
        return f"its name is {found.name!r}, not that of the entry point"
    if name in others:
        return "another assay has its name"
    for other in others.values():
        for field in found.own_fields.keys() & other.own_fields.keys():
            if found.own_fields[field].annotation != other.own_fields[field].annotation:
                return f"its setting {field!r} is of another type than that of {other.name}"
    return ""
