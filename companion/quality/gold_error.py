"""Gold error: distance to the true counterfactual, which only a simulator knows."""

from itertools import permutations

import numpy as np
import pandas as pd

from companion.cohorts import truths
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.scanners import imprint
from companion.cohorts.truths import true_counterfactual
from companion.engine.mapped import read
from companion.quality.baselines import PixelRegression, histogram_matched, reference
from companion.quality.distances import log_spectrum, mean_absolute_error, ssim
from companion.quality.summary import patient_names, summarise, values


def gold_error(
    cohort: Cohort,
    rows: np.ndarray,
    means: np.ndarray,
    noisy: np.ndarray,
    variable: str = "scanner",
    *,
    compared: bool = True,
) -> pd.DataFrame:
    """Distances to the true counterfactual, per direction.

    Args:
        cohort: a simulated one.
        rows: (n,) test rows of pretraining scanners.
        means: uint8 (n, K, H, W), slot k = do(variable = value k), without pixel noise.
        noisy: the same with pixel noise.
        variable: 'scanner' or 'sex'.
        compared: with what stands beside the counterfactuals.

    Returns:
        Rows with `images` = 'counterfactual' and, for comparison, 'untouched' (the real image left
        alone) and, of the scanner, 'histogram' (matched to the pooled histogram of the target's
        training images) and 'pixel_regression'; 'all' to 'all' is the mean over the directions.
        Measures, of other variables with their name at the end:

        - `gold_error`: mean absolute error against the noise-free truth, in grey levels of 255;
        - `gold_ssim`: structural similarity to the noise-free truth;
        - `gold_imprint`: `gold_error` on the pixels that either scanner prints letters on, in
          directions where one does;
        - `gold_spectrum`: root mean square difference of the power spectra, in decibels, against
          the truth with its noise, the counterfactuals with theirs: do noise and sharpness follow
          the scanner?
    """
    own, patients = cohort.codes(variable, rows), patient_names(cohort, rows)
    baselines = _Baselines(cohort) if compared and variable == "scanner" else None
    found: dict[str, list[pd.DataFrame]] = {}
    for (j, source), (k, target) in permutations(enumerate(cohort.values(variable)), 2):
        mine = np.flatnonzero(own == j)
        if len(mine) == 0:
            continue
        real = read(cohort.images, rows[mine])
        truth = true_counterfactual(cohort, rows[mine], {variable: target}, noise=False)
        noisy_truth = true_counterfactual(cohort, rows[mine], {variable: target})
        candidates = {"untouched": (real, real)} if compared else {}
        if baselines is not None:
            candidates |= {name: (x, x) for name, x in baselines(real, source, target).items()}
        letters = np.zeros(real.shape[1:], dtype=bool)
        if variable == "scanner":
            letters = _letters(cohort, source, target)
        candidates["counterfactual"] = means[mine, k], noisy[mine, k]
        for name, (images, with_noise) in candidates.items():
            measured = _distances(images, truth, letters)
            measured["gold_spectrum"] = spectrum_error(with_noise, noisy_truth)
            for measure, x in measured.items():
                table = values(name, np.full(len(mine), source), target, patients[mine], x)
                found.setdefault(measure, []).append(table)
    ending = "" if variable == "scanner" else f"_{variable}"
    parts = [summarise(f"{name}{ending}", tables) for name, tables in found.items()]
    return pd.concat(parts, ignore_index=True)


class _Baselines:
    """The image-to-image baselines of a cohort's scanners."""

    def __init__(self, cohort: Cohort) -> None:
        self.regression = PixelRegression(cohort)
        self.references = {scanner: reference(cohort, scanner) for scanner in cohort.scanners}

    def __call__(self, real: np.ndarray, source: str, target: str) -> dict[str, np.ndarray]:
        return {
            "histogram": histogram_matched(real, self.references[target]),
            "pixel_regression": self.regression(real, source, target),
        }


def _distances(images: np.ndarray, truth: np.ndarray, letters: np.ndarray) -> dict[str, np.ndarray]:
    """Measure to its values (n,) for images without pixel noise."""
    measured = {"gold_error": mean_absolute_error(images, truth), "gold_ssim": ssim(images, truth)}
    if letters.any():
        inked = images[:, letters][:, None], truth[:, letters][:, None]
        measured["gold_imprint"] = mean_absolute_error(*inked)
    return measured


def spectrum_error(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean square difference (n,), in decibels, of the spectra of two uint8 (n, H, W)."""
    difference = log_spectrum(images) - log_spectrum(truth)
    return np.sqrt((difference**2).mean(axis=1))


def _letters(cohort: Cohort, *scanners: str) -> np.ndarray:
    """Pixels that one of the scanners prints on, bool (H, W)."""
    frame: tuple[int, int] = cohort.images.shape[1:]
    masks = [imprint(truths.scanner_settings(cohort, name), frame) for name in scanners]
    return np.logical_or.reduce(masks)
