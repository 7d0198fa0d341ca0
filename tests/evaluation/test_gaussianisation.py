"""Fig. 1 of the paper on the embedded bundle."""

from __future__ import annotations

import torch

from napari_rls import load_bundle
from napari_rls.evaluation.gaussianisation import ks_distances, pulse_gaussianise


def test_pulse_undoes_the_last_leaky_relu() -> None:
    torch.manual_seed(0)
    normal = 3 * torch.randn(20_000, 4) + 1
    w = torch.nn.functional.leaky_relu(normal, 0.2)
    back = pulse_gaussianise(w, w)
    assert torch.allclose(back, (normal - normal.mean(0)) / normal.std(0), atol=1e-3)


def test_the_flow_is_closer_to_normal_than_pulse_and_w() -> None:
    distances = ks_distances(load_bundle("bbbc013-translocation-64"))
    assert distances["Z"] < 0.03
    assert distances["flow"] < distances["PULSE"] < distances["W"]
