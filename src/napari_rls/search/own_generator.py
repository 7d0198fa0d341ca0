"""RLS+: every cell has generator weights of its own, which are searched with its latents."""

from __future__ import annotations

import copy

from torch import Tensor
from torch.func import functional_call, vmap

from napari_rls.models.stylegan2 import SynthesisNetwork
from napari_rls.search.latents import Point

_NOISE = ".noise_const"


class OwnGenerators:
    """W+ latents, the first noise maps and all weights of the synthesis, a copy for each cell.

    Computed in float32, as steps as small as those of RLS+ would vanish in bfloat16.

    Parameters
    ----------
    synthesis
        The network that every copy starts from; it is left as it is.
    start
        First latents (N, L, d).
    maps
        How many noise maps, from the first on, are searched; they start at the network's
        constant noise.
    """

    def __init__(self, synthesis: SynthesisNetwork, start: Tensor, maps: int) -> None:
        cells, device = len(start), start.device
        self._network = copy.deepcopy(synthesis).to(device).requires_grad_(False)
        self.ws = start.detach().clone().requires_grad_()
        noise = [(k, v) for k, v in self._network.named_buffers() if k.endswith(_NOISE)]
        self._own = {
            name: value.detach().expand(cells, *value.shape).clone().requires_grad_()
            for name, value in (*self._network.named_parameters(), *noise[:maps])
        }
        self.noise = tuple(self._own[name] for name, _ in noise[:maps])

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Latents, weights and noise maps."""
        return (self.ws, *self._own.values())

    def __call__(self, cells: Tensor) -> Point:
        """Return latents and images of ``cells``."""
        ws, own = self.ws, self._own
        if len(cells) < len(ws):
            ws, own = ws[cells], {name: value[cells] for name, value in own.items()}
        return Point(ws, (), vmap(self._image)(own, ws))

    def _image(self, own: dict[str, Tensor], ws: Tensor) -> Tensor:
        image: Tensor = functional_call(self._network, own, (ws[None],))
        return image[0]


def cells_that_fit(synthesis: SynthesisNetwork, gigabytes: float = 2.0) -> int:
    """Return for how many cells weights, gradients and Adam's moments fit into memory."""
    size = 4 * 4 * sum(p.numel() for p in synthesis.parameters())
    return max(1, int(gigabytes * 1e9 / size))
