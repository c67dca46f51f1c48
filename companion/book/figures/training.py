"""How training went."""

import re
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.book.figures.colours import CATEGORIES
from companion.book.figures.labels import label_lines
from companion.book.figures.look import (
    Mark,
    add_legend,
    marks,
    new_panels,
    not_trained,
    or_says_why,
    present,
    require,
    style,
)


@or_says_why
def training_history(
    history: pd.DataFrame | None,
    metrics: Mapping[str, str],
    *,
    x: str = "epoch",
    objective: str = "simclr",
) -> Figure:
    """Metrics over training, one panel each, one line per strategy where the table names it.

    Args:
        history: one row per point in time; columns `x`, the metrics, and optionally `strategy`.
            Missing values are skipped, so metrics may be logged at different times. None where
            nothing was trained.
        metrics: column to axis label, unit included, e.g. {"loss": "NT-Xent loss [nats]"}.
        x: column of the time axis.
        objective: after which strategies are named.
    """
    history = require(history, (x, *metrics), "the training history", not_trained(objective))
    with style():
        figure, panels = new_panels(len(metrics), height=2.1)
        for axes, (column, label) in zip(panels, metrics.items(), strict=True):
            draw_history(axes, history, x, column, marks(objective))
            axes.set(xlabel=x, ylabel=label)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if "strategy" in history.columns:
            add_legend(figure, panels[0])
    return figure


def draw_history(
    axes: Axes, history: pd.DataFrame, x: str, column: str, look: Mapping[str, Mark]
) -> None:
    """A column over training, seeds averaged: a line per strategy where the table names it."""
    if "strategy" not in history.columns:
        line = history[[x, column]].dropna().groupby(x, as_index=False).mean()
        colour = look["standard"].colour
        axes.plot(line[x], line[column], color=colour, marker=_seen_alone(line))
        return
    for strategy in present(history["strategy"]):
        mark = look[strategy]
        mine = history.loc[history["strategy"] == strategy, [x, column]].dropna()
        line = mine.groupby(x, as_index=False).mean()
        axes.plot(
            line[x],
            line[column],
            color=mark.colour,
            marker=mark.marker,
            markevery=max(1, len(line) // 6),
            label=mark.label,
        )


def _seen_alone(line: pd.DataFrame) -> str:
    """The marker of a line: a single point would not be seen without one."""
    return "o" if len(line) == 1 else ""


def alignment_uniformity(history: pd.DataFrame | None, *, objective: str = "simclr") -> Figure:
    """Alignment and uniformity of the embeddings over training.

    Args:
        history: columns `epoch`, `alignment`, `uniformity`, optionally `strategy`.
        objective: after which strategies are named.

    Source:
        Wang & Isola 2020, https://arxiv.org/abs/2005.10242 (alpha = 2, t = 2; lower is better).
    """
    return training_history(
        history,
        {
            "alignment": "alignment\n[squared distance]",
            "uniformity": "uniformity\n[log mean kernel]",
        },
        objective=objective,
    )


def kl_per_resolution(history: pd.DataFrame) -> Figure:
    """The generator's KL divergence at each resolution of its latents over training.

    Args:
        history: the generator's history: `epoch` and one column `kl_<resolution>` (bits per
            pixel) for each side of a latent map.
    """
    names = [name for name in history.columns if re.fullmatch(r"kl_\d+", name)]
    require(history, ("epoch", *(names or ["kl_<resolution>"])), "the generator's history")
    resolutions = sorted(int(name.removeprefix("kl_")) for name in names)
    with style():
        figure, (axes,) = new_panels(1, height=2.6)
        for resolution, colour in zip(resolutions, CATEGORIES, strict=False):
            line = history[["epoch", f"kl_{resolution}"]].dropna()
            name = f"latents of\n{resolution} × {resolution}"
            x, y = line["epoch"], line[f"kl_{resolution}"]
            axes.plot(x, y, color=colour, marker=_seen_alone(line), label=name)
        axes.set(xlabel="epoch", ylabel="KL [bits per pixel]")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        label_lines(figure, axes)
    return figure
