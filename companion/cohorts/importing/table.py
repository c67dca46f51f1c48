"""A publisher's or user's CSV table on its way to a cohort: selected, parsed, refused by row.

Names are compared without regard to case and space (`normalise`): publishers change both between
releases, and people do when they type.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from companion.cohorts.errors import CohortError

LINE = "line"  # column with the line of the file, 1 = the header: what an editor shows
MAX_AGE = 120  # years; tables hold ages up to 414
# Of R, Excel, pandas and SQL.
MISSING_VALUES = frozenset({"na", "n/a", "#n/a", "<na>", "nan", "null"})
SEX_CODES = {"F": "F", "Female": "F", "M": "M", "Male": "M"} | dict.fromkeys(
    ("O", "Other", "U", "Unknown", ""), ""
)

_DELIMITERS = ",;\t"  # Excel writes ';' where the decimal sign is a comma
# What may stand above the header: nothing, or which delimiter Excel is to take.
_ABOVE = re.compile(r'[\s,;]*("?sep=.?"?[\s,;]*)?', re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_AGE = re.compile(r"(.*[0-9.,]) *([YMWD])", re.IGNORECASE)  # DICOM's age string, '013M'
_PER_YEAR = {"Y": 1, "M": 12, "W": 365.25 / 7, "D": 365.25}
_YEAR = re.compile(r"(?<![0-9])([0-9]{4})(?:[0-9]{4})?(?![0-9])")

csv.field_size_limit(2**31 - 1)  # a radiologist's report may be longer than the module's 128 KiB


def read_manifest(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a CSV file, every value as a stripped string, and `LINE`.

    Values stand between commas, semicolons or tabs; `MISSING_VALUES` are read as ''. Empty rows,
    Excel's 'sep=;' and empty values beyond the header's last name, do not count.

    Args:
        path: the file, in UTF-8.
        columns: their names; 'A or B' where the publisher has renamed one, and so in the result.

    Raises:
        CohortError: the file is missing or no CSV, a column is missing, a row has too few or too
            many values, or there is none.
    """
    if not path.is_file():
        raise CohortError(f"{path} is missing: expected a CSV file with the columns {[*columns]}")
    try:
        records = list(_records(path, columns))
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    if not records:
        raise CohortError(f"{path} has no row below its header: no image is left to import")
    return pd.DataFrame(records, columns=[LINE, *columns])


def _records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int | str, ...]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = next((line for line in file if not _ABOVE.fullmatch(line)), "")
        delimiter = max(_DELIMITERS, key=first.count)
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        start = 1
        try:
            rows = (row for row in reader if not _ABOVE.fullmatch(delimiter.join(row)))
            header = [name.strip() for name in next(rows, [])]
            places = [_column_index(path, header, column) for column in columns]
            start = reader.line_num + 1
            for row in reader:
                if "".join(row).strip():
                    _require_row_length(path, start, row, header)
                    yield (start, *(_parse_cell(row[place]) for place in places))
                start = reader.line_num + 1
        except csv.Error as error:
            raise CohortError(
                f"{path}, row {start}: is no CSV ({error}); close every quote, and double those "
                "within a quoted value"
            ) from error


def _require_row_length(path: Path, line: int, row: list[str], header: list[str]) -> None:
    """Allows for a header that ends in a delimiter where its rows do not, and the reverse."""
    named = max((i for i, name in enumerate(header, 1) if name), default=0)
    beyond = "".join(row[named:]).strip()
    if len(row) < named or (beyond and len(row) != len(header)):
        raise CohortError(f"{path}, row {line}: {len(row)} values, the header has {named}")


def _parse_cell(text: str) -> str:
    text = text.strip()
    return "" if text.casefold() in MISSING_VALUES else text


def _column_index(path: Path, header: list[str], column: str) -> int:
    """Index of a column: by its very name, else one of 'A or B', else in other letters."""
    either = column.split(" or ")
    attempts = (
        ([column], header),
        (either, header),
        ([normalise(name) for name in either], [normalise(name) for name in header]),
    )
    found = [[i for i, name in enumerate(names) if name in wanted] for wanted, names in attempts]
    places = next((places for places in found if places), [])
    if len(places) != 1:
        raise CohortError(
            f"{path}: column '{column}' occurs {len(places)} times in the header, expected once; "
            f"the columns are {header}"
        )
    return places[0]


def _not_utf8(path: Path) -> CohortError:
    """The error about a file that is known to be bad, with the row."""
    for row, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            byte = line[error.start]
            return CohortError(
                f"{path} is no CSV file in UTF-8: row {row} holds the byte 0x{byte:02x}; "
                "save it anew in UTF-8 (Excel: 'CSV UTF-8')"
            )
    return CohortError(f"{path} is no CSV file in UTF-8")


