"""Maps of test images to point at and to brush: self-contained HTML, no kernel."""

from collections.abc import Mapping, Sequence

import numpy as np

from companion.book.figures.colours import themed
from companion.book.widgets.page import component, png_base64

COLUMNS = 25  # thumbnails side by side in the one picture that holds them
THUMBNAIL = 40  # pixels of its longer side, at most
SIDE = 100.0  # units of a map, as in projection.js
MARGIN = 4.0


def projection_html(
    maps: Mapping[str, np.ndarray],
    images: np.ndarray,
    facts: Sequence[str],
    colourings: Mapping[str, Sequence[str]],
    palettes: Mapping[str, Mapping[str, str]],
) -> str:
    """Maps of the same images beside each other; what is pointed at or selected is so in all.

    Args:
        maps: title to places, float (n, 2).
        images: uint8 (n, H, W); shown as thumbnails.
        facts: n texts to show beside them.
        colourings: what to colour by, such as 'scanner', to the n images' values of it.
        palettes: the same to the colour of each value, of `companion.book.figures.colours`.

    Returns:
        An HTML fragment; several may stand on one page.

    Raises:
        ValueError: nothing to show, or numbers that do not fit.
    """
    counts = {len(images), len(facts), *map(len, maps.values()), *map(len, colourings.values())}
    if not maps or not colourings or len(counts) != 1 or not len(images):
        raise ValueError(
            f"maps, images, facts and colourings of {sorted(counts)} images do not fit"
        )
    small = thumbnails(images)
    data = {
        "width": small.shape[2],
        "height": small.shape[1],
        "columns": COLUMNS,
        "sprite": "data:image/png;base64," + png_base64(sheet(small)),
        "maps": [{"title": title, "places": _places(xy)} for title, xy in maps.items()],
        "facts": list(facts),
        "colourings": {by: _coloured(values, palettes[by]) for by, values in colourings.items()},
    }
    return component(
        "projection.html",
        data,
        styles=["widget.css", "projection.css"],
        scripts=["elements.js", "svg.js", "projection.js"],
        render="renderProjection",
    )


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W) made smaller by a whole factor, each pixel the mean of a block."""
    factor = -(-max(images.shape[1:]) // THUMBNAIL)
    height, width = (side // factor for side in images.shape[1:])
    cut = images[:, : height * factor, : width * factor].astype(np.float32)
    blocks = cut.reshape(len(images), height, factor, width, factor)
    return np.round(blocks.mean(axis=(2, 4))).astype(np.uint8)


def sheet(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W) in one picture, `COLUMNS` beside each other, black where there is none."""
    n, height, width = images.shape
    rows = -(-n // COLUMNS)
    filled_up = np.zeros((rows * COLUMNS, height, width), np.uint8)
    filled_up[:n] = images
    grid = filled_up.reshape(rows, COLUMNS, height, width).swapaxes(1, 2)
    return grid.reshape(rows * height, COLUMNS * width)


def _places(xy: np.ndarray) -> list[list[float]]:
    """Places scaled into a map, the same in both directions, y upwards."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-12)
    centred = (xy - (low + high) / 2) * scale * [1, -1] + SIDE / 2
    return np.round(centred, 1).tolist()


def _coloured(values: Sequence[str], palette: Mapping[str, str]) -> dict[str, object]:
    names = list(palette)
    return {
        "names": names,
        "codes": [names.index(value) for value in values],
        "colours": [themed(colour) for colour in palette.values()],
    }
