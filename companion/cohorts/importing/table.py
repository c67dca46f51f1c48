"""A publisher's or user's table on its way to a cohort: selected, parsed, refused by row."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.manifest import (
    LINE,
    MAX_AGE,
    look_up,
    parse_age,
    parse_number,
    read_manifest,
)


@dataclass
class Table:
    """Rows of a CSV file, one an image or a finding.

    Attributes:
        path: the file.
        rows: its values as text, under our names of columns, and `LINE`; sources add columns.
        columns: our names to the file's, for messages.
        left_out: how many rows each rule has left out, by its reason.
        caveats: about values that are not believed.
    """

    path: Path
    rows: pd.DataFrame
    columns: Mapping[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, columns: Mapping[str, str]) -> Self:
        """The rows of a CSV file.

        Args:
            path: the file.
            columns: our names to the file's, see `read_manifest`.

        Raises:
            CohortError: see `read_manifest`.
        """
        cells = read_manifest(path, list(dict.fromkeys(columns.values())))
        rows = {ours: cells[theirs] for ours, theirs in columns.items()}
        return cls(path, pd.DataFrame(rows | {LINE: cells[LINE]}), columns)

    def __getitem__(self, column: str) -> pd.Series:
        return self.rows[column]

    def __setitem__(self, column: str, values: Any) -> None:
        self.rows[column] = values

    def keep(self, mask: pd.Series, reason: str) -> None:
        """Keeps the rows of a mask; counts the others under the reason why they go.

        Raises:
            CohortError: no row is left; says how many each rule has left out.
        """
        self.left_out[reason] = self.left_out.get(reason, 0) + int((~mask).sum())
        self.rows = self.rows[mask].copy()
        require_rows(self.path, self.rows, self.left_out)

    def refuse(self, bad: pd.Series, fault: Callable[[pd.Series], str]) -> None:
        """Refuses rows.

        Args:
            bad: True for these.
            fault: says of a row what is wrong with it.

        Raises:
            CohortError: there are such rows; names the first.
        """
        if bad.any():
            row = self.rows[bad].iloc[0]
            raise CohortError(f"{self.path}, row {row[LINE]}: {fault(row)}")

    def require_filled(self, *columns: str) -> None:
        """Refuses rows without a value in some columns.

        Raises:
            CohortError: names the first of them.
        """
        for column in columns:
            self._require_filled(column)

    def _require_filled(self, column: str) -> None:
        fault = f"{self.columns[column]} is empty, or stands for a missing value as 'NA' does"
        self.refuse(self[column] == "", lambda _: fault)

    def map_values(self, column: str, known: Mapping[str, Hashable]) -> pd.Series:
        """What the values of a column are known as, compared without regard to case and space.

        Raises:
            CohortError: names the first row with another value.
        """

        def fault(row: pd.Series) -> str:
            empty = "" if row[column] else " (empty, or a missing value such as 'NA')"
            value = f"unknown {self.columns[column]} '{row[column]}'{empty}"
            return f"{value}, expected one of {[*known]}"

        values = look_up(self[column], known)
        self.refuse(values.isna(), fault)
        return values

    def parse(
        self, column: str, cell: Callable[[Path, int, str, str], float] = parse_number
    ) -> pd.Series:
        """The numbers in a column, NaN for empty ones.

        Args:
            column: of texts.
            cell: parses one of them, given file, line and the column's name as well.

        Raises:
            CohortError: names the first row whose value is no such number.
        """
        name, cells = self.columns[column], zip(self[LINE], self[column], strict=True)
        numbers = [cell(self.path, line, name, text) for line, text in cells]
        return pd.Series(numbers, self.rows.index, dtype=float)

    def ages(self, years: pd.Series | None = None) -> pd.Series:
        """Ages in years, NaN where nobody has that age, which a caveat then says.

        Args:
            years: ages as they are stated; without them, the column 'age'.
        """
        stated = self.parse("age", parse_age) if years is None else years
        wrong = stated.notna() & ~stated.between(0, MAX_AGE)
        if wrong.any():
            self.caveats.append(
                f"Ages outside 0 to {MAX_AGE} years count as missing: {wrong.sum():,} in "
                f"{self.path.name}, the first in row {self.rows.loc[wrong, LINE].iloc[0]}."
            )
        return stated.mask(wrong)


def require_rows(path: Path, rows: pd.DataFrame, left_out: Mapping[str, int]) -> None:
    """Refuses an empty selection.

    Raises:
        CohortError: no row is left; says how many each rule has left out.
    """
    if rows.empty:
        numbers = ", ".join(f"{reason}: {n:,}" for reason, n in left_out.items() if n)
        detail = f"; left out were {numbers}" if numbers else ""
        raise CohortError(f"{path}: no image is left to import{detail}")
