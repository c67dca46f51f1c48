"""Mean and spread of many images, in memory that does not grow with their number."""

from collections.abc import Iterator

import numpy as np

from ccl.generator.images import Images

CHUNK = 256  # images in memory at once


def pixel_moments(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the grey levels and of their squares, of every pixel over some images.

    Sums of whole numbers are exact, so that neither depends on the order of the rows.

    Args:
        images: uint8 (N, H, W), perhaps memory-mapped.
        rows: (n,) rows, n > 0.

    Returns:
        Two float64 (H, W), in [0, 255] and [0, 255^2].
    """
    total = np.zeros(images.shape[1:], dtype=np.int64)
    squares = np.zeros_like(total)
    for start in range(0, len(rows), CHUNK):
        chunk = images[rows[start : start + CHUNK]].astype(np.uint16)
        total += chunk.sum(0, dtype=np.int64)
        squares += (chunk * chunk).sum(0, dtype=np.int64)  # 255^2 fits 16 bits
    return total / len(rows), squares / len(rows)


def pixel_spread(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every pixel over some images, float64 (H, W) each."""
    mean, square = pixel_moments(images, rows)
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def scanner_spreads(source: Images, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`pixel_spread` of the images of each scanner among some rows, scanner by scanner.

    Raises:
        ValueError: a scanner has no image.
    """
    codes = source.codes("scanner", rows)
    for code, name in enumerate(source.values("scanner")):
        if not (codes == code).any():
            raise ValueError(f"scanner '{name}' has no training image to take its mean image from")
        yield pixel_spread(source.images, rows[codes == code])


def grey_spread(images: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of all pixels of some images together."""
    mean, square = (float(moment.mean()) for moment in pixel_moments(images, rows))
    return mean, max(square - mean**2, 0.0) ** 0.5
