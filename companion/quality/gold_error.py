"""Gold error: distance to the true counterfactual, which only a simulator knows.

Beside it stand image-to-image baselines without a causal model, made from the same training images.
"""

from itertools import permutations

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates
from skimage.exposure import match_histograms

from ccl.generator.pixel_map import PixelMap
from ccl.generator.pixel_moments import scanner_spreads
from ccl.generator.registration import flow, mean_shapes
from companion.cohorts import truths
from companion.cohorts.cohort import Cohort
from companion.cohorts.simulation.scanners import imprint
from companion.engine.mapped import read
from companion.quality.distances import mean_absolute_error, spectrum_error, ssim
from companion.quality.sample import Measurements, Sample

REFERENCES = 128  # training images whose pooled histogram stands for a scanner's


def gold_error(
    sample: Sample, means: np.ndarray, noisy: np.ndarray, *, compared: bool = True
) -> pd.DataFrame:
    """Distances to the true counterfactual, per direction.

    Args:
        sample: simulated images, and the scanner or the sex.
        means, noisy: counterfactuals without pixel noise and with it.
        compared: with what stands beside them.

    Returns:
        Rows with `images` = 'counterfactual' and, for comparison, 'untouched' (the real image left
        alone) and, of the scanner, 'histogram' (matched to the pooled histogram of the target's
        training images) and 'pixel_regression', of the sex 'registration'; 'all' to 'all' is the
        mean over the directions.
        Measures, of other variables with their name at the end:

        - `gold_error`: mean absolute error against the noise-free truth, in grey levels of 255;
        - `gold_ssim`: structural similarity to the noise-free truth;
        - `gold_imprint`: `gold_error` on the pixels that either scanner prints letters on, in
          directions where one does;
        - `gold_spectrum`: root mean square difference of the power spectra, in decibels, against
          the truth with its noise, the counterfactuals with theirs: do noise and sharpness follow
          the scanner?
    """
    found = Measurements(sample)
    of_scanner = sample.variable == "scanner"
    baseline = _OfScanner if of_scanner else _OfShape
    baselines = baseline(sample.cohort, sample.variable) if compared else None
    ending = "" if of_scanner else f"_{sample.variable}"
    for j, k in permutations(range(len(sample.values)), 2):
        at = np.flatnonzero(sample.own == j)
        if len(at) == 0:
            continue
        real, truth, noisy_truth = (
            sample.real[at],
            sample.noise_free_truth[at, k],
            sample.truth[at, k],
        )
        direction = sample.values[j], sample.values[k]
        letters = _letters(sample.cohort, *direction) if of_scanner else None
        candidates = {"untouched": (real, real)} if compared else {}
        if baselines is not None:
            candidates |= {name: (x, x) for name, x in baselines(real, *direction).items()}
        candidates["counterfactual"] = means[at, k], noisy[at, k]
        for name, (images, with_noise) in candidates.items():
            measured = _distances(images, truth, letters)
            measured["gold_spectrum"] = spectrum_error(with_noise, noisy_truth)
            for measure, x in measured.items():
                found.add(f"{measure}{ending}", name, x, k, at)
    return found.summary()


def _distances(
    images: np.ndarray, truth: np.ndarray, letters: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Measure to its values (n,) for images without pixel noise."""
    measured = {"gold_error": mean_absolute_error(images, truth), "gold_ssim": ssim(images, truth)}
    if letters is not None and letters.any():
        inked = images[:, letters][:, None], truth[:, letters][:, None]
        measured["gold_imprint"] = mean_absolute_error(*inked)
    return measured


def _letters(cohort: Cohort, *scanners: str) -> np.ndarray:
    """Pixels that one of the scanners prints on, bool (H, W)."""
    frame: tuple[int, int] = cohort.images.shape[1:]
    masks = [imprint(truths.scanner_settings(cohort, name), frame) for name in scanners]
    return np.logical_or.reduce(masks)


class _OfShape:
    """Images of one value given the shape of another's, from the mean images of training images.

    **Registration**: each image is warped as the value's mean image is to that of the target, and
    what the two then differ by is added.
    """

    def __init__(self, cohort: Cohort, variable: str) -> None:
        training, plain = cohort.rows("train", "pretraining"), PixelMap("none", 1, (1, 1))
        codes, values = cohort.codes(variable, training), cohort.values(variable)
        means = mean_shapes(cohort, training, codes, values, plain)
        self.means = dict(zip(values, means, strict=True))

    def __call__(self, real: np.ndarray, source: str, target: str) -> dict[str, np.ndarray]:
        own, wanted = self.means[source], self.means[target]
        places = np.mgrid[: own.shape[0], : own.shape[1]] + flow(wanted, own)
        own_moved, *moved = (map_coordinates(x, places, mode="nearest") for x in (own, *real / 255))
        made = 255 * (np.stack(moved) + wanted - own_moved)
        return {"registration": np.rint(made.clip(0, 255)).astype(np.uint8)}


class _OfScanner:
    """Images of one scanner made to look like another's, from the moments of training images.

    **Histogram**: each image's is matched to that of the target's pooled images. **Pixel
    regression**: a straight line per pixel takes mean and spread there to the target's. Images of
    two scanners are not paired, so it cannot be fitted to pairs; this line is the optimal transport
    between the two Gaussians of that pixel.
    """

    def __init__(self, cohort: Cohort, variable: str) -> None:
        training = cohort.rows("train", "pretraining")
        spreads = zip(cohort.values(variable), scanner_spreads(cohort, training), strict=True)
        self.moments = {name: (mean, np.maximum(spread, 1.0)) for name, (mean, spread) in spreads}
        self.pooled = {
            name: read(cohort.images, cohort.rows("train", [name])[:REFERENCES])
            for name in cohort.scanners
        }

    def __call__(self, real: np.ndarray, source: str, target: str) -> dict[str, np.ndarray]:
        pooled = self.pooled[target].reshape(-1, real.shape[-1])
        matched = np.stack([match_histograms(image, pooled) for image in real])
        (mean, spread), (new_mean, new_spread) = self.moments[source], self.moments[target]
        moved = (real - mean) * (new_spread / spread) + new_mean
        return {
            "histogram": matched.round().astype(np.uint8),
            "pixel_regression": np.rint(moved.clip(0, 255)).astype(np.uint8),
        }
