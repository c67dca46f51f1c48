"""Effectiveness: does a classifier of real images see the value that was intervened on?

Source: Monteiro et al. 2023, https://arxiv.org/abs/2303.01274; Roschewitz et al. 2025, Fig. 2.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from ccl.generator.classifier import ImageClassifier
from companion.cohorts.cohort import Cohort
from companion.engine.mapped import read
from companion.evaluation.statistics import bootstrap_mean_interval
from companion.quality.summary import ALL, patient_names

ANY = -1  # stands for every source or target


def effectiveness(
    cohort: Cohort,
    rows: np.ndarray,
    classifier: ImageClassifier,
    counterfactuals: Mapping[str, np.ndarray],
    variable: str = "scanner",
) -> pd.DataFrame:
    """Share of images that are seen as what they should be.

    Args:
        cohort: real images.
        rows: (n,) test rows of pretraining scanners.
        classifier: trained on real training images.
        counterfactuals: name to uint8 (n, K, H, W), slot k = do(variable = value k). Own slots do
            not count: they are no intervention.
        variable: 'scanner' or 'sex'.

    Returns:
        Rows `effectiveness`, of other variables `effectiveness_sex` and so on, with `images` =
        'real' (the ceiling) and each of the names; per direction, per target (source 'all') and
        pooled ('all' to 'all': the mean over targets, each counted alike). Rows
        `effectiveness_uniform` count as the paper does: targets are drawn from all, and of the own
        one the real image is taken.
    """
    own, names = cohort.codes(variable, rows), cohort.values(variable)
    patients = patient_names(cohort, rows)
    correct = classifier.predict(read(cohort.images, rows))[variable] == own
    name = "effectiveness" if variable == "scanner" else f"effectiveness_{variable}"
    real = _Predictions(own, own, correct, patients)
    predictions = {(name, "real"): real}
    for kind, images in counterfactuals.items():
        parts = []
        for k in range(len(names)):
            foreign = np.flatnonzero(own != k)
            if len(foreign):
                correct = classifier.predict(images[foreign, k])[variable] == k
                parts.append(
                    _Predictions(own[foreign], np.full(len(foreign), k), correct, patients[foreign])
                )
        predictions[name, kind] = _concatenate(parts)
        predictions[f"{name}_uniform", kind] = _concatenate([*parts, real])
    return pd.DataFrame(
        [
            {"measure": measure, "images": kind, **row}
            for (measure, kind), images in predictions.items()
            for row in _shares(images, names)
        ]
    )


class _Predictions(NamedTuple):
    """Codes of source and target, whether the target is predicted, and patients; each (n,)."""

    source: np.ndarray
    target: np.ndarray
    correct: np.ndarray
    patients: np.ndarray


def _concatenate(parts: Sequence[_Predictions]) -> _Predictions:
    return _Predictions(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _shares(predictions: _Predictions, names: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """Share of hits per direction, per target and over all targets, each counted alike."""
    weight = 1 / np.bincount(predictions.target, minlength=len(names))[predictions.target]
    codes = [*enumerate(names), (ANY, ALL)]
    for (j, source), (k, target) in product(codes, codes):
        selected = ((predictions.source == j) | (j == ANY)) & (
            (predictions.target == k) | (k == ANY)
        )
        if not selected.any() or (k == ANY and j != ANY):
            continue
        value, low, high = bootstrap_mean_interval(
            predictions.correct[selected].astype(float),
            predictions.patients[selected],
            weights=weight[selected],
        )
        yield (
            {"source": source, "target": target, "value": value}
            | {"ci_low": low, "ci_high": high, "n": int(selected.sum())}
        )
