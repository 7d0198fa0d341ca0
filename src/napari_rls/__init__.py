"""Super-resolution of single cells by Regularized Latent Search, in napari and without.

The public interface is small: :func:`load_bundle`, :func:`super_resolve`,
:func:`degrade`, :class:`Settings`. torch is imported with the first use of one
of them, not with the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_rls.version import __version__

if TYPE_CHECKING:
    from napari_rls.models.bundle import load_bundle
    from napari_rls.search.settings import Settings
    from napari_rls.workflow.cells.degrade import degrade
    from napari_rls.workflow.super_resolve.resolver import super_resolve


_HOMES = {
    "load_bundle": "napari_rls.models.bundle",
    "Settings": "napari_rls.search.settings",
    "degrade": "napari_rls.workflow.cells.degrade",
    "super_resolve": "napari_rls.workflow.super_resolve.resolver",
}

__all__ = ["Settings", "__version__", "degrade", "load_bundle", "super_resolve"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
