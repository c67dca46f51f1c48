"""What features know: maps of them, how far scanners stand apart, how alike pairs are."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.book.figures import canvas
from companion.book.figures.colours import CARD, CATEGORIES, GREY, INK
from companion.book.figures.look import (
    NOTHING_SAID,
    OBJECTIVES,
    Initial,
    Mark,
    marks,
    present,
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


def palette(values: Sequence[str]) -> dict[str, str]:
    """A colour-blind-safe colour for each value, the same for the same values in the same order.

    A single value among others that stands for nothing ('none') is grey. Where there are more
    values than colours, these begin again.
    """
    left = itertools.cycle(CATEGORIES)
    return {value: GREY if value == "none" else next(left) for value in values}


@canvas.drawn
def projection(
    maps: Mapping[str, np.ndarray],
    values: Sequence[str] | None,
    colours: Mapping[str, str] | None,
    *,
    what: str = "",
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """Maps of the same images, one panel per strategy, coloured by what is known of the images.

    Args:
        maps: strategy of SimCLR to places, float (n, 2).
        values: n values to colour by; None where the cohort's table has none.
        colours: of each value, in the order of the legend; None likewise.
        what: the values are, above the legend.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    if values is None or colours is None:
        raise canvas.NothingToDraw("The table of this cohort states no such thing.")
    known = np.asarray(values, dtype=object)
    counts = {value: int(np.sum(known == value)) for value in colours}
    figure, panels = canvas.new_panels(len(maps), height=2.4)
    for axes, (strategy, xy) in zip(panels, maps.items(), strict=True):
        for value in sorted(colours, key=lambda value: -counts[value]):  # the rare on top
            x, y = xy[known == value].T
            axes.scatter(x, y, s=5, color=colours[value], linewidth=0, alpha=0.8)
        axes.set_title(marks("simclr", initial)[strategy].title)
        axes.set(xticks=[], yticks=[])
        axes.set_aspect("equal", "datalim")
    named = {  # in the order given
        value: panels[0].scatter([], [], s=30, color=colour) for value, colour in colours.items()
    }
    canvas.add_legend(figure, panels[0], what, named=named)
    return figure


@canvas.drawn
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
    """
    table = canvas.require(table, ONE_SCANNER)
    table = canvas.require(table[table["objective"] == objective], canvas.not_trained(objective))
    strategies = present(table["strategy"])
    figure, panels = canvas.new_panels(len(strategies))
    for i, (axes, strategy) in enumerate(zip(panels, strategies, strict=True)):
        mine = table[table["strategy"] == strategy]
        counts = mine.pivot_table("n", "scanner", "predicted", aggfunc="sum", fill_value=0)
        counts = counts.reindex(index=list(scanners), columns=list(scanners), fill_value=0)
        share = 100 * counts.div(counts.sum(axis=1), axis=0)
        shown: dict[str, Any] = {"annot": True, "fmt": ".0f", "annot_kws": {"fontsize": 8}}
        sns.heatmap(share, vmin=0, vmax=100, cmap="cividis", cbar=False, ax=axes, **shown)
        axes.set(xlabel="", ylabel="", title=marks(objective, initial)[strategy].title)
        axes.tick_params(axis="x", labelrotation=45, labelsize=8.5)
        axes.tick_params(axis="y", labelrotation=0, labelsize=8.5)
        axes.tick_params(labelleft=i % canvas.COLUMNS == 0)
    canvas.name_outer(panels, "taken for", "scanner")
    figure.supxlabel("numbers: per cent of the scanner's images", fontsize=10, color=INK)
    return figure


@canvas.drawn
def separability(
    table: pd.DataFrame | None, n_scanners: int, initial: Initial = NOTHING_SAID
) -> Figure:
    """Every measure of domain separability, one line per objective and strategy, a mark per seed.

    Args:
        table: `separability.csv`: columns `objective`, `strategy`, `pretrain_seed`, `measure`,
            `value`, `ci_low`, `ci_high`.
        n_scanners: number of test scanners, for the line of features that know nothing of them.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    table = canvas.require(table, ONE_SCANNER)
    held = set(zip(table["objective"], table["strategy"], strict=True))
    looks = {
        (objective, strategy): mark
        for objective in dict.fromkeys(table["objective"])
        for strategy, mark in marks(objective, initial).items()
        if (objective, strategy) in held
    }
    nothing = {"scanner": 1 / n_scanners, "scanner_knn": 1 / n_scanners, "mixing": 1.0}
    figure, panels = canvas.new_panels(len(MEASURES), height=0.3 * len(looks) + 0.9)
    for axes, (measure, label) in zip(panels, MEASURES.items(), strict=True):
        _draw_measure(axes, table[table["measure"] == measure], looks)
        axes.axvline(nothing.get(measure, 0.0), color=INK, linestyle=":")
        axes.set_xlabel(label)
    for axes in panels[1::2]:
        axes.tick_params(labelleft=False)
    note = "dotted: knows nothing of the scanner; whiskers: 95 % intervals"
    figure.supxlabel(note, fontsize=10)
    return figure


def _draw_measure(axes: Axes, rows: pd.DataFrame, looks: dict[tuple[str, str], Mark]) -> None:
    for line, ((objective, strategy), mark) in enumerate(looks.items()):
        mine = rows[(rows["objective"] == objective) & (rows["strategy"] == strategy)]
        look: dict[str, Any] = {"color": mark.colour, "marker": mark.marker, "linestyle": "none"}
        axes.errorbar(mine["value"], [line] * len(mine), xerr=canvas.reach(mine), **look)
    names = [
        f"{mark.label}, {OBJECTIVES[objective]}" if strategy in SHARED else mark.label
        for (objective, strategy), mark in looks.items()
    ]
    canvas.name_rows(axes, names)


@canvas.drawn
def pair_similarity(table: pd.DataFrame) -> Figure:
    """Cosine similarity of the views of each strategy's own pairs, before and after training.

    Args:
        table: columns `strategy`, `training` ('before' or 'after'), `value`, `ci_low`, `ci_high`.
    """
    table = canvas.require(table, canvas.not_trained("simclr"))
    strategies, look = present(table["strategy"]), marks("simclr")
    figure, (axes,) = canvas.new_panels(1, height=0.45 * len(strategies) + 0.9)
    for line, strategy in enumerate(strategies):
        mark = look[strategy]
        ends = table[table["strategy"] == strategy].set_index("training").loc[["before", "after"]]
        axes.plot(ends["value"], [line, line], color=mark.colour, linewidth=1.2, alpha=0.5)
        for training, face in (("before", CARD), ("after", mark.colour)):
            end = ends.loc[[training]]
            shape: dict[str, Any] = {"color": mark.colour, "marker": mark.marker}
            shown = axes.errorbar(end["value"], line, xerr=canvas.reach(end), **shape)
            shown[0].set_markerfacecolor(face)
    for training, face in (("before training", CARD), ("after", INK)):
        key: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": "none"}
        axes.plot([], [], label=training, markerfacecolor=face, **key)
    axes.axvline(0, color=INK, linestyle=":", linewidth=1.5, label="other images")
    canvas.name_rows(axes, [look[strategy].label for strategy in strategies])
    axes.set_xlabel("cosine similarity of the two views")
    canvas.add_legend(figure, axes, "whiskers: 95 % over test patients")
    return figure
