"""The degradation operators by name: what makes LR images of HR ones, in data and in the search."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from napari_rls.errors import SettingsError
from napari_rls.registry import Registry

if TYPE_CHECKING:
    from napari_rls.search.degradation import Degradation

GROUP = "napari_rls.operators"
"""Entry points of the operators of other packages."""

DEFAULT_OPERATOR = "bicubic"


@dataclass(frozen=True)
class Imaging:
    """What an operator may need to know of the images that it is for.

    Parameters
    ----------
    factor
        HR size divided by LR size.
    channels
        Names of the channels, in order; none if unknown.
    pixel_size_um
        Side of an HR pixel in micrometres; None if unknown.

    Examples
    --------
    >>> Imaging(8, ("DNA", "GFP"), pixel_size_um=0.1).factor
    8
    """

    factor: int
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None


@dataclass(frozen=True)
class OperatorKind:
    """An operator that can be chosen by its name.

    Parameters
    ----------
    title
        What it is, for people.
    make
        Makes a :class:`~napari_rls.search.degradation.Degradation` for images, or where that
        function is, as in ``package.module:function``, which is imported when it is needed. It
        raises :class:`~napari_rls.errors.SettingsError` if it cannot do without what is unknown.
    fault
        Why it cannot be used, as the end of a sentence, or "".
    """

    title: str
    make: Callable[[Imaging], Degradation] | str
    fault: str = ""


def _bicubic(imaging: Imaging) -> Degradation:
    from napari_rls.search.degradation import Bicubic

    return Bicubic(imaging.factor)


def _optics(imaging: Imaging) -> Degradation:
    from napari_rls.search.degradation import Widefield

    return Widefield(imaging.factor)


def _unusable(reason: str) -> OperatorKind:
    return OperatorKind(reason, _bicubic, fault=reason)


OWN_OPERATORS: Mapping[str, OperatorKind] = {
    DEFAULT_OPERATOR: OperatorKind("antialiased bicubic downscaling", _bicubic),
    "optics": OperatorKind(
        "a lens with a Gaussian PSF of 0.45 LR pixels, and pixels that integrate light", _optics
    ),
}

OPERATORS: Registry[OperatorKind] = Registry(
    GROUP, "operator", OWN_OPERATORS, OperatorKind, _unusable
)
"""All operators by name, those of other packages last."""

if TYPE_CHECKING:
    OperatorName: TypeAlias = str
else:
    OperatorName = Literal[tuple(OPERATORS)]


def make_operator(name: str, imaging: Imaging) -> Degradation:
    """Return the operator of a name for some images.

    Parameters
    ----------
    name
        One of :data:`OPERATORS`.
    imaging
        What is known of the images.

    Raises
    ------
    SettingsError
        If there is none of that name, it cannot be used, or it is of another factor.

    Examples
    --------
    >>> make_operator("bicubic", Imaging(8)).record()
    {'name': 'bicubic', 'factor': 8}
    """
    if name not in OPERATORS:
        raise SettingsError(f"There is no operator {name!r}; there are {', '.join(OPERATORS)}.")
    kind = OPERATORS[name]
    if kind.fault:
        raise SettingsError(f"{kind.fault[0].upper()}{kind.fault[1:]}.")
    make = pkgutil.resolve_name(kind.make) if isinstance(kind.make, str) else kind.make
    made: Degradation = make(imaging)
    if made.factor != imaging.factor:
        raise SettingsError(
            f"The operator {name} is of factor {made.factor} where {imaging.factor} is needed; "
            "choose another one."
        )
    return made
