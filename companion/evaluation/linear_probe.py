"""One linear classifier on frozen features, of a given penalty."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from companion.evaluation.features import NUMBERS_AT_ONCE, fit_scaler


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
        chunk = max(1, NUMBERS_AT_ONCE // features.shape[1])
        parts = np.split(rows, range(chunk, len(rows), chunk))
        return np.concatenate([self.scores(features[part]) for part in parts])


def fit_logistic_regression(labelled: np.ndarray, labels: np.ndarray, c: float) -> LinearProbe:
    """Class-weighted logistic regression of one penalty.

    Args:
        labelled: float (n, D) features, of `as_float`: they are standardised in place.
        labels: int64 (n,).
        c: inverse penalty strength.
    """
    scaler = fit_scaler(labelled)
    classifier = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
    classifier.fit(scaler.transform(labelled), labels)
    return LinearProbe(make_pipeline(scaler, classifier), c)
