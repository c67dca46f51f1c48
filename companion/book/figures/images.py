"""The cohort's images, and how many there are."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from companion.book.figures import canvas, colours
from companion.cohorts.cohort import SPLITS


@canvas.drawn
def image_grid(
    rows: Sequence[Sequence[np.ndarray | None]], columns: Sequence[str], names: Sequence[str] = ()
) -> Figure:
    """A grid of images.

    Args:
        rows: cells row by row: uint8 (H, W), or None for an empty one.
        columns: one title per column.
        names: one name per row, or none.
    """
    size = min(1.5, canvas.WIDTH / len(columns))
    figure = canvas.new_figure(size * len(rows) + 0.5, size * len(columns) + 0.4)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            axes[i, j].set(xticks=[], yticks=[])
            axes[i, j].spines[:].set_visible(False)
            if image is not None:
                axes[i, j].imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for place, title in zip(axes[0], columns, strict=True):
        place.set_title(_wrapped(title, size), fontsize=9)
    for place, name in zip(axes[:, 0], names, strict=False):
        # Rows stand close: a name must not reach into the next one's.
        place.set_ylabel(_wrapped(name, 0.8 * size), fontsize=9)
    return figure


def _wrapped(title: str, width: float) -> str:
    """A title of size 9 broken into lines of some inches."""
    letters = max(6, int(width * 72 / (9 * 0.6)))
    return "\n".join(textwrap.wrap(title, letters, break_long_words=False))


@canvas.drawn
def cohort_counts(table: pd.DataFrame) -> Figure:
    """Images per scanner and split, as bars.

    Args:
        table: a cohort's table (columns `scanner`, `split`).
    """
    figure, (axes,) = canvas.new_panels(1, height=2.6)
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
    canvas.add_legend(figure, axes)
    return figure
