"""The strategies' marks as small SVG images, for text and tables; in figures they are markers."""

from typing import NamedTuple

from companion.book.figures.colours import themed
from companion.book.figures.look import Mark


class Shape(NamedTuple):
    """A marker as an SVG path.

    Attributes:
        path: on 16 units.
        stroked: drawn as lines; filled otherwise.
    """

    path: str
    stroked: bool = False


SHAPES = {
    "o": Shape("M2 8a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z"),
    "s": Shape("M2.5 2.5h11v11h-11z"),
    "D": Shape("M8 1l7 7l-7 7l-7 -7z"),
    "^": Shape("M8 2l7 12h-14z"),
    "v": Shape("M8 14l7 -12h-14z"),
    "<": Shape("M2 8l12 -7v14z"),
    ">": Shape("M14 8l-12 -7v14z"),
    "x": Shape("M3 3l10 10M13 3l-10 10", stroked=True),
    "p": Shape("M8 1l7 5l-2.7 8.5h-8.6l-2.7 -8.5z"),
    "1": Shape("M8 14v-6M8 8l-6 -4.5M8 8l6 -4.5", stroked=True),
    "P": Shape("M5.5 1h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5v-5h4.5z"),
}


def icon_html(mark: Mark) -> str:
    """A mark as an SVG image of 16 units, to stand before its label in HTML."""
    shape, colour = SHAPES[mark.marker], themed(mark.colour)
    lines = ' fill="none" stroke-width="2.5"' if shape.stroked else ""
    return (
        f'<svg class="ccl-icon" aria-hidden="true" viewBox="0 0 16 16" fill="{colour}" '
        f'stroke="{colour}"><path d="{shape.path}"{lines}/></svg>'
    )
