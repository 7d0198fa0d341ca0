"""What would hold up the window is done beside it: imports above all."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from importlib import import_module
from threading import Thread
from typing import Any, TypeVar

import numpy as np
from qtpy.QtCore import QCoreApplication, QEventLoop, QThread, QTimer

T = TypeVar("T")

LOOK_AGAIN = 20
"""Milliseconds between two looks at whether a thread is done."""

DRAW = 15
"""Milliseconds after which Qt has begun to draw."""

NEEDED_SOON = (
    "napari_rls.evaluation.plots",
    "matplotlib.backends.backend_qtagg",
    "torch",
    "torch._dynamo",
    "skimage.color.colorconv",
    "skimage.measure",
)
"""What takes long to import: torch._dynamo comes with the first optimiser, colours with the first
layer of labels."""


def beside_the_window(make: Callable[[], T], follow: Callable[[], None] | None = None) -> T:
    """Return what ``make`` returns in a thread, while the window goes on drawing.

    For the places where napari wants a result at once. Clicks and keys wait for it.

    Parameters
    ----------
    make
        What takes long; it must not touch the window.
    follow
        Called in the GUI thread, many times a second, until the result is there; the window
        then answers the user too, who may do anything meanwhile.

    Raises
    ------
    RuntimeError
        If napari is closed meanwhile.
    Exception
        What ``make`` raises.
    """
    app = QCoreApplication.instance()
    if app is None or app.thread() is not QThread.currentThread():
        return make()
    made: Future[T] = Future()

    def work() -> None:
        try:
            made.set_result(make())
        except BaseException as error:  # noqa: BLE001  raised again by result()
            made.set_exception(error)

    Thread(target=work, daemon=True).start()
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if made.done() else follow and follow())
    timer.start(LOOK_AGAIN)
    kinds = QEventLoop.ProcessEventsFlag
    loop.exec(kinds.AllEvents if follow else kinds.ExcludeUserInputEvents)
    timer.stop()
    if not made.done():
        raise RuntimeError("napari was closed before this was done.")
    return made.result()


def soon(call: Callable[[], None]) -> None:
    """Call a function once the window has drawn what changed."""
    QTimer.singleShot(DRAW, call)


def import_soon(*modules: str) -> None:
    """Import modules in a thread, before they are asked for.

    A plain thread, which Python waits for at its end: a worker of Qt's would tell of its own to
    objects that are gone when napari is closed meanwhile, which ends the process.
    """

    def work() -> None:
        for module in modules:
            import_module(module)

    Thread(target=work, name="napari-rls imports").start()


def warm_up_units() -> None:
    """Make napari's units ready, in any thread, while others may add layers.

    pint fills its registry at the first use, in place: who asks meanwhile is told that there is
    no unit called pixel. So a whole one is put in the place of the one that nobody has used.
    """
    import pint
    from pint.registry import LazyRegistry

    registry = pint.get_application_registry()
    if isinstance(registry.get(), LazyRegistry):
        whole: pint.UnitRegistry[Any] = pint.UnitRegistry()
        if isinstance(registry.get(), LazyRegistry):
            pint.set_application_registry(whole)
    # Another thread has begun to fill it.
    while not hasattr(registry, "pixel"):
        time.sleep(LOOK_AGAIN / 1000)


@cache
def warm_up_layers() -> None:
    """Make napari ready for layers: its first ones import pandas and numba, for a second or two."""
    from napari.layers import Image, Labels

    warm_up_units()
    nothing = np.zeros((2, 2, 2), np.int32)
    Image(nothing)
    Labels(nothing, features={"index": [1]})


@cache
def warm_up() -> None:
    """Prepare in a thread, once, what the first layers and the first run would wait for.

    napari has all garbage collected whenever a layer is removed, and Python does so now and then.
    What the imported modules hold, which is most there is to look through and never garbage, is
    left out of that from then on: a collection took half a second.
    """

    def prepare() -> None:
        warm_up_layers()
        gc.collect()
        for module in NEEDED_SOON:
            import_module(module)
        gc.freeze()

    Thread(target=prepare, name="napari-rls warm-up").start()
