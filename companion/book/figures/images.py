"""Grids of images and of differences between images."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from companion.book.figures.look import WIDTH, new_figure, style


def image_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    columns: Sequence[str],
    names: Sequence[str] = (),
    limit: float | None = None,
) -> Figure:
    """A grid of images and signed differences.

    Args:
        rows: cells row by row; uint8 (H, W) is an image in 0..255, a signed or float (H, W) is a
            difference in grey levels, drawn in diverging colours; None leaves the cell empty.
        columns: one title per column.
        names: one name per row, or none.
        limit: grey levels at the ends of the difference colours; the largest |difference| if None.

    Returns:
        The figure, with a colour bar where there are differences.
    """
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"every row needs {len(columns)} cells, one per column title")
    if names and len(names) != len(rows):
        raise ValueError(f"{len(rows)} rows but {len(names)} row names")
    signed = [c for row in rows for c in row if c is not None and c.dtype != np.uint8]
    if signed and limit is None:
        limit = max(1.0, max(float(np.abs(cell).max()) for cell in signed))
    cell_size = min(1.5, WIDTH / len(columns))
    with style():
        figure = new_figure(cell_size * len(rows) + 0.5, cell_size * len(columns) + 0.4)
        axes = np.asarray(figure.subplots(len(rows), len(columns), squeeze=False))
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                _draw_cell(axes[i, j], cell, limit)
                if i == 0:
                    axes[i, j].set_title(_wrapped(columns[j], cell_size), fontsize=9)
            if names:
                # Rows stand close: a name must not reach into the next one's.
                axes[i, 0].set_ylabel(_wrapped(names[i], 0.8 * cell_size), fontsize=9)
        if signed and limit is not None:
            colours = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
            bar = figure.colorbar(colours, ax=axes, orientation="horizontal", fraction=0.05)
            bar.set_label("difference [grey levels of 255]", fontsize=10)
    return figure


def _wrapped(title: str, width: float) -> str:
    """A title of size 9 broken into lines of some inches."""
    letters = max(6, int(width * 72 / (9 * 0.6)))
    return "\n".join(textwrap.wrap(title, letters, break_long_words=False))


def _draw_cell(axes: Axes, cell: np.ndarray | None, limit: float | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if cell is None:
        return
    if cell.dtype == np.uint8:
        axes.imshow(cell, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    elif limit is not None:
        axes.imshow(cell, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
