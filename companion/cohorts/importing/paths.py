"""Paths that come from a table are not trusted to stay where they belong."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from companion.cohorts.errors import CohortError
from companion.cohorts.importing.manifest import LINE


def is_inside(path: Path, root: Path) -> bool:
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
        if Path(name).is_absolute() or ".." in Path(name).parts or not is_inside(root / name, root):
            raise CohortError(
                f"{table}, row {line}: path '{name}' leaves the data root {root}; "
                "give paths relative to it, to files in it"
            )


def first_existing(root: Path, places: Sequence[str]) -> str:
    """The first of some paths relative to a folder at which there is a file; else the first."""
    return next((place for place in places if _is_file(root / place)), places[0])


def find_spelling(root: Path, name: str) -> str:
    """A path that people wrote, relative to the root as the disk spells it; else as it was written.

    Understood are './', absolute paths into the root, the separators of Windows, and accents that
    are one character in a table and two on the disk, or the other way round (macOS).
    """
    for base in (root.absolute(), root.resolve()):
        if Path(name).is_relative_to(base):
            name = Path(name).relative_to(base).as_posix()
    written = [PurePosixPath(name).as_posix(), PurePosixPath(name.replace("\\", "/")).as_posix()]
    composed = [unicodedata.normalize("NFC", path) for path in written]
    decomposed = [unicodedata.normalize("NFD", path) for path in written]
    return first_existing(root, [*written, *composed, *decomposed])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (ValueError, OSError):  # a NUL character, a name too long
        return False
