"""Linear probes on validation images while a pretraining goes on; test images are never seen."""

from collections.abc import Mapping

import numpy as np

from ccl.encoders.encoder import Encoder
from companion.cohorts.cohort import Cohort, evenly
from companion.evaluation.convergence import AUC
from companion.evaluation.features import extract_features
from companion.evaluation.labels import label_subset, labels_of
from companion.evaluation.linear_probe import as_float, fit_logistic_regression, scores_of
from companion.evaluation.options import ConvergenceOptions
from companion.evaluation.statistics import roc_auc

# C; a fixed one, so that nothing is chosen on the images that are tested on. A stronger penalty
# overlooks what lies in directions of little variance, and so much of what initial weights hold.
_PENALTY = 0.1


class ValidationProbe:
    """Probes of an encoder while it is pretrained, for so many epochs."""

    def __init__(self, cohort: Cohort, options: ConvergenceOptions, epochs: int) -> None:
        self.cohort, self.options, self.epochs = cohort, options, epochs
        self.subsets = {
            share: evenly(label_subset(cohort, share, seed=0), options.most)
            for share in options.fractions
        }
        validation = cohort.labelled(cohort.rows("val", "pretraining"))
        self.tested = _by_scanner(cohort, evenly(validation, options.most))

    def is_due(self, epoch: int) -> bool:
        """Whether an encoder is probed after an epoch, counted from 0."""
        every = self.options.every
        return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == self.epochs)

    def __call__(self, encoder: Encoder) -> dict[str, float]:
        """ROC-AUC on validation images, by scanner and share of the labels, and their mean.

        Returns:
            `validation_auc`, and `validation_auc_<percent>_<scanner>`; empty where a class is
            missing.
        """
        rows = np.unique(np.concatenate([*self.subsets.values(), *self.tested.values()]))
        features = extract_features(encoder, self.cohort.images, rows)
        scores = {
            f"{AUC}_{100 * share:g}_{scanner}": value
            for share, training_rows in self.subsets.items()
            for scanner, value in self._auc_by_scanner(rows, features, training_rows).items()
        }
        return {AUC: float(np.mean(list(scores.values()))), **scores} if scores else {}

    def _auc_by_scanner(
        self, rows: np.ndarray, features: np.ndarray, training_rows: np.ndarray
    ) -> Mapping[str, float]:
        labels = labels_of(self.cohort, training_rows)
        positions = np.searchsorted(rows, training_rows)
        if len(np.unique(labels)) < len(self.cohort.classes):
            return {}
        probe = fit_logistic_regression(as_float(features, positions), labels, _PENALTY)
        aucs = {}
        for scanner, tested in self.tested.items():
            scores = scores_of(probe, features, np.searchsorted(rows, tested))
            aucs[scanner] = roc_auc(labels_of(self.cohort, tested), scores)
        return aucs


def _by_scanner(cohort: Cohort, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The rows of each pretraining scanner that has every class among them."""
    scanners = cohort.table["scanner"].to_numpy()[rows]
    by_scanner = {name: rows[scanners == name] for name in cohort.scanners}
    classes = len(cohort.classes)
    return {n: r for n, r in by_scanner.items() if len(set(labels_of(cohort, r))) == classes}
