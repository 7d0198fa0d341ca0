"""The version of this package, as it is written into records."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("napari-rls")
