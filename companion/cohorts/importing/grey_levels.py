"""Pixel values of any depth and sign become grey levels in [0, 255].

8-bit values stay as they are. Deeper ones are windowed between two percentiles, because 10- and
12-bit images in 16-bit files would come out black otherwise.
"""

import numpy as np

from companion.cohorts.errors import ImageError

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"


def luminance(colour: np.ndarray) -> np.ndarray:
    """Red, green, blue and what else there is (alpha), (H, W, 3 or more), as grey, (H, W)."""
    return to_float(colour[..., :3]) @ _LUMINANCE


def to_float(values: np.ndarray) -> np.ndarray:
    """Values of any type as floats that hold them: float32 up to 16 bit, else float64."""
    return values.astype(np.result_type(values, np.float32))


def window(values: np.ndarray, bits: int, percentiles: tuple[float, float]) -> np.ndarray:
    """Grey levels of values that come without a window, float32, same shape.

    Args:
        values: (H, W), integers or floats.
        bits: that a value has in the file; up to 8, integers span all that these can hold.
        percentiles: window of the others, percent.

    Raises:
        ImageError: some value is not finite.
    """
    if values.dtype.kind in "iu" and bits <= 8:
        low, high = integer_range(bits, signed=values.dtype.kind == "i")
        return rescale(to_float(values), low, high)
    return percentile_window(to_float(values), percentiles)


def integer_range(bits: int, signed: bool) -> tuple[int, int]:
    """Least and greatest integer of so many bits."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def rescale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Maps [low, high] onto [0, 255], clipped; float32, same shape. Values of [0, 255] stay."""
    levels = (values - low) * (255 / ((high - low) or 1))
    return levels.clip(0, 255).astype(np.float32)


def percentile_window(
    values: np.ndarray, percentiles: tuple[float, float], counted: np.ndarray | None = None
) -> np.ndarray:
    """Maps values between two percentiles onto [0, 255], clipped; float32, same shape.

    Args:
        values: (H, W), floats.
        percentiles: percent.
        counted: bool (H, W), the pixels that the percentiles are of; without it, all.

    Raises:
        ImageError: some value is not finite.
    """
    if not np.isfinite(values).all():
        raise ImageError("holds values that are not finite")
    inside = values if counted is None or not counted.any() else values[counted]
    low, high = (float(level) for level in np.percentile(inside, percentiles))
    if low == high:  # a few bright pixels on an even ground: the percentiles miss them
        low, high = float(inside.min()), float(inside.max())
    return rescale(values, low, high)
