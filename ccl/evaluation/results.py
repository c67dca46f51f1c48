"""Rows of `results.csv`: classifiers learn from few labels and are tested scanner by scanner."""

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import Field

from ccl.cohorts import Cohort
from ccl.evaluation.labels import LabelOptions, count_per_class, labelled_subsets, labels_of
from ccl.evaluation.scores import Scores
from ccl.evaluation.statistics import bootstrap_interval, roc_auc

logger = logging.getLogger(__name__)

RESULT_COLUMNS = (
    *("cohort", "objective", "strategy", "pretrain_seed", "probe_seed", "protocol"),
    *("label_fraction", "n_labels", "test_cohort", "domain", "subgroup", "metric"),
    *("value", "ci_low", "ci_high", "n"),
)
POOLED = "pooled"

# Cohort rows (n,) -> scores as `roc_auc` takes them.
ScoreFunction = Callable[[np.ndarray], np.ndarray]


class EvaluationOptions(LabelOptions):
    """From which labels classifiers learn, and how they are tested.

    Attributes:
        n_bootstrap: replicates of the patient-level bootstrap.
        min_test_per_class: test images of every class that a domain needs; a domain with fewer
            gives no figure, and is logged.
    """

    n_bootstrap: int = Field(default=1000, ge=1)
    min_test_per_class: int = Field(default=5, ge=1)


def evaluate(
    cohort: Cohort,
    learn: Callable[[np.ndarray, int], ScoreFunction],
    options: EvaluationOptions,
    *,
    protocol: str,
    objective: str,
    strategy: str,
    pretrain_seed: int,
    collected: Scores | None = None,
) -> pd.DataFrame:
    """ROC-AUC of classifiers per label fraction, subset and test domain.

    Classifiers see labels of the training split's pretraining scanners, and of the validation
    split to choose by; test images are scored once, when learning is over. Images without a
    label (label < 0) are left out throughout.

    Args:
        cohort: gives labels, patients, splits and scanners.
        learn: makes a classifier of labelled training rows (n,) and the subset's seed.
        options: fractions, seeds and so on.
        protocol: how it learns ('linear', 'finetuned'), for the table.
        objective: e.g. 'simclr', for the table.
        strategy: how pairs were made, for the table.
        pretrain_seed: seed of the encoder, for the table.
        collected: receives the test images' scores, for paired comparisons.

    Returns:
        One row per figure with the columns `RESULT_COLUMNS`; `domain` is a pretraining scanner,
        'pooled' (all of them together) or a held-out scanner, `n` the number of test images.

    Raises:
        ValueError: no fraction or domain has enough images.
    """
    domains = evaluation_domains(cohort, options.min_test_per_class)
    tested = np.unique(np.concatenate(list(domains.values())))
    about = {
        "protocol": protocol,
        "objective": objective,
        "strategy": strategy,
        "pretrain_seed": pretrain_seed,
    }
    results = []
    for fraction, seed, rows in labelled_subsets(cohort, options):
        scores = learn(rows, seed)(tested)
        subset = about | {"probe_seed": seed, "label_fraction": fraction, "n_labels": len(rows)}
        if collected is not None:
            collected.keep(subset, tested, scores)
        for domain, test_rows in domains.items():
            mine = scores[np.searchsorted(tested, test_rows)]
            figure = _figure(cohort, test_rows, mine, options.n_bootstrap)
            results.append({**subset, "domain": domain, **figure})
    table = pd.DataFrame(results).assign(
        cohort=cohort.name,
        test_cohort=cohort.name,
        subgroup="all",
        metric="roc_auc",
    )
    return table[list(RESULT_COLUMNS)]


def evaluation_domains(cohort: Cohort, min_per_class: int) -> dict[str, np.ndarray]:
    """Labelled test rows of each scanner and of the pretraining scanners together ('pooled').

    Domains with fewer than `min_per_class` images of a class are left out, and logged.

    Raises:
        ValueError: none is left.
    """
    candidates = {name: [name] for name in cohort.scanners} | {POOLED: list(cohort.scanners)}
    candidates |= {name: [name] for name in cohort.held_out_scanners}
    domains = {}
    for domain, scanners in candidates.items():
        rows = cohort.labelled(cohort.rows("test", scanners))
        counts = count_per_class(cohort, rows)
        if min(counts.values()) >= min_per_class:
            domains[domain] = rows
        else:
            logger.warning(
                "cohort '%s': test domain '%s' has %s images per class; fewer than %d, so it "
                "gives no figure",
                *(cohort.name, domain, counts, min_per_class),
            )
    if not domains:
        raise ValueError(
            f"cohort '{cohort.name}': no test domain has {min_per_class} images of every class"
        )
    return domains


def _figure(
    cohort: Cohort, rows: np.ndarray, scores: np.ndarray, n_bootstrap: int
) -> dict[str, float]:
    labels = labels_of(cohort, rows)
    low, high = bootstrap_interval(
        labels,
        scores,
        cohort.table["patient_id"].to_numpy()[rows],
        np.random.default_rng([*b"bootstrap"]),  # the same replicates for every encoder
        n_bootstrap=n_bootstrap,
    )
    return {"value": roc_auc(labels, scores), "ci_low": low, "ci_high": high, "n": len(rows)}


def validation_auc(cohort: Cohort, scores: ScoreFunction) -> float:
    """ROC-AUC on the labelled validation images of the pretraining scanners, to choose by.

    Raises:
        ValueError: the validation split lacks a class.
    """
    rows = cohort.labelled(cohort.rows("val", "pretraining"))
    try:
        return roc_auc(labels_of(cohort, rows), scores(rows))
    except ValueError as error:
        raise ValueError(f"cohort '{cohort.name}', validation split: {error}") from error
