"""Lines named at their ends, in place of a legend that has to be looked up."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.book.figures.colours import INK

SIZE = 9.5  # points


def label_lines(figure: Figure, axes: Axes) -> None:
    """Writes each labelled line's name beside its last point, apart from the others' names."""
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    ends = [np.asarray(line.get_xydata())[-1] for line in lines]
    rows = max(str(line.get_label()).count("\n") for line in lines) + 1
    low, high = axes.get_ylim()
    points = 72 * 0.75 * figure.get_figheight()  # of the axes, about
    room = 1.25 * SIZE * rows * (high - low) / points
    for line, end, at in zip(lines, ends, spread([y for _, y in ends], room), strict=True):
        axes.annotate(
            str(line.get_label()),
            xy=end,
            xytext=(1.04, at),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=INK,
            fontsize=SIZE,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "relpos": (0, 0.5)},
        )


def spread(values: Sequence[float], room: float) -> list[float]:
    """Values moved apart, as little as their order allows, until each has its room.

    Args:
        values: in any order.
        room: between neighbours.

    Returns:
        As many, in the order given; values that had room stay.
    """
    order = np.argsort(values, kind="stable")
    groups: list[tuple[float, int]] = []  # centre and size of what stands together
    for value in np.asarray(values, dtype=float)[order]:
        groups.append((value, 1))
        while len(groups) > 1:
            (a, n), (b, m) = groups[-2:]
            if b - a >= room * (n + m) / 2:
                break
            groups[-2:] = [((n * a + m * b) / (n + m), n + m)]
    places = [centre + room * (i - (n - 1) / 2) for centre, n in groups for i in range(n)]
    back = np.empty(len(places))
    back[order] = places
    return back.tolist()
