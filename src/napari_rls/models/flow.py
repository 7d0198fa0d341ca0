"""Normalizing flow over the latent space W: the density p_F(w) of the prior P_w.

The flow F acts on w standardised per dimension, and log p_F(w) is the standard
normal log-density of F(w) plus log|det J|, the standardisation's part included
(Papamakarios et al. 2017 for the MAF, Dinh et al. 2017 for RealNVP). Only the
density direction is ever used; sampling from a MAF is sequential in the
dimension, and w is drawn from the mapping network instead.
"""

from __future__ import annotations

import copy
import math

import torch
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    ReversePermutation,
    Transform,
)
from nflows.utils import create_alternating_binary_mask
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.manifest import FlowSpec

_MIN_SCALE = 1e-3
"""Added to every scale, softplus(a) + 1e-3, by nflows in a MADE and here in a coupling."""


def build_flow(spec: FlowSpec, dim: int) -> CompositeTransform:
    """Return an untrained nflows transform of ``dim`` dimensions."""
    transforms: list[Transform] = []
    for k in range(spec.blocks):
        if spec.kind == "maf":
            made = MaskedAffineAutoregressiveTransform(
                dim, spec.hidden, num_blocks=spec.hidden_layers - 1, use_residual_blocks=False
            )
            transforms += [made, ReversePermutation(dim)]
        else:
            transforms.append(_coupling(spec, dim, even=k % 2 == 0))
    return CompositeTransform(transforms)


class _Coupling(AffineCouplingTransform):  # type: ignore[misc]
    """Affine coupling whose scale may exceed 1, which nflows' own may not."""

    def _scale_and_shift(self, params: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = params.split(self.num_transform_features, dim=1)
        return F.softplus(raw) + _MIN_SCALE, shift


def _coupling(spec: FlowSpec, dim: int, *, even: bool) -> _Coupling:
    device = torch.get_default_device()

    def net(n_in: int, n_out: int) -> nn.Module:
        with device:
            made: nn.Module = ResidualNet(n_in, n_out, spec.hidden, num_blocks=spec.hidden_layers)
        return made

    # Which dimensions a mask selects cannot be told on torch's device without memory.
    with torch.device("cpu"):
        return _Coupling(create_alternating_binary_mask(dim, even=even), net)


class WFlow(nn.Module):
    """Flow with its standardisation: maps w to an approximately standard normal vector.

    Parameters
    ----------
    spec
        Shape of the flow.
    mean, std
        Mean and standard deviation of w per dimension, shape (d,).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: FlowSpec, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.transform = build_flow(spec, mean.numel())

    def forward(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(w) (N, d) and log|det J| (N,) of w (N, d)."""
        u, log_det = self.transform((w - self.mean) / self.std)
        return u, log_det - self.std.log().sum()

    def log_prob(self, w: Tensor) -> Tensor:
        """Return log p_F(w) (N,), in nats, of w (N, d)."""
        return _normal_log_prob(*self(w))

    def weights(self) -> dict[str, Tensor]:
        """Return the tensors to store; masks and permutations are rebuilt from the spec."""
        named = {**dict(self.named_parameters()), "mean": self.mean, "std": self.std}
        return {name: tensor.detach() for name, tensor in named.items()}


class FrozenDensity:
    """log p_F(w) with fixed weights, fast: the masks of a MAF are multiplied in once.

    Parameters
    ----------
    flow
        The fitted flow; it is left as it is.
    device
        Where to compute.
    """

    def __init__(self, flow: WFlow, device: torch.device | str = "cpu") -> None:
        self._flow = flow
        self._log_std = flow.std.log().sum().to(device)
        self._mean = flow.mean.to(device)
        self._std = flow.std.to(device)
        self._layers: list[list[tuple[Tensor, Tensor]]] = []
        if flow.spec.kind == "maf":
            for module in flow.transform._transforms:
                if isinstance(module, MaskedAffineAutoregressiveTransform):
                    self._layers.append(_masked_layers(module, torch.device(device)))
        else:
            self._flow = copy.deepcopy(flow).to(device)

    def __call__(self, w: Tensor) -> Tensor:
        """Return log p_F(w), in nats, with the shape of w (..., d) less its last axis."""
        rows = w.reshape(-1, w.shape[-1])
        u, log_det = self._transformed(rows)
        return _normal_log_prob(u, log_det - self._log_std).reshape(w.shape[:-1])

    def standardised(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(w) (..., d), and log p_F (...) as a density of w standardised per dimension.

        The latter is log p_F(w) less the standardisation's constant, -sum log std.
        """
        u, log_det = self._transformed(w.reshape(-1, w.shape[-1]))
        return u.reshape(w.shape), _normal_log_prob(u, log_det).reshape(w.shape[:-1])

    def _transformed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(w) (n, d) and log|det J| (n,), the standardisation's part left out."""
        x = (rows - self._mean) / self._std
        if self._layers:
            return self._maf(x)
        u, log_det = self._flow.transform(x)
        return u, log_det

    def _maf(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = x.new_zeros(x.shape[0])
        for layers in self._layers:
            h = x
            for weight, bias in layers[:-1]:
                h = F.relu(F.linear(h, weight, bias))
            raw, shift = F.linear(h, *layers[-1]).chunk(2, dim=1)
            scale = F.softplus(raw) + _MIN_SCALE
            log_det = log_det + scale.log().sum(1)
            x = (scale * x + shift).flip(1)
        return x, log_det


def _masked_layers(
    made: MaskedAffineAutoregressiveTransform, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of a MADE; the last layer gives all scales, then all shifts."""
    net = made.autoregressive_net
    linears = [net.initial_layer, *(block.linear for block in net.blocks), net.final_layer]
    layers = [((m.weight * m.mask).detach(), m.bias.detach()) for m in linears]
    weight, bias = layers[-1]
    layers[-1] = (torch.cat([weight[0::2], weight[1::2]]), torch.cat([bias[0::2], bias[1::2]]))
    return [(w.to(device).contiguous(), b.to(device).contiguous()) for w, b in layers]


def _normal_log_prob(u: Tensor, log_det: Tensor) -> Tensor:
    constant = 0.5 * u.shape[1] * math.log(2 * math.pi)
    return log_det - 0.5 * u.square().sum(1) - constant
