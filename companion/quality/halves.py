"""Distances of whole sets of images to real images of a scanner, with the floor of real to real.

Such distances depend on the number of images. All are therefore taken between equally many, against
one half of the scanner's real images; the other half gives the floor.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.engine.mapped import read
from companion.quality.summary import ALL

HALVES = 20  # random divisions of the real images


def distance_to_real(
    measure: str,
    cohort: Cohort,
    rows: np.ndarray,
    counterfactuals: Mapping[str, np.ndarray],
    features: Callable[[np.ndarray], np.ndarray],
    distance: Callable[[np.ndarray, np.ndarray], float],
    fewest: int,
) -> pd.DataFrame:
    """A distance of sets of images to real images of the target scanner.

    Args:
        measure: its name in `quality.csv`.
        cohort: real images.
        rows: (n,) test rows of pretraining scanners.
        counterfactuals: name to uint8 (n, K, H, W), slot k = do(scanner = k).
        features: of images uint8 (m, H, W): (m, D).
        distance: of two sets of features.
        fewest: images that a half must have; scanners with fewer give no row.

    Returns:
        Rows per target (source 'all') and their mean ('all' to 'all'): 'real' (the floor: half of
        the real images against the other half), 'untouched' (images of other scanners left alone)
        and each of the names, against the other half as well. The interval holds 95 % of the random
        halves.
    """
    own, real_features = cohort.codes("scanner", rows), features(read(cohort.images, rows))
    measured = []
    for k, target in enumerate(cohort.scanners):
        real, foreign = np.flatnonzero(own == k), np.flatnonzero(own != k)
        size = min(len(real) // 2, len(foreign))
        if size < fewest:
            continue
        pools = {"untouched": real_features[foreign]}
        pools |= {kind: features(images[foreign, k]) for kind, images in counterfactuals.items()}
        rng = np.random.default_rng(k)
        for division in range(HALVES):
            order = rng.permutation(real)
            one, other = real_features[order[:size]], real_features[order[size : 2 * size]]
            samples = {"real": one} | {kind: rng.permutation(x)[:size] for kind, x in pools.items()}
            for kind, x in samples.items():
                measured.append((kind, target, division, distance(x, other), size))
    table = pd.DataFrame(measured, columns=["images", "target", "division", "value", "n"])
    return _summary(measure, table)


def _summary(measure: str, table: pd.DataFrame) -> pd.DataFrame:
    """Mean over the divisions, per target and over all targets."""
    grouped = table.groupby(["images", "division"], sort=False)
    pooled = grouped.agg(value=("value", "mean"), n=("n", "sum")).reset_index().assign(target=ALL)
    everything = pd.concat([table, pooled])
    return pd.DataFrame(
        [
            _over_divisions(measure, str(images), str(target), part)
            for (images, target), part in everything.groupby(["images", "target"], sort=False)
        ]
    )


def _over_divisions(
    measure: str, images: str, target: str, part: pd.DataFrame
) -> dict[str, object]:
    low, high = part["value"].quantile([0.025, 0.975])
    row = {"measure": measure, "images": images, "source": ALL, "target": target}
    n = int(part["n"].iloc[0])
    return row | {"value": part["value"].mean(), "ci_low": low, "ci_high": high, "n": n}
