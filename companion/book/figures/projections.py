"""Maps of test embeddings, and what the scanner classifier confuses."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from companion.book.figures.colours import CATEGORIES, GREY, INK
from companion.book.figures.look import (
    NOTHING_SAID,
    Initial,
    NothingToDraw,
    add_legend,
    marks,
    new_panels,
    not_trained,
    or_says_why,
    present,
    require,
    style,
)
from companion.book.figures.separability import ONE_SCANNER


def palette(values: Sequence[str]) -> dict[str, str]:
    """A colour-blind-safe colour for each value, the same for the same values in the same order.

    A single value among others that stands for nothing ('none') is grey.
    """
    left = iter(CATEGORIES)
    return {value: GREY if value == "none" else next(left) for value in values}


@or_says_why
def projection(
    maps: Mapping[str, np.ndarray],
    values: Sequence[str] | None,
    colours: Mapping[str, str] | None,
    *,
    objective: str = "simclr",
    what: str = "",
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """Maps of the same images, one panel per strategy, coloured by what is known of the images.

    Args:
        maps: strategy to places, float (n, 2).
        values: n values to colour by; None where the cohort's table has none.
        colours: of each value, in the order of the legend; None likewise.
        objective: of the encoders, for the titles.
        what: the values are, above the legend.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.

    Raises:
        ValueError: values without colour, or maps of other numbers of images.
    """
    if values is None or colours is None:
        raise NothingToDraw("The table of this cohort states no such thing.")
    if set(values) - set(colours) or any(len(xy) != len(values) for xy in maps.values()):
        raise ValueError("every image needs a place in every map and a value with a colour")
    known = np.asarray(values, dtype=object)
    counts = {value: int(np.sum(known == value)) for value in colours}
    with style():
        figure, panels = new_panels(len(maps), height=2.4)
        for axes, (strategy, xy) in zip(panels, maps.items(), strict=True):
            for value in sorted(colours, key=lambda value: -counts[value]):  # the rare on top
                x, y = xy[known == value].T
                axes.scatter(x, y, s=5, color=colours[value], linewidth=0, alpha=0.8)
            axes.set_title(marks(objective, initial)[strategy].title)
            axes.set(xticks=[], yticks=[])
            axes.set_aspect("equal", "datalim")
        for value, colour in colours.items():  # in the order given
            panels[0].scatter([], [], s=30, color=colour, label=value)
        add_legend(figure, panels[0], what)
    return figure


@or_says_why
def scanner_confusion(
    table: pd.DataFrame,
    scanners: Sequence[str],
    objective: str,
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """What a linear classifier of frozen features takes the images of each scanner for.

    Args:
        table: `confusion.csv` (columns `objective`, `strategy`, `scanner`, `predicted`, `n`).
        scanners: in the order of rows and columns.
        objective: whose encoders to draw.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.

    Returns:
        A panel per strategy: rows are scanners, in per cent of their images, over all seeds.

    Raises:
        ValueError: a column is missing.
    """
    columns = ("objective", "strategy", "scanner", "predicted", "n")
    table = require(table, columns, "confusion", ONE_SCANNER)
    table = require(
        table[table["objective"] == objective], columns, "confusion", not_trained(objective)
    )
    strategies = present(table["strategy"])
    with style():
        figure, panels = new_panels(len(strategies), height=2.3)
        for i, (axes, strategy) in enumerate(zip(panels, strategies, strict=True)):
            mine = table[table["strategy"] == strategy]
            counts = mine.pivot_table("n", "scanner", "predicted", aggfunc="sum", fill_value=0)
            counts = counts.reindex(index=list(scanners), columns=list(scanners), fill_value=0)
            share = 100 * counts.div(counts.sum(axis=1), axis=0)
            sns.heatmap(
                share,
                vmin=0,
                vmax=100,
                annot=True,
                fmt=".0f",
                annot_kws={"fontsize": 8},
                cmap="cividis",
                cbar=False,
                ax=axes,
            )
            axes.set_title(marks(objective, initial)[strategy].title)
            axes.set_xlabel("taken for" if i + 2 >= len(strategies) else "")
            axes.set_ylabel("scanner" if i % 2 == 0 else "")
            axes.tick_params(axis="x", labelrotation=45, labelsize=8.5)
            axes.tick_params(axis="y", labelrotation=0, labelsize=8.5)
            axes.tick_params(labelleft=i % 2 == 0)
        figure.supxlabel("numbers: per cent of the scanner's images", fontsize=10, color=INK)
    return figure
