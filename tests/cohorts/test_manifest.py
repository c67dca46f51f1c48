"""Tables as R, Excel, pandas and publishers write them: read alike, or refused by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.table import (
    LINE,
    Table,
    parse_age,
    parse_number,
    parse_year,
    read_manifest,
)

TABLE = Path("t.csv")


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "path,age\na.png,7\nb.png,\n",
        "path,age\r\na.png,7\r\nb.png,\r\n",
        "\ufeffpath,age\na.png,7\nb.png,\n",
        "path;age\na.png;7\nb.png;\n",
        "path\tage\na.png\t7\nb.png\t\n",
        "path,age,\na.png,7\nb.png,\n",  # the NIH's first table
        "path,age,,\na.png,7,\nb.png,,,\n,,,\n",  # Excel's
        "path,age\na.png,7,\nb.png,,\n",
        "Path , AGE\n a.png ,7\nb.png,NA\n",
    ],
    ids=["plain", "CRLF", "BOM", "semicolons", "tabs", "header", "empty", "rows", "case"],
)
def test_ways_to_write_one_table(tmp_path: Path, content: str) -> None:
    rows = read_manifest(written(tmp_path, content), ["path", "age"])
    assert rows.to_numpy().tolist() == [[2, "a.png", "7"], [3, "b.png", ""]]


@pytest.mark.parametrize("above", ["sep=;\n", "\ufeffSEP=;\r\n", '"sep=;"\n', "\n", " ;;\n\r\n"])
def test_what_stands_above_the_header_is_no_row(tmp_path: Path, above: str) -> None:
    table = written(tmp_path, f"{above}path;age\na.png;7,5\n")
    rows = read_manifest(table, ["path", "age"])
    assert rows.to_numpy().tolist() == [[above.count("\n") + 2, "a.png", "7,5"]]


def test_what_is_a_missing_value_and_what_is_none(tmp_path: Path) -> None:
    missing = ["NA", "N/A", "#N/A", "NaN", "nan", "NULL", "<NA>", " na "]
    stated = ["None", "Nancy", "N", "0", "-", "z" * 140_000]
    table = written(tmp_path, "".join(f"{text},1\n" for text in ("a", *missing, *stated)))
    assert read_manifest(table, ["a"])["a"].tolist() == [""] * len(missing) + stated


def test_a_column_that_was_renamed(tmp_path: Path) -> None:
    for header in ("A", "B", "b"):
        rows = read_manifest(written(tmp_path, f"{header},C\n1,2\n"), ["A or B"])
        assert rows["A or B"][0] == "1"
    assert read_manifest(written(tmp_path, "A or B,A\n1,2\n"), ["A or B"])["A or B"][0] == "1"
    assert read_manifest(written(tmp_path, "ID,id\n1,2\n"), ["id"])["id"][0] == "2"
    with pytest.raises(CohortError, match="column 'A or B' occurs 2 times in the header"):
        read_manifest(written(tmp_path, "A,B\n1,2\n"), ["A or B"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n1,Ergu\u00df\n".encode("latin-1"), "no CSV file in UTF-8: row 3 .* 0xdf"),
        ('a,b\n1,2\n1,"a "b" c"\n', "row 3: is no CSV"),
        ('a,b\n1,2\n1,"a\n1,2\n', "row 3: is no CSV"),
        ("a,b\n1,2\n1\n", "row 3: 1 values, the header has 2"),
        ("a,b,\n1,2\n1,2,,3\n", "row 3: 4 values, the header has 2"),
        ('\ufeffa,b\n"no\nne",2\n\n1\n', "row 5: 1 values"),  # the line that an editor shows
        ("a,b\n", "no row below its header"),
        ("", "column 'a' occurs 0 times"),
    ],
    ids=["Latin-1", "stray quote", "open quote", "short", "long", "lines", "header", "empty"],
)
def test_a_bad_table_is_named_with_its_row(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(CohortError, match=rf"t\.csv.*{message}"):
        read_manifest(written(tmp_path, content), ["a", "b"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("58", 58), ("58.5", 58.5), ("58,5", 58.5), ("045Y", 45), ("045y", 45), ("45 Y", 45)),
        *(("013M", 13 / 12), ("012W", 84 / 365.25), ("009D", 9 / 365.25), ("", np.nan)),
    ],
)
def test_ages_in_any_unit(text: str, expected: float) -> None:
    assert parse_age(text) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("text", ["old", "Y", "1_0", "1e999", "inf", "12X", "1.2.3", "0x1"])
def test_what_is_no_number(text: str) -> None:
    table = Table(TABLE, pd.DataFrame({LINE: [6, 7], "age": ["1", text]}), {"age": "Age"})
    for read in (parse_number, parse_age):
        with pytest.raises(CohortError, match=r"t\.csv, row 7: Age '.*' is no number"):
            table.parse("age", read)


@pytest.mark.parametrize(
    "text",
    ["20140915", "20140915.0", "2014-09-15", "2014/09/15 10:30:00", "15.09.2014", "2014", "2014.0"],
)
def test_years_of_dates(text: str) -> None:
    assert parse_year(text) == 2014


@pytest.mark.parametrize("text", ["long ago", "41897", "14"])  # 41897: Excel's count of days
def test_dates_without_a_year(text: str) -> None:
    with pytest.raises(ValueError, match="names no year"):
        parse_year(text)
