"""Distances between images, one number per image."""

from collections.abc import Callable

import numpy as np
from skimage.metrics import structural_similarity

_BATCH_SIZE = 256  # images whose floating-point copies are in memory at once


def _piecewise(function: Callable[..., np.ndarray], *images: np.ndarray) -> np.ndarray:
    """A function of images (n, H, W) each, applied to few at a time."""
    starts = range(0, max(1, len(images[0])), _BATCH_SIZE)
    parts = [function(*(x[start : start + _BATCH_SIZE] for x in images)) for start in starts]
    return np.concatenate(parts)


def mean_absolute_error(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean over the pixels of |a - b|, (n,) in grey levels, for two uint8 (n, H, W)."""
    return _piecewise(
        lambda a, b: np.abs(a.astype(np.float32) - b).mean(axis=(1, 2)), images, truth
    )


def ssim(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity, (n,) up to 1, of two uint8 (n, H, W).

    Source: Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861, with its Gaussian window.
    """
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return np.array(
        [
            structural_similarity(a, b, data_range=255, **settings)
            for a, b in zip(images, truth, strict=True)
        ]
    )


def log_spectrum(images: np.ndarray, bins: int = 12) -> np.ndarray:
    """Power over spatial frequency, in decibels, float (n, bins), of uint8 (n, H, W).

    The power spectral density is averaged over rings of equal width, from 0 (the mean itself left
    out) to the frequency of one cycle in two pixels.
    """
    height, width = images.shape[1:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    ring = np.minimum((frequency / 0.5 * bins).astype(int), bins).ravel()  # `bins`: the corners
    ring[0] = bins
    counts = np.bincount(ring, minlength=bins + 1)[:bins]

    def rings(some: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft2(some.astype(np.float32) / 255)) ** 2 / (height * width)
        return np.stack([np.bincount(ring, each.ravel(), bins + 1)[:bins] for each in power])

    sums = _piecewise(rings, images)
    floor = 1e-7  # below the power of rounding to grey levels
    return 10 * np.log10(sums / np.maximum(counts, 1) + floor)
