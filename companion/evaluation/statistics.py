"""ROC-AUC, and what drawing other test patients does to it (patient-level bootstrap).

What training again does to it is in `companion.claims.estimates`.
"""

from collections.abc import Sequence

import numpy as np

# Bootstrap weights held in memory at a time: 4 million floats, 32 MB.
_BLOCK = 4_000_000


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; over more than two classes the mean of one against the rest.

    The probability that a positive scores above a negative, ties counting half.

    Args:
        labels: integer (n,): 0 or 1, or 0 ... K - 1 where scores are (n, K).
        scores: (n,) of class 1, or (n, K) with a column per class.

    Returns:
        In [0, 1]; 0.5 is chance.

    Raises:
        ValueError: shapes do not fit, scores are not finite, or a class has no image.
    """
    labels, scores = _validated(labels, scores)
    return float(_weighted_auc(labels, scores, np.ones((1, len(labels))))[0])


def auc_replicates(
    labels: np.ndarray,
    scores: Sequence[np.ndarray],
    patients: np.ndarray,
    rng: np.random.Generator,
    *,
    n_bootstrap: int,
    groups: Sequence[np.ndarray] | None = None,
) -> np.ndarray:
    """ROC-AUC of several scores, within several groups, when patients are drawn anew.

    All images of a patient are drawn together, since they are not independent. All scores and
    groups see the same draws, so any two of them may be compared replicate by replicate.

    Args:
        labels: as for `roc_auc`.
        scores: k of them, of the same images.
        patients: (n,) name of each image's patient.
        rng, n_bootstrap: draws the replicates, so many.
        groups: g masks, bool (n,), within which the AUC is taken; None for all images alone.

    Returns:
        float64 (k, g, n_bootstrap); NaN where a replicate lacks a class in the group.

    Raises:
        ValueError: as `roc_auc`, of a group.
    """
    if {len(patients), *map(len, scores)} != {len(labels)}:
        lengths = [len(each) for each in scores]
        raise ValueError(
            f"{len(labels)} labels, {len(patients)} patients and scores of {lengths} images do "
            "not fit"
        )
    masks = [np.ones(len(labels), dtype=bool)] if groups is None else groups
    checked = [[_validated(labels[mask], each[mask]) for mask in masks] for each in scores]
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    block = max(1, _BLOCK // len(labels))
    values = []
    for start in range(0, n_bootstrap, block):
        weights = _draw_patients(min(block, n_bootstrap - start), len(names), rng)[:, patient]
        parts = [weights if mask.all() else weights[:, mask] for mask in masks]
        aucs = [[_weighted_auc(*c, w) for c, w in zip(of, parts, strict=True)] for of in checked]
        values.append(np.array(aucs))
    return np.concatenate(values, axis=-1)


def percentiles(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of replicates (B,); those that are NaN are left out.

    Raises:
        ValueError: all are.
    """
    finite = replicates[~np.isnan(replicates)]
    if len(finite) == 0:
        raise ValueError(
            f"none of {len(replicates)} bootstrap replicates has all classes; there are too few "
            "patients for an interval"
        )
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _draw_patients(count: int, patients: int, rng: np.random.Generator) -> np.ndarray:
    """How often each patient is drawn in each replicate, float64 (count, patients)."""
    draws = rng.integers(patients, size=(count, patients))
    draws += patients * np.arange(count)[:, None]  # each replicate counts in its own range
    counts = np.bincount(draws.ravel(), minlength=count * patients)
    return counts.reshape(count, patients).astype(np.float64)


def _validated(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores with one column per class that is set against the rest."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or scores.ndim not in (1, 2) or len(scores) != len(labels):
        raise ValueError(f"labels {labels.shape} and scores {scores.shape} do not fit")
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.sum(~np.isfinite(scores))} scores are not finite")
    classes = 2 if scores.ndim == 1 else scores.shape[1]
    counts = {k: int(np.sum(labels == k)) for k in range(classes)}
    if min(counts.values()) == 0 or sum(counts.values()) != len(labels):
        raise ValueError(
            f"ROC-AUC needs images of every class 0 ... {classes - 1} and of no other; got "
            f"{len(labels)} images, per class {counts}"
        )
    return labels, scores[:, None] if scores.ndim == 1 else scores


def _weighted_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Macro AUC (B,) under B weightings (B, n) of the images; NaN where a class has no weight."""
    columns = scores.shape[1]
    positives = [1] if columns == 1 else range(columns)
    one_vs_rest = [_binary_auc(labels == k, scores[:, c], weights) for c, k in enumerate(positives)]
    return np.mean(one_vs_rest, axis=0)


def _binary_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.flatnonzero(~positive)[np.argsort(scores[~positive])]
    negatives = weights[:, order]  # (B, n-), by rising score
    below = np.zeros((len(weights), len(order) + 1))
    np.cumsum(negatives, axis=1, out=below[:, 1:])  # weight of the lowest i negatives
    first = np.searchsorted(scores[order], scores[positive], side="left")
    last = np.searchsorted(scores[order], scores[positive], side="right")
    beaten = (below[:, first] + below[:, last]) / 2  # (B, n+), ties count half
    positives = weights[:, positive]
    pairs = positives.sum(axis=1) * below[:, -1]
    wins = np.einsum("bi,bi->b", positives, beaten)
    return np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def mean_with_interval(
    values: np.ndarray, patients: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, float]:
    """Mean with its 95 % percentile interval when patients are drawn with replacement.

    Args:
        values: (n,) one per image, n > 0.
        patients: (n,) name of each image's patient; all images of a patient are drawn together.
        groups: (n,) of each image: the mean is that of their means, in each replicate anew, and
            those that lack a group are left out. None for the mean over images.

    Returns:
        `value`, `ci_low`, `ci_high` (NaN if every replicate lacks a group) and `n`.
    """
    names, owner = np.unique(patients, return_inverse=True)
    groups = np.zeros(len(values)) if groups is None else groups
    kinds, group = np.unique(groups, return_inverse=True)
    total, count = np.zeros((2, len(names), len(kinds)))
    np.add.at(total, (owner, group), values)
    np.add.at(count, (owner, group), 1)
    draws = _draw_patients(1000, len(names), np.random.default_rng(0))
    drawn = draws @ count
    whole = (drawn > 0).all(axis=1)
    means = ((draws @ total)[whole] / drawn[whole]).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975]) if whole.any() else (np.nan, np.nan)
    value = float((total.sum(axis=0) / count.sum(axis=0)).mean())
    return {"value": value, "ci_low": float(low), "ci_high": float(high), "n": len(values)}
