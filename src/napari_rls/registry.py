"""What other packages may add to this one: things by name, found by their entry points.

Names are read from what packages say of themselves; a package is imported once something of it
is used, and never to list names. One that cannot be used is listed with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from napari_rls.text import for_terminal

Thing = TypeVar("Thing")

_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}")
"""Names become parts of file names and options."""


class Registry(Mapping[str, Thing]):
    """Things by name: those of this package first, then those of others.

    Parameters
    ----------
    group
        Entry points' group, ``napari_rls.methods``.
    what
        What one of them is called, ``method``.
    own
        Those of this package.
    kind
        Class of what an entry point must name.
    stand_in
        Makes of the reason why a thing cannot be used what stands for it.
    check
        Returns why another package's thing cannot be used, or "".

    Examples
    --------
    >>> Registry("no.such.group", "number", {"one": 1}, int, lambda reason: 0)["one"]
    1
    """

    def __init__(
        self,
        group: str,
        what: str,
        own: Mapping[str, Thing],
        kind: type[Thing],
        stand_in: Callable[[str], Thing],
        check: Callable[[Thing], str] = lambda _: "",
    ) -> None:
        self.group = group
        self.what = what
        self.own = own
        self._kind = kind
        self._stand_in = stand_in
        self._check = check
        self._loaded: dict[str, Thing] = {}

    def __iter__(self) -> Iterator[str]:
        return iter((*self.own, *self._others))

    def __len__(self) -> int:
        return len(self.own) + len(self._others)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._others

    def __getitem__(self, name: str) -> Thing:
        if name in self.own:
            return self.own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._others[name])
        return self._loaded[name]

    def origin(self, name: str) -> dict[str, str]:
        """Return name and version of the package that a thing is of; {} if it is of this one."""
        return {} if name in self.own else dict(map(_package, self._others[name]))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the names that packages give, in sentences."""
        return self._found[1]

    @property
    def _others(self) -> Mapping[str, tuple[EntryPoint, ...]]:
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[dict[str, tuple[EntryPoint, ...]], tuple[str, ...]]:
        found: dict[str, tuple[EntryPoint, ...]] = {}
        problems = []
        for entry in entry_points(group=self.group):
            named = f"The {self.what} {for_terminal(entry.name)} of {_packages([entry])}"
            if not _NAME.fullmatch(entry.name):
                problems.append(
                    f"{named} is left out: its name must be small letters, digits and hyphens."
                )
            elif entry.name in self.own:
                problems.append(
                    f"{named} is left out: napari-rls has a {self.what} of that name; give it "
                    "another one."
                )
            else:
                found[entry.name] = (*found.get(entry.name, ()), entry)
        return dict(sorted(found.items())), tuple(problems)

    def _load(self, name: str, entries: tuple[EntryPoint, ...]) -> Thing:
        named = f"the {self.what} {name} of {_packages(entries)} cannot be used"
        if len(entries) > 1:
            return self._stand_in(f"{named}: two packages have one of that name; uninstall one")
        try:
            thing = entries[0].load()
        except Exception as error:  # noqa: BLE001  the code of others raises what it likes
            reason = (str(error).splitlines() or [""])[0]
            reason = for_terminal(f"{type(error).__name__}: {reason}")
            return self._stand_in(f"{named} ({reason}); mend or uninstall that package")
        if not isinstance(thing, self._kind):
            kind = self._kind.__name__
            reason = f"{entries[0].value} is no {kind}"
        else:
            reason = self._check(thing)
        return self._stand_in(f"{named}: {for_terminal(reason)}") if reason else thing


def _packages(entries: list[EntryPoint] | tuple[EntryPoint, ...]) -> str:
    return " and ".join(" ".join(_package(entry)) for entry in entries)


def _package(entry: EntryPoint) -> tuple[str, str]:
    if entry.dist is None:
        return entry.module, ""
    return for_terminal(entry.dist.name), for_terminal(entry.dist.version)
