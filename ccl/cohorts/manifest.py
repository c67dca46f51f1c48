"""A CSV manifest as a table of strings that remembers each row's line."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ccl.cohorts.errors import CohortError

LINE = "line"  # column with the line of the file, 1 = the header: what an editor shows
OLDEST = 120  # years; tables hold ages up to 414


def read_manifest(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Reads some columns of a CSV file, every value as a stripped string, and `LINE`.

    Raises:
        CohortError: the file is missing or no CSV, a column is missing, a row has too few or too
            many values.
    """
    if not path.is_file():
        raise CohortError(f"{path} is missing: expected a CSV file with the columns {[*columns]}")
    try:
        records = list(_records(path, columns))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"{path} is no CSV file in UTF-8: {error}") from error
    return pd.DataFrame(records, columns=[LINE, *columns])


def _records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int | str, ...]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in next(reader, [])]
        places = [_place(path, header, column) for column in columns]
        start = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(header):
                    raise CohortError(
                        f"{path}, row {start}: {len(row)} values, the header has {len(header)}"
                    )
                yield (start, *(row[place].strip() for place in places))
            start = reader.line_num + 1


def _place(path: Path, header: list[str], column: str) -> int:
    found = header.count(column)
    if found != 1:
        raise CohortError(
            f"{path}, row 1: column '{column}' occurs {found} times, expected once; "
            f"the columns are {header}"
        )
    return header.index(column)


def number(path: Path, line: int, column: str, text: str) -> float:
    """A number from a cell, NaN if the cell is empty.

    Raises:
        CohortError: it is no number.
    """
    try:
        value = float(text) if text else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise CohortError(f"{path}, row {line}: {column} '{text}' is no number")
    return value


def years(path: Path, line: int, column: str, text: str) -> float:
    """An age from a cell such as '58', '58.0' or '058Y', in years; NaN if empty or impossible.

    Raises:
        CohortError: it is no number.
    """
    age = number(path, line, column, text.removesuffix("Y"))
    return age if 0 <= age <= OLDEST else math.nan


def require_filled(path: Path, rows: pd.DataFrame, column: str, name: str) -> None:
    """Refuses rows without a value.

    Args:
        path: the file, for the message.
        rows: with `LINE`.
        column: of `rows`.
        name: of the column in the file.

    Raises:
        CohortError: names the first row without.
    """
    empty = rows.loc[rows[column] == "", LINE]
    if not empty.empty:
        raise CohortError(f"{path}, row {empty.iloc[0]}: {name} is empty")


def require_known(
    path: Path, rows: pd.DataFrame, column: str, name: str, known: Sequence[str]
) -> None:
    """Refuses rows with a value that is not one of some.

    Args:
        path: the file, for the message.
        rows: with `LINE`.
        column: of `rows`.
        name: of the column, for the message.
        known: the values.

    Raises:
        CohortError: names the first row with another.
    """
    unknown = rows[~rows[column].isin(known)]
    if not unknown.empty:
        value, line = unknown[column].iloc[0], unknown[LINE].iloc[0]
        raise CohortError(
            f"{path}, row {line}: unknown {name} '{value}', expected one of {list(known)}"
        )
