"""Runs that name a bundle, one after the other: what they share is kept from the last."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from pathlib import Path

from napari_rls.models.bundle import Bundle
from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.super_resolve.lr_cells import Pixels
from napari_rls.workflow.super_resolve.resolver import SuperResolver, check_settings
from napari_rls.workflow.super_resolve.updates import Update


def super_resolve(
    lr: CellStack | Pixels,
    bundle: Bundle | str | Path,
    settings: Settings | None = None,
) -> Generator[Update, None, None]:
    """Super-resolve cells once and yield an update after every step of every batch.

    The same as :class:`SuperResolver` and its :meth:`~SuperResolver.stream`, which raise what
    is wrong with the arguments: at the call, before the first update. The bundle of the last
    call that named one is kept, with what runs share, as long as its file stays as it is.

    Parameters
    ----------
    lr
        LR cells, see :meth:`SuperResolver.stream`.
    bundle, settings
        See :class:`SuperResolver`.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_rls import Settings, super_resolve
    >>> lr = np.random.default_rng(0).uniform(0, 255, (1, 2, 4, 4))
    >>> settings = Settings(steps=2, samples=0)
    >>> *_, last = super_resolve(lr, "bbbc013-translocation-64", settings)
    >>> last.sr.shape, last.run.settings.factor
    ((1, 2, 64, 64), 16)
    """
    if not isinstance(bundle, str | Path):
        resolver = SuperResolver(bundle, settings)
    else:
        check_settings(settings)
        resolver = kept_resolver(bundle, settings or Settings())
    return resolver.prepare(lr).updates()


def kept_resolver(bundle: str | Path, settings: Settings) -> SuperResolver:
    """Return a resolver with the bundle of the last call, if that named the same unchanged file.

    Raises
    ------
    BundleError, SettingsError
        See :class:`SuperResolver`.
    """
    file = find_bundle(bundle).resolve()
    state = file.stat()
    return _kept(bundle, file, state.st_mtime_ns, state.st_size).with_settings(settings)


@lru_cache(maxsize=1)
def _kept(bundle: str | Path, _file: Path, _changed: int, _size: int) -> SuperResolver:
    return SuperResolver(bundle)
