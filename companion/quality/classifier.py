"""Classifiers trained on a cohort's real images: judges of counterfactuals, and the predictor."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ccl.devices import fastest_device
from ccl.generator.batches import WeightedBatches
from ccl.generator.classifier import AGE, UNKNOWN, ImageClassifier
from ccl.generator.options import ClassifierOptions
from ccl.trainer import fit
from companion.cohorts.cohort import Cohort


@dataclass(frozen=True)
class Targets:
    """Targets from a cohort's table: variable to its number of classes; 'age' is one number."""

    sizes: Mapping[str, int]

    def codes(self, cohort: Cohort, rows: np.ndarray) -> dict[str, Tensor]:
        """Per variable the classes int64 (n,), `UNKNOWN` where not stated; ages float32 (n,)."""
        return {name: torch.from_numpy(_labels(cohort, name, rows)) for name in self.sizes}


def scanner_target(cohort: Cohort) -> Targets:
    """The scanner alone."""
    return Targets({"scanner": len(cohort.scanners)})


def attribute_targets(cohort: Cohort) -> Targets:
    """What do(scanner) must leave alone: sex, finding and age, as far as the cohort knows them."""
    rows = cohort.rows("train", "pretraining")
    sizes = {"sex": len(cohort.values("sex")), "finding": len(cohort.classes)}
    labels = {name: _labels(cohort, name, rows) for name in sizes}
    complete = {n: k for n, k in sizes.items() if len(set(labels[n].tolist()) - {UNKNOWN}) == k}
    ages = _labels(cohort, AGE, rows)
    return Targets(complete | ({AGE: 1} if np.isfinite(ages).mean() > 0.5 else {}))


def _labels(cohort: Cohort, variable: str, rows: np.ndarray) -> np.ndarray:
    if variable == AGE:
        return cohort.table["age"].to_numpy(dtype=np.float32)[rows]
    if variable == "finding":
        return cohort.table["label"].to_numpy(dtype=np.int64)[rows]
    stated = cohort.table[variable].iloc[rows]
    code = {value: k for k, value in enumerate(cohort.values(variable))}
    return np.array([code.get(value, UNKNOWN) for value in stated], dtype=np.int64)


def train_classifier(
    cohort: Cohort, targets: Targets, options: ClassifierOptions, folder: Path
) -> ImageClassifier:
    """A classifier of the real training images, every scanner drawn equally often.

    Args:
        cohort, targets, options: which images, what to tell of them, and how.
        folder: for checkpoints; a killed training goes on from there.
    """
    torch.manual_seed(options.seed)
    rows = cohort.rows("train", "pretraining")
    batches = WeightedBatches(cohort, targets, rows, options.batch_size, 1.0, options.seed)
    height, width = cohort.images.shape[1:]
    steps = len(batches) * options.epochs
    classifier = ImageClassifier(targets.sizes, (height, width), options, steps)
    fit(classifier, batches, epochs=options.epochs, folder=folder, seed=options.seed)
    return classifier.to(fastest_device())
