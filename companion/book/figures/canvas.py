"""What figures consist of: panels, axes, legends; or a sentence that says why there is none."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import ParamSpec

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.isotonic import isotonic_regression

from companion.book.figures.colours import INK
from companion.book.figures.look import OBJECTIVES, BookFigure, style

P = ParamSpec("P")
WIDTH = 5.2  # inches; one or two panels side by side
COLUMNS = 2
NAME_SIZE = 9.5  # points, of names at the ends of lines
NOT_COMPUTED = "Nothing of this was computed."


class NothingToDraw(ValueError):
    """A table has nothing of what a figure shows; the message tells a reader why."""


def drawn(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A figure in the book's look, which says why where there is nothing to draw.

    So no page has to ask before.
    """

    @wraps(draw)
    def in_style(*args: P.args, **options: P.kwargs) -> Figure:
        with style():
            try:
                return draw(*args, **options)
            except NothingToDraw as reason:
                figure = new_figure(0.8)
                figure.text(0.5, 0.5, textwrap.fill(str(reason), 48), ha="center", va="center")
                return figure

    return in_style


def require(table: pd.DataFrame | None, why: str = NOT_COMPUTED) -> pd.DataFrame:
    """A table that has rows.

    Raises:
        NothingToDraw: it is not there, or has none; says why.
    """
    if table is None or table.empty:
        raise NothingToDraw(why)
    return table


def not_trained(objective: str) -> str:
    """The sentence for an experiment without encoders of an objective."""
    return f"This experiment trains no {OBJECTIVES.get(objective, objective)}."


def new_figure(height: float, width: float = WIDTH) -> BookFigure:
    """An empty figure of some inches."""
    return BookFigure(figsize=(width, height), layout="constrained")


def new_panels(n: int, *, height: float = 2.3) -> tuple[Figure, list[Axes]]:
    """A figure with n panels, at most two beside each other, an empty place left out."""
    columns = min(COLUMNS, n)
    rows = -(-n // columns)
    figure = new_figure(height * rows + 0.7)
    axes = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for spare in axes[n:]:
        spare.remove()
    return figure, list(axes[:n])


def name_outer(panels: Sequence[Axes], x: str, y: str) -> None:
    """Axis names at the left and lower edge of a grid of panels that share their axes."""
    for i, axes in enumerate(panels):
        if i % COLUMNS == 0:
            axes.set_ylabel(y)
        if i + COLUMNS >= len(panels):
            axes.set_xlabel(x)


def share_y(
    panels: Sequence[Axes], low: float = np.inf, high: float = -np.inf, most: float = np.inf
) -> None:
    """The same range of values for all panels: holds `low` to `high`, and ends at `most`."""
    ends = np.array([axes.get_ylim() for axes in panels])
    for axes in panels:
        axes.set_ylim(min(low, ends.min()), min(most, max(high, ends.max())))


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names of what lies at 0, 1, 2 ... from the top."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def reach(rows: pd.DataFrame) -> np.ndarray:
    """How far whiskers reach below and above the values, (2, n), from `ci_low` and `ci_high`.

    None where there is no interval; a value may lie outside of its own, and is drawn where it is.
    """
    value, low, high = (rows[name].to_numpy() for name in ("value", "ci_low", "ci_high"))
    return np.nan_to_num(np.clip(np.stack([value - low, high - value]), 0, None))


def places(n: int, kinds: int, kind: int, width: float = 0.8) -> np.ndarray:
    """Where one of several kinds lies beside the others, in each of n groups of some width."""
    return np.arange(n) + width * ((kind + 0.5) / kinds - 0.5)


def add_legend(
    figure: Figure,
    axes: Axes,
    note: str = "",
    columns: int = 3,
    named: Mapping[str, Artist] | None = None,
) -> None:
    """One legend under all panels; `note` says below it what band or whisker means.

    It has so many columns, or as many as the figure is wide enough for. It is of what has a label
    in `axes`, or of `named`: Matplotlib leaves out labels that begin with "_".
    """
    handles, labels = axes.get_legend_handles_labels()
    if named is not None:
        handles, labels = list(named.values()), list(named)
    for n in range(min(columns, len(labels)), 0, -1):
        legend = figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=n,
            frameon=False,
            title=note or None,
            title_fontsize=9.5,
        )
        if n == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def label_lines(figure: Figure, axes: Axes) -> None:
    """Writes each labelled line's name beside its last point, apart from the others' names.

    In place of a legend, which has to be looked up.
    """
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    ends = [np.asarray(line.get_xydata())[-1] for line in lines]
    rows = max(str(line.get_label()).count("\n") for line in lines) + 1
    low, high = axes.get_ylim()
    points = 72 * 0.75 * figure.get_figheight()  # of the axes, about
    room = 1.25 * NAME_SIZE * rows * (high - low) / points
    for line, end, at in zip(lines, ends, spread([y for _, y in ends], room), strict=True):
        axes.annotate(
            str(line.get_label()),
            xy=end,
            xytext=(1.04, at),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=INK,
            fontsize=NAME_SIZE,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "relpos": (0, 0.5)},
        )


def spread(values: Sequence[float], room: float) -> np.ndarray:
    """Values moved apart, as little as their order allows, until each has its room.

    Args:
        values: in any order.
        room: between neighbours.

    Returns:
        As many, in the order given; values that had room stay.
    """
    order = np.argsort(values, kind="stable")
    packed = room * np.arange(len(order))  # where they would stand with no more than their room
    moved = np.empty(len(order))
    moved[order] = isotonic_regression(np.asarray(values, float)[order] - packed) + packed
    return moved
