"""Pixel values of any depth and sign become grey levels in [0, 255], float32.

8-bit values stay as they are. Deeper ones are windowed between two percentiles, because 10- and
12-bit images in 16-bit files would come out black otherwise.
"""

import numpy as np

from companion.cohorts.errors import ImageError

MAX_PIXELS = 80_000_000  # more than any radiograph; a small file can claim far more than memory
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"


def require_size(width: int, height: int, unpacked: int = 0) -> None:
    """Refuses an image of more than `MAX_PIXELS`, as it claims or as it is `unpacked`."""
    if max(width * height, unpacked) > MAX_PIXELS:
        raise ImageError(f"claims {width} x {height} pixels, more than is read")


def luminance(colour: np.ndarray) -> np.ndarray:
    """Red, green, blue and what else there is (alpha), (H, W, 3 or more), as grey, (H, W)."""
    return to_float(colour[..., :3]) @ _LUMINANCE


def to_float(values: np.ndarray) -> np.ndarray:
    """Values of any type as floats that hold them: float32 up to 16 bit, else float64."""
    return values.astype(np.result_type(values, np.float32))


def window(values: np.ndarray, bits: int, percentiles: tuple[float, float]) -> np.ndarray:
    """Grey levels of values (H, W) that come without a window.

    Args:
        values: integers or floats.
        bits: that a value has in the file; up to 8, integers span all that these can hold.
        percentiles: window of the others, percent.
    """
    if values.dtype.kind in "iu" and bits <= 8:
        return rescale(to_float(values), *integer_range(bits, signed=values.dtype.kind == "i"))
    return percentile_window(to_float(values), percentiles)


def integer_range(bits: int, signed: bool) -> tuple[int, int]:
    """Least and greatest integer of so many bits."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def rescale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Maps [low, high] onto [0, 255], clipped. Values of [0, 255] stay."""
    levels = (values - low) * (255 / ((high - low) or 1))
    return levels.clip(0, 255).astype(np.float32)


def percentile_window(
    values: np.ndarray, percentiles: tuple[float, float], counted: np.ndarray | None = None
) -> np.ndarray:
    """Maps floats (H, W) between two percentiles of all pixels, or of the `counted`, onto [0, 255].

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
