"""Maps of test images that show the image pointed at: what they are coloured by, and the page."""

from collections.abc import Mapping, Sequence

import numpy as np

from companion.book.figures import marks, palette
from companion.book.figures.look import NOTHING_SAID, Initial
from companion.book.widgets.projection import projection_html
from companion.cohorts.cohort import Cohort, evenly

POINTED_AT = 600  # images that a map on a page shows: thumbnails have to be sent along
NOTHING = "none"
UNLABELLED = "unlabelled"


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
    """Maps that show the image pointed at, as HTML (`companion.book.widgets.projection`).

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
    facts = [
        ", ".join(value for value in (patient, *values) if value != NOTHING)
        for patient, *values in zip(
            cohort.table["patient_id"].iloc[rows[some]].astype(str), *coloured.values(), strict=True
        )
    ]
    return projection_html(
        {marks(objective, initial)[strategy].label: xy[some] for strategy, xy in maps.items()},
        np.asarray(cohort.images[rows[some]]),
        facts,
        coloured,
        palettes(cohort, coloured),
    )


def label_name(cohort: Cohort, label: int) -> str:
    """The class of a label, or that there is none."""
    return cohort.classes[label] if label >= 0 else UNLABELLED
