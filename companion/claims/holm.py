"""Several tests within one claim: Holm's step-down correction.

Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
Statistics 6:65-70, 1979, https://www.jstor.org/stable/4615733.
"""

from collections.abc import Sequence

import numpy as np

ALPHA = 0.05


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values (m,): the i-th smallest times m - i + 1, made to rise, at most 1.

    Rejecting what is at most alpha keeps the chance of any false rejection at alpha, however the
    tests depend on each other.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """
    p = _validated(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    steps = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps * p[order]))
    return adjusted


def holm_levels(p_values: Sequence[float], alpha: float = ALPHA) -> np.ndarray:
    """The level (m,) at which each test's two-sided interval is to be read.

    An interval at this level excludes the bound exactly where `holm` rejects: the test in i-th
    place is judged at alpha / (m - i + 1), and from the first one that fails on, the level stays.

    Raises:
        ValueError: a p-value is not in [0, 1].
    """
    p = _validated(p_values)
    order = np.argsort(p, kind="stable")
    thresholds = alpha / np.arange(len(p), 0, -1)
    failed = np.flatnonzero(p[order] > thresholds)
    if len(failed):
        thresholds[failed[0] :] = thresholds[failed[0]]
    levels = np.empty(len(p))
    levels[order] = 1 - thresholds
    return levels


def _validated(p_values: Sequence[float]) -> np.ndarray:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():  # NaN is in no interval
        raise ValueError(f"p-values must lie in [0, 1], got {p.tolist()}")
    return p
