"""What pairs are alike to an encoder, and what pretraining costs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from companion.book.figures import colours
from companion.book.figures.colours import CARD, FAINT, INK
from companion.book.figures.look import (
    OBJECTIVES,
    add_legend,
    marks,
    new_panels,
    not_trained,
    or_says_why,
    present,
    require,
    style,
)

STEPS = {"generator": colours.VIOLET, "bank": colours.LILAC, "pretraining": colours.STEEL}
STEP_NAMES = {
    "generator": "generator",
    "bank": "bank of counterfactuals",
    "pretraining": "pretraining",
}


@or_says_why
def pair_similarity(table: pd.DataFrame, *, objective: str = "simclr") -> Figure:
    """Cosine similarity of the views of each strategy's own pairs, before and after training.

    Args:
        table: columns `strategy`, `training` ('before' or 'after'), `value`, `ci_low`, `ci_high`.
        objective: after which strategies are named.
    """
    columns = ("strategy", "training", "value", "ci_low", "ci_high")
    table = require(table, columns, "pair similarity", not_trained(objective))
    strategies = present(table["strategy"])
    with style():
        figure, (axes,) = new_panels(1, height=0.45 * len(strategies) + 0.9)
        for line, strategy in enumerate(strategies):
            mark = marks(objective)[strategy]
            mine = table[table["strategy"] == strategy].set_index("training")
            ends = mine.loc[["before", "after"], "value"]
            axes.plot(ends, [line, line], color=mark.colour, linewidth=1.2, alpha=0.5)
            for training, face in (("before", CARD), ("after", mark.colour)):
                row = mine.loc[training]
                reach = [[row["value"] - row["ci_low"]], [row["ci_high"] - row["value"]]]
                look: dict[str, Any] = {"color": mark.colour, "marker": mark.marker}
                drawn = axes.errorbar(row["value"], line, xerr=reach, **look)
                drawn[0].set_markerfacecolor(face)
        for training, face in (("before training", CARD), ("after", INK)):
            key: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": "none"}
            axes.plot([], [], label=training, markerfacecolor=face, **key)
        axes.axvline(0, color=INK, linestyle=":", linewidth=1.5, label="other images")
        axes.set_yticks(range(len(strategies)), [marks(objective)[s].label for s in strategies])
        axes.invert_yaxis()
        axes.set_xlabel("cosine similarity of the two views")
        axes.grid(visible=False, axis="y")
        add_legend(figure, axes, "whiskers: 95 % over test patients")
    return figure


@or_says_why
def cost(table: pd.DataFrame | None) -> Figure:
    """Time of one run of generator, banks and each pretraining.

    Args:
        table: of `companion.evaluation.cost.cost_table`; where a time is not known, it says so.
    """
    table = require(table, ("step", "what", "seconds", "peak_memory_mib"), "the cost table")
    places = np.arange(len(table))
    with style():
        figure, (axes,) = new_panels(1, height=0.32 * len(table) + 0.8)
        for step, colour in STEPS.items():
            mine = (table["step"] == step).to_numpy()
            if mine.any():
                minutes = table.loc[mine, "seconds"] / 60
                axes.barh(places[mine], minutes, color=colour, label=STEP_NAMES[step])
        ends, memory = (table["seconds"] / 60).tolist(), (table["peak_memory_mib"] / 1024).tolist()
        for place, (end, gib) in enumerate(zip(ends, memory, strict=True)):
            beside = f" {gib:.1f} GiB" if np.isfinite(end) else f" interrupted; {gib:.1f} GiB"
            axes.text(np.nan_to_num(end), place, beside, va="center", fontsize=8.5, color=FAINT)
        axes.set_yticks(places, list(map(_name, table["step"], table["what"])))
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("minutes of one run (beside: peak memory)")
        axes.grid(visible=False, axis="y")
        add_legend(figure, axes)
    return figure


def _name(step: str, what: str) -> str:
    """What a step is called on an axis: 'bank: sex', or the strategy's label."""
    if step != "pretraining":
        return f"{step}: {what}" if what else step
    objective, strategy = what.split("-")
    label = marks(objective)[strategy].label
    return f"{label}, {OBJECTIVES.get(objective, objective)}" if strategy == "oracle" else label
