"""Strategies are told apart on light pages and dark, with or without one kind of cone."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from companion.book.figures import IMAGES, STRATEGIES
from companion.book.figures.colours import CATEGORIES, DARK, darkened, themed
from companion.book.figures.training import STEPS

CLOSEST = 8  # that two colours of strategies may be
PAGES = ("#121212", "#1C2128")  # a dark page, and a widget on it
# Linear RGB as seen without one kind of cone: Machado et al. 2009, severity 1,
# https://doi.org/10.1109/TVCG.2009.113
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(colour: str, sight: str) -> np.ndarray:
    """In CIELAB."""
    rgb = np.clip(np.array(SIGHTS[sight]) @ linear(colour), 0, 1)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(encoded))


def contrast(a: str, b: str) -> float:
    """Of WCAG 2: 1 to 21."""
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (light + 0.05) / (dark + 0.05)


def difference(a: str, b: str, sight: str) -> float:
    """CIEDE2000, black to white being 100."""
    return float(deltaE_ciede2000(seen(a, sight), seen(b, sight)))


def test_the_measures_are_those_of_their_sources() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#FFFFFF", "#777777") == pytest.approx(4.48, abs=0.01)
    assert difference("#000000", "#FFFFFF", "all cones") == pytest.approx(100, abs=0.1)
    brown, vermillion = STRATEGIES["earlycf"].colour, STRATEGIES["supervised"].colour
    light = [difference(brown, vermillion, sight) for sight in ("protanopia", "all cones")]
    assert light[0] < CLOSEST < light[1]  # a control: these light ones are too close


@pytest.mark.parametrize("page", PAGES)
def test_dark_colours_stand_out_from_the_page(page: str) -> None:
    looks = [*STRATEGIES.values(), *IMAGES.values()]
    used = {*(mark.colour for mark in looks), *STEPS.values(), *CATEGORIES}
    assert min(contrast(DARK[colour], page) for colour in used) >= 4.5


@pytest.mark.parametrize("sight", SIGHTS)
def test_dark_colours_of_strategies_differ_for_everybody(sight: str) -> None:
    def closest(colours: list[str]) -> float:
        return min(difference(a, b, sight) for a, b in itertools.combinations(colours, 2))

    shown_first = ("standard", "plus", "counterfactual", "oracle")
    assert closest([DARK[STRATEGIES[name].colour] for name in shown_first]) >= 15
    assert closest([DARK[mark.colour] for mark in STRATEGIES.values()]) >= CLOSEST


def test_what_is_not_of_the_palette_keeps_its_colour() -> None:
    light = '<g fill="#0072b2"/><g fill="#fefefe"/><g fill="#440154"/><g fill="#ffffff"/>'
    dark = '<g fill="#56B6FD"/><g fill="#121212"/><g fill="#440154"/><g fill="#ffffff"/>'
    assert darkened(light) == dark
    assert themed("#0072B2") == "light-dark(#0072B2, #56B6FD)"
