"""Every colour of figures and widgets, for light pages and for dark ones.

The light ones are Okabe and Ito's, colour-blind safe, and some more. The dark ones were searched by
computer, near the hues of the light ones: on the dark page each has a contrast of at least 4.5, and
any two of the strategies' differ as much as two colours can among so many, to readers without one
kind of cone too. `tests/book/test_colours.py` measures both.
"""

import re

# Not pure white, which colour maps and the words on them use: it stays white in dark figures.
CARD = "#FEFEFE"
INK = "#1F2933"
FAINT = "#7B8794"
GRID = "#E4E7EB"
BLACK = "#000000"

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PINK = "#CC79A7"
SKY = "#56B4E9"
LAVENDER = "#8DA0CB"
BROWN = "#8C6D31"
PURPLE = "#5B3A8C"
SLATE = "#6B7280"
GREY = "#A3A9B3"
VERMILLION = "#D55E00"
TEAL = "#44AA99"
OLIVE = "#999933"
VIOLET = "#7B4FA3"
LILAC = "#B39BC8"
STEEL = "#4A90A4"

# Of values without a colour of their own, such as scanners, in this order.
CATEGORIES = (
    *(BLUE, ORANGE, GREEN, VERMILLION, PINK, SKY),
    *(BROWN, PURPLE, LAVENDER, SLATE, OLIVE, TEAL),
)

DARK = {
    CARD: "#121212",
    INK: "#E4E7EB",
    FAINT: "#A3B0BD",
    GRID: "#2F363F",
    BLACK: "#E4E7EB",
    BLUE: "#56B6FD",
    ORANGE: "#DBB611",
    GREEN: "#9DFFB5",
    PINK: "#E05782",
    SKY: "#A3D2F2",
    LAVENDER: "#5582FD",
    BROWN: "#B37F11",
    PURPLE: "#937FB8",
    SLATE: "#AAAAB2",
    GREY: "#E4F0FF",
    VERMILLION: "#E58C68",
    TEAL: "#5FD0BE",
    OLIVE: "#C9C95A",
    VIOLET: "#A98BD6",
    LILAC: "#D9C9EA",
    STEEL: "#62B6CE",
}
_HEX = re.compile(r"#[0-9a-fA-F]{6}\b")


def themed(colour: str) -> str:
    """A colour of the palette as CSS that follows the page, light or dark."""
    return f"light-dark({colour}, {DARK[colour]})"


def darkened(svg: str) -> str:
    """An SVG figure for dark pages: colours of the palette change, all others and pictures stay."""
    return _HEX.sub(lambda found: DARK.get(found[0].upper(), found[0]), svg)
