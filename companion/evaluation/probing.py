"""Linear probing: what a linear classifier on frozen features makes of few labels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from companion.cohorts.cohort import Cohort
from companion.evaluation.features import NUMBERS_AT_ONCE, numbers, scaler_of
from companion.evaluation.labels import labels_of
from companion.evaluation.options import ProbingOptions
from companion.evaluation.results import ScoreFunction, evaluate, validation_auc


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes:
        pipeline: scaler and logistic regression.
        c: the chosen inverse penalty strength.
    """

    pipeline: Pipeline
    c: float

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Scores (n,) of class 1, or class probabilities (n, K) of K > 2 classes."""
        features = features.astype(np.float64)  # a copy, which is the scaler's to change
        if len(self.pipeline.classes_) == 2:
            return self.pipeline.decision_function(features)
        return self.pipeline.predict_proba(features)

    def scores_of(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The same of some rows, few of which are copied at a time."""
        most = max(1, NUMBERS_AT_ONCE // features.shape[1])
        parts = np.split(rows, range(most, len(rows), most))
        return np.concatenate([self.scores(features[part]) for part in parts])


def probe(
    cohort: Cohort,
    features: np.ndarray,
    options: ProbingOptions,
    *,
    objective: str,
    strategy: str,
    pretrain_seed: int,
) -> pd.DataFrame:
    """ROC-AUC of linear probes per label fraction, subset and test domain.

    Args:
        cohort: gives labels, patients, splits and scanners.
        features: float (N, D); row i belongs to the cohort's row i.
        options: fractions, seeds and so on.
        objective: e.g. 'simclr', for the table.
        strategy: how pairs were made, for the table.
        pretrain_seed: seed of the encoder, for the table.

    Returns:
        Rows of `results.csv`, protocol 'linear' (`companion.evaluation.results.evaluate`).

    Raises:
        ValueError: features do not fit the cohort, or no fraction or domain has enough images.
    """
    if features.ndim != 2 or len(features) != len(cohort):
        raise ValueError(
            f"features {features.shape} must have a row for each of the {len(cohort)} images "
            f"of cohort '{cohort.name}'"
        )

    def learn(rows: np.ndarray, seed: int) -> ScoreFunction:
        fitted = fit_probe(cohort, features, rows, options.c_grid)
        return lambda tested: fitted.scores_of(features, tested)

    return evaluate(
        cohort,
        learn,
        options,
        protocol="linear",
        objective=objective,
        strategy=strategy,
        pretrain_seed=pretrain_seed,
    )


def fit_probe(
    cohort: Cohort, features: np.ndarray, rows: np.ndarray, c_grid: tuple[float, ...]
) -> LinearProbe:
    """Class-weighted logistic regression on some rows, its penalty chosen by validation AUC.

    The scaler is fitted on the labelled rows alone. Of equally good penalties the strongest is
    taken; where only one is given, the validation split is not read.

    Args:
        cohort: gives the labels and the validation split.
        features: float (N, D), of which only copies of the rows are made.
        rows: labelled training rows.
        c_grid: inverse penalty strengths.

    Raises:
        ValueError: the validation split lacks a class.
    """
    fitted = [_fitted(cohort, features, rows, c) for c in sorted(c_grid)]
    if len(fitted) == 1:
        return fitted[0]
    return max(  # the first of equals
        fitted, key=lambda it: validation_auc(cohort, lambda rows: it.scores_of(features, rows))
    )


def _fitted(cohort: Cohort, features: np.ndarray, rows: np.ndarray, c: float) -> LinearProbe:
    labelled = numbers(features, rows)
    scaler = scaler_of(labelled)
    line = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
    line.fit(scaler.transform(labelled), labels_of(cohort, rows))
    return LinearProbe(make_pipeline(scaler, line), c)
