"""Simulated scanners: rendering pipelines with separate settings, put over any float image.

A pipeline is physics first (blur, anti-scatter grid, sensor noise), then processing (window,
local contrast, tone curve), then the imprinted letters. Every length is in reference pixels of a
64-pixel image and scales with the image, so that a scanner looks alike at every size.
"""

from functools import lru_cache
from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy import ndimage

from ccl.options import Options

REFERENCE_SIZE = 64  # lengths of a `Scanner` are pixels of an image of this size

Regime = Literal["strong", "mild"]

# 3 x 5 bitmaps, one string per row.
_GLYPHS = {
    "A": ("010", "101", "111", "101", "101"),
    "B": ("110", "101", "110", "101", "110"),
    "C": ("011", "100", "100", "100", "011"),
    "D": ("110", "101", "101", "101", "110"),
    "E": ("111", "100", "110", "100", "111"),
    "F": ("111", "100", "110", "100", "100"),
    "H": ("101", "101", "111", "101", "101"),
    "I": ("111", "010", "010", "010", "111"),
    "L": ("100", "100", "100", "100", "111"),
    "O": ("111", "101", "101", "101", "111"),
    "P": ("110", "101", "110", "100", "100"),
    "R": ("110", "101", "110", "101", "101"),
    "S": ("011", "100", "010", "001", "110"),
    "T": ("111", "010", "010", "010", "010"),
    "U": ("101", "101", "101", "101", "111"),
    "X": ("101", "101", "010", "101", "101"),
    " ": ("000", "000", "000", "000", "000"),
}


class Scanner(Options):
    """Settings of one rendering pipeline; lengths in reference pixels (see module docstring)."""

    gamma: float = Field(default=1.0, gt=0)  # tone curve v**gamma: below 1 brightens
    window: tuple[float, float] = (0.0, 1.0)  # radiance shown as black and as white
    blur: float = Field(default=0.0, ge=0)  # standard deviation of the point spread
    local_contrast: float = Field(default=0.0, ge=0)  # amount of unsharp masking
    local_contrast_radius: float = Field(default=4.0, gt=0)  # its standard deviation
    grid_period: float = Field(default=5.0, ge=2)  # of the vertical anti-scatter lines
    grid_amplitude: float = Field(default=0.0, ge=0)  # in units of radiance
    noise: float = Field(default=0.0, ge=0)  # standard deviation, in units of radiance
    text: str = ""  # imprinted letters
    text_position: tuple[float, float] = (3.0, 3.0)  # row, column of their upper left corner

    @model_validator(mode="after")
    def _window_is_open(self) -> Self:
        if not self.window[0] < self.window[1]:
            raise ValueError(f"window {self.window}: the first value must be below the second")
        return self

    @field_validator("text")
    @classmethod
    def _letters_are_known(cls, text: str) -> str:
        if unknown := sorted(set(text) - set(_GLYPHS)):
            raise ValueError(f"text '{text}' has {unknown}; letters known: {''.join(_GLYPHS)}")
        return text


# fmt: off
# Aurora, Boreal, Cirrus are meant for pretraining, Dorado and Eos to be held out.
SCANNERS: dict[Regime, dict[str, Scanner]] = {
    "strong": {
        "Aurora": Scanner(window=(0.0, 0.9), blur=0.35, local_contrast=0.2, noise=0.008),
        "Boreal": Scanner(gamma=1.5, window=(0.0, 0.8), blur=0.7, local_contrast=0.5, noise=0.011),
        "Cirrus": Scanner(gamma=0.45, window=(-0.04, 1.0), blur=0.8, local_contrast=1.5,
                          local_contrast_radius=2.5, grid_period=5.0, grid_amplitude=0.02,
                          noise=0.024, text="CR", text_position=(3.0, 3.0)),
        "Dorado": Scanner(gamma=0.75, window=(0.03, 1.0), blur=0.5, local_contrast=0.8,
                          noise=0.012),
        "Eos": Scanner(gamma=0.6, window=(0.0, 0.75), blur=1.0, local_contrast=1.0,
                       local_contrast_radius=6.0, grid_period=7.0, grid_amplitude=0.025,
                       noise=0.02, text="EOS", text_position=(3.0, 50.0)),
    },
    "mild": {
        "Aurora": Scanner(window=(0.0, 0.9), blur=0.35, local_contrast=0.2, noise=0.008),
        "Boreal": Scanner(gamma=1.1, window=(0.0, 0.88), blur=0.45, noise=0.009),
        "Cirrus": Scanner(gamma=0.85, window=(0.0, 0.95), blur=0.6, local_contrast=0.4,
                          noise=0.012),
        "Dorado": Scanner(gamma=0.93, window=(0.02, 0.95), blur=0.5, noise=0.01),
        "Eos": Scanner(gamma=0.9, window=(0.0, 0.87), blur=0.5, local_contrast=0.5, noise=0.012,
                       text="EOS", text_position=(3.0, 50.0)),
    },
}

