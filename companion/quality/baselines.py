"""Image-to-image baselines without a causal model, made from the same training images."""

import numpy as np
from skimage.exposure import match_histograms

from ccl.generator.pixel_moments import scanner_spreads
from companion.cohorts.cohort import Cohort
from companion.engine.mapped import read

REFERENCES = 128  # training images whose pooled histogram stands for a scanner's


def reference(cohort: Cohort, scanner: str) -> np.ndarray:
    """Training images uint8 (n, H, W) that stand for a scanner's histogram."""
    return read(cohort.images, cohort.rows("train", [scanner])[:REFERENCES])


def histogram_matched(images: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Each image with its histogram matched to that of the pooled images; uint8 (n, H, W)."""
    flat = pooled.reshape(-1, pooled.shape[-1])
    return np.stack([match_histograms(image, flat) for image in images]).round().astype(np.uint8)


class PixelRegression:
    """A straight line per pixel that takes a scanner's mean and spread there to another's.

    The images of two scanners are not paired, so a regression cannot be fitted to pairs; the line
    that matches mean and standard deviation of every pixel is the optimal transport between the
    two Gaussians of that pixel.
    """

    def __init__(self, cohort: Cohort) -> None:
        """Means and spreads of every pixel in the training images of every pretraining scanner."""
        spreads = zip(
            cohort.scanners,
            scanner_spreads(cohort, cohort.rows("train", "pretraining")),
            strict=True,
        )
        self.moments = {name: (mean, np.maximum(spread, 1.0)) for name, (mean, spread) in spreads}

    def __call__(self, images: np.ndarray, source: str, target: str) -> np.ndarray:
        """Images uint8 (n, H, W) of one scanner as another's."""
        (mean, spread), (new_mean, new_spread) = self.moments[source], self.moments[target]
        moved = (images - mean) * (new_spread / spread) + new_mean
        return np.rint(moved.clip(0, 255)).astype(np.uint8)
