"""What training again does to a figure: means, intervals and variance over seeds.

Two things are drawn anew between repetitions: the pretraining seed (weights, batches, views) and
the probe seed (which labels a probe sees). They are crossed, since every encoder is probed with
the same labelled subsets. Only the first makes another encoder, so standard errors and intervals
are over pretraining seeds; averaging over more subsets must not make them look smaller.

Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021,
https://arxiv.org/abs/2103.03098; Searle, Casella & McCulloch, Variance Components, 1992, ch. 4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


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


@dataclass(frozen=True)
class Spread:
    """A figure over pretraining seeds and labelled subsets, with both sources of variance.

    Attributes:
        mean: over all.
        se: standard error over pretraining seeds; it holds for these labelled subsets.
        sd_pretraining: standard deviation between pretraining seeds, the rest removed.
        sd_subsets: standard deviation between labelled subsets, the rest removed.
        sd_rest: what is left of a single figure: both together, and chance.
        pretrain_seeds, probe_seeds: how many of each.

    A source that was drawn only once has no standard deviation (NaN). With only one of the two
    repeated, its standard deviation includes the rest, which is then NaN.
    """

    mean: float
    se: float
    sd_pretraining: float
    sd_subsets: float
    sd_rest: float
    pretrain_seeds: int
    probe_seeds: int


def spread(values: np.ndarray) -> Spread:
    """Splits the variance of crossed repetitions (two-way random effects without replication).

    y_sp = mean + a_s + b_p + e_sp; var(a) = (MS_a - MS_e) / P and var(b) = (MS_b - MS_e) / S,
    cut off at 0.

    Args:
        values: (S, P), a row per pretraining seed, a column per probe seed.

    Raises:
        ValueError: it is not a full table of finite values.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"expected a full table of pretraining seeds x probe seeds, got {values.tolist()}"
        )
    s, p = values.shape
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns[None, :] + values.mean()
    crossed = s > 1 and p > 1
    ms_rest = float((rest**2).sum()) / ((s - 1) * (p - 1)) if crossed else 0.0
    over_rows = mean_over_seeds(rows)
    return Spread(
        mean=over_rows.value,
        se=over_rows.se,
        sd_pretraining=_component(rows, p, ms_rest),
        sd_subsets=_component(columns, s, ms_rest),
        sd_rest=math.sqrt(ms_rest) if crossed else math.nan,
        pretrain_seeds=s,
        probe_seeds=p,
    )


def _component(means: np.ndarray, averaged: int, ms_rest: float) -> float:
    """Standard deviation of an effect whose means average `averaged` figures each."""
    if len(means) < 2:
        return math.nan
    return math.sqrt(max(0.0, float(means.var(ddof=1)) - ms_rest / averaged))


def over_seeds(results: pd.DataFrame) -> pd.DataFrame:
    """`results.csv` with one row per figure instead of one per repetition of it.

    Args:
        results: rows of `results.csv`; whatever other columns they have than seeds, values,
            intervals and counts tells figures apart.

    Returns:
        Those columns and the fields of `Spread`.

    Raises:
        ValueError: an encoder lacks a labelled subset that another one has.
    """
    repeated = ("pretrain_seed", "probe_seed", "n_labels", "value", "ci_low", "ci_high", "n")
    keys = [name for name in results.columns if name not in repeated]
    rows = []
    for key, figures in results.groupby(keys, sort=False):
        try:
            values = figures.pivot(index="pretrain_seed", columns="probe_seed", values="value")
            found = spread(values.to_numpy())
        except ValueError as error:
            raise ValueError(f"{dict(zip(keys, key, strict=True))}: {error}") from error
        rows.append(dict(zip(keys, key, strict=True)) | vars(found))
    return pd.DataFrame(rows)
