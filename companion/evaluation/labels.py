"""Which labels a classifier may learn from: nested subsets of patients."""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.evaluation.options import LabelOptions

logger = logging.getLogger(__name__)


def label_subset(cohort: Cohort, fraction: float, seed: int) -> np.ndarray:
    """The training rows whose labels a classifier may see.

    Patients are drawn, with all their images, in the same share from each class (a patient's
    class is the highest label among its images). The subset depends on the cohort, the fraction
    and the seed alone, so that strategies are compared on the same labels, and a smaller
    fraction's subset lies within a larger one's.

    Returns:
        int64 (n,) rising cohort rows.
    """
    rows = cohort.labelled(cohort.rows("train", "pretraining"))
    images = pd.DataFrame(
        {"patient": cohort.table["patient_id"].to_numpy()[rows], "label": labels_of(cohort, rows)}
    )
    label_of = images.groupby("patient", sort=True)["label"].max()
    rng = np.random.default_rng([seed, *b"labelled patients"])
    chosen: list[str] = []
    for label in range(len(cohort.classes)):
        patients = rng.permutation(label_of.index[label_of == label].to_numpy(dtype=object))
        chosen.extend(patients[: round(fraction * len(patients))])
    return rows[images["patient"].isin(chosen).to_numpy()]


def labelled_subsets(
    cohort: Cohort, options: LabelOptions
) -> Iterator[tuple[float, int, np.ndarray]]:
    """(fraction, seed, rows) of every labelled subset that is large enough, one by one.

    Raises:
        ValueError: none is.
    """
    any_large_enough = False
    for fraction in options.fractions:
        for seed in options.seeds if fraction < 1 else options.seeds[:1]:
            rows = label_subset(cohort, fraction, seed)
            counts = count_per_class(cohort, rows)
            if min(counts.values()) >= options.min_per_class:
                any_large_enough = True
                yield fraction, seed, rows
                continue
            logger.warning(
                "cohort '%s': label fraction %g (seed %d) leaves %s images per class; fewer than "
                "%d, so it is skipped",
                *(cohort.name, fraction, seed, counts, options.min_per_class),
            )
    if not any_large_enough:
        raise ValueError(
            f"cohort '{cohort.name}': no label fraction of {options.fractions} leaves "
            f"{options.min_per_class} training images of every class; use a larger cohort, "
            "larger fractions or a smaller min_per_class"
        )


def labels_of(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """Labels (n,) of some rows."""
    return cohort.table["label"].to_numpy()[rows]


def count_per_class(cohort: Cohort, rows: np.ndarray) -> dict[str, int]:
    """Class to the number of its images among some rows."""
    labels = labels_of(cohort, rows)
    return {name: int(np.sum(labels == k)) for k, name in enumerate(cohort.classes)}
