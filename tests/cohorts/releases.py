"""Made-up releases that a test can spoil before it imports them."""

import csv
from pathlib import Path

import pandas as pd


def lines(table: Path) -> list[list[str]]:
    """The cells of a CSV file, header first."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def save(table: Path, content: list[list[str]]) -> None:
    """Writes the cells of a CSV file."""
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(content)


def spoil(table: Path, row: int, column: str, value: str) -> None:
    """Changes one cell; rows count from 2, below the header, and hold no line breaks."""
    content = lines(table)
    content[row - 1][content[0].index(column)] = value
    save(table, content)


def cells(table: Path) -> pd.DataFrame:
    """A CSV file as text, independent of the project's reader."""
    return pd.read_csv(table, dtype=str, keep_default_na=False)
