"""Gold error: distance to the true counterfactual, which only a simulator knows."""

from typing import Any

import numpy as np
import pandas as pd
from skimage.exposure import match_histograms

from ccl.cohorts import Cohort
from ccl.evaluation.statistics import bootstrap_mean_interval

REFERENCES = 128  # training images whose pooled histogram stands for a scanner's


def gold_error(cohort: Cohort, rows: np.ndarray, counterfactuals: np.ndarray) -> pd.DataFrame:
    """Mean absolute error against the noise-free true counterfactual, per direction.

    Args:
        cohort: a simulated one.
        rows: (n,) test rows of pretraining scanners.
        counterfactuals: uint8 (n, K, H, W), slot k = do(scanner = k), without pixel noise.

    Returns:
        Rows with `images` = 'counterfactual' and, for comparison, 'untouched' (the real image left
        alone) and 'histogram' (matched to the pooled histogram of the target's training images);
        values in grey levels of 255; 'all' to 'all' is the mean over the directions.
    """
    own = cohort.codes("scanner", rows)
    patients = cohort.table["patient_id"].to_numpy()[rows]
    real = np.asarray(cohort.images[rows])
    errors: list[pd.DataFrame] = []
    for k, target in enumerate(cohort.scanners):
        foreign = np.flatnonzero(own != k)
        truth = cohort.truth(rows[foreign], {"scanner": target}, noise=False)
        candidates = {
            "untouched": real[foreign],
            "histogram": histogram_matched(real[foreign], reference(cohort, target)),
            "counterfactual": counterfactuals[foreign, k],
        }
        for name, images in candidates.items():
            errors.append(
                pd.DataFrame(
                    {
                        "images": name,
                        "source": np.array(cohort.scanners)[own[foreign]],
                        "target": target,
                        "patient": patients[foreign],
                        "error": mean_absolute_error(images, truth),
                    }
                )
            )
    return _summary(pd.concat(errors, ignore_index=True))


def mean_absolute_error(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean over the pixels of |a - b|, (n,) in grey levels, for two uint8 (n, H, W)."""
    return np.abs(images.astype(np.float32) - truth).mean(axis=(1, 2))


def reference(cohort: Cohort, scanner: str) -> np.ndarray:
    """Training images uint8 (n, H, W) that stand for a scanner's histogram."""
    return np.asarray(cohort.images[cohort.rows("train", [scanner])[:REFERENCES]])


def histogram_matched(images: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Each image with its histogram matched to that of the pooled images; uint8 (n, H, W)."""
    flat = pooled.reshape(-1, pooled.shape[-1])
    return np.stack([match_histograms(image, flat) for image in images]).round().astype(np.uint8)


def _summary(errors: pd.DataFrame) -> pd.DataFrame:
    errors = errors.assign(
        weight=1 / errors.groupby(["images", "source", "target"])["error"].transform("size")
    )
    everything = errors.assign(source="all", target="all")
    found: list[dict[str, Any]] = []
    for table in (errors, everything):
        for (source, target, name), mine in table.groupby(
            ["source", "target", "images"], sort=False
        ):
            value, low, high = bootstrap_mean_interval(
                mine["error"].to_numpy(), mine["patient"].to_numpy(), mine["weight"].to_numpy()
            )
            found.append(
                {"measure": "gold_error", "images": name, "source": source, "target": target}
                | {"value": value, "ci_low": low, "ci_high": high, "n": len(mine)}
            )
    return pd.DataFrame(found)
