"""Maps of test images to point at and to brush: what they are coloured by, and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from companion.book.figures import marks, palette
from companion.book.figures.colours import themed
from companion.book.figures.look import NOTHING_SAID, Initial
from companion.book.templates import png_uri
from companion.book.widgets import widget_html
from companion.cohorts.cohort import UNLABELLED, Cohort, evenly

POINTED_AT = 600  # images that a map on a page shows: thumbnails have to be sent along
NOTHING = "none"

COLUMNS = 25  # thumbnails side by side in the one picture that holds them
THUMBNAIL = 40  # pixels of its longer side, at most
SIDE = 100.0  # units of a map, as in projection.js
MARGIN = 4.0


def colourings(cohort: Cohort, rows: np.ndarray) -> dict[str, list[str]]:
    """What maps of some images are coloured by: scanner, label and, where known, attribute."""
    table = cohort.table.iloc[rows]
    found = {
        "scanner": [str(scanner) for scanner in table["scanner"]],
        "label": [label_name(cohort, label) for label in table["label"]],
    }
    attributes = [str(attribute) or NOTHING for attribute in cohort.attributes(rows)]
    return found | ({"attribute": attributes} if set(attributes) != {NOTHING} else {})


def palettes(cohort: Cohort, coloured: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """A colour for each value of `colourings`, in the cohort's order of them."""
    orders = {
        "scanner": [*cohort.scanners, *cohort.held_out_scanners],
        "label": [*cohort.classes, UNLABELLED],
        "attribute": sorted(set(coloured.get("attribute", ())), key=lambda v: (v == NOTHING, v)),
    }
    return {
        by: palette([value for value in orders[by] if value in set(values)])
        for by, values in coloured.items()
    }


def projection_page(
    cohort: Cohort,
    maps: Mapping[str, np.ndarray],
    rows: np.ndarray,
    objective: str = "simclr",
    initial: Initial = NOTHING_SAID,
) -> str:
    """Maps that show the image pointed at, as HTML.

    Args:
        cohort: of the images.
        maps: strategy to the places of all images, (n, 2).
        rows: (n,) their rows; some of them are shown, all with an attribute among them.
        objective: of the encoders, for the titles.
        initial: what the encoders start from, `PretrainingOptions.initial_weights`.
    """
    spread = evenly(np.arange(len(rows)), POINTED_AT)
    some = np.union1d(spread, np.flatnonzero(cohort.attributes(rows) != ""))
    coloured = colourings(cohort, rows[some])
    patients = cohort.table["patient_id"].iloc[rows[some]].astype(str)
    facts = [
        ", ".join(value for value in (patient, *values) if value != NOTHING)
        for patient, *values in zip(patients, *coloured.values(), strict=True)
    ]
    look = marks(objective, initial)
    return projection_html(
        {look[strategy].label: xy[some] for strategy, xy in maps.items()},
        np.asarray(cohort.images[rows[some]]),
        facts,
        coloured,
        palettes(cohort, coloured),
    )


def projection_html(
    maps: Mapping[str, np.ndarray],
    images: np.ndarray,
    facts: Sequence[str],
    coloured: Mapping[str, Sequence[str]],
    colours: Mapping[str, Mapping[str, str]],
) -> str:
    """Maps of the same images beside each other; what is pointed at or selected is so in all.

    Args:
        maps: title to places, float (n, 2).
        images: uint8 (n, H, W); shown as thumbnails.
        facts: n texts to show beside them.
        coloured: what to colour by, such as 'scanner', to the n images' values of it.
        colours: the same to the colour of each value, of `companion.book.figures.colours`.

    Returns:
        An HTML fragment; several may stand on one page.
    """
    data = {
        **sprite(thumbnails(images)),
        "maps": [{"title": title, "places": _places(xy)} for title, xy in maps.items()],
        "facts": list(facts),
        "colourings": {
            by: {
                "names": list(colours[by]),
                "codes": [list(colours[by]).index(value) for value in values],
                "colours": [themed(colour) for colour in colours[by].values()],
            }
            for by, values in coloured.items()
        },
    }
    return widget_html("projection", data)


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W) made smaller by a whole factor, each pixel the mean of a block."""
    factor = -(-max(images.shape[1:]) // THUMBNAIL)
    height, width = (side // factor for side in images.shape[1:])
    cut = images[:, : height * factor, : width * factor].astype(np.float32)
    blocks = cut.reshape(len(images), height, factor, width, factor)
    return np.round(blocks.mean(axis=(2, 4))).astype(np.uint8)


def sprite(images: np.ndarray) -> dict[str, Any]:
    """Images (n, H, W) as scripts read them: in one picture, `COLUMNS` beside each other."""
    n, height, width = images.shape
    rows = -(-n // COLUMNS)
    filled_up = np.zeros((rows * COLUMNS, height, width), np.uint8)
    filled_up[:n] = images
    grid = filled_up.reshape(rows, COLUMNS, height, width).swapaxes(1, 2)
    picture = png_uri(grid.reshape(rows * height, COLUMNS * width))
    return {"width": width, "height": height, "columns": COLUMNS, "sprite": picture}


def _places(xy: np.ndarray) -> list[list[float]]:
    """Places scaled into a map, the same in both directions, y upwards."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-12)
    centred = (xy - (low + high) / 2) * scale * [1, -1] + SIDE / 2
    return np.round(centred, 1).tolist()


def label_name(cohort: Cohort, label: int) -> str:
    """The class of a label, or that there is none."""
    return cohort.classes[label] if label >= 0 else UNLABELLED
