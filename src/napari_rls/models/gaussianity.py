"""How close to standard normal a set of vectors is, by the chi-squared law of its squared norms."""

from __future__ import annotations

from scipy.stats import chi2, kstest
from torch import Tensor


def ks_from_chi_squared(vectors: Tensor) -> float:
    """Return the Kolmogorov-Smirnov distance of ||v||^2 from chi-squared with d degrees.

    ``vectors`` is (N, d). 0 is a perfect fit, 1 none at all (Gheisari & Genovesio
    2024, section 3.2 and Fig. 1).
    """
    norms = vectors.double().square().sum(1).cpu().numpy()
    return float(kstest(norms, chi2(df=vectors.shape[1]).cdf).statistic)
