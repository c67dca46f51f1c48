"""Effects with their errors: what a contrast of `companion.claims.contrasts` comes to."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from companion.claims.contrasts import CELL, Weights
from companion.claims.seeds import Estimate, mean_over_seeds


@dataclass(frozen=True)
class Effect:
    """What a test of a claim measures.

    Attributes:
        estimate: the effect.
        seeds: pretraining seeds behind it; 0 where it is not about pretraining.
        n: test images (or repetitions) behind it.
        unit: of the effect.
        covers: what its interval is over; '' where it has none.
        generators: that it rests on and that were trained once, for all pretraining seeds.
        unconverged: encoders among those compared that had not converged.
    """

    estimate: Estimate
    seeds: int
    n: int
    unit: str = "AUC"
    covers: str = "other pretraining seeds, on these test patients"
    generators: frozenset[str] = frozenset()
    unconverged: tuple[str, ...] = ()


def auc_effect(auc: pd.DataFrame, weights: Weights) -> Effect:
    """A weighted sum of AUCs with its standard error.

    With several pretraining seeds the standard error is over the seeds' own contrasts (Student's
    t), on these test patients and labelled subsets. With one seed it is made from the
    patient-bootstrap intervals of the cells, taken as fully dependent over label fractions and
    independent otherwise. That errs on the wide side, since strategies are compared on the same
    patients.

    Args:
        auc: of `checked_results`.
        weights: of `gain_weights` or `difference_weights`.
    """
    by_seed = _by_seed(_weighted_rows(auc, weights), weights)
    rows = _weighted_rows(auc[auc["pretrain_seed"].isin(by_seed.index)], weights)
    estimate = mean_over_seeds(by_seed.to_numpy())
    n = int(rows.groupby(["test_cohort", "domain", "subgroup"])["n"].max().sum())
    if len(by_seed) > 1:
        return Effect(estimate, len(by_seed), n)
    estimate = Estimate(estimate.value, _patient_error(rows, weights))
    return Effect(estimate, 1, n, covers="other test patients, for these encoders only")


def seed_effects(auc: pd.DataFrame, weights: Weights) -> np.ndarray:
    """The contrast of each pretraining seed that has every cell, (S,) by rising seed.

    Raises:
        ValueError: no seed has.
    """
    return _by_seed(_weighted_rows(auc, weights), weights).to_numpy()


def _by_seed(rows: pd.DataFrame, weights: Weights) -> pd.Series:
    """The contrast of each pretraining seed, by the seeds' numbers."""
    weight = _series(weights)
    by_seed = rows.groupby([*CELL, "pretrain_seed"])["value"].mean().unstack("pretrain_seed")
    by_seed = by_seed.reindex(weight.index).dropna(axis=1)
    if by_seed.shape[1] == 0:
        raise ValueError("empty contrast: no pretraining seed has all the figures that it needs")
    return by_seed.mul(weight, axis=0).sum(axis=0)


def _series(weights: Weights) -> pd.Series:
    cells = pd.MultiIndex.from_tuples(list(weights), names=CELL)
    return pd.Series(list(weights.values()), index=cells)


def _weighted_rows(auc: pd.DataFrame, weights: Weights) -> pd.DataFrame:
    """The rows whose cell has a weight."""
    return auc[pd.MultiIndex.from_frame(auc[list(CELL)]).isin(_series(weights).index)]


def _patient_error(rows: pd.DataFrame, weights: Weights) -> float:
    weight = _series(weights)
    bounds = rows.groupby(list(CELL))[["ci_low", "ci_high"]].mean().reindex(weight.index)
    half = (bounds["ci_high"] - bounds["ci_low"]) / 2
    curve = [name for name in CELL if name != "label_fraction"]
    per_curve = (weight.abs() * half).groupby(level=curve).sum()
    return math.sqrt(float((per_curve**2).sum())) / float(stats.norm.ppf(0.975))
