"""The phantom's causal mechanisms: exogenous noise, density, implant and view to a mammogram.

Coordinates are those of a left breast: x from the chest wall, 0, towards the nipple and y
downwards in [-1, 1] over the image; the image is `DEPTH` wide whatever its pixels. Right breasts
are mirrored at the end. Arrays of one number per image are float32 (n, 1, 1), images (n, H, W).
"""

from dataclasses import dataclass

import numpy as np

from companion.cohorts.simulation.draws import DrawNames, Exogenous
from companion.cohorts.simulation.shapes import between, inside, smooth

DEPTH = 1.75  # width of the image in half heights: 224 x 192 pixels, like the paper's

# Every woman and every image draws all of its numbers, whatever its density, view and scanner.
# fmt: off
PATIENT_DRAWS = (
    "age", "density", "implant", "reach", "half_height", "gland_along", "gland_across",
    "glandular", "fat", "strands", "axilla", "pectoral_width", "pectoral_length", "pectoral",
    "implant_size", "implant_place",
)
IMAGE_DRAWS = ("side", "view", "shift", "compression", "level", "positioning", "exposure")
# fmt: on
DRAWS = DrawNames(PATIENT_DRAWS, IMAGE_DRAWS)


@dataclass(frozen=True)
class Breast:
    """What lies where in n mammograms, as if all were of left breasts: float32 (n, H, W)."""

    outline: np.ndarray  # distance from the skin, positive inside, in half heights
    muscle: np.ndarray  # share of pectoral muscle
    tissue: np.ndarray  # share of fibroglandular tissue
    implant: np.ndarray  # distance from the implant's shell, positive inside
    direction: np.ndarray  # angle at which the nipple sees each pixel, radians
    coarse: np.ndarray  # textures of about unit variance
    fine: np.ndarray


def anatomy(
    noise: Exogenous, tissue_share: np.ndarray, implant: np.ndarray, oblique: np.ndarray
) -> Breast:
    """Mechanism of the anatomy.

    Args:
        noise: exogenous noise of n images.
        tissue_share: (n,) share of the breast's area that is fibroglandular, in [0, 1].
        implant: bool (n,).
        oblique: bool (n,), mediolateral oblique views; the others are craniocaudal.
    """
    u, mlo = noise.patient, _column(oblique)
    x, y = _posed(noise)
    reach = between(u["reach"], 0.9, 1.4)
    half_height = between(u["half_height"], 0.66, 0.84) * (1 + 0.06 * mlo)
    middle = between(noise.image["level"], -0.05, 0.05) + 0.24 * mlo
    down = y - middle
    # Seen obliquely, the upper half is drawn out into the axilla.
    across = down / np.where(down < 0, half_height * (1 + 0.35 * mlo), half_height)
    outline = _outline(x, y, down, across, reach, half_height, mlo, u["axilla"])
    muscle = mlo * _pectoral(x, y, noise)
    coarse, fine = (_texture(noise, k) for k in (0, 1))
    favour = _favour(x / reach, across, noise) + 0.45 * coarse + 0.22 * fine
    level = _level(favour, (outline > 0) & (muscle < 0.5), tissue_share)
    return Breast(
        outline=outline,
        muscle=muscle,
        tissue=inside(favour - level, 0.1) * inside(outline, 0.012) * (1 - muscle),
        implant=np.where(_column(implant) > 0, _implant(x / reach, across, noise), np.float32(-1)),
        direction=np.arctan2(down, reach + np.float32(0.2) - x),
        coarse=coarse,
        fine=fine,
    )


def radiance(
    noise: Exogenous,
    tissue_share: np.ndarray,
    implant: np.ndarray,
    oblique: np.ndarray,
    right: np.ndarray,
) -> np.ndarray:
    """Mechanism of the image before any scanner: (n, H, W) in [0, 1], bright is dense.

    Args:
        noise, tissue_share, implant, oblique: as `anatomy`'s.
        right: bool (n,), right breasts: their chest wall is at the image's right.
    """
    b = anatomy(noise, tissue_share, implant, oblique)
    u = noise.patient
    # Compressed to one thickness, except towards the skin, where the breast is rounded.
    thickness = 0.3 + 0.7 * (1 - np.exp(-np.clip(b.outline, 0, None) / np.float32(0.09)))
    strands = between(u["strands"], 0.04, 0.08) * _strands(b)
    fat = between(u["fat"], 0.22, 0.28) + 0.012 * b.coarse + 0.012 * b.fine
    share = _column(tissue_share)
    dense = between(u["glandular"], 0.17, 0.25) * (0.8 + 0.4 * share) * (1 + 0.22 * b.fine)
    skin = 0.05 * np.exp(-(((b.outline - np.float32(0.015)) / np.float32(0.02)) ** 2))
    image = (fat + strands + dense * b.tissue) * thickness + skin
    image += b.muscle * (between(u["pectoral"], 0.48, 0.6) + 0.015 * b.coarse - image)
    shell = np.exp(-(((b.implant - np.float32(0.02)) / np.float32(0.02)) ** 2))
    image += inside(b.implant, 0.012) * (0.74 + 0.08 * shell - image)
    image *= inside(b.outline, 0.012) * between(noise.image["exposure"], 0.93, 1.07)
    image = np.where(_column(right) > 0, image[:, :, ::-1], image)
    return np.clip(image, 0, 1)


