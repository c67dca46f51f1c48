"""Gold error: distance to the true counterfactual, which only a simulator knows."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ccl.cohorts import Cohort, truths
from ccl.cohorts.scanners import imprint
from ccl.generator.quality.baselines import PixelRegression, histogram_matched, reference
from ccl.generator.quality.distances import log_spectrum, mean_absolute_error, ssim
from ccl.generator.quality.summary import patient_names, summarise, values


def gold_error(
    cohort: Cohort, rows: np.ndarray, means: np.ndarray, noisy: np.ndarray
) -> pd.DataFrame:
    """Distances to the true counterfactual, per direction.

    Args:
        cohort: a simulated one.
        rows: (n,) test rows of pretraining scanners.
        means: uint8 (n, K, H, W), slot k = do(scanner = k), without pixel noise.
        noisy: the same with pixel noise.

    Returns:
        Rows with `images` = 'counterfactual' and, for comparison, 'untouched' (the real image left
        alone), 'histogram' (matched to the pooled histogram of the target's training images) and
        'pixel_regression'; 'all' to 'all' is the mean over the directions. Measures:

        - `gold_error`: mean absolute error against the noise-free truth, in grey levels of 255;
        - `gold_ssim`: structural similarity to the noise-free truth;
        - `gold_imprint`: `gold_error` on the pixels that either scanner prints letters on, in
          directions where one does;
        - `gold_spectrum`: root mean square difference of the power spectra, in decibels, against
          the truth with its noise, the counterfactuals with theirs: do noise and sharpness follow
          the scanner?
    """
    regression = PixelRegression(cohort)
    own, patients = cohort.codes("scanner", rows), patient_names(cohort, rows)
    found: dict[str, list[pd.DataFrame]] = {}
    for j, k in _directions(cohort):
        mine = np.flatnonzero(own == j)
        if len(mine) == 0:
            continue
        source, target = cohort.scanners[j], cohort.scanners[k]
        real = np.asarray(cohort.images[rows[mine]])
        truth = cohort.truth(rows[mine], {"scanner": target}, noise=False)
        noisy_truth = cohort.truth(rows[mine], {"scanner": target})
        letters = _letters(cohort, source, target)
        candidates = {
            "untouched": (real, real),
            "histogram": (histogram_matched(real, reference(cohort, target)),) * 2,
            "pixel_regression": (regression(real, source, target),) * 2,
            "counterfactual": (means[mine, k], noisy[mine, k]),
        }
        for name, (images, with_noise) in candidates.items():
            measured = {
                "gold_error": mean_absolute_error(images, truth),
                "gold_ssim": ssim(images, truth),
                "gold_spectrum": spectrum_error(with_noise, noisy_truth),
            }
            if letters.any():
                inked = images[:, letters][:, None], truth[:, letters][:, None]
                measured["gold_imprint"] = mean_absolute_error(*inked)
            for measure, x in measured.items():
                table = values(name, np.full(len(mine), source), target, patients[mine], x)
                found.setdefault(measure, []).append(table)
    return pd.concat([summarise(name, tables) for name, tables in found.items()], ignore_index=True)


def spectrum_error(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean square difference (n,), in decibels, of the spectra of two uint8 (n, H, W)."""
    difference = log_spectrum(images) - log_spectrum(truth)
    return np.sqrt((difference**2).mean(axis=1))


def _directions(cohort: Cohort) -> Iterator[tuple[int, int]]:
    codes = range(len(cohort.scanners))
    return ((j, k) for j in codes for k in codes if j != k)


def _letters(cohort: Cohort, *scanners: str) -> np.ndarray:
    """Pixels that one of the scanners prints on, bool (H, W)."""
    frame: tuple[int, int] = cohort.images.shape[1:]
    masks = [imprint(truths.scanner_settings(cohort, name), frame) for name in scanners]
    return np.logical_or.reduce(masks)
