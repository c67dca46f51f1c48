"""Domain separability: how much do frozen features know of the scanner?

Robust features predict the label, not the machine. Four measures on the test images, each with a
different blind spot: a linear classifier sees any direction that tells scanners apart, nearest
neighbours see clusters, the silhouette how compact they are, mixing how far neighbours come from
other scanners. Pictures of embeddings illustrate these; they do not replace them.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, silhouette_samples
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import NearestNeighbors

from companion.cohorts.cohort import Cohort, evenly
from companion.evaluation.linear_probe import as_float, fit_scaler
from companion.evaluation.statistics import mean_with_interval

NEIGHBOURS = 15
FOLDS = 5
MOST = 5000  # images for the silhouette, whose time and memory grow with their square


class Separability(NamedTuple):
    """What features know of the scanner.

    Attributes:
        measures: rows of `separability.csv`.
        confusion: rows `scanner`, `predicted`, `n`: what the linear classifier takes the test
            images of each scanner for.
    """

    measures: pd.DataFrame
    confusion: pd.DataFrame


def separability(cohort: Cohort, features: np.ndarray) -> Separability:
    """How well features (N, D) of test images tell scanners apart, held-out ones among them.

    Returns:
        Measures: rows `measure`, `value`, `ci_low`, `ci_high` (95 %, patient-level bootstrap) and
        `n`, every scanner counted alike:

        - `scanner`: balanced accuracy of logistic regression, cross-validated by patient;
        - `scanner_knn`: the same of the majority of `NEIGHBOURS` nearest neighbours;
        - `silhouette`: of the scanners' clusters, -1 to 1; 0 where they overlap;
        - `mixing`: share of the neighbours that are from other scanners, over the share when
          scanners do not matter; 1 is fully mixed, 0 fully apart;
        - `attribute`: balanced accuracy, as `scanner_knn`, of what else is seen on some images
          (implants), where the cohort knows such a thing.

        Both tables are empty where the test images are of one scanner only, or too few.
    """
    rows = cohort.rows("test")
    scanners = cohort.table["scanner"].to_numpy(dtype=object)[rows]
    names, codes = np.unique(scanners.astype(str), return_inverse=True)
    patients = cohort.table["patient_id"].to_numpy(dtype=object)[rows]
    if not 1 < len(names) < len(rows) or len(set(patients)) < FOLDS:
        return Separability(
            pd.DataFrame(columns=["measure", "value", "ci_low", "ci_high", "n"]),
            pd.DataFrame(columns=["scanner", "predicted", "n"]),
        )
    scaled = as_float(features, rows)
    scaled = fit_scaler(scaled).transform(scaled)
    nearest = _neighbours(scaled, patients)
    predicted = _linear_predictions(features, rows, codes, patients)
    of_each = (np.flatnonzero(codes == k) for k in range(len(names)))
    some = np.concatenate([evenly(images, MOST // len(names)) for images in of_each])
    means = {
        "scanner": _balanced_mean(predicted == codes, codes, patients),
        "scanner_knn": _balanced_mean(_vote(nearest, codes) == codes, codes, patients),
        "silhouette": _balanced_mean(
            silhouette_samples(scaled[some], codes[some]), codes[some], patients[some]
        ),
        "mixing": _balanced_mean(_mixing(codes[nearest], codes), codes, patients),
    }
    attributes, attribute = np.unique(cohort.attributes(rows).astype(str), return_inverse=True)
    if len(attributes) > 1:
        correct = _vote(nearest, attribute) == attribute
        means["attribute"] = _balanced_mean(correct, attribute, patients)
    counts = confusion_matrix(codes, predicted, labels=range(len(names)))
    pairs = {"scanner": names.repeat(len(names)), "predicted": np.tile(names, len(names))}
    return Separability(
        pd.DataFrame([{"measure": name, **mean} for name, mean in means.items()]),
        pd.DataFrame({**pairs, "n": counts.ravel()}),
    )


def _linear_predictions(
    features: np.ndarray, rows: np.ndarray, codes: np.ndarray, patients: np.ndarray
) -> np.ndarray:
    """Scanner codes (n,), predicted by classifiers that have not seen the patient."""
    predicted = np.zeros(len(codes), dtype=np.int64)
    for train, test in GroupKFold(FOLDS).split(rows, codes, patients):
        if len(np.unique(codes[train])) == 1:  # of the only scanner that it knows
            predicted[test] = codes[train[0]]
            continue
        train_features = as_float(features, rows[train])
        test_features = as_float(features, rows[test])
        scaler = fit_scaler(train_features)
        model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
        model.fit(scaler.transform(train_features), codes[train])
        predicted[test] = model.predict(scaler.transform(test_features))
    return predicted


def _neighbours(features: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The nearest images of other patients, (n, k)."""
    # Other images of the same patient are near for another reason: enough are looked up to drop
    # them.
    _, owner, images = np.unique(patients, return_inverse=True, return_counts=True)
    count = min(len(patients) - 1, NEIGHBOURS + int(images.max()))
    index = NearestNeighbors(n_neighbors=count).fit(features).kneighbors(return_distance=False)
    other = owner[index] != owner[:, None]
    order = np.argsort(~other, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.take_along_axis(index, order, axis=1)


def _vote(nearest: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Class codes (n,) by the neighbours' weighted majority."""
    # A scanner with many images has many neighbours everywhere: votes are weighted against that.
    neighbour_codes, weight = codes[nearest], 1 / np.bincount(codes)
    votes = np.stack(
        [(neighbour_codes == k).sum(axis=1) * weight[k] for k in range(len(weight))], axis=1
    )
    return votes.argmax(axis=1)


def _mixing(nearest: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Share of neighbours from other scanners over what chance gives, (n,)."""
    others = 1 - np.bincount(codes)[codes] / len(codes)
    return (nearest != codes[:, None]).mean(axis=1) / others


def _balanced_mean(x: np.ndarray, codes: np.ndarray, patients: np.ndarray) -> dict[str, float]:
    return mean_with_interval(x.astype(float), patients, codes)
