"""What the loop of a training asks of what is trained: a step, losses, reports, what is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from napari_rls.training.dataset import Crops

Parts = tuple[
    Mapping[str, nn.Module], Mapping[str, torch.optim.Adam], Mapping[str, torch.Generator]
]
"""Networks, optimisers and random streams by the prefixes and names they are saved under."""


class LoopReport(Protocol):
    """A dataclass: ``steps``, ``images_per_second``, means of losses, and what is here."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def images_per_second(self) -> float:
        """Crops shown in a second."""

    @property
    def held_out_l1(self) -> float:
        """Mean absolute error on the held-out crops, of -1 to 1."""


class LoopLosses(Protocol):
    """What one step saw."""

    def named(self) -> Mapping[str, Tensor]:
        """Return the losses, a number each, by their names in a report."""


NetworkT = TypeVar("NetworkT", bound=nn.Module)
ReportT = TypeVar("ReportT", bound=LoopReport)
_Trained_co = TypeVar("_Trained_co", bound=nn.Module, covariant=True)


class Trainer(Protocol[_Trained_co]):
    """One step of a training, and everything that a step changes."""

    steps: int

    @property
    def network(self) -> _Trained_co:
        """What is trained."""

    @property
    def parts(self) -> Parts:
        """All that a checkpoint holds."""

    def step(self, crops: Crops) -> LoopLosses:
        """Show one batch."""

    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error on HR crops (N, C, H, W) in -1 to 1."""


def all_finite(networks: Iterable[nn.Module]) -> bool:
    """Tell whether every weight of networks is a finite number."""
    return all(bool(p.isfinite().all()) for network in networks for p in network.parameters())


@dataclass(frozen=True)
class Kind(Generic[ReportT]):
    """What tells the trainings of one kind of network from others.

    Parameters
    ----------
    key
        Name of the note in their checkpoints.
    report
        What they report.
    known_by
        What a training is known by, beside its settings and crops.
    """

    key: str
    report: type[ReportT]
    known_by: Mapping[str, str] = field(default_factory=dict)
