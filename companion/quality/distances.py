"""Distances between images, one number per image."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

_BATCH_SIZE = 32  # images whose floating-point copies are in memory at once


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

    `skimage.metrics.structural_similarity`, of many images at once.

    Source: Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861, with its Gaussian window.
    """
    return _piecewise(_ssim, images, truth)


def _ssim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.astype(np.float64), y.astype(np.float64)
    blur = partial(gaussian_filter, sigma=(0, 1.5, 1.5), truncate=3.5, mode="reflect")
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x * mean_x, blur(y * y) - mean_y * mean_y
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = numerator / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    # Without the border, where the window of 11 x 11 pixels leaves the image.
    return np.array([each[5:-5, 5:-5].mean() for each in similarity])


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


def spectrum_error(images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean square difference (n,), in decibels, of the spectra of two uint8 (n, H, W)."""
    difference = log_spectrum(images) - log_spectrum(truth)
    return np.sqrt((difference**2).mean(axis=1))
