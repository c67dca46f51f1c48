"""The phantom's causal mechanisms: exogenous noise, sex, age and finding to a chest's radiance.

Coordinates: x to the right and y downwards, both in [-1, 1] over the image, with the spine near
x = 0. The image's right is the patient's left, where the heart points. Arrays of one number per
image are float32 (n, 1, 1), images float32 (n, H, W).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from companion.cohorts.simulation.draws import DrawNames, Exogenous
from companion.cohorts.simulation.shapes import between, blob, inside, smooth

MAX_LESIONS = 3

# Every patient and every image draws all of its numbers, whatever its sex, finding and scanner:
# an intervention on those leaves the rest as it was.
# fmt: off
PATIENT_DRAWS = (
    "sex", "age", "width", "lung_height", "asymmetry", "heart", "heart_tilt", "mediastinum",
    "knob", "dome_right", "dome_left", "rib_phase", "rib_spacing", "rib_slope", "rib_contrast",
    "clavicle", "clavicle_slope", "breast", "breast_height", "fat", "shoulder", "air", "vessels",
    "vessel_phase_right", "vessel_phase_left",
)
IMAGE_DRAWS = (
    "label", "shift_x", "shift_y", "scale", "rotation", "inspiration", "exposure", "haze",
    "bubble", "lesions",
)
LESION_DRAWS = ("side", "along", "across", "width", "height", "tilt", "contrast")
# fmt: on

DRAWS = DrawNames(PATIENT_DRAWS, IMAGE_DRAWS, LESION_DRAWS, MAX_LESIONS)


@dataclass(frozen=True)
class Anatomy:
    """Shape parameters of n chests, float32 (n, 1, 1); lengths in half image widths."""

    half_width: np.ndarray  # of the rib cage
    lung_top: np.ndarray
    dome: tuple[np.ndarray, np.ndarray]  # height of the diaphragm, image left and image right
    heart_radius: np.ndarray
    heart_tilt: np.ndarray
    mediastinum: np.ndarray  # half width
    knob: np.ndarray  # radius of the aortic arch
    rib_spacing: np.ndarray
    rib_slope: np.ndarray
    bone: np.ndarray  # contrast of bones
    breast: np.ndarray  # density, 0 for none
    breast_radius: np.ndarray
    pectoral: np.ndarray  # density
    shoulder: np.ndarray  # half width of the body at the shoulders
    fat: np.ndarray  # thickness of the chest wall


def anatomy(noise: Exogenous, female: np.ndarray, age: np.ndarray) -> Anatomy:
    """Mechanism of the anatomy of n images; `female` is bool (n,), `age` years (n,)."""
    u = noise.patient
    f = female.astype(np.float32)[:, None, None]
    old = ((age.astype(np.float32) - 55) / 35)[:, None, None]  # -1 at 20 years, 1 at 90
    breath = between(noise.image["inspiration"], -0.04, 0.05)
    height = between(u["lung_height"], -0.05, 0.06) + breath - 0.04 * f - 0.02 * old
    dome = 0.47 + height
    return Anatomy(
        half_width=between(u["width"], 0.76, 0.88) - 0.05 * f,
        lung_top=between(u["asymmetry"], -0.83, -0.75) + 0.02 * f,
        dome=(
            dome - 0.05 + between(u["dome_right"], -0.03, 0.03),
            dome + 0.02 + between(u["dome_left"], -0.03, 0.03),
        ),
        heart_radius=between(u["heart"], 0.25, 0.34) - 0.025 * f + 0.02 * old,
        heart_tilt=between(u["heart_tilt"], 0.35, 0.75),
        mediastinum=between(u["mediastinum"], 0.11, 0.15) - 0.01 * f,
        knob=between(u["knob"], 0.07, 0.10) + 0.025 * old,
        rib_spacing=between(u["rib_spacing"], 0.165, 0.2) - 0.008 * f,
        rib_slope=between(u["rib_slope"], 0.25, 0.5) + 0.06 * f,
        bone=between(u["rib_contrast"], 0.75, 1.15) * (1 - 0.12 * old),
        breast=f * between(u["breast"], 0.09, 0.2),
        breast_radius=between(u["breast"], 0.27, 0.38),
        pectoral=(1 - f) * between(u["breast"], 0.02, 0.06),
        shoulder=between(u["shoulder"], 0.98, 1.12) - 0.07 * f,
        fat=between(u["fat"], 0.0, 0.1) + 0.02 * f,
    )


def radiance(
    noise: Exogenous,
    female: np.ndarray,
    age: np.ndarray,
    positive: np.ndarray,
    lesion_contrast: tuple[float, float],
    visibility: np.ndarray | None = None,
) -> np.ndarray:
    """Mechanism of the image before any scanner: (n, H, W) in [0, 1], bright is dense.

    Args:
        noise, female, age: as `anatomy`'s.
        positive: bool (n,), whether the opacities of the finding are there.
        lesion_contrast: range of an opacity's radiance over the lung around it.
        visibility: (n,) factor on that contrast; None for 1.
    """
    a = anatomy(noise, female, age)
    x, y = _posed(noise)
    marks = smooth(noise.image_texture[1], noise.frame)
    cage = _cage(x, y, a)
    lungs = _lungs(x, y, a, cage)
    heart = _heart(x, y, a)
    air = lungs * (1 - 0.8 * heart) * (1 - 0.75 * _mediastinum(x, y, a))
    body, trachea = _body(x, y, a), _trachea(x, y)
    chest = body * (_soft_tissue(x, y, a, noise) - 0.12 * trachea)
    chest -= between(noise.patient["air"], 0.30, 0.38) * air
    chest += body * (a.bone * _bones(x, y, a, noise, cage) + _breasts(x, y, a, noise))
    chest += air * (_vessels(x, y, noise) + _haze(noise))
    lesion = _lesions(x, y, a, noise, positive, lesion_contrast)
    if visibility is not None:
        lesion *= visibility.astype(np.float32)[:, None, None]
    chest += lesion * air * (1 + 0.25 * marks)
    return np.clip(chest * between(noise.image["exposure"], 0.93, 1.07), 0, 1)


def _posed(noise: Exogenous) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel in the chest's own frame."""
    u, size = noise.image, noise.sensor.shape[1]
    line = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
    x = line[None, None, :] - between(u["shift_x"], -0.05, 0.05)
    y = line[None, :, None] - between(u["shift_y"], -0.05, 0.05)
    turn = between(u["rotation"], -0.05, 0.05)
    scale = between(u["scale"], 0.96, 1.05)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    return cos * x + sin * y, cos * y - sin * x


