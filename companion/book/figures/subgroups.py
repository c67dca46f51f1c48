"""The gap between two subgroups of the test patients."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.book.figures.accuracy import (
    LABELS_USED,
    Band,
    auc_rows,
    band_label,
    bootstrapped,
    chosen_domains,
    default_band,
    over_seeds,
    shares_of_labels,
)
from companion.book.figures.colours import INK
from companion.book.figures.look import (
    NOTHING_SAID,
    Initial,
    Mark,
    add_legend,
    marks,
    name_outer,
    new_panels,
    or_says_why,
    present,
    style,
)


@or_says_why
def subgroup_gap(
    results: pd.DataFrame,
    pair: tuple[str, str],
    *,
    absolute: bool = False,
    objective: str | None = None,
    domains: Sequence[str] = (),
    initial: Initial = NOTHING_SAID,
) -> Figure:
    """AUC of one subgroup minus that of another at each share of labels, a panel per domain.

    Args:
        results: rows of `results.csv` of one cohort and protocol, of the encoders to draw.
        pair: the two subgroups, one of `companion.evaluation.subgroups.GAPS`.
        absolute: draw the size of the gap, not its sign.
        objective: as for `label_efficiency`.
        domains: domains to draw, in this order, where they have the gap; all if empty.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.

    Raises:
        ValueError: a column is missing.
    """
    first, second = pair
    metric = "absolute_gap" if absolute else "gap"
    rows, objective = auc_rows(results, objective, (f"{first} minus {second}",), metric)
    domains = chosen_domains(rows, domains)
    band = default_band(rows)
    with style():
        figure, panels = new_panels(len(domains))
        for axes, domain in zip(panels, domains, strict=True):
            _draw(axes, rows[rows["domain"] == domain], marks(objective, initial), band)
            axes.axhline(0, color=INK, linestyle=":", linewidth=1.5)
            axes.set_title(domain)
            shares = shares_of_labels(rows)
            axes.set_xticks(range(len(shares)), list(shares.values()), fontsize=8.5)
        limits = np.array([axes.get_ylim() for axes in panels])
        for axes in panels:
            axes.set_ylim(limits.min(), limits.max())
        gap = f"{first.replace('=', ': ')}\n− {second.partition('=')[2]}"
        name_outer(panels, LABELS_USED, f"|{gap}|" if absolute else gap)
        add_legend(figure, panels[0], band_label(rows, band).replace("band", "whiskers"))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, mark: Mapping[str, Mark], band: Band) -> None:
    strategies = present(rows["strategy"])
    places = np.arange(rows["label_fraction"].nunique())
    for i, strategy in enumerate(strategies):
        mine = rows[rows["strategy"] == strategy]
        if band == "seeds":
            centre, error = over_seeds(mine, "value")
            low, high = centre - error, centre + error
        else:
            centre, low, high = bootstrapped(mine)
        axes.errorbar(
            places + 0.6 * ((i + 0.5) / len(strategies) - 0.5),
            centre.to_numpy(),
            # An absolute gap may lie below its own interval: it is drawn where it is.
            yerr=np.clip([centre - low, high - centre], 0, None),
            color=mark[strategy].colour,
            marker=mark[strategy].marker,
            linestyle="none",
            label=mark[strategy].label,
        )
    axes.grid(visible=False, axis="x")