# For mammograms: Fjord to Juno are meant for pretraining, Kestrel to be held out. Haven and Juno
# are films (fogged, grainy, hard), Iris is a storage plate, the others are digital.
MAMMOGRAPHS: dict[Regime, dict[str, Scanner]] = {
    "strong": {
        "Fjord": Scanner(window=(0.03, 0.75), blur=0.3, local_contrast=0.5, noise=0.008),
        "Gale": Scanner(gamma=1.9, window=(0.02, 0.8), blur=0.7, noise=0.01),
        "Haven": Scanner(gamma=0.8, window=(-0.12, 0.62), blur=0.8, noise=0.022),
        "Iris": Scanner(gamma=0.5, window=(-0.02, 1.0), blur=0.5, local_contrast=1.5,
                        local_contrast_radius=2.5, grid_period=5.0, grid_amplitude=0.012,
                        noise=0.016, text="CR", text_position=(3.0, 25.0)),
        "Juno": Scanner(gamma=1.3, window=(-0.08, 0.5), blur=1.1, noise=0.026,
                        text="FS", text_position=(56.0, 25.0)),
        "Kestrel": Scanner(gamma=0.75, window=(0.0, 0.68), blur=0.7, local_contrast=1.0,
                           local_contrast_radius=6.0, grid_period=7.0, grid_amplitude=0.015,
                           noise=0.018, text="XR", text_position=(3.0, 25.0)),
    },
    "mild": {
        "Fjord": Scanner(window=(0.03, 0.75), blur=0.3, local_contrast=0.5, noise=0.008),
        "Gale": Scanner(gamma=1.1, window=(0.02, 0.8), blur=0.4, local_contrast=0.4, noise=0.009),
        "Haven": Scanner(gamma=0.95, window=(0.0, 0.72), blur=0.5, local_contrast=0.3, noise=0.012),
        "Iris": Scanner(gamma=0.9, window=(0.03, 0.8), blur=0.4, local_contrast=0.7, noise=0.01),
        "Juno": Scanner(gamma=1.05, window=(-0.01, 0.7), blur=0.6, local_contrast=0.3, noise=0.013),
        "Kestrel": Scanner(gamma=0.93, window=(0.02, 0.74), blur=0.5, local_contrast=0.6,
                           noise=0.011, text="XR", text_position=(3.0, 25.0)),
    },
}
# fmt: on


def render(
    radiance: np.ndarray, scanner: Scanner, noise_field: np.ndarray | None = None
) -> np.ndarray:
    """Images of a scanner, uint8 (n, H, W), from radiance.

    Args:
        radiance: (n, H, W) in [0, 1], bright is dense; any source, simulated or real.
        scanner: the pipeline's settings.
        noise_field: standard normal (n, H, W), the sensor's exogenous noise; None leaves it out.

    Raises:
        ValueError: the arrays' shapes do not fit.
    """
    if radiance.ndim != 3:
        raise ValueError(f"radiance has shape {radiance.shape}, expected (n, H, W)")
    if noise_field is not None and noise_field.shape != radiance.shape:
        raise ValueError(f"noise_field {noise_field.shape} does not fit {radiance.shape}")
    pixel = max(radiance.shape[1:]) / REFERENCE_SIZE  # image pixels per reference pixel
    image = _physics(radiance.astype(np.float32), scanner, noise_field, pixel)
    image = _process(image, scanner, pixel)
    if scanner.text:
        ink = _ink(scanner.text, scanner.text_position, radiance.shape[1], radiance.shape[2])
        image += ink * (1 - image)
    return np.rint(image * 255).astype(np.uint8)


def imprint(scanner: Scanner, frame: tuple[int, int]) -> np.ndarray:
    """Mask of the pixels that a scanner prints letters on, bool (H, W)."""
    if not scanner.text:
        return np.zeros(frame, dtype=bool)
    return _ink(scanner.text, scanner.text_position, *frame) > 0


def _physics(
    image: np.ndarray, scanner: Scanner, noise_field: np.ndarray | None, pixel: float
) -> np.ndarray:
    image = _blurred(image, scanner.blur * pixel)
    if scanner.grid_amplitude:
        column = (np.arange(image.shape[2]) + 0.5) / pixel
        lines = np.cos(2 * np.pi * column / scanner.grid_period)
        image = image + (scanner.grid_amplitude * lines).astype(np.float32)
    if noise_field is not None and scanner.noise:
        image = image + np.float32(scanner.noise) * noise_field.astype(np.float32)
    return image


def _process(image: np.ndarray, scanner: Scanner, pixel: float) -> np.ndarray:
    low, high = scanner.window
    image = np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)
    if scanner.local_contrast:
        detail = image - _blurred(image, scanner.local_contrast_radius * pixel)
        image = np.clip(image + np.float32(scanner.local_contrast) * detail, 0, 1)
    return image ** np.float32(scanner.gamma) if scanner.gamma != 1 else image


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    if not sigma:
        return image
    return ndimage.gaussian_filter(image, (0, sigma, sigma), mode="nearest", truncate=3.0)


@lru_cache
def _ink(text: str, position: tuple[float, float], height: int, width: int) -> np.ndarray:
    """Share of every pixel that the letters cover, float32 (H, W)."""
    rows = [" ".join(_GLYPHS[letter][row] for letter in text) for row in range(5)]
    glyphs = np.array([[cell == "1" for cell in row] for row in rows], dtype=float)
    pixel = max(height, width) / REFERENCE_SIZE
    top, left = position
    down = _coverage(height, glyphs.shape[0], top * pixel, pixel)
    across = _coverage(width, glyphs.shape[1], left * pixel, pixel)
    return (down @ glyphs @ across.T).astype(np.float32)


def _coverage(pixels: int, cells: int, start: float, cell: float) -> np.ndarray:
    """Overlap (pixels, cells) of unit pixels with cells of a length laid out from `start`."""
    pixel_edge = np.arange(pixels)[:, None]
    cell_edge = start + cell * np.arange(cells)[None, :]
    overlap = np.minimum(pixel_edge + 1, cell_edge + cell) - np.maximum(pixel_edge, cell_edge)
    return np.clip(overlap, 0, 1)