def _cage(x: np.ndarray, y: np.ndarray, a: Anatomy) -> np.ndarray:
    """Distance from the inner surface of the rib cage, positive inside."""
    across = (x / a.half_width) ** 2
    down = ((y - 0.3) / (0.3 - a.lung_top)) ** 2
    return (1 - np.sqrt(across * np.sqrt(across) + down + 1e-4)) * 0.8


def _lungs(x: np.ndarray, y: np.ndarray, a: Anatomy, cage: np.ndarray) -> np.ndarray:
    side = np.abs(x)
    medial = a.mediastinum + 0.14 * np.exp((a.lung_top - y) * 7)
    dome = np.where(x < 0, a.dome[0], a.dome[1])
    fall = (side - 0.3) / a.half_width
    floor = dome + 0.55 * fall * fall + 0.25 * np.clip(fall, 0, None)
    return inside(cage, 0.012) * inside(side - medial, 0.016) * inside(floor - y, 0.01)


def _heart(x: np.ndarray, y: np.ndarray, a: Anatomy) -> np.ndarray:
    cos, sin = np.cos(a.heart_tilt), np.sin(a.heart_tilt)
    dx, dy = x - 0.13, y - (a.dome[1] - 0.16)
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    ventricle = 1 - np.sqrt((along / (1.25 * a.heart_radius)) ** 2 + (across / a.heart_radius) ** 2)
    dx = x + 0.07
    atrium = 1 - np.sqrt((dx / 0.16) ** 2 + ((dy + 0.02) / 0.22) ** 2)
    return inside(np.maximum(ventricle, atrium) * a.heart_radius, 0.016)


