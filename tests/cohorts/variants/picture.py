"""The picture that every variant shows, at any depth, and what a reader should make of it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

PERCENTILES = (0.5, 99.5)
Y, X = np.mgrid[:48, :64]
PICTURE = 0.2 + 0.5 * (np.sin(X / 9) + np.cos(Y / 7) + 2) / 4  # off the middle, not full


class Made(NamedTuple):
    """What a file shows, (H, W), bright = dense, in any unit; black and white in that unit.

    Where it is to be shown in a way of its own: the grey levels in [0, 255], and the way's name.
    """

    grey: np.ndarray
    black: float
    white: float
    own: np.ndarray | None = None
    way: str = "own window"


Maker = Callable[[Path], Made]


def unsigned(bits: int) -> np.ndarray:
    return np.round(PICTURE * (2**bits - 1)).astype(
        np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    )


def plain(bits: int) -> Made:
    return Made(unsigned(bits).astype(float), 0, 2.0**bits - 1)


def inverted(bits: int) -> Made:
    top = 2.0**bits - 1
    return Made(top - unsigned(bits), 0, top)


def signed(bits: int) -> tuple[np.ndarray, Made]:
    lowest = 2 ** (bits - 1)
    values = (unsigned(bits).astype(np.int64) - lowest).astype(f"i{bits // 8}")
    return values, Made(values.astype(float), -lowest, lowest - 1)


def channels(bits: int) -> tuple[np.ndarray, Made]:
    """Three that differ, and their luminance."""
    first = unsigned(bits)
    colour = np.dstack([first, first // 2, first // 3])
    return colour, Made(colour @ np.array([0.299, 0.587, 0.114]), 0, 2.0**bits - 1)


def alpha(bits: int) -> np.ndarray:
    return np.where(X < 32, 2**bits - 1, 2**bits // 4).astype(unsigned(bits).dtype)


def packed_rows(values: np.ndarray, bits: int) -> list[bytes]:
    """Rows of integers of any number of bits, the highest first, each row from a new byte."""
    ones = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.astype(np.uint8).ravel()).tobytes() for row in ones]
