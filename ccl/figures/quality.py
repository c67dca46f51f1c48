"""How good the counterfactuals are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ccl.figures.look import INK, Mark, add_legend, new_figure, new_panels, require, style

IMAGES: Mapping[str, Mark] = {
    "real": Mark("Real test images (ceiling)", "#6B7280", "o"),
    "counterfactual": Mark("Counterfactuals", "#009E73", "D"),
    "untrained": Mark("Untrained generator", "#D55E00", "x"),
    "untouched": Mark("Left alone", "#6B7280", "o"),
    "histogram": Mark("Histogram matching", "#E69F00", "s"),
}


def effectiveness(quality: pd.DataFrame) -> Figure:
    """How often a scanner classifier sees the intended scanner, beside its ceiling and chance.

    Args:
        quality: rows with `measure` == 'effectiveness'; columns `images` ('real' for the ceiling,
            'counterfactual', optionally 'untrained'), `target` (scanner), `value`, `ci_low`,
            `ci_high` (shares in 0..1; 95 % intervals, NaN where not computed).
    """
    require(quality, ("measure", "images", "target", "value", "ci_low", "ci_high"), "quality")
    bars = quality[quality["measure"] == "effectiveness"]
    with style():
        figure, (axes,) = new_panels(1, height=2.8)
        _draw_bars(axes, bars, "target", 100.0, ("real", "counterfactual", "untrained"))
        n_targets = bars.loc[bars["target"] != "all", "target"].nunique()
        axes.axhline(100 / n_targets, color=INK, linestyle=":", label="Chance")
        axes.set(xlabel="scanner", ylabel="seen as that scanner [%]", ylim=(0, 104))
        add_legend(figure, axes, "whiskers: 95 % intervals", columns=2)
    return figure


def gold_error(quality: pd.DataFrame) -> Figure:
    """Error against the true counterfactual, beside leaving alone and histogram matching.

    Args:
        quality: rows with `measure` == 'gold_error'; columns `images` ('untouched', 'histogram',
            'counterfactual'), `source`, `target` (scanners), `value`, `ci_low`, `ci_high` (mean
            absolute error in grey levels of 255).
    """
    columns = ("measure", "images", "source", "target", "value", "ci_low", "ci_high")
    require(quality, columns, "quality")
    bars = quality[quality["measure"] == "gold_error"].copy()
    pooled = (bars["source"] == "all") | (bars["target"] == "all")
    bars["direction"] = bars["source"] + "\n→ " + bars["target"]
    bars.loc[pooled, "direction"] = "all"
    with style():
        figure = new_figure(0.72 * bars["direction"].nunique() + 1.4)
        axes = figure.subplots()
        order = ("untouched", "histogram", "counterfactual")
        _draw_bars(axes, bars, "direction", 1.0, order, horizontal=True)
        axes.set(xlabel="mean absolute error [grey levels of 255]", ylabel="direction")
        add_legend(figure, axes, "whiskers: 95 % intervals", columns=2)
    return figure


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
