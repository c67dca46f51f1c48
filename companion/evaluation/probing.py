"""Linear probing: what a linear classifier on frozen features makes of few labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from companion.cohorts.cohort import Cohort
from companion.evaluation.labels import labels_of
from companion.evaluation.linear_probe import as_float, fit_logistic_regression, scores_of
from companion.evaluation.options import ProbingOptions
from companion.evaluation.results import ScoreFunction, evaluate, validation_auc


def probe(
    cohort: Cohort, features: np.ndarray, options: ProbingOptions, about: Mapping[str, object]
) -> pd.DataFrame:
    """ROC-AUC of linear probes per label fraction, subset and test domain.

    Args:
        cohort: gives labels, patients, splits and scanners.
        features: float (N, D); row i belongs to the cohort's row i.
        options: fractions, seeds and so on.
        about: `objective`, `strategy` and `pretrain_seed` of the encoder, for the table.

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
        return lambda tested: scores_of(fitted, features, tested)

    return evaluate(cohort, learn, options, {**about, "protocol": "linear"})


def fit_probe(
    cohort: Cohort, features: np.ndarray, rows: np.ndarray, c_grid: tuple[float, ...]
) -> Pipeline:
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
    labels = labels_of(cohort, rows)
    fitted = [fit_logistic_regression(as_float(features, rows), labels, c) for c in sorted(c_grid)]
    if len(fitted) == 1:
        return fitted[0]
    return max(  # the first of equals
        fitted, key=lambda it: validation_auc(cohort, lambda rows: scores_of(it, features, rows))
    )
