"""KID and FID in plain numpy and scipy."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch


def cloud(count: int, shift: float = 0.0, width: int = 12, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width)) / 3
    return torch.from_numpy(rng.normal(size=(count, width)) @ mixing + shift).float()


def plain_kid(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD of the kernel (x.y / d + 1)^3 over all pairs, term by term."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    same_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    same_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    cross = sum(kernel(a, b) for a in x for b in y)
    return same_x / (n * (n - 1)) + same_y / (m * (m - 1)) - 2 * cross / (n * m)


def plain_fid(x: np.ndarray, y: np.ndarray) -> float:
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    shift = x.mean(0) - y.mean(0)
    return float(shift @ shift + np.trace(cov_x + cov_y - 2 * root))
