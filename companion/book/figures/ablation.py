"""What the quality of counterfactuals buys."""

import pandas as pd
from matplotlib.figure import Figure

from companion.book.figures.colours import INK
from companion.book.figures.look import (
    add_legend,
    marks,
    name_outer,
    new_panels,
    or_says_why,
    require,
    style,
)

NOTHING_TO_COMPARE = "There is no generator of scanners here, or no truth to compare it with."


@or_says_why
def ablation(bought: pd.DataFrame | None, objective: str = "simclr") -> Figure:
    """Gain over unpaired views against the gold error of the pairs, one point per seed.

    Args:
        bought: rows `strategy`, `seed`, `where`, `error` (grey levels of 255) and `gain`
            (difference in ROC-AUC), of `companion.experiments.ablation.gain_against_error`.
        objective: whose encoders these are.
    """
    columns = ("strategy", "seed", "where", "error", "gain")
    bought = require(bought, columns, "the ablation", NOTHING_TO_COMPARE)
    places, look = list(dict.fromkeys(bought["where"])), marks(objective)
    with style():
        figure, panels = new_panels(len(places), height=3.4)  # the legend is tall
        for axes, where in zip(panels, places, strict=True):
            here = bought[bought["where"] == where]
            for strategy, points in here.groupby("strategy", sort=False):
                mark = look[str(strategy)]
                axes.scatter(
                    points["error"],
                    points["gain"],
                    s=42,
                    zorder=3,
                    color=mark.colour,
                    marker=mark.marker,
                    label=mark.label,
                )
            axes.margins(0.12)
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set_title(where)
        low = min(-0.01, *(axes.get_ylim()[0] for axes in panels))
        high = max(0.01, *(axes.get_ylim()[1] for axes in panels))
        for axes in panels:
            axes.set_ylim(low, high)
        reference = look["standard"].label
        error = "error of the pairs\n[grey levels of 255]"
        name_outer(panels, error, f"ROC-AUC\n− {reference}'s")
        add_legend(figure, panels[0], "one point per pretraining seed", columns=1)
    return figure
