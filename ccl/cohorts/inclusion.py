"""Inclusion rules: a source keeps some rows and says how many each rule leaves out."""

import pandas as pd


def keep(
    rows: pd.DataFrame, kept: pd.Series, reason: str, left_out: dict[str, int]
) -> pd.DataFrame:
    """The rows that a rule keeps, in their order.

    Args:
        rows: any table.
        kept: True for the rows that stay; index of `rows`.
        reason: why the others go, e.g. 'other view'.
        left_out: receives the number of those, under the reason.
    """
    left_out[reason] = left_out.get(reason, 0) + int((~kept).sum())
    return rows[kept].copy()
