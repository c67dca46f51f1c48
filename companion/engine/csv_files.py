"""Tables of names out of data as CSV: written so that no spreadsheet runs them, and read back.

Written here, since neither pandas nor the standard library's `csv` knows what a spreadsheet runs.
"""

import re
from pathlib import Path

import pandas as pd

from companion.engine.files import write_atomically
from companion.engine.storage import damaged

# Columns of names out of data: texts, also where they look like numbers.
_NAMES = ("cohort", "test_cohort", "scanner", "predicted", "domain", "subgroup", "source", "target")
# What a spreadsheet runs where a cell begins so; quotes before it, so that all can be undone.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def write_table(table: pd.DataFrame, file: Path, float_format: str | None = None) -> None:
    """Writes a CSV that people may open in a spreadsheet: no name out of data is a formula there.

    Texts that a spreadsheet would run, in cells or as names of columns, get a quote before them,
    which spreadsheets take for "this is text" and `read_table` takes away again. Numbers stay.
    """
    as_text = table.rename(columns=_escape)
    for column in as_text.select_dtypes(exclude=["number", "bool"]):
        as_text[column] = as_text[column].astype(object).map(_escape, na_action="ignore")
    write_atomically(file, as_text.to_csv(index=False, float_format=float_format))


def read_table(file: Path) -> pd.DataFrame:
    """A table of `write_table`; only an empty field is missing, a scanner may be NA or 007.

    Raises:
        DamagedFileError: it is not a whole table.
    """
    if file.read_bytes()[-1:] != b"\n":
        raise damaged(file, "its last line is cut off")
    try:
        kinds = dict.fromkeys(_NAMES, str)
        table = pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=kinds)
    except ValueError as error:
        raise damaged(file, f"it is not a table: {error}") from error
    table = table.rename(columns=_unescape)
    for column in table.select_dtypes(exclude=["number", "bool"]):
        table[column] = table[column].map(_unescape, na_action="ignore")
    return table


def _escape(value: object) -> object:
    runs = isinstance(value, str) and _FORMULA.match(value) and not _is_number(value)
    return f"'{value}" if runs else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unescape(value: object) -> object:
    escaped = isinstance(value, str) and value.startswith("'") and _FORMULA.match(value[1:])
    return str(value)[1:] if escaped else value
