"""The settings of last time, kept in the user's configuration folder."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from napari_rls.models.bundle_file import BundleError
from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import DEFAULT_BUNDLE, Settings, SettingsError


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


def remember(settings: Settings, path: Path) -> str:
    """Keep the settings; return why that was not possible, or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        settings.save(path)
    except OSError as error:
        return f"The settings cannot be remembered in {path}: {error.strerror}."
    return ""
