"""Rows of `quality.csv` from one value per image."""

from typing import Any

import numpy as np
import pandas as pd

from companion.cohorts.cohort import Cohort
from companion.evaluation.statistics import bootstrap_mean_interval

ALL = "all"


def values(
    images: str, source: np.ndarray, target: str | np.ndarray, patients: np.ndarray, x: np.ndarray
) -> pd.DataFrame:
    """A value per image, as `summarise` takes them.

    Args:
        images: what was measured.
        source, target: names (n,) of the scanners, or one name for all.
        patients: (n,) whose images these are.
        x: float (n,) the values.
    """
    return pd.DataFrame(
        {"images": images, "source": source, "target": target, "patient": patients, "value": x}
    )


def summarise(measure: str, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean per kind of images and direction, and over all directions, each counted alike.

    Args:
        measure: its name in `quality.csv`.
        tables: of `values`.

    Returns:
        Rows `measure`, `images`, `source`, `target` ('all' and 'all': the mean over directions),
        `value`, `ci_low`, `ci_high` (95 %, patient-level bootstrap) and `n` images.
    """
    table = pd.concat(tables, ignore_index=True)
    keys = ["images", "source", "target"]
    table["weight"] = 1 / table.groupby(keys)["value"].transform("size")
    everything = table.assign(source=ALL, target=ALL)
    found: list[dict[str, Any]] = []
    for part in (table, everything):
        for (images, source, target), mine in part.groupby(keys, sort=False):
            value, low, high = bootstrap_mean_interval(
                mine["value"].to_numpy(), mine["patient"].to_numpy(), mine["weight"].to_numpy()
            )
            found.append(
                {"measure": measure, "images": images, "source": source, "target": target}
                | {"value": value, "ci_low": low, "ci_high": high, "n": len(mine)}
            )
    return pd.DataFrame(found)


def overview(quality: pd.DataFrame) -> pd.DataFrame:
    """The means over all directions for reading: a row per measure, a column per kind of image.

    Args:
        quality: rows of `quality.csv`.

    Returns:
        Text 'value [low, high]', empty where a kind of image was not measured.
    """
    pooled = quality[(quality["source"] == ALL) & (quality["target"] == ALL)]
    text = [f"{row.value:.3g} [{row.ci_low:.3g}, {row.ci_high:.3g}]" for row in pooled.itertuples()]
    table = pooled.assign(text=text).pivot(index="measure", columns="images", values="text")
    table = table.reindex(index=pooled["measure"].unique(), columns=pooled["images"].unique())
    return table.fillna("")


def scanner_names(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """Names (n,) of the scanners of some rows."""
    return cohort.table["scanner"].to_numpy(dtype=object)[rows]


def patient_names(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """Names (n,) of the patients of some rows."""
    return cohort.table["patient_id"].to_numpy(dtype=object)[rows]
