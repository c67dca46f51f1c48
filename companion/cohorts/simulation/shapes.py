"""Soft shapes and textures that the simulated anatomies are put together from."""

import numpy as np


def between(uniform: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uniform draws from [0, 1) moved to [low, high)."""
    return np.float32(low) + np.float32(high - low) * uniform


def inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """1 well inside (distance > 0), 0 well outside, soft in between."""
    return 0.5 + 0.5 * np.tanh(distance / np.float32(2 * softness))


def blob(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gaussian hill of height 1 and unit width at the origin."""
    return np.exp(-0.5 * (x * x + y * y))


def smooth(knots: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """Quadratic B-spline surface (n, H, W) through a grid (n, k, k) of normal draws."""
    down, across = (_spline(side, knots.shape[1]) for side in frame)
    return down @ knots @ across.T * np.float32(1.6)  # about unit variance


def _spline(pixels: int, knots: int) -> np.ndarray:
    """Weight (pixels, knots) of every knot at every pixel."""
    place = (np.arange(pixels) + 0.5) / pixels * (knots - 3) + 1
    distance = np.abs(place[:, None] - np.arange(knots)[None, :])
    near = 0.75 - distance**2
    far = 0.5 * np.clip(1.5 - distance, 0, None) ** 2
    return np.where(distance < 0.5, near, far).astype(np.float32)
