"""RLS+: every cell has generator weights of its own, which are searched with its latents."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor
from torch.func import functional_call, vmap

from napari_rls.models.stylegan2 import SynthesisNetwork
from napari_rls.search.latents import Point

_NOISE = ".noise_const"


class OwnGenerators:
    """W+ latents, noise maps and all weights of the synthesis, a copy for each cell.

    Computed in float32, as steps as small as those of RLS+ would vanish in bfloat16.

    Parameters
    ----------
    synthesis
        The network that every copy starts from; it is left as it is.
    start
        First latents (N, L, d).
    noise
        First noise maps (N, 1, h, w), one for each convolution.
    searched
        How many of them, from the first on, are searched.
    """

    def __init__(
        self, synthesis: SynthesisNetwork, start: Tensor, noise: Sequence[Tensor], searched: int
    ) -> None:
        cells, device = len(start), start.device
        self._network = copy.deepcopy(synthesis).to(device).requires_grad_(False)
        self.ws = start.detach().clone().requires_grad_()
        self.noise = tuple(m.detach().clone() for m in noise)
        self._searched = tuple(m.requires_grad_() for m in self.noise[:searched])
        self._weights = {
            name: value.detach().expand(cells, *value.shape).clone().requires_grad_()
            for name, value in self._network.named_parameters()
        }
        names = [name for name, _ in self._network.named_buffers() if name.endswith(_NOISE)]
        self._maps = dict(zip(names, self.noise, strict=True))

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Latents, the noise maps that are searched, and weights."""
        return (self.ws, *self._searched, *self.weights)

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """All weights of all copies, each with a cell per row."""
        return tuple(self._weights.values())

    def __call__(self, cells: Tensor) -> Point:
        """Return latents, noise and images of ``cells``."""
        ws, maps = self.ws, self._maps
        weights = self._weights
        if len(cells) < len(ws):
            ws, maps, weights = ws[cells], _rows(maps, cells), _rows(weights, cells)
        own = {**weights, **{name: noise[:, 0] for name, noise in maps.items()}}
        return Point(ws, tuple(maps.values()), vmap(self._image)(own, ws))

    def _image(self, own: dict[str, Tensor], ws: Tensor) -> Tensor:
        image: Tensor = functional_call(self._network, own, (ws[None],))
        return image[0]


def _rows(named: dict[str, Tensor], cells: Tensor) -> dict[str, Tensor]:
    return {name: value[cells] for name, value in named.items()}


def cells_that_fit(synthesis: SynthesisNetwork, gigabytes: float = 2.0) -> int:
    """Return for how many cells weights, gradients and Adam's moments fit into memory."""
    size = 4 * 4 * sum(p.numel() for p in synthesis.parameters())
    return max(1, int(gigabytes * 1e9 / size))
