"""How good the counterfactuals are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.book.figures import colours
from companion.book.figures.colours import INK
from companion.book.figures.look import (
    Mark,
    NothingToDraw,
    add_legend,
    new_figure,
    new_panels,
    or_says_why,
    require,
    style,
)

REAL = "These images are real: their true counterfactuals are not known."
IMAGES: Mapping[str, Mark] = {
    "real": Mark("Real test images (ceiling)", colours.SLATE, "o"),
    "counterfactual": Mark("Counterfactuals", colours.GREEN, "D"),
    "untrained": Mark("Untrained generator", colours.VERMILLION, "x"),
    "monotone": Mark("Monotone mechanism", colours.GREEN, "D"),
    "gumbel-max": Mark("Gumbel-max mechanism", colours.TEAL, "s"),
    "drawn anew": Mark("Drawn anew", colours.VERMILLION, "x"),
    "shuffled": Mark("Shuffled scanners", colours.OLIVE, "v"),
    "truth": Mark("True counterfactuals", colours.PINK, "^"),
    "untouched": Mark("Left alone", colours.SLATE, "o"),
    "histogram": Mark("Histogram matching", colours.ORANGE, "s"),
    "pixel_regression": Mark("Regression per pixel", colours.SKY, "^"),
}


def effectiveness(quality: pd.DataFrame) -> Figure:
    """How often a scanner classifier sees the intended scanner, beside its ceiling and chance.

    Args:
        quality: rows with `measure` == 'effectiveness'; columns `images` ('real' for the ceiling,
            'counterfactual', optionally 'untrained'), `target` (scanner), `value`, `ci_low`,
            `ci_high` (shares in 0..1; 95 % intervals, NaN where not computed). Rows of a single
            direction (`source` not 'all') are left out.
    """
    columns = ("measure", "images", "source", "target", "value", "ci_low", "ci_high")
    require(quality, columns, "quality")
    bars = quality[(quality["measure"] == "effectiveness") & (quality["source"] == "all")]
    with style():
        figure, (axes,) = new_panels(1, height=2.8)
        _draw_bars(axes, bars, "target", 100.0, ("real", "counterfactual", "untrained"))
        n_targets = bars.loc[bars["target"] != "all", "target"].nunique()
        axes.axhline(100 / n_targets, color=INK, linestyle=":", label="Chance")
        axes.set(xlabel="scanner", ylabel="seen as that scanner [%]", ylim=(0, 104))
        add_legend(figure, axes, "whiskers: 95 % intervals", columns=2)
    return figure


@or_says_why
def gold_error(quality: pd.DataFrame) -> Figure:
    """Error against the true counterfactual, beside leaving alone and two baselines.

    Args:
        quality: rows with `measure` == 'gold_error'; columns `images` ('untouched', 'histogram',
            'pixel_regression', 'counterfactual'), `source`, `target` (scanners), `value`, `ci_low`,
            `ci_high` (mean absolute error in grey levels of 255).
    """
    columns = ("measure", "images", "source", "target", "value", "ci_low", "ci_high")
    require(quality, columns, "quality")
    bars = require(quality[quality["measure"] == "gold_error"], columns, "quality", REAL).copy()
    pooled = (bars["source"] == "all") | (bars["target"] == "all")
    bars["direction"] = bars["source"] + "\n→ " + bars["target"]
    bars.loc[pooled, "direction"] = "all"
    with style():
        figure = new_figure(0.72 * bars["direction"].nunique() + 1.4)
        axes = figure.subplots()
        order = ("untouched", "histogram", "pixel_regression", "counterfactual")
        _draw_bars(axes, bars, "direction", 1.0, order, horizontal=True)
        axes.set(xlabel="mean absolute error [grey levels of 255]", ylabel="direction")
        add_legend(figure, axes, "whiskers: 95 % intervals", columns=2)
    return figure


@or_says_why
def overall(
    quality: pd.DataFrame, measures: Mapping[str, str], chance: float | None = None
) -> Figure:
    """Some measures, averaged over all directions, one panel each.

    Args:
        quality: rows of `quality.csv`; those of 'all' to 'all' are drawn.
        measures: `measure` to the label of its axis. Measures without rows are left out, as are
            those of other cohorts; where all are, the figure says so.
        chance: where to draw a line, if anywhere.
    """
    columns = ("measure", "images", "source", "target", "value", "ci_low", "ci_high")
    require(quality, columns, "quality")
    pooled = quality[(quality["source"] == "all") & (quality["target"] == "all")]
    drawn = [name for name in measures if name in set(pooled["measure"])]
    if not drawn:
        raise NothingToDraw("Not measured on this cohort, or on too few test images.")
    kinds = [pooled[pooled["measure"] == name] for name in drawn]
    with style():
        figure = new_figure(sum(0.3 * len(mine) + 0.75 for mine in kinds))
        heights = [len(mine) + 1 for mine in kinds]
        panels = figure.subplots(len(drawn), 1, height_ratios=heights, squeeze=False)[:, 0]
        for axes, name, mine in zip(panels, drawn, kinds, strict=True):
            _draw_kinds(axes, mine)
            axes.set_xlabel(measures[name])
            if chance is not None:
                axes.axvline(chance, color=INK, linestyle=":")
        figure.supxlabel("whiskers: 95 % intervals", fontsize=10)
    return figure


def _draw_kinds(axes: Axes, rows: pd.DataFrame) -> None:
    """One horizontal bar per kind of image; 'counterfactual, 10 cycles' looks as its first word."""
    looks = [IMAGES[kind.split(",")[0]] for kind in rows["images"]]
    names = [
        ",".join([look.label.removesuffix(" (ceiling)"), *kind.split(",")[1:]])
        for look, kind in zip(looks, rows["images"], strict=True)
    ]
    value, low, high = (rows[column].to_numpy() for column in ("value", "ci_low", "ci_high"))
    whiskers = np.nan_to_num(np.clip(np.stack([value - low, high - value]), 0, None))
    axes.barh(names, value, 0.8, xerr=whiskers, color=[look.colour for look in looks], ecolor=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _draw_bars(
    axes: Axes,
    table: pd.DataFrame,
    group: str,
    scale: float,
    order: Sequence[str],
    *,
    horizontal: bool = False,
) -> None:
    """Bars with whiskers, one group per value of `group`, one bar per kind of image."""
    groups = list(dict.fromkeys(table[group]))
    kinds = [kind for kind in order if kind in set(table["images"])]
    if not groups or not kinds:
        raise ValueError(f"quality has no rows for any of {list(order)}: nothing to draw")
    thickness = 0.8 / len(kinds)
    for k, kind in enumerate(kinds):
        mine = table[table["images"] == kind].groupby(group).mean(numeric_only=True).reindex(groups)
        where = np.arange(len(groups)) + (k - (len(kinds) - 1) / 2) * thickness
        value, low, high = (scale * mine[c].to_numpy() for c in ("value", "ci_low", "ci_high"))
        whiskers = np.nan_to_num(np.clip(np.stack([value - low, high - value]), 0, None))
        look: dict[str, Any] = {
            "color": IMAGES[kind].colour,
            "label": IMAGES[kind].label,
            "ecolor": INK,
        }
        if horizontal:
            axes.barh(where, value, thickness * 0.92, xerr=whiskers, **look)
        else:
            axes.bar(where, value, thickness * 0.92, yerr=whiskers, **look)
    if horizontal:
        axes.set_yticks(range(len(groups)), groups)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
    else:
        axes.set_xticks(range(len(groups)), groups)
        axes.grid(visible=False, axis="x")
