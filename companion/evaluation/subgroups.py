"""Subgroups of the test patients: women and men, and the young and the old.

An encoder that gains on average may gain on one group alone, so every AUC is also given within
groups, on the same scores, and as the gap between two of them.

The absolute gap is biased: it cannot be below zero, so chance alone makes it positive, the more so
the fewer patients there are (by about 0.8 standard errors of the difference where there is no gap,
the mean of a half-normal). The signed gap is not, and its interval is the one to read.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from companion.cohorts.cohort import SEXES, Cohort
from companion.evaluation.labels import count_per_class

ALL = "all"
AGE_LIMITS = (45, 65)  # years; where one age group ends and the next begins
AGE_GROUPS = (
    f"age=under {AGE_LIMITS[0]}",
    f"age={AGE_LIMITS[0]} to {AGE_LIMITS[1] - 1}",
    f"age={AGE_LIMITS[1]} and over",
)
SEX_GROUPS = tuple(f"sex={sex}" for sex in SEXES)
# Between which groups a gap is given: the first minus the second.
GAPS = ((SEX_GROUPS[0], SEX_GROUPS[1]), (AGE_GROUPS[0], AGE_GROUPS[-1]))


def gap_name(first: str, second: str) -> str:
    """Name of a gap in the column `subgroup`."""
    return f"{first} minus {second}"


def subgroups(cohort: Cohort, rows: np.ndarray, *, by_age: bool = True) -> dict[str, np.ndarray]:
    """The groups that some images fall into.

    Images that do not state the sex or the age are in no group of it. Where all images are of one
    sex, or in one age group, there are no groups of it.

    Returns:
        Name, such as 'sex=F', to bool (n,).
    """
    table = cohort.table.iloc[rows]
    sex = table["sex"].to_numpy(dtype=object)
    groups = _partition({f"sex={name}": sex == name for name in SEXES})
    if not by_age:
        return groups
    age = table["age"].to_numpy(dtype=float)
    band = np.digitize(age, AGE_LIMITS)
    stated = ~np.isnan(age)
    return groups | _partition({name: stated & (band == k) for k, name in enumerate(AGE_GROUPS)})


def _partition(groups: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups that hold images, if these are at least two."""
    present = {name: mask for name, mask in groups.items() if mask.any()}
    return present if len(present) > 1 else {}


def groups_of_domain(cohort: Cohort, domain: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The groups that a test domain is divided into: by age not on single pretraining scanners."""
    return subgroups(cohort, rows, by_age=domain not in cohort.scanners)


def overview(cohort: Cohort, domains: Mapping[str, np.ndarray], min_per_class: int) -> pd.DataFrame:
    """Numbers of test images of every class in each subgroup of each domain.

    Args:
        cohort: of the rows.
        domains: name to labelled test rows (`companion.evaluation.results.evaluation_domains`).
        min_per_class: images of every class that a subgroup needs for a figure.

    Returns:
        Columns `domain`, `subgroup`, one per class, and `figure`: 'yes', or why there is none.
    """
    table_rows = []
    for domain, rows in domains.items():
        for name, mask in groups_of_domain(cohort, domain, rows).items():
            counts = count_per_class(cohort, rows[mask])
            fewest = min(counts, key=lambda label: counts[label])
            enough = counts[fewest] >= min_per_class
            reason = f"too few: {counts[fewest]} with '{fewest}', needs {min_per_class}"
            table_row = {"domain": domain, "subgroup": name, **counts}
            table_rows.append({**table_row, "figure": "yes" if enough else reason})
    columns = ["domain", "subgroup", *cohort.classes, "figure"]
    return pd.DataFrame(table_rows, columns=columns)
