"""Pictures for made-up releases: a chest and a breast in a few strokes, uint8."""

import numpy as np

from companion.cohorts.simulation.shapes import blob

CHEST = (88, 80)  # height, width
BREAST = (96, 80)
LABEL_PLATE = (slice(6, 14), slice(60, 76))  # on a breast's dark background


def chest(rng: np.random.Generator, ill: bool, gain: float) -> np.ndarray:
    """A grey trunk with two dark lungs; one of them with an opacity if `ill`.

    `rng` moves all a little and adds noise; `gain`, near 1, is how bright the scanner shows it.
    """
    y, x = np.mgrid[-1 : 1 : CHEST[0] * 1j, -1 : 1 : CHEST[1] * 1j]
    centre = rng.uniform(-0.05, 0.05)
    picture = 170 * blob(0.7 * (x - centre), 0.5 * y)
    for side in (-0.4, 0.4):
        picture -= 90 * blob((x - centre - side) / 0.22, (y + 0.1) / 0.4)
    if ill:
        picture += 60 * blob((x - centre - 0.4) / 0.12, (y - rng.uniform(-0.2, 0.2)) / 0.12)
    return _grey(rng, gain * picture)


def breast(rng: np.random.Generator, density: int, gain: float) -> np.ndarray:
    """A breast at the left edge of black film, brighter the denser (0 to 3), and a label plate."""
    y, x = np.mgrid[-1 : 1 : BREAST[0] * 1j, -1 : 1 : BREAST[1] * 1j]
    size = rng.uniform(0.9, 1.1)
    inside = ((x + 1) / (1.3 * size)) ** 2 + (y / (0.85 * size)) ** 2 < 1
    tissue = 60 + 35 * density * blob((x + 0.4) / 0.35, y / 0.4)
    picture = _grey(rng, gain * tissue) * inside
    picture[LABEL_PLATE] = 250
    return picture


def _grey(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    noisy = picture + rng.normal(0, 4, picture.shape)
    return noisy.round().clip(6, 255).astype(np.uint8)
