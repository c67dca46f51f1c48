"""Inclusion rules: a source keeps some rows and says how many each rule leaves out."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from companion.cohorts.errors import CohortError


def filter_rows(
    path: Path, rows: pd.DataFrame, kept: pd.Series, reason: str, left_out: dict[str, int]
) -> pd.DataFrame:
    """The rows that a rule keeps, in their order.

    Args:
        path: the table, for the message.
        rows: any table.
        kept: True for the rows that stay; index of `rows`.
        reason: why the others go, e.g. 'other view'.
        left_out: receives the number of those, under the reason.

    Raises:
        CohortError: no row is left; says how many each rule has left out.
    """
    left_out[reason] = left_out.get(reason, 0) + int((~kept).sum())
    require_rows(path, rows[kept], left_out)
    return rows[kept].copy()


def require_rows(path: Path, rows: pd.DataFrame, left_out: Mapping[str, int]) -> None:
    """Refuses an empty selection.

    Raises:
        CohortError: no row is left; says how many each rule has left out.
    """
    if rows.empty:
        numbers = ", ".join(f"{reason}: {n:,}" for reason, n in left_out.items() if n)
        said = f"; left out were {numbers}" if numbers else ""
        raise CohortError(f"{path}: no image is left to import{said}")
