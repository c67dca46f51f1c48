"""ROC-AUC and its bootstrap as loops."""

import numpy as np


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of (positive, negative) pairs that are ranked rightly, ties counting half."""
    wins = pairs = 0.0
    for positive in scores[labels == 1]:
        for negative in scores[labels != 1]:
            wins += 1.0 if positive > negative else 0.5 if positive == negative else 0.0
            pairs += 1
    return wins / pairs


def bootstrap(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, drawn: np.ndarray
) -> list[float]:
    """One AUC per row of `drawn`: names of the patients drawn, some more than once."""
    values = []
    for names in drawn:
        images = np.concatenate([np.flatnonzero(patients == name) for name in names])
        if len(set(labels[images])) == 2:
            values.append(roc_auc(labels[images], scores[images]))
    return values