def normalise(text: str) -> str:
    """A name without regard to case and space."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


def normalise_column(names: pd.Series) -> pd.Series:
    """Names without regard to case and space."""
    return names.map({name: normalise(name) for name in names.unique()})


def look_up(values: pd.Series, known: Mapping[str, Hashable]) -> pd.Series:
    """What values are known as, without regard to case and space; NaN for all others."""
    return normalise_column(values).map({normalise(text): value for text, value in known.items()})


def strip_decimals(numbers: pd.Series) -> pd.Series:
    """Numbers that some tools write as '123.0', as '123'; other texts as they are."""
    return numbers.str.replace(r"^([0-9]+)[.,]0+$", r"\1", regex=True)


def parse_number(text: str) -> float:
    """A number with a point or a comma for decimals; NaN of ''; a ValueError if it is none."""
    if not text:
        return math.nan
    value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else math.inf
    if math.isinf(value):
        raise ValueError("is no number")
    return value


def parse_age(text: str) -> float:
    """An age such as '58', '58.0', '058Y', '013M', '012W' or '009D', in years."""
    age = _AGE.fullmatch(text)
    if age is None:
        return parse_number(text)
    return parse_number(age[1]) / _PER_YEAR[age[2].upper()]


def parse_year(text: str) -> float:
    """The year of a date such as '20140915', '2014-09-15', '15.09.2014' or '2014.0'; NaN of ''."""
    found = _YEAR.search(text)
    if text and found is None:
        raise ValueError("names no year")
    return float(found[1]) if found else math.nan


@dataclass
class Table:
    """Rows of a file, one an image or a finding.

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
        """The rows of a CSV file; `columns` maps our names to the file's, see `read_manifest`."""
        cells = read_manifest(path, list(dict.fromkeys(columns.values())))
        rows = {ours: cells[theirs] for ours, theirs in columns.items()}
        return cls(path, pd.DataFrame(rows | {LINE: cells[LINE]}), columns)

    def __getitem__(self, column: str) -> pd.Series:
        return self.rows[column]

    def __setitem__(self, column: str, values: Any) -> None:
        self.rows[column] = values

    def require_rows(self) -> None:
        """Raises a CohortError if no row is left, which says how many each rule has left out."""
        if self.rows.empty:
            numbers = ", ".join(f"{reason}: {n:,}" for reason, n in self.left_out.items() if n)
            detail = f"; left out were {numbers}" if numbers else ""
            raise CohortError(f"{self.path}: no image is left to import{detail}")

    def keep(self, mask: pd.Series, reason: str) -> None:
        """Keeps the rows of a mask, of which there must be some; counts the others by `reason`."""
        self.left_out[reason] = self.left_out.get(reason, 0) + int((~mask).sum())
        self.rows = self.rows[mask].copy()
        self.require_rows()

    def refuse(self, bad: pd.Series, fault: Callable[[pd.Series], str]) -> None:
        """Raises a CohortError if rows are `bad`: names the first, with what `fault` says of it."""
        if bad.any():
            row = self.rows[bad].iloc[0]
            raise CohortError(f"{self.path}, row {row[LINE]}: {fault(row)}")

    def require_filled(self, *columns: str) -> None:
        """Refuses rows without a value in some columns."""
        for column in columns:
            fault = f"{self.columns[column]} is empty, or stands for a missing value as 'NA' does"
            self.refuse(self[column] == "", lambda _, fault=fault: fault)  # type: ignore[misc]

    def keep_first(self, key: str, value: str, fault: str) -> None:
        """Keeps the first row of each `key`; refuses others of it that have another `value`.

        Of the `fault`, the first '{}' is the key, the second the line of the first row.
        """
        first = self.rows.drop_duplicates(key).set_index(key)
        self.refuse(
            self[value] != self[key].map(first[value]),
            lambda row: fault.format(row[key], first[LINE][row[key]]),
        )
        self.rows = first.reset_index()

    def map_values(self, column: str, known: Mapping[str, Hashable]) -> pd.Series:
        """What the values of a column are known as; refuses rows with another value."""

        def fault(row: pd.Series) -> str:
            empty = "" if row[column] else " (empty, or a missing value such as 'NA')"
            value = f"unknown {self.columns[column]} '{row[column]}'{empty}"
            return f"{value}, expected one of {[*known]}"

        values = look_up(self[column], known)
        self.refuse(values.isna(), fault)
        return values

    def parse(self, column: str, cell: Callable[[str], float] = parse_number) -> pd.Series:
        """The numbers in a column, NaN for empty ones, as `cell` reads them.

        Raises:
            CohortError: names the first row whose value is no such number.
        """
        numbers = []
        for line, text in zip(self[LINE], self[column], strict=True):
            try:
                numbers.append(cell(text))
            except ValueError as error:
                said = f"{self.path}, row {line}: {self.columns[column]} '{text}' {error}"
                raise CohortError(said) from None
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
