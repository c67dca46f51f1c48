"""Evaluation of an encoder on cohorts that it never saw, with labels of their own."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.evaluation.labels import count_per_class
from companion.evaluation.options import EvaluationOptions
from companion.evaluation.results import POOLED

logger = logging.getLogger(__name__)


def evaluate_external(
    cohort: Cohort,
    external: Mapping[str, Path],
    options: EvaluationOptions,
    evaluate: Callable[[Cohort], pd.DataFrame],
) -> Iterator[pd.DataFrame]:
    """Rows of `results.csv` of an encoder, external cohort by external cohort.

    Args:
        cohort: that the encoder was pretrained on.
        external: name to folder of each external cohort.
        options: say how many labelled images are needed.
        evaluate: gives rows of `results.csv` of the encoder on a cohort.

    Yields:
        Rows in which `test_cohort` and `domain` are the external cohort, whose scanners count
        together. A cohort with too few labelled images is left out, and logged.

    Raises:
        ValueError: its images are of another size.

    Source:
        CheXpert and RSNA in Roschewitz et al. 2025, Figs 3 and 5.
    """
    for name, folder in external.items():
        other = Cohort.load(folder)
        own, size = cohort.images.shape[1:], other.images.shape[1:]
        if own != size:
            raise ValueError(
                f"external cohort '{name}' has images of {size} pixels, those of cohort "
                f"'{cohort.name}' have {own}; give both the same size in the profile"
            )
        if shortage := _shortage(other, options):
            logger.warning("external cohort '%s' gives no figure: %s", name, shortage)
            continue
        results = evaluate(other)
        pooled = results[results["domain"] == POOLED]
        yield pooled.assign(cohort=cohort.name, test_cohort=name, domain=name)


def _shortage(cohort: Cohort, options: EvaluationOptions) -> str:
    """Which split of a cohort has too few images of a class to be learned from or tested on."""
    needed = {"train": options.min_per_class, "val": 1, "test": options.min_test_per_class}
    for split, least in needed.items():
        counts = count_per_class(cohort, cohort.labelled(cohort.rows(split, "pretraining")))
        if min(counts.values()) < least:
            return f"split '{split}' has {counts} images per class, which needs {least} of each"
    return ""
