"""Effectiveness: does a classifier of real images see the value that was intervened on?

Source: Monteiro et al. 2023, https://arxiv.org/abs/2303.01274; Roschewitz et al. 2025, Fig. 2.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ccl.cohorts import Cohort
from ccl.evaluation.statistics import bootstrap_mean_interval
from ccl.generator.quality.classifier import ImageClassifier
from ccl.generator.quality.summary import ALL, patient_names


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
        'real' (the ceiling) and each of the names; per target and pooled ('all': the mean over
        targets, each counted alike). Rows `effectiveness_uniform` count as the paper does: targets
        are drawn from all, and of the own one the real image is taken.
    """
    own, names = cohort.codes(variable, rows), cohort.values(variable)
    patients = patient_names(cohort, rows)
    at_home = classifier.seen(cohort.images[rows])[variable] == own
    name = "effectiveness" if variable == "scanner" else f"effectiveness_{variable}"
    hits = {(name, "real"): [(own, at_home, patients)]}
    for kind, images in counterfactuals.items():
        parts = []
        for k in range(len(names)):
            foreign = np.flatnonzero(own != k)
            if len(foreign):
                hit = classifier.seen(images[foreign, k])[variable] == k
                parts.append((np.full(len(foreign), k), hit, patients[foreign]))
        hits[name, kind] = parts
        hits[f"{name}_uniform", kind] = [*parts, (own, at_home, patients)]
    found = []
    for (measure, kind), parts in hits.items():
        target, hit, patient = (np.concatenate(part) for part in zip(*parts, strict=True))
        found += [
            {"measure": measure, "images": kind, **row}
            for row in _shares(target, hit, patient, names)
        ]
    return pd.DataFrame(found)


def _shares(
    target: np.ndarray, hit: np.ndarray, patients: np.ndarray, names: tuple[str, ...]
) -> list[dict[str, object]]:
    """Share of hits per target and over all targets, each counted alike."""
    weight = 1 / np.bincount(target, minlength=len(names))[target]
    found: list[dict[str, object]] = []
    for k, name in [*enumerate(names), (-1, ALL)]:
        mine = (target == k) | (k < 0)
        if mine.any():
            value, low, high = bootstrap_mean_interval(
                hit[mine].astype(float), patients[mine], weights=weight[mine]
            )
            found.append(
                {"source": ALL, "target": name, "value": value}
                | {"ci_low": low, "ci_high": high, "n": int(mine.sum())}
            )
    return found
