"""Paths that come from a table are not trusted to stay where they belong."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ccl.cohorts.errors import CohortError
from ccl.cohorts.manifest import LINE


def inside(path: Path, root: Path) -> bool:
    """Whether a path, with its links followed, lies in a folder."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (ValueError, OSError, RuntimeError):  # a NUL character, a name too long, a loop
        return False


def require_inside(table: Path, rows: pd.DataFrame, root: Path) -> None:
    """Refuses rows whose image would lie outside the data root.

    Args:
        table: the file that names the images, for the message.
        rows: with `source_path`, relative to the root, and `LINE`.
        root: the data root.

    Raises:
        CohortError: names the first such row.
    """
    for line, name in zip(rows[LINE], rows["source_path"], strict=True):
        if Path(name).is_absolute() or ".." in Path(name).parts or not inside(root / name, root):
            raise CohortError(
                f"{table}, row {line}: path '{name}' leaves the data root {root}; "
                "give paths relative to it, to files in it"
            )


def first_there(root: Path, places: Sequence[str]) -> str:
    """The first of some paths relative to a folder at which there is a file; else the first."""
    return next((place for place in places if (root / place).is_file()), places[0])
