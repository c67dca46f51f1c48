"""What a cohort consists of."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from companion.book.figures import colours
from companion.book.figures.look import add_legend, new_panels, require, style
from companion.cohorts.cohort import SPLITS


def cohort_counts(table: pd.DataFrame) -> Figure:
    """Images per scanner and split, as bars.

    Args:
        table: a cohort's table (columns `scanner`, `split`).
    """
    require(table, ("scanner", "split"), "the cohort table")
    with style():
        figure, (axes,) = new_panels(1, height=2.6)
        sns.countplot(
            table,
            y="scanner",
            hue="split",
            order=list(table["scanner"].value_counts().index),
            hue_order=SPLITS,
            palette=[colours.BLUE, colours.SKY, colours.ORANGE],
            legend=False,
            ax=axes,
        )
        for bars, split in zip(axes.containers, SPLITS, strict=True):
            bars.set_label(split)
        axes.set(xlabel="images", ylabel="scanner")
        add_legend(figure, axes)
    return figure
