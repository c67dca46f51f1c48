"""Off-target change: does do(scanner) leave sex, finding and age as they were?

A classifier of these is asked before and after. Where it finds the attribute less often than in the
real image, the intervention has blurred it; where it finds it more often, it has amplified it, a
known failure of counterfactual generators (Xia et al. 2024, https://arxiv.org/abs/2403.09422). The
classifier itself may answer differently on another scanner: true counterfactuals, where they are
known, show by how much.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ccl.generator.classifier import AGE, UNKNOWN, ImageClassifier
from companion.cohorts.cohort import Cohort
from companion.engine.mapped import read
from companion.quality.classifier import Targets
from companion.quality.summary import patient_names, scanner_names, summarise, values


def off_target(
    cohort: Cohort,
    rows: np.ndarray,
    classifier: ImageClassifier,
    targets: Targets,
    counterfactuals: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Change of a classifier's predictions, besides that of the scanner.

    Args:
        cohort: real images.
        rows: (n,) test rows of pretraining scanners.
        classifier: of `targets`, trained on real training images.
        targets: sex, finding and age, as far as known.
        counterfactuals: name to uint8 (n, K, H, W), slot k = do(scanner = k).

    Returns:
        Per direction and over all: rows `off_target_sex` and `off_target_finding`, the share of
        images in which the stated class is seen, after minus before; `flips_sex` and
        `flips_finding`, the share in which another class is seen than before; `off_target_age`, the
        mean change of the age seen, in years.
    """
    own, source = cohort.codes("scanner", rows), scanner_names(cohort, rows)
    labels = {name: y.numpy() for name, y in targets.codes(cohort, rows).items()}
    patients = patient_names(cohort, rows)
    before = classifier.predict(read(cohort.images, rows))
    by_measure: dict[str, list[pd.DataFrame]] = {}
    for kind, images in counterfactuals.items():
        for k, target in enumerate(cohort.scanners):
            foreign = np.flatnonzero(own != k)
            if len(foreign) == 0:
                continue
            after = classifier.predict(images[foreign, k])
            for name in targets.sizes:
                old, new, truth = before[name][foreign], after[name], labels[name][foreign]
                for measure, (change, counts) in _changes(name, old, new, truth).items():
                    mine = foreign[counts]
                    table = values(kind, source[mine], target, patients[mine], change[counts])
                    by_measure.setdefault(measure, []).append(table)
    return pd.concat(
        [summarise(name, tables) for name, tables in by_measure.items()], ignore_index=True
    )


def _changes(
    variable: str, old: np.ndarray, new: np.ndarray, labels: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Measure to the change (n,) and which images count, bool (n,)."""
    every = np.ones(len(old), dtype=bool)
    if variable == AGE:
        return {"off_target_age": (new - old, every)}
    change = (new == labels).astype(float) - (old == labels)
    return {
        f"off_target_{variable}": (change, labels != UNKNOWN),
        f"flips_{variable}": ((new != old).astype(float), every),
    }
