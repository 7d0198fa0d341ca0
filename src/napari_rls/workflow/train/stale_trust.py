"""What a bundle knows of held-out cells, where a network that is trained anew makes it untrue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_rls.models.trust import Trust

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle


def without_stale_trust(bundle: Bundle, stale: Callable[[Trust], bool]) -> tuple[Bundle, str]:
    """Return a bundle without the trust that is ``stale``, and a sentence on it, or "".

    Examples
    --------
    >>> from napari_rls import load_bundle
    >>> bundle = load_bundle("bbbc013-translocation-64")
    >>> left, sentence = without_stale_trust(bundle, lambda trust: trust.factor == 8)
    >>> [trust.factor for trust in left.manifest.trust]
    [16]
    >>> sentence[:56]
    'What the bundle knew of held-out cells at 8x was of its '
    """
    trust = bundle.manifest.trust
    kept = tuple(one for one in trust if not stale(one))
    if len(kept) == len(trust):
        return bundle, ""
    lost = ", ".join(f"{one.factor}x" for one in trust if stale(one))
    manifest = bundle.manifest.model_copy(update={"trust": kept})
    return replace(bundle, manifest=manifest), (
        f"What the bundle knew of held-out cells at {lost} was of its old network and is left out: "
        "run bundles calibrate."
    )
