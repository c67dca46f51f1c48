"""Made-up data of every source that is read from files, which a test can spoil before an import."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from companion.cohorts import fakes
from companion.cohorts.importing.import_options import ImportOptions
from companion.cohorts.registry import SOURCES
from tests.cohorts import test_medmnist, test_mini_mias, test_nih
from tests.cohorts.conftest import Source


def write(name: str, root: Path) -> None:
    """Makes up the data of a source."""
    makers: dict[str, Callable[[], Any]] = {
        "nih": lambda: test_nih.Download(root).save(),
        "mini-mias": lambda: test_mini_mias.Download(root).save(),
        "medmnist": lambda: _medmnist(root),
        "folder": lambda: _folder(root),
    }
    makers.get(name, lambda: fakes.make(name, root, patients=48))()


def _medmnist(root: Path) -> None:
    root.mkdir()
    np.savez(root / "pneumoniamnist.npz", **test_medmnist.made_up())


def _folder(root: Path) -> None:
    own = Source(root)
    for i in range(24):
        own.add(f"{i}.png", f"p{i}", "AB"[i % 2], ("no", "yes")[i // 2 % 2], sex="fm"[i % 2])
    own.write_manifest()


def options(source: str, /, **changes: Any) -> ImportOptions:
    """The options of a source for small frames."""
    small = {"size": 8, "width": 8} | ({"validation_patients": 5} if source == "embed" else {})
    return SOURCES[source].options.model_validate(small | changes)


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


def fill(table: Path, column: str, value: str) -> None:
    """Gives a column the same value in every row."""
    content = lines(table)
    place = content[0].index(column)
    save(table, [content[0], *([*row[:place], value, *row[place + 1 :]] for row in content[1:])])


def cells(table: Path) -> pd.DataFrame:
    """A CSV file as text, independent of the project's reader."""
    return pd.read_csv(table, dtype=str, keep_default_na=False)
