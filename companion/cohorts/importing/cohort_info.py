"""`cohort.json`, which says what is known about a cohort that was imported from files."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from companion.cohorts.cohort import FORMAT
from companion.cohorts.importing import plan as plans
from companion.cohorts.importing import published_counts
from companion.cohorts.importing.image_files import FrameOptions
from companion.cohorts.importing.plan import Plan


def cohort_info(
    plan: Plan, rows: pd.DataFrame, skipped: list[dict[str, Any]], caveats: Sequence[str]
) -> dict[str, Any]:
    """The content of `cohort.json`, but for the checksum.

    Args:
        plan: that was carried out.
        rows: of the plan that became images.
        skipped: file, row and reason of each of the others.
        caveats: found in the images, beyond the plan's.
    """
    compared: dict[str, Any] = {}
    if plan.published:
        seen = rows[rows["scanner"].isin(plan.scanners)]
        compared = {"table_1": published_counts.compare(plan.published, seen)}
    return {
        "format": FORMAT,
        "name": plan.options.name,
        "source": plan.options.source,
        "source_options": plan.options.model_dump(mode="json"),
        "scanners": list(plan.scanners),
        "held_out_scanners": list(plan.held_out_scanners),
        "classes": list(plan.classes),
        "positive_label": plan.classes[1],
        "height": plan.options.shape[0],
        "width": plan.options.shape[1],
        "preprocessing": preprocessing(plan.options),
        "counts": plans.counts(plan, rows),
        "left_out": dict(plan.left_out),
        "skipped": skipped,
        "caveats": [*plan.caveats, *caveats, *plans.missing_classes(plan, rows)],
        "citation": plan.citation,
        "evaluation_only": plan.options.evaluation_only,
        **compared,
    }


def preprocessing(frame: FrameOptions) -> dict[str, Any]:
    """The options by which images became frames."""
    options = frame.model_dump(mode="json", include=set(FrameOptions.model_fields))
    return options | {"resampling": "hamming, antialiased"}
