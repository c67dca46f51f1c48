"""Paths that come from a table are not trusted to stay where they belong."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from companion.cohorts.importing.table import Table


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, with its links followed, lies in a folder."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (ValueError, OSError, RuntimeError):  # a NUL character, a name too long, a loop
        return False


def require_inside(table: Table, root: Path) -> None:
    """Refuses rows whose `source_path` is no path in the data root, relative to it."""

    def leaves(name: str) -> bool:
        path = Path(name)
        return path.is_absolute() or ".." in path.parts or not is_inside(root / name, root)

    table.refuse(
        table["source_path"].map(leaves),
        lambda row: (
            f"path '{row['source_path']}' leaves the data root {root}; give paths relative to it, "
            "to files in it"
        ),
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