def _mediastinum(x: np.ndarray, y: np.ndarray, a: Anatomy) -> np.ndarray:
    band = inside(a.mediastinum * (1.15 + 0.25 * y) - np.abs(x - 0.01), 0.02)
    knob = a.knob - np.hypot(x - a.mediastinum - 0.01, y + 0.22)
    return np.maximum(band, inside(knob, 0.014))


def _body(x: np.ndarray, y: np.ndarray, a: Anatomy) -> np.ndarray:
    """Trunk and neck."""
    side = np.abs(x)
    return inside(_body_half_width(side, y, a) + 0.5 * a.fat - side, 0.03)


def _body_half_width(side: np.ndarray, y: np.ndarray, a: Anatomy) -> np.ndarray:
    below_shoulders = inside(y + 0.84 - 0.3 * side * side, 0.045)
    return 0.3 + (a.shoulder - 0.3) * below_shoulders - 0.1 * np.clip(y, -1, 1)


def _trachea(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.exp(-((x / np.float32(0.045)) ** 2)) * inside(-0.22 - y, 0.04)


def _soft_tissue(x: np.ndarray, y: np.ndarray, a: Anatomy, noise: Exogenous) -> np.ndarray:
    """Chest wall, what lies before and behind the spine, upper abdomen with its gas."""
    share = np.clip(np.abs(x) / _body_half_width(np.abs(x), y, a), 0, 1.2)
    wall = 0.50 + 0.5 * a.fat - 0.12 * share * share * share * share
    spine = 0.07 * np.exp(-((x / 0.13) ** 2)) + 0.07 * np.exp(-((x / 0.3) ** 2))
    belly = 0.12 * inside(y - a.dome[0], 0.1)
    bubble = blob((x - 0.36) / 0.1, (y - a.dome[1] - 0.17) / 0.06)
    gas = np.clip(between(noise.image["bubble"], -0.1, 0.25), 0, 1)
    return wall + spine + belly - gas * bubble


def _bones(
    x: np.ndarray, y: np.ndarray, a: Anatomy, noise: Exogenous, cage: np.ndarray
) -> np.ndarray:
    u = noise.patient
    side = np.abs(x)
    bounds = inside(cage + 0.05, 0.015) * inside(a.dome[0] + 0.12 - y, 0.12)
    phase = (y - a.rib_slope * side * side) / a.rib_spacing + u["rib_phase"]
    posterior = _band(phase, 0.30) * inside(side - 0.06, 0.02)
    phase = (y + 0.85 * side - 0.45 * side * side) / (1.15 * a.rib_spacing) + 2 * u["rib_phase"]
    anterior = _band(phase, 0.28) * inside(side - 0.3, 0.08) * inside(y + 0.45, 0.1)
    vertebrae = _band(y / (0.8 * a.rib_spacing), 0.7) * inside(0.085 - side, 0.012)
    bow = 0.28 + 0.2 * between(u["clavicle_slope"], -0.5, 1)
    line = y - between(u["clavicle"], -0.6, -0.5) + bow * (side - 0.12) - 0.12 * side * side
    clavicle = inside(0.032 - np.abs(line), 0.01) * inside(side - 0.1, 0.02)
    head = blob((side - 1.0) / 0.13, (y + 0.56) / 0.13)
    cortex = np.exp(-(((cage + 0.035) / 0.03) ** 2)) * inside(0.6 - y, 0.05)
    return (
        bounds * (0.085 * posterior + 0.05 * anterior)
        + 0.05 * vertebrae
        + 0.11 * clavicle * inside(0.85 - side, 0.03)
        + 0.16 * head
        + 0.07 * cortex
    )


def _band(phase: np.ndarray, share: float) -> np.ndarray:
    """Soft stripes, one per unit of phase, `share` of it wide."""
    distance = np.abs(phase - np.floor(phase) - np.float32(0.5))
    return inside(np.float32(share / 2) - distance, 0.04)


def _vessels(x: np.ndarray, y: np.ndarray, noise: Exogenous) -> np.ndarray:
    """Branches that radiate from both hila and thin out."""
    left = x < 0
    dx, dy = np.abs(x) - np.float32(0.17), y - np.float32(0.02)
    reach = np.sqrt(dx * dx + dy * dy) + np.float32(1e-3)
    angle = np.arctan2(dy, dx)
    u = noise.patient
    turn = 6.28 * np.where(left, u["vessel_phase_right"], u["vessel_phase_left"])
    wave = np.cos(8 * angle + turn + 2 * np.sin(5 * reach + turn))
    branch = np.clip(wave, 0, 1) ** 3 * np.exp(-reach / np.float32(0.28))
    branch *= reach / (reach + np.float32(0.08))  # too fine for the pixels close to the hilum
    hilum = np.exp(-((reach / np.float32(0.12)) ** 2))
    return between(u["vessels"], 0.12, 0.22) * (branch + hilum)


def _haze(noise: Exogenous) -> np.ndarray:
    """Uneven lungs without a finding: what an opacity has to be told from."""
    own = 0.028 * smooth(noise.patient_texture[0], noise.frame)
    fine = 0.022 * smooth(noise.patient_texture[1], noise.frame)
    today = smooth(noise.image_texture[0], noise.frame)
    return own + fine + between(noise.image["haze"], 0.01, 0.04) * today


def _breasts(x: np.ndarray, y: np.ndarray, a: Anatomy, noise: Exogenous) -> np.ndarray:
    side = np.abs(x)
    middle = between(noise.patient["breast_height"], 0.16, 0.32)
    dx, dy = (side - 0.46) / a.breast_radius, (y - middle) / (0.95 * a.breast_radius)
    edge = (1 - np.sqrt(dx * dx + dy * dy + 1e-4)) * a.breast_radius
    # Tissue hangs: dense below, fading upwards. Below the diaphragm it no longer shows.
    shadow = inside(edge, 0.02) * np.clip(0.65 + 0.5 * dy, 0, 1) * inside(a.dome[0] - y, 0.05)
    pectoral = blob((side - 0.55) / 0.22, (y + 0.12) / 0.22)
    return a.breast * shadow + a.pectoral * pectoral


def _lesions(
    x: np.ndarray,
    y: np.ndarray,
    a: Anatomy,
    noise: Exogenous,
    positive: np.ndarray,
    contrast: tuple[float, float],
) -> np.ndarray:
    """One to three soft opacities, placed relative to the lungs they lie in."""
    count = 1 + np.floor(noise.image["lesions"] * MAX_LESIONS)
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    rows = np.flatnonzero(positive)
    for i, u in enumerate(noise.lesions):
        present = rows[(count[rows] > i).reshape(-1)]
        if len(present):
            total[present] += _opacity(x[present], y[present], a, u, present, contrast)
    return total


def _opacity(
    x: np.ndarray,
    y: np.ndarray,
    a: Anatomy,
    u: Mapping[str, np.ndarray],
    present: np.ndarray,
    contrast: tuple[float, float],
) -> np.ndarray:
    draw = {name: value[present] for name, value in u.items()}
    right = draw["side"] < 0.5
    floor = np.where(right, a.dome[0][present], a.dome[1][present])
    cy = -0.5 + between(draw["along"], 0.0, 1.0) * (floor + 0.42)
    outer = a.half_width[present] * np.sqrt(np.clip(1 - ((cy - 0.3) / 1.1) ** 2, 0.1, 1))
    cx = (0.24 + between(draw["across"], 0.0, 0.78) * (outer - 0.24)) * np.where(right, -1, 1)
    turn = 3.14 * draw["tilt"]
    dx, dy = x - cx, y - cy
    along = np.cos(turn) * dx + np.sin(turn) * dy
    across = np.cos(turn) * dy - np.sin(turn) * dx
    hill = blob(
        along / between(draw["width"], 0.07, 0.15), across / between(draw["height"], 0.06, 0.12)
    )
    return between(draw["contrast"], *contrast) * hill.astype(np.float32)
