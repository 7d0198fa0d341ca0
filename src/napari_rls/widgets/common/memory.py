"""The settings of last time, kept in the user's configuration folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import platformdirs

from napari_rls.errors import BundleError, SettingsError
from napari_rls.files.whole_file import whole_file
from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import DEFAULT_BUNDLE, Settings

_BUNDLES = "bundles.json"


def settings_file() -> Path:
    """Return the file that remembers the settings from one start to the next."""
    return platformdirs.user_config_path("napari-rls") / "settings.json"


def recall(path: Path) -> tuple[Settings, str]:
    """Return the remembered settings, or defaults with a sentence on what was wrong."""
    if not path.exists():
        return Settings(), ""
    try:
        settings = Settings.load(path)
    except SettingsError as error:
        return Settings(), f"The remembered settings were ignored: {error}"
    try:
        find_bundle(settings.bundle)
    except BundleError:
        note = f"The bundle of last time, {settings.bundle}, is gone; the default one is chosen."
        return settings.model_copy(update={"bundle": DEFAULT_BUNDLE}), note
    return settings, ""


def remember(save: Callable[[Path], None], path: Path) -> str:
    """Have settings saved; return why that was not possible, or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path)
    except OSError as error:
        return f"The settings cannot be remembered in {path}: {error.strerror}."
    return ""


def known_bundles(settings: Path) -> tuple[str, ...]:
    """Return the bundle files that were used before and are still there.

    The list lies beside the file of the settings.
    """
    try:
        listed = json.loads(settings.with_name(_BUNDLES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    files = listed if isinstance(listed, list) else []
    return tuple(file for file in files if isinstance(file, str) and Path(file).is_file())


def know_bundle(file: str, settings: Path) -> str:
    """Keep a bundle file in the list; return why that was not possible, or nothing."""
    path = settings.with_name(_BUNDLES)
    listed = list(dict.fromkeys([*known_bundles(settings), file]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            draft.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        return f"The bundle cannot be remembered in {path}: {error.strerror}."
    return ""
