"""Estimates with their errors, and several of them within one claim.

Two things are drawn anew between repetitions: the pretraining seed (weights, batches, views) and
the probe seed (which labels a probe sees). They are crossed, since every encoder is probed with
the same labelled subsets. Only the first makes another encoder, so standard errors and intervals
are over pretraining seeds; averaging over more subsets must not make them look smaller.

Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021,
https://arxiv.org/abs/2103.03098.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALPHA = 0.05  # the error that the tests of a claim share


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error.

    Attributes:
        value: the estimate.
        se: its standard error, in the same unit; NaN where one repetition shows none.
        df: degrees of freedom of the standard error; infinite for a normal interval.
        ci95: its 95 % interval where that was found otherwise, e.g. by a bootstrap, and need not
            be symmetric; then each side is normal with a standard error of its own, and `se` is not
            used.
    """

    value: float
    se: float = math.nan
    df: float = math.inf
    ci95: tuple[float, float] | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student's t interval (normal where `df` is infinite); without a standard error, all."""
        below, above = self._errors
        if math.isnan(below):
            return -math.inf, math.inf
        quantile = float(stats.t.ppf((1 + level) / 2, self.df))
        return self.value - quantile * below, self.value + quantile * above

    def p_value(self, bound: float) -> float:
        """Two-sided p-value of the value being `bound`; 1 without a standard error.

        The interval at a level excludes the bound exactly where this is below 1 - level.
        """
        distance = abs(self.value - bound)
        error = self._errors[bound > self.value]
        if math.isnan(error) or distance == 0:
            return 1.0
        return 2 * float(stats.t.sf(distance / error, self.df)) if error > 0 else 0.0

    @property
    def _errors(self) -> tuple[float, float]:
        """Standard errors below and above the value."""
        if self.ci95 is None:
            return self.se, self.se
        low, high = self.ci95
        quantile = float(stats.norm.ppf(0.975))
        return (self.value - low) / quantile, (high - self.value) / quantile


def mean_over_seeds(values: Sequence[float] | np.ndarray) -> Estimate:
    """Mean over independent repetitions with its standard error, n - 1 degrees of freedom.

    Args:
        values: (n,) one per pretraining seed.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"expected one finite value per seed, got {values.tolist()}")
    n = len(values)
    if n == 1:
        return Estimate(float(values[0]), math.nan, math.nan)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / math.sqrt(n)), n - 1)


def holm(p_values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Holm's step-down correction of m tests.

    Rejecting what is at most `ALPHA` keeps the chance of any false rejection there, however the
    tests depend on each other.

    Returns:
        Adjusted p-values (m,): the i-th smallest times m - i + 1, made to rise, at most 1. And the
        level (m,) at which each test's two-sided interval excludes the bound exactly where Holm
        rejects: 1 - alpha / (m - i + 1), and the same from the first one that fails on.

    Source:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
        Statistics 6:65-70, 1979, https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order, steps = np.argsort(p, kind="stable"), np.arange(len(p), 0, -1)
    adjusted, levels = np.empty(len(p)), np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps * p[order]))
    thresholds = ALPHA / steps
    failed = np.flatnonzero(p[order] > thresholds)
    if len(failed):
        thresholds[failed[0] :] = thresholds[failed[0]]
    levels[order] = 1 - thresholds
    return adjusted, levels
