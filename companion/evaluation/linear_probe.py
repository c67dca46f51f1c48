"""One linear classifier on frozen features, of a given penalty."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

NUMBERS_AT_ONCE = 2**24  # of features that are copied in float64 to compute with
_MAX_IN_FLOAT64 = 2**27  # numbers, a gibibyte


def as_float(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features of some rows in floating point, a copy that may be changed.

    In float64 or, where that would take more than a gibibyte, in float32: of so many images no
    figure depends on the digits that are lost.
    """
    return features[rows].astype(
        np.float64 if len(rows) * features.shape[1] <= _MAX_IN_FLOAT64 else np.float32, copy=False
    )


def fit_scaler(values: np.ndarray) -> StandardScaler:
    """A scaler to mean 0 and variance 1 of values (n, D), which works in place.

    It is fitted chunk by chunk: at once it would copy all of them in float64.
    """
    scaler = StandardScaler(copy=False)
    chunk = max(1, NUMBERS_AT_ONCE // values.shape[1])
    for start in range(0, len(values), chunk):
        scaler.partial_fit(values[start : start + chunk])
    return scaler


def fit_logistic_regression(labelled: np.ndarray, labels: np.ndarray, c: float) -> Pipeline:
    """Scaler and class-weighted logistic regression of one penalty.

    Args:
        labelled: float (n, D) features, of `as_float`: they are standardised in place.
        labels: int64 (n,).
        c: inverse penalty strength.
    """
    scaler = fit_scaler(labelled)
    classifier = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
    classifier.fit(scaler.transform(labelled), labels)
    return make_pipeline(scaler, classifier)


def scores_of(probe: Pipeline, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scores (n,) of class 1 of some rows, or class probabilities (n, K) of K > 2 classes."""
    score = probe.decision_function if len(probe.classes_) == 2 else probe.predict_proba
    chunk = max(1, NUMBERS_AT_ONCE // features.shape[1])  # few are copied at a time
    parts = np.split(rows, range(chunk, len(rows), chunk))
    # Copies in float64, which are the scaler's to change.
    return np.concatenate([score(features[part].astype(np.float64)) for part in parts])
