"""Linear probing: what a linear classifier on frozen features makes of few labels."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ccl.cohorts import Cohort
from ccl.evaluation.scores import Scores
from ccl.evaluation.statistics import bootstrap_interval, roc_auc
from ccl.options import Options

logger = logging.getLogger(__name__)

RESULT_COLUMNS = (
    *("cohort", "objective", "strategy", "pretrain_seed", "probe_seed", "protocol"),
    *("label_fraction", "n_labels", "test_cohort", "domain", "subgroup", "metric"),
    *("value", "ci_low", "ci_high", "n"),
)
POOLED = "pooled"


class ProbingOptions(Options):
    """How probes are trained and tested.

    Attributes:
        fractions: shares of the training patients whose labels are used.
        min_per_class: labelled images of every class that a fraction must leave; a fraction that
            leaves fewer is skipped, and logged.
        seeds: of the labelled subset. At fraction 1 there is only one subset, so only the first
            seed is used: repeating it would count one measurement several times.
        c_grid: inverse strengths of the L2 penalty to choose from, on the validation split.
        n_bootstrap: replicates of the patient-level bootstrap.
        min_test_per_class: test images of every class that a domain needs; a domain with fewer
            gives no figure, and is logged.
    """

    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.01, 0.05, 0.1, 0.25, 1.0)
    min_per_class: int = Field(default=10, ge=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    c_grid: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1e-4, 1e-3, 1e-2, 1e-1, 1.0), min_length=1
    )
    n_bootstrap: int = Field(default=1000, ge=1)
    min_test_per_class: int = Field(default=5, ge=1)


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes:
        pipeline: scaler and logistic regression.
        c: the chosen inverse penalty strength.
        validation_auc: what it was chosen by.
    """

    pipeline: Pipeline
    c: float
    validation_auc: float

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Scores (n,) of class 1, or class probabilities (n, K) of K > 2 classes."""
        return _scores(self.pipeline, features)


def probe(
    cohort: Cohort,
    features: np.ndarray,
    options: ProbingOptions,
    *,
    objective: str,
    strategy: str,
    pretrain_seed: int,
    scores: Scores | None = None,
) -> pd.DataFrame:
    """ROC-AUC of linear probes per label fraction, subset and test domain.

    Probes see labels of the training split's pretraining scanners only; the penalty is chosen on
    the validation split; test images are scored once. Images without a label (label < 0) are
    left out throughout.

    Args:
        cohort: gives labels, patients, splits and scanners.
        features: float (N, D); row i belongs to the cohort's row i.
        options: fractions, seeds and so on.
        objective: e.g. 'simclr', for the table.
        strategy: how pairs were made, for the table.
        pretrain_seed: seed of the encoder, for the table.
        scores: collects the test images' scores, where paired comparisons are wanted.

    Returns:
        One row per figure with the columns `RESULT_COLUMNS`; `domain` is a pretraining scanner,
        'pooled' (all of them together) or a held-out scanner, `n` the number of test images.

    Raises:
        ValueError: features do not fit the cohort, or no fraction or domain has enough images.
    """
    if features.ndim != 2 or len(features) != len(cohort):
        raise ValueError(
            f"features {features.shape} must have a row for each of the {len(cohort)} images "
            f"of cohort '{cohort.name}'"
        )
    features = features.astype(np.float64)
    domains = evaluation_domains(cohort, options.min_test_per_class)
    tested = np.unique(np.concatenate(list(domains.values())))
    run = {"objective": objective, "strategy": strategy, "pretrain_seed": pretrain_seed}
    results = []
    for fraction, seed, rows in labelled_subsets(cohort, options):
        fitted = fit_probe(cohort, features, rows, options.c_grid)
        about = run | {"probe_seed": seed, "label_fraction": fraction, "n_labels": len(rows)}
        if scores is not None:
            scores.keep(about | {"protocol": "linear"}, tested, fitted.scores(features[tested]))
        for domain, test_rows in domains.items():
            figure = _evaluate(cohort, features, fitted, test_rows, options.n_bootstrap)
            results.append(about | {"domain": domain} | figure)
    same = {"cohort": cohort.name, "test_cohort": cohort.name, "protocol": "linear"}
    table = pd.DataFrame(results).assign(**same, subgroup="all", metric="roc_auc")
    return table[list(RESULT_COLUMNS)]


def labelled(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """Those of the rows that have a label."""
    return rows[_labels(cohort, rows) >= 0]


def label_subset(cohort: Cohort, fraction: float, seed: int) -> np.ndarray:
    """The training rows whose labels a probe may see.

    Patients are drawn, with all their images, in the same share from each class (a patient's
    class is the highest label among its images). The subset depends on the cohort, the fraction
    and the seed alone, so that strategies are compared on the same labels, and a smaller
    fraction's subset lies within a larger one's.

    Args:
        cohort: its labelled training rows of pretraining scanners are drawn from.
        fraction: share of the patients, in (0, 1].
        seed: the probe's.

    Returns:
        int64 (n,) rising cohort rows.
    """
    rows = labelled(cohort, cohort.rows("train", "pretraining"))
    images = pd.DataFrame(
        {"patient": cohort.table["patient_id"].to_numpy()[rows], "label": _labels(cohort, rows)}
    )
    label_of = images.groupby("patient", sort=True)["label"].max()
    rng = np.random.default_rng([seed, *b"labelled patients"])
    drawn: list[str] = []
    for label in range(len(cohort.classes)):
        patients = rng.permutation(label_of.index[label_of == label].to_numpy(dtype=object))
        drawn.extend(patients[: round(fraction * len(patients))])
    return rows[images["patient"].isin(drawn).to_numpy()]


def labelled_subsets(
    cohort: Cohort, options: ProbingOptions
) -> Iterator[tuple[float, int, np.ndarray]]:
    """Yields (fraction, seed, rows) of every labelled subset that is large enough.

    Raises:
        ValueError: none is.
    """
    found = False
    for fraction in options.fractions:
        for seed in options.seeds if fraction < 1 else options.seeds[:1]:
            rows = label_subset(cohort, fraction, seed)
            counts = _per_class(cohort, rows)
            if min(counts.values()) >= options.min_per_class:
                found = True
                yield fraction, seed, rows
                continue
            logger.warning(
                "cohort '%s': label fraction %g (seed %d) leaves %s images per class; fewer than "
                "%d, so it is skipped",
                *(cohort.name, fraction, seed, counts, options.min_per_class),
            )
    if not found:
        raise ValueError(
            f"cohort '{cohort.name}': no label fraction of {options.fractions} leaves "
            f"{options.min_per_class} training images of every class; use a larger cohort, "
            "larger fractions or a smaller min_per_class"
        )


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
        rows = labelled(cohort, cohort.rows("test", scanners))
        counts = _per_class(cohort, rows)
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


def fit_probe(
    cohort: Cohort, features: np.ndarray, rows: np.ndarray, c_grid: tuple[float, ...]
) -> LinearProbe:
    """Class-weighted logistic regression on some rows, its penalty chosen by validation AUC.

    The scaler is fitted on the labelled rows alone. Of equally good penalties the strongest is
    taken.

    Args:
        cohort: gives the labels and the validation split.
        features: float64 (N, D).
        rows: labelled training rows.
        c_grid: inverse penalty strengths.

    Raises:
        ValueError: the validation split lacks a class.
    """
    validation = labelled(cohort, cohort.rows("val", "pretraining"))
    validation_labels = _labels(cohort, validation)
    best: LinearProbe | None = None
    for c in sorted(c_grid):
        pipeline = make_pipeline(
            StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        )
        pipeline.fit(features[rows], _labels(cohort, rows))
        try:
            auc = roc_auc(validation_labels, _scores(pipeline, features[validation]))
        except ValueError as error:
            raise ValueError(f"cohort '{cohort.name}', validation split: {error}") from error
        if best is None or auc > best.validation_auc:
            best = LinearProbe(pipeline, c, auc)
    assert best is not None
    return best


def _evaluate(
    cohort: Cohort, features: np.ndarray, fitted: LinearProbe, rows: np.ndarray, n_bootstrap: int
) -> dict[str, Any]:
    labels, scores = _labels(cohort, rows), fitted.scores(features[rows])
    low, high = bootstrap_interval(
        labels,
        scores,
        cohort.table["patient_id"].to_numpy()[rows],
        np.random.default_rng([*b"bootstrap"]),  # the same replicates for every encoder
        n_bootstrap=n_bootstrap,
    )
    return {"value": roc_auc(labels, scores), "ci_low": low, "ci_high": high, "n": len(rows)}


def _scores(pipeline: Pipeline, features: np.ndarray) -> np.ndarray:
    if len(pipeline.classes_) == 2:
        return pipeline.decision_function(features)
    return pipeline.predict_proba(features)


def _labels(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    return cohort.table["label"].to_numpy()[rows]


def _per_class(cohort: Cohort, rows: np.ndarray) -> dict[str, int]:
    labels = _labels(cohort, rows)
    return {name: int(np.sum(labels == k)) for k, name in enumerate(cohort.classes)}
