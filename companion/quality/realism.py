"""Realism: do counterfactuals, as a set, look like images of their target scanner?

**Frechet distance** of features (Heusel et al. 2017, https://arxiv.org/abs/1706.08500), here those
of a scanner classifier that was trained on this cohort's real images, since an encoder of
photographs says little of radiographs. **Spectrum**: do noise and sharpness follow the scanner? It
compares mean power spectra: blur takes power at high frequencies away, noise and grids add some.

Such distances depend on the number of images. All are therefore taken between equally many, against
one half of the scanner's real images; the other half gives the floor.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ccl.generator.classifier import ImageClassifier
from companion.quality.distances import log_spectrum
from companion.quality.sample import Sample
from companion.quality.summary import ALL

HALVES = 20  # random divisions of the real images
COMPONENTS = 16  # principal components of the real features: covariances of few images need few
FEWEST = {"frechet": 2 * COMPONENTS, "spectrum": 8}  # images of a half: for covariances, for means


def frechet(
    sample: Sample, classifier: ImageClassifier, counterfactuals: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Rows `frechet` of `distance_to_real`, by the features of a classifier."""
    mean, axes = _principal_axes(classifier.features(sample.real), sample.own)

    def features(images: np.ndarray) -> np.ndarray:
        return (classifier.features(images) - mean) @ axes

    return distance_to_real("frechet", sample, counterfactuals, features, frechet_distance)


def spectrum(sample: Sample, counterfactuals: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Rows `spectrum` of `distance_to_real`: root mean square difference in decibels."""

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a.mean(axis=0) - b.mean(axis=0)) ** 2).mean()))

    return distance_to_real("spectrum", sample, counterfactuals, log_spectrum, distance)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared 2-Wasserstein distance of the Gaussians fitted to a (n, D) and b (m, D)."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the root of their product, from its eigenvalues: defined for singular ones too.
    roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(min=0))
    shift = a.mean(axis=0) - b.mean(axis=0)
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum()
    return float(shift @ shift + max(spread, 0.0))


def _principal_axes(features: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and principal axes (D, c) of features; scanners count alike, total variance 1."""
    weight = 1 / np.bincount(codes)[codes]
    weight /= weight.sum()
    mean = weight @ features
    centred = (features - mean) * np.sqrt(weight)[:, None]
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    return mean, axes[:COMPONENTS].T / np.sqrt((spread**2).sum())


def distance_to_real(
    measure: str,
    sample: Sample,
    counterfactuals: Mapping[str, np.ndarray],
    features: Callable[[np.ndarray], np.ndarray],
    distance: Callable[[np.ndarray, np.ndarray], float],
) -> pd.DataFrame:
    """A distance of sets of images to real images of the target scanner.

    Args:
        measure: one of `FEWEST`; scanners with too few images for it give no row.
        sample, counterfactuals: of which the variable is the scanner.
        features: of images uint8 (m, H, W): (m, D).
        distance: of two sets of features.

    Returns:
        Rows per target (source 'all') and their mean ('all' to 'all'): 'real' (the floor: half of
        the real images against the other half), 'untouched' (images of other scanners left alone)
        and each of the names, against the other half as well. The interval holds 95 % of the random
        halves.
    """
    real_features, measured = features(sample.real), []
    for k, foreign in sample.interventions():
        real = np.flatnonzero(sample.own == k)
        size = min(len(real) // 2, len(foreign))
        if size < FEWEST[measure]:
            continue
        pools = {"untouched": real_features[foreign]}
        pools |= {kind: features(images[foreign, k]) for kind, images in counterfactuals.items()}
        rng = np.random.default_rng(k)
        for division in range(HALVES):
            order = rng.permutation(real)
            one, other = real_features[order[:size]], real_features[order[size : 2 * size]]
            sets = {"real": one} | {kind: rng.permutation(x)[:size] for kind, x in pools.items()}
            for kind, x in sets.items():
                measured.append((kind, sample.values[k], division, distance(x, other), size))
    table = pd.DataFrame(measured, columns=["images", "target", "division", "value", "n"])
    divisions = table.groupby(["images", "division"], sort=False)
    pooled = divisions.agg(value=("value", "mean"), n=("n", "sum")).reset_index().assign(target=ALL)
    rows = []
    for (images, target), part in pd.concat([table, pooled]).groupby(
        ["images", "target"], sort=False
    ):
        low, high = part["value"].quantile([0.025, 0.975])
        row = {"measure": measure, "images": images, "source": ALL, "target": target}
        row |= {"value": part["value"].mean(), "ci_low": low, "ci_high": high}
        rows.append({**row, "n": int(part["n"].iloc[0])})
    return pd.DataFrame(rows)
