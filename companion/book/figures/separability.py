"""How much frozen features know of the scanner."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.book.figures.colours import INK
from companion.book.figures.look import (
    NOTHING_SAID,
    OBJECTIVES,
    Initial,
    Mark,
    marks,
    new_panels,
    or_says_why,
    require,
    style,
)
from companion.strategies import CONTROLS

SHARED = ("oracle", "oraclesex", *CONTROLS)  # strategies whose label does not name the objective
ONE_SCANNER = "The test images are of one scanner."
MEASURES = {
    "scanner": "linear:\naccuracy",
    "scanner_knn": "neighbours:\naccuracy",
    "silhouette": "silhouette",
    "mixing": "mixing",
}


@or_says_why
def separability(
    table: pd.DataFrame | None, n_scanners: int, initial: Initial = NOTHING_SAID
) -> Figure:
    """Every measure of domain separability, one line per objective and strategy, a mark per seed.

    Args:
        table: `separability.csv`: columns `objective`, `strategy`, `pretrain_seed`, `measure`,
            `value`, `ci_low`, `ci_high`.
        n_scanners: number of test scanners, for the line of features that know nothing of them.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.

    Raises:
        ValueError: a column is missing.
    """
    columns = ("objective", "strategy", "measure", "value", "ci_low", "ci_high")
    table = require(table, columns, "separability", ONE_SCANNER)
    looks = _looks(table, initial)
    nothing = {"scanner": 1 / n_scanners, "scanner_knn": 1 / n_scanners, "mixing": 1.0}
    with style():
        figure, panels = new_panels(len(MEASURES), height=0.3 * len(looks) + 0.9)
        for axes, (measure, label) in zip(panels, MEASURES.items(), strict=True):
            _draw(axes, table[table["measure"] == measure], looks)
            axes.axvline(nothing.get(measure, 0.0), color=INK, linestyle=":")
            axes.set_xlabel(label)
        for axes in panels[1::2]:
            axes.tick_params(labelleft=False)
        note = "dotted: knows nothing of the scanner; whiskers: 95 % intervals"
        figure.supxlabel(note, fontsize=10)
    return figure


def _looks(table: pd.DataFrame, initial: Initial) -> dict[tuple[str, str], Mark]:
    """The look of every objective and strategy of a table, in the order of the lines."""
    held = set(zip(table["objective"], table["strategy"], strict=True))
    return {
        (objective, strategy): mark
        for objective in dict.fromkeys(table["objective"])
        for strategy, mark in marks(objective, initial).items()
        if (objective, strategy) in held
    }


def _draw(axes: Axes, rows: pd.DataFrame, looks: dict[tuple[str, str], Mark]) -> None:
    for line, ((objective, strategy), mark) in enumerate(looks.items()):
        mine = rows[(rows["objective"] == objective) & (rows["strategy"] == strategy)]
        value = mine["value"].to_numpy()
        reach = [value - mine["ci_low"].to_numpy(), mine["ci_high"].to_numpy() - value]
        look: dict[str, Any] = {"color": mark.colour, "marker": mark.marker, "linestyle": "none"}
        axes.errorbar(value, [line] * len(value), xerr=reach, **look)
    names = [
        f"{mark.label}, {OBJECTIVES[objective]}" if strategy in SHARED else mark.label
        for (objective, strategy), mark in looks.items()
    ]
    axes.set_yticks(range(len(looks)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
