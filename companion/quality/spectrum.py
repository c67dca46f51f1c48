"""Spectrum: do noise and sharpness follow the scanner?

Compares the mean power spectrum of counterfactuals with that of real images of their target
scanner; so it needs no truth. Blur takes power at high frequencies away, noise and grids add some.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.quality.distances import log_spectrum
from companion.quality.halves import distance_to_real

FEWEST = 8  # images of a half, for a mean


def spectrum(
    cohort: Cohort, rows: np.ndarray, counterfactuals: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Distance of mean spectra to real images of the target scanner, in decibels.

    Args:
        cohort: real images.
        rows: (n,) test rows of pretraining scanners.
        counterfactuals: name to uint8 (n, K, H, W), slot k = do(scanner = k).

    Returns:
        Rows `spectrum` of `halves.distance_to_real`.
    """
    return distance_to_real(
        "spectrum", cohort, rows, counterfactuals, log_spectrum, mean_difference, FEWEST
    )


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of the mean spectra of (n, bins) and (m, bins), in decibels."""
    return float(np.sqrt(((a.mean(axis=0) - b.mean(axis=0)) ** 2).mean()))
