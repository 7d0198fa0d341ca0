"""Sphinx's roles in docstrings become links of the site, where the site has what they name."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Module, NameResolutionError, Object

ROLE = re.compile(r":(?:func|class|mod|meth|attr|data|exc):`(~?)\.?([\w.]+)`")


class SphinxRoles(Extension):
    """Reads roles such as ``:func:`~package.name```; what is on no page stays code."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        self.on_object(obj=pkg)  # griffe does not call it for the package itself

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = ROLE.sub(lambda found: _link(obj, found), obj.docstring.value)


def _link(obj: Object, found: re.Match[str]) -> str:
    short, name = found.groups()
    try:
        path = obj.resolve(name)
    except NameResolutionError:
        path = name
    shown = name.rpartition(".")[2] if short else name
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
