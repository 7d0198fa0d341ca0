"""Packages of users that bring assays: those of the documentation, and others that are wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

GROUP = "napari_rls.assays"
DOCUMENT = Path(__file__).parents[1] / "docs" / "own_assay.md"


def documented() -> tuple[str, dict[str, str]]:
    """Return the module of the documentation, and its entry points."""
    text = DOCUMENT.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return code, tomllib.loads(toml)["project"]["entry-points"][GROUP]


def install(site: Path, package: str, code: str, points: dict[str, str]) -> None:
    """Put a package into a folder as pip would: its module, metadata and entry points."""
    module = next(iter(points.values())).partition(":")[0]
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
