"""The look that every figure shares: the strategies' marks, and settings of matplotlib.

Figures are about five inches wide with large type, so that they stay readable at the width of a
phone. They are vectors, pictures in them as they are; of each the book has a dark copy
(`companion.book.finishing`), in the colours of `colours.py`.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.style import context as settings

from ccl.encoders.options import DINOV2, IMAGENET, LEAVES
from companion.book.figures import colours
from companion.book.figures.colours import CARD, FAINT, GRID, INK

DPI = 160  # of pictures


class Shape(NamedTuple):
    """A marker as an SVG path.

    Attributes:
        path: on 16 units.
        stroked: drawn as lines; filled otherwise.
    """

    path: str
    stroked: bool = False


# Of each matplotlib marker that a mark has.
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


@dataclass(frozen=True)
class Mark:
    """How one thing looks in every figure.

    Attributes:
        label: its name in legends.
        colour: one of `companion.book.figures.colours`.
        marker: matplotlib marker, so that colour is never the only difference.
        width: of lines, in points; baselines are thinner.
    """

    label: str
    colour: str
    marker: str
    width: float = 2.0

    @property
    def title(self) -> str:
        """Its name above a panel, where a long one takes two lines."""
        return self.label.replace(", ", ",\n")

    @property
    def icon(self) -> str:
        """Its marker as an SVG image of 16 units, to stand before its label in HTML."""
        shape, colour = SHAPES[self.marker], colours.themed(self.colour)
        lines = ' fill="none" stroke-width="2.5"' if shape.stroked else ""
        return (
            f'<svg class="ccl-icon" aria-hidden="true" viewBox="0 0 16 16" fill="{colour}" '
            f'stroke="{colour}"><path d="{shape.path}"{lines}/></svg>'
        )


OBJECTIVES = {"simclr": "SimCLR", "dino": "DINO"}


# Objective to what its encoders start from, as `EncoderOptions.pretrained` names it.
Initial = Mapping[str, str | None]
NOTHING_SAID: Initial = MappingProxyType({})
STARTS = {
    IMAGENET: "ImageNet weights",
    DINOV2: "DINO-v2 weights",
    LEAVES: "Dead-leaves weights",
}


def marks(objective: str, initial: Initial = NOTHING_SAID) -> Mapping[str, Mark]:
    """Marks of the strategies: one colour and marker each, named after the objective.

    Args:
        objective: of the encoders.
        initial: what they start from, after which the untrained one is named; random if not there.
    """
    start = STARTS.get(initial.get(objective) or "", "Initial weights")
    name = OBJECTIVES.get(objective, objective)
    return {
        "standard": Mark(name, colours.BLUE, "o"),
        "plus": Mark(f"{name}+", colours.ORANGE, "s"),
        "counterfactual": Mark(f"CF-{name}", colours.GREEN, "D"),
        "oracle": Mark("Oracle pairs", colours.PINK, "^"),
        "sexcf": Mark(f"SexCF-{name}", colours.SKY, "v"),
        "oraclesex": Mark("Oracle pairs of the sexes", colours.LAVENDER, "p"),
        "earlycf": Mark(f"CF-{name}, generator stopped early", colours.BROWN, "<"),
        "tunedcf": Mark(f"CF-{name}, generator finetuned", colours.PURPLE, ">"),
        "initial": Mark(start, colours.SLATE, "x", width=1.2),
        "random": Mark("Random encoder", colours.GREY, "1", width=1.2),
        "supervised": Mark("Supervised", colours.VERMILLION, "P", width=1.2),
    }


STRATEGIES = marks("simclr")


# Every label of a strategy, under any objective and start, to its mark.
MARKS_BY_LABEL: Mapping[str, Mark] = {
    mark.label: mark
    for name in OBJECTIVES
    for start in (None, *STARTS)
    for mark in marks(name, {name: start}).values()
}


def present(strategies: pd.Series) -> list[str]:
    """The strategies that occur, in the order of `STRATEGIES`."""
    names = set(strategies)
    unknown = names - set(STRATEGIES)
    if unknown:
        raise ValueError(f"unknown strategy {sorted(unknown)}; known: {list(STRATEGIES)}")
    return [strategy for strategy in STRATEGIES if strategy in names]


SETTINGS: Mapping[Any, Any] = {
    "figure.facecolor": CARD,
    "savefig.facecolor": CARD,
    "axes.facecolor": CARD,
    "figure.dpi": DPI,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "legend.fontsize": 10,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.edgecolor": FAINT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "legend.edgecolor": GRID,
    "axes.prop_cycle": cycler(color=colours.CATEGORIES),
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "ccl",  # the same figure, the same file
    "text.parse_math": False,  # names out of data may hold dollars
    "lines.linewidth": 2,
    "lines.markersize": 6,
}


@contextmanager
def style() -> Iterator[None]:
    """The book's look, for the figures made inside; global settings stay untouched and unused."""
    with mpl.rc_context(), settings(["default"]), sns.axes_style("whitegrid"):
        mpl.rcParams.update(SETTINGS)
        yield


class BookFigure(Figure):
    """A figure that keeps the book's look when drawn later, and shows itself in a notebook.

    It is not registered with pyplot: it appears where it is returned and nowhere else.
    """

    def draw(self, renderer: Any) -> None:
        """Draws under the book's style: ticks are only made now, and read the settings.

        A figure with a layout is saved in two passes, the first of which would draw everything
        unseen; here it lays out, and no more.
        """
        layout, saved = self.get_layout_engine(), self.canvas.is_saving()
        with style():
            if saved and self.axes and isinstance(layout, ConstrainedLayoutEngine):
                layout.execute(self)
            else:
                super().draw(renderer)

    def _repr_svg_(self) -> str:
        buffer = io.BytesIO()
        with style():
            self.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
        return buffer.getvalue().decode()
