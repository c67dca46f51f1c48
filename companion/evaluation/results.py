"""Rows of `results.csv`: classifiers learn from few labels and are tested scanner by scanner."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.evaluation.labels import count_per_class, labelled_subsets, labels_of
from companion.evaluation.options import EvaluationOptions
from companion.evaluation.statistics import auc_replicates, percentiles, roc_auc
from companion.evaluation.subgroups import ALL, GAPS, gap_name, groups_of_domain

logger = logging.getLogger(__name__)

RESULT_COLUMNS = (
    *("cohort", "objective", "strategy", "pretrain_seed", "probe_seed", "protocol"),
    *("label_fraction", "n_labels", "test_cohort", "domain", "subgroup", "metric"),
    *("value", "ci_low", "ci_high", "n"),
)
POOLED = "pooled"

# Cohort rows (n,) -> scores as `roc_auc` takes them.
ScoreFunction = Callable[[np.ndarray], np.ndarray]


def evaluate(
    cohort: Cohort,
    learn: Callable[[np.ndarray, int], ScoreFunction],
    options: EvaluationOptions,
    about: Mapping[str, object],
) -> pd.DataFrame:
    """ROC-AUC of classifiers per label fraction, subset and test domain.

    Classifiers see labels of the training split's pretraining scanners, and of the validation
    split to choose by; test images are scored once, when learning is over. Images without a
    label (label < 0) are left out throughout.

    Args:
        cohort: gives labels, patients, splits and scanners.
        learn: makes a classifier of labelled training rows (n,) and the subset's seed.
        options: fractions, seeds and so on.
        about: columns that are the same in all rows: `objective`, `strategy` and `pretrain_seed` of
            the encoder, and `protocol`, how the classifier learns ('linear', 'finetuned').

    Returns:
        One row per figure with the columns `RESULT_COLUMNS`; `domain` is a pretraining scanner,
        'pooled' (all of them together) or a held-out scanner, `n` the number of test images.
        Besides all images of a domain (`subgroup` 'all') there are those of each sex and, except
        on single pretraining scanners, of each age group, and the `GAPS` between two of them:
        `metric` 'gap' (signed) and 'absolute_gap'. Intervals are percentiles of the patient-level
        bootstrap.

    Raises:
        ValueError: no fraction or domain has enough images.
    """
    domains = evaluation_domains(cohort, options.min_test_per_class)
    tested = np.unique(np.concatenate(list(domains.values())))
    subsets, scores = [], []
    for fraction, seed, rows in labelled_subsets(cohort, options):
        subsets.append({"probe_seed": seed, "label_fraction": fraction, "n_labels": len(rows)})
        scores.append(learn(rows, seed)(tested))
    table_rows = []
    for domain, rows in domains.items():
        groups = _groups(cohort, domain, rows, options.min_subgroup_per_class)
        labels = labels_of(cohort, rows)
        of_domain = [each[np.searchsorted(tested, rows)] for each in scores]
        replicates = auc_replicates(
            labels,
            of_domain,
            cohort.patients(rows),
            np.random.default_rng([*b"bootstrap"]),  # the same replicates for every encoder
            n_bootstrap=options.n_bootstrap,
            groups=list(groups.values()),
        )
        for subset, own, draws in zip(subsets, of_domain, replicates, strict=True):
            for row in _figures(labels, own, draws, groups):
                table_rows.append({**about, **subset, "domain": domain, **row})
    table = pd.DataFrame(table_rows).assign(cohort=cohort.name, test_cohort=cohort.name)
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


def _groups(
    cohort: Cohort, domain: str, rows: np.ndarray, min_per_class: int
) -> dict[str, np.ndarray]:
    """All images of a domain, and its subgroups that are large enough."""
    groups = {ALL: np.ones(len(rows), dtype=bool)}
    for name, mask in groups_of_domain(cohort, domain, rows).items():
        if min(count_per_class(cohort, rows[mask]).values()) >= min_per_class:
            groups[name] = mask
    return groups


def _figures(
    labels: np.ndarray, scores: np.ndarray, draws: np.ndarray, groups: Mapping[str, np.ndarray]
) -> Iterator[dict[str, Any]]:
    """The figures of a classifier on the images of one domain, by their replicates (g, B)."""
    values = {name: roc_auc(labels[mask], scores[mask]) for name, mask in groups.items()}
    counts = {name: int(mask.sum()) for name, mask in groups.items()}
    replicates = dict(zip(groups, draws, strict=True))
    for name, value in values.items():
        yield _figure(name, "roc_auc", value, replicates[name], counts[name])
    for first, second in GAPS:
        if first in groups and second in groups:
            gap, n = values[first] - values[second], counts[first] + counts[second]
            gaps, name = replicates[first] - replicates[second], gap_name(first, second)
            yield _figure(name, "gap", gap, gaps, n)
            yield _figure(name, "absolute_gap", abs(gap), np.abs(gaps), n)


def _figure(
    subgroup: str, metric: str, value: float, replicates: np.ndarray, n: int
) -> dict[str, Any]:
    low, high = percentiles(replicates)
    figure = {"value": value, "ci_low": low, "ci_high": high, "n": n}
    return {"subgroup": subgroup, "metric": metric, **figure}


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
