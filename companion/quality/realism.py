"""Realism: do counterfactuals look like images of their target scanner, and not like copies?

Frechet distance of features (Heusel et al. 2017, https://arxiv.org/abs/1706.08500), here those of a
scanner classifier that was trained on this cohort's real images, since an encoder of photographs
says little of radiographs.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from ccl.devices import fastest_device
from ccl.generator.classifier import ImageClassifier
from companion.cohorts.cohort import Cohort
from companion.engine.mapped import read
from companion.quality.halves import distance_to_real
from companion.quality.summary import patient_names, scanner_names, summarise, values

COMPONENTS = 16  # principal components of the real features: covariances of few images need few
FEWEST = 2 * COMPONENTS  # images of a half, for a covariance


def realism(
    cohort: Cohort,
    rows: np.ndarray,
    classifier: ImageClassifier,
    counterfactuals: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Frechet distance to real images of the target scanner.

    Args:
        cohort: real images.
        rows: (n,) test rows of pretraining scanners.
        classifier: gives the features.
        counterfactuals: name to uint8 (n, K, H, W), slot k = do(scanner = k).

    Returns:
        Rows `frechet` of `halves.distance_to_real`. Scanners with too few images give no row.
    """
    own = cohort.codes("scanner", rows)
    components = _Components(classifier.features(read(cohort.images, rows)), own)

    def features(images: np.ndarray) -> np.ndarray:
        return components.project(classifier.features(images))

    return distance_to_real(
        "frechet", cohort, rows, counterfactuals, features, frechet_distance, FEWEST
    )


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared 2-Wasserstein distance of the Gaussians fitted to a (n, D) and b (m, D)."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the root of their product, from its eigenvalues: defined for singular ones too.
    roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(min=0))
    shift = a.mean(axis=0) - b.mean(axis=0)
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    return float(shift @ shift + max(spread, 0.0))


class _Components:
    """Principal components of real features, every scanner counted alike, scaled as a whole."""

    def __init__(self, features: np.ndarray, codes: np.ndarray) -> None:
        weight = 1 / np.bincount(codes)[codes]
        weight /= weight.sum()
        self.mean = weight @ features
        centred = (features - self.mean) * np.sqrt(weight)[:, None]
        _, spread, axes = np.linalg.svd(centred, full_matrices=False)
        self.axes = axes[:COMPONENTS].T / np.sqrt((spread**2).sum())  # total variance 1

    def project(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) @ self.axes


def nearest_training_image(
    cohort: Cohort, rows: np.ndarray, counterfactuals: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Distance to the nearest training image of the target scanner: has the generator copied?

    A generator that memorised its training images gives distances well below those of real test
    images.

    Args:
        cohort, rows, counterfactuals: as `realism`'s.

    Returns:
        Rows `nearest_training`, root mean square over the pixels in grey levels of 255: 'real'
        (test images to training images of their own scanner) and each of the names.
    """
    own, source = cohort.codes("scanner", rows), scanner_names(cohort, rows)
    patients = patient_names(cohort, rows)
    found = []
    for k, target in enumerate(cohort.scanners):
        training = cohort.rows("train", [target])
        if len(training) == 0:
            continue
        mine, foreign = np.flatnonzero(own == k), np.flatnonzero(own != k)
        candidates = {"real": (mine, read(cohort.images, rows[mine]))}
        candidates |= {kind: (foreign, x[foreign, k]) for kind, x in counterfactuals.items()}
        for kind, (which, images) in candidates.items():
            if len(which):
                distance = nearest_distance(images, cohort.images, training)
                found.append(values(kind, source[which], target, patients[which], distance))
    return summarise("nearest_training", found)


def nearest_distance(
    images: np.ndarray, stored: np.ndarray, rows: np.ndarray, *, chunk: int = 512
) -> np.ndarray:
    """Distance of images to the nearest of others, of which few at a time are in memory.

    Args:
        images: uint8 (n, H, W).
        stored: uint8 (N, H, W), perhaps memory-mapped.
        rows: (m,) rows of those to compare with, m > 0.
        chunk: images compared at once.

    Returns:
        float32 (n,), root mean square over the pixels, in grey levels of 255.
    """
    device = fastest_device()
    nearest = np.full(len(images), np.inf, dtype=np.float32)
    for start in range(0, len(rows), chunk):
        others = _flat(read(stored, rows[start : start + chunk]), device)
        for first in range(0, len(images), chunk):
            part = slice(first, first + chunk)
            distance = torch.cdist(_flat(images[part], device), others).min(dim=1).values
            nearest[part] = np.minimum(nearest[part], distance.cpu().numpy())
    return nearest / np.float32(images[0].size ** 0.5)


def _flat(images: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).to(device).float()