def _texture(noise: Exogenous, k: int) -> np.ndarray:
    """A texture that is the woman's own, with a little of the image's."""
    knots = np.float32(0.95) * noise.patient_texture[k] + np.float32(0.3) * noise.image_texture[k]
    return smooth(knots, noise.frame)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]


def _posed(noise: Exogenous) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel, moved and scaled by positioning and compression."""
    u, (height, width) = noise.image, noise.frame
    x = ((np.arange(width, dtype=np.float32) + 0.5) * np.float32(DEPTH / width))[None, None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) * np.float32(2 / height) - 1)[None, :, None]
    scale = between(u["compression"], 0.95, 1.05)
    return x * scale, (y - between(u["shift"], -0.06, 0.06)) * scale


def _outline(
    x: np.ndarray,
    y: np.ndarray,
    down: np.ndarray,
    across: np.ndarray,
    reach: np.ndarray,
    half_height: np.ndarray,
    mlo: np.ndarray,
    axilla: np.ndarray,
) -> np.ndarray:
    """Distance from the skin: half an ellipse with a nipple, obliquely also the axilla."""
    breast = (1 - np.sqrt((x / reach) ** 2 + across * across + 1e-6)) * half_height
    nipple = 0.045 - np.hypot(x - reach, down)
    above = between(axilla, 0.72, 0.95) - 0.12 * y - x - 0.9 * np.clip(down + 0.2, 0, None)
    above = np.where(mlo > 0, above, np.float32(-1))
    fold = 0.4 * (y - 0.74) - x  # where breast and abdomen meet
    fold = np.where(mlo > 0, fold, np.float32(-1))
    return _joined(_joined(np.maximum(breast, nipple), above), fold)


def _joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Union of two shapes given by their distances, rounded where they meet."""
    round_ = np.float32(0.05)
    return round_ * np.logaddexp(a / round_, b / round_)


def _pectoral(x: np.ndarray, y: np.ndarray, noise: Exogenous) -> np.ndarray:
    """A triangle from the image's upper corner down along the chest wall."""
    u = noise.patient
    width = between(u["pectoral_width"], 0.42, 0.68) * between(noise.image["positioning"], 0.85, 1)
    length = between(u["pectoral_length"], 1.0, 1.6)
    fall = (y + 1) / length
    edge = width * (1 - fall) + 0.1 * width * np.sin(np.pi * np.clip(fall, 0, 1))
    return inside(0.85 * (edge - x), 0.014)


def _strands(b: Breast) -> np.ndarray:
    """Ligaments and ducts: wavering lines that run together towards the nipple."""
    wave = np.cos(22 * b.direction + 2.2 * b.coarse + 0.7 * b.fine)
    return np.clip(wave, 0, 1) ** 4 * np.clip(0.5 + 0.5 * b.fine, 0, 1)


def _favour(along: np.ndarray, across: np.ndarray, noise: Exogenous) -> np.ndarray:
    """Where tissue comes first: behind the nipple and above it."""
    u = noise.patient
    middle = between(u["gland_along"], 0.5, 0.62)
    level = between(u["gland_across"], -0.2, 0.02)
    return -(((along - middle) / 0.42) ** 2) - ((across - level) / 0.62) ** 2


def _implant(along: np.ndarray, across: np.ndarray, noise: Exogenous) -> np.ndarray:
    """Distance from an implant's shell, positive inside."""
    size = between(noise.patient["implant_size"], 0.85, 1.1)
    place = between(noise.patient["implant_place"], 0.26, 0.34)
    radius = np.sqrt(((along - place) / (0.4 * size)) ** 2 + (across / (0.62 * size)) ** 2)
    return (1 - radius) * 0.5


def _level(favour: np.ndarray, area: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Height (n, 1, 1) above which `favour` covers a share (n,) of the area."""
    n = len(favour)
    ranked = -np.sort(-np.where(area, favour, -np.inf).reshape(n, -1), axis=1)
    place = np.clip(np.round(share * area.sum((1, 2))).astype(int), 1, None) - 1
    return ranked[np.arange(n), place][:, None, None]
