"""How good the counterfactuals are, and what that buys."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.book.figures import canvas, colours
from companion.book.figures.colours import INK
from companion.book.figures.look import Mark, marks

REAL = "These images are real: their true counterfactuals are not known."
NOTHING_TO_COMPARE = "There is no generator of scanners here, or no truth to compare it with."
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
    "registration": Mark("Registered mean images", colours.SKY, "^"),
}
WHISKERS = "whiskers: 95 % intervals"


@canvas.drawn
def effectiveness(quality: pd.DataFrame) -> Figure:
    """How often a scanner classifier sees the intended scanner, beside its ceiling and chance.

    Args:
        quality: rows with `measure` == 'effectiveness'; columns `images` ('real' for the ceiling,
            'counterfactual', optionally 'untrained'), `target` (scanner), `value`, `ci_low`,
            `ci_high` (shares in 0..1; 95 % intervals, NaN where not computed). Rows of a single
            direction (`source` not 'all') are left out.
    """
    bars = quality[(quality["measure"] == "effectiveness") & (quality["source"] == "all")]
    percent = bars.assign(**{name: 100 * bars[name] for name in ("value", "ci_low", "ci_high")})
    figure, (axes,) = canvas.new_panels(1, height=2.8)
    _draw_bars(axes, percent, "target", ("real", "counterfactual", "untrained"))
    n_targets = bars.loc[bars["target"] != "all", "target"].nunique()
    axes.axhline(100 / n_targets, color=INK, linestyle=":", label="Chance")
    axes.set(xlabel="scanner", ylabel="seen as that scanner [%]", ylim=(0, 104))
    canvas.add_legend(figure, axes, WHISKERS, columns=2)
    return figure


@canvas.drawn
def gold_error(quality: pd.DataFrame) -> Figure:
    """Error against the true counterfactual, beside leaving alone and two baselines.

    Args:
        quality: rows with `measure` == 'gold_error'; columns `images` ('untouched', 'histogram',
            'pixel_regression', 'counterfactual'), `source`, `target` (scanners), `value`, `ci_low`,
            `ci_high` (mean absolute error in grey levels of 255).
    """
    bars = canvas.require(quality[quality["measure"] == "gold_error"], REAL)
    pooled = (bars["source"] == "all") | (bars["target"] == "all")
    directions = bars["source"] + "\n→ " + bars["target"]
    bars = bars.assign(direction=directions.mask(pooled, "all"))
    figure = canvas.new_figure(0.72 * bars["direction"].nunique() + 1.4)
    axes = figure.subplots()
    order = ("untouched", "histogram", "pixel_regression", "counterfactual")
    _draw_bars(axes, bars, "direction", order, horizontal=True)
    axes.set(xlabel="mean absolute error [grey levels of 255]", ylabel="direction")
    canvas.add_legend(figure, axes, WHISKERS, columns=2)
    return figure


@canvas.drawn
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
    pooled = quality[(quality["source"] == "all") & (quality["target"] == "all")]
    kinds = {name: pooled[pooled["measure"] == name] for name in measures}
    kinds = {name: mine for name, mine in kinds.items() if len(mine)}
    if not kinds:
        raise canvas.NothingToDraw("Not measured on this cohort, or on too few test images.")
    figure = canvas.new_figure(sum(0.3 * len(mine) + 0.75 for mine in kinds.values()))
    heights = [len(mine) + 1 for mine in kinds.values()]
    panels = figure.subplots(len(kinds), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (name, mine) in zip(panels, kinds.items(), strict=True):
        _draw_kinds(axes, mine)
        axes.set_xlabel(measures[name])
        if chance is not None:
            axes.axvline(chance, color=INK, linestyle=":")
    figure.supxlabel(WHISKERS, fontsize=10)
    return figure


@canvas.drawn
def ablation(bought: pd.DataFrame | None) -> Figure:
    """Gain over unpaired views against the gold error of the pairs, one point per seed.

    Args:
        bought: rows `strategy`, `seed`, `where`, `error` (grey levels of 255) and `gain`
            (difference in ROC-AUC), of `companion.experiments.ablation.gain_against_error`.
    """
    bought = canvas.require(bought, NOTHING_TO_COMPARE)
    places, look = list(dict.fromkeys(bought["where"])), marks("simclr")
    figure, panels = canvas.new_panels(len(places), height=3.4)  # the legend is tall
    for axes, where in zip(panels, places, strict=True):
        here = bought[bought["where"] == where]
        for strategy, points in here.groupby("strategy", sort=False):
            mark = look[str(strategy)]
            shape: dict[str, Any] = {"color": mark.colour, "marker": mark.marker, "s": 42}
            axes.scatter(points["error"], points["gain"], zorder=3, label=mark.label, **shape)
        axes.margins(0.12)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_title(where)
    canvas.share_y(panels, -0.01, 0.01)
    reference = look["standard"].label
    canvas.name_outer(
        panels, "error of the pairs\n[grey levels of 255]", f"ROC-AUC\n− {reference}'s"
    )
    canvas.add_legend(figure, panels[0], "one point per pretraining seed", columns=1)
    return figure


def _draw_kinds(axes: Axes, rows: pd.DataFrame) -> None:
    """One horizontal bar per kind of image; 'counterfactual, 10 cycles' looks as its first word."""
    looks = [IMAGES[kind.split(",")[0]] for kind in rows["images"]]
    names = [
        ",".join([look.label.removesuffix(" (ceiling)"), *kind.split(",")[1:]])
        for look, kind in zip(looks, rows["images"], strict=True)
    ]
    shape: dict[str, Any] = {"color": [look.colour for look in looks], "ecolor": INK}
    axes.barh(names, rows["value"].to_numpy(), 0.8, xerr=canvas.reach(rows), **shape)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _draw_bars(
    axes: Axes, table: pd.DataFrame, group: str, order: Sequence[str], *, horizontal: bool = False
) -> None:
    """Bars with whiskers, one group per value of `group`, one bar per kind of image."""
    groups = list(dict.fromkeys(table[group]))
    kinds = [kind for kind in order if kind in set(table["images"])]
    thickness = 0.8 / len(kinds) * 0.92
    for k, kind in enumerate(kinds):
        mine = table[table["images"] == kind].groupby(group).mean(numeric_only=True).reindex(groups)
        where, value = canvas.places(len(groups), len(kinds), k), mine["value"].to_numpy()
        look: dict[str, Any] = {"color": IMAGES[kind].colour, "label": IMAGES[kind].label}
        if horizontal:
            axes.barh(where, value, thickness, xerr=canvas.reach(mine), ecolor=INK, **look)
        else:
            axes.bar(where, value, thickness, yerr=canvas.reach(mine), ecolor=INK, **look)
    if horizontal:
        canvas.name_rows(axes, groups)
    else:
        axes.set_xticks(range(len(groups)), groups)
        axes.grid(visible=False, axis="x")
