"""What all tests share: a tiny bundle, the real images, a display or the reason to skip.

Tests never touch the user's own settings. With ``NAPARI_RLS_NO_SKIP=1`` a
skipped test counts as failed.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

HAS_DISPLAY = sys.platform != "linux" or any(
    os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
)
NO_SKIP = os.environ.get("NAPARI_RLS_NO_SKIP") == "1"
USER_FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")

_session_folder = tempfile.TemporaryDirectory(prefix="napari-rls-tests-")
# napari reads these as it is imported, before any fixture runs.
os.environ["NAPARI_CONFIG"] = str(Path(_session_folder.name, "napari.yaml"))
os.environ.update({name: str(Path(_session_folder.name, name)) for name in USER_FOLDERS})
# Threads cost these small models more than they gain, and results stay the same everywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if not HAS_DISPLAY:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"


def _qt_problem() -> str:
    """Return why Qt cannot be loaded, as where a server lacks its system libraries, or ''."""
    try:
        importlib.import_module("PyQt6.QtWidgets")
    except ImportError as error:
        return str(error)
    return ""


QT_PROBLEM = _qt_problem()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    if QT_PROBLEM:
        # pytest-qt would end the whole run, with the tests that need no Qt.
        pluginmanager.set_blocked("pytest-qt")
        pluginmanager.unregister(name="pytest-qt")


if QT_PROBLEM:

    @pytest.fixture
    def qapp() -> None:
        pytest.skip(f"Qt cannot be loaded: {QT_PROBLEM}")

    @pytest.fixture
    def qtbot(qapp: None) -> None:
        """Stand in for pytest-qt's fixture."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("canvas") and not HAS_DISPLAY:
        pytest.skip("no X server or Wayland display to render a canvas on")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if QT_PROBLEM and report.failed and QT_PROBLEM in str(report.longrepr):
        report.outcome = "skipped"
        report.longrepr = (report.nodeid, 0, f"Skipped: Qt cannot be loaded: {QT_PROBLEM}")
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.CollectReport | pytest.TestReport) -> None:
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"NAPARI_RLS_NO_SKIP forbids skipping. {reason}"


@pytest.fixture(autouse=True)
def user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test empty settings, data and cache folders; return their parent."""
    parent = tmp_path_factory.mktemp("user")
    for name in USER_FOLDERS:
        monkeypatch.setenv(name, str(parent / name))
    return parent


@pytest.fixture(autouse=True)
def stopping_signals() -> Generator[None]:
    """Let signals stop what runs, also where a shell started the tests to ignore them (&, nohup).

    Tests send them to themselves and to processes that they start, which inherit it.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    usual |= {
        getattr(signal, name): signal.SIG_DFL for name in ("SIGHUP",) if hasattr(signal, name)
    }
    ignored = [n for n in usual if signal.getsignal(n) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, usual[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of the real images, ``NAPARI_RLS_DATA``."""
    folder = os.environ.get("NAPARI_RLS_DATA")
    if not folder:
        pytest.skip("NAPARI_RLS_DATA does not name the folder of the real images")
    return Path(folder).resolve(strict=True)


@pytest.fixture(scope="session")
def tiny_bundle_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle file of random weights: 2 channels, 32 px, 16 dimensions of W."""
    from tiny_model import random_bundle

    path = tmp_path_factory.mktemp("bundle") / "tiny.rls.safetensors"
    random_bundle().save(path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_bundle_file: Path) -> Bundle:
    """Return the bundle of ``tiny_bundle_file``, loaded; do not change it."""
    from napari_rls.models.bundle import load_bundle

    return load_bundle(tiny_bundle_file)


@pytest.fixture(autouse=True)
def _one_registration(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Keep napari from registering plugins with its application a second time.

    Its own fixture of viewers makes it forget that it has.
    """
    yield
    if "make_napari_viewer" not in request.fixturenames:
        return
    from napari._app_model import get_app_model
    from napari.plugins import _initialize_plugins, _npe2

    if "napari-rls.super_resolve" in get_app_model().commands:
        with patch.object(_npe2, "on_plugins_registered", lambda _: None):
            _initialize_plugins()


@pytest.fixture(autouse=True)
def _whole_thumbnails(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let thumbnails of layers own their pixels.

    napari 0.9.2 gives Qt an image of bytes that nothing holds on to, and Python may use their
    memory for something else while Qt draws them: now and then it crashes.
    """
    if "make_napari_viewer" not in request.fixturenames:
        return
    from napari._qt.containers.qt_layer_model import QtLayerListModel, ThumbnailRole
    from qtpy.QtGui import QImage

    own = QtLayerListModel.data

    def data(self: QtLayerListModel, index: object, role: int) -> object:
        if role != ThumbnailRole:
            return own(self, index, role)
        pixels = self.getItem(index).thumbnail
        held, (height, width) = pixels.tobytes(), pixels.shape[:2]
        return QImage(held, width, height, QImage.Format.Format_RGBA8888).copy()

    monkeypatch.setattr(QtLayerListModel, "data", data)
