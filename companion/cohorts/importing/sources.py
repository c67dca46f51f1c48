"""The files that an import read, each with its size, its date and the SHA-256 of its bytes.

An import keeps them as `sources.jsonl` in the cohort's folder. Later on the files are compared with
that: size and date of each, and the bytes of those only where these differ. Changes can be accepted
(`count_reimports`). Nothing here is slow to import, because the workflow looks as well.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from companion.engine.files import file_digest, replacing, write_atomically
from companion.engine.storage import damaged, read_json

SOURCES = "sources.jsonl"
_NAMED = 5  # changed files that a message names
_THREADS = 8  # files that are read at once: a shared file system answers several alike
_REIMPORTS = "reimports.json"

logger = logging.getLogger(__name__)


class ChangedSourcesError(ValueError):
    """Files of the data root are not those that a finished cohort was imported from."""


class FileState(NamedTuple):
    """What a look at a file says without reading it; the defaults are those of no file."""

    size: int = -1  # bytes
    modified: int = 0  # nanoseconds since 1970


@dataclass(frozen=True)
class SourceFile:
    """A file as it was when it was read."""

    path: str  # relative to the data root
    size: int
    modified: int
    sha256: str  # of its bytes, hexadecimal; '' where it was not there or not readable

    @property
    def state(self) -> FileState:
        """Its size and date."""
        return FileState(self.size, self.modified)


def file_state(path: Path) -> FileState:
    """Size and date of a regular file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL character in the name
        return FileState()
    regular = stat.S_ISREG(status.st_mode)
    return FileState(status.st_size, status.st_mtime_ns) if regular else FileState()


def read_source(root: Path, path: str) -> SourceFile:
    """A file of a data root as it is now."""
    now = file_state(root / path)
    try:
        digest = file_digest(root / path) if now.size >= 0 else ""
    except OSError:
        digest = ""
    return SourceFile(path, now.size, now.modified, digest)


def is_absent(root: Path) -> bool:
    """Whether a data root is not there, or empty as the place of a disk that is not mounted."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def touched_sources(folder: Path, root: Path) -> list[SourceFile]:
    """The files of a finished cohort whose size or date is another now; none is read."""
    return [known for known in _read_list(folder) if file_state(root / known.path) != known.state]


@cache
def changed_sources(folder: Path, root: Path) -> tuple[str, ...]:
    """The changed files of a finished cohort, a few words on each; looked at once per process.

    Files that were copied or touched, and hold the same bytes, are no change; their new dates are
    kept beside the folder, so that they need not be read again.
    """
    from tqdm import tqdm

    found: list[str] = []
    same: dict[str, FileState] = {}
    touched = touched_sources(folder, root)
    with ThreadPoolExecutor(_THREADS) as readers:
        read = readers.map(lambda known: read_source(root, known.path), touched)
        # Said only where it takes long enough to wonder.
        shown = tqdm(read, "comparing with what was imported", len(touched), unit="file", delay=3)
        for known, now in zip(touched, shown, strict=True):
            if now.size == known.size and now.sha256 == known.sha256:
                same[known.path] = now.state
            else:
                found.append(f"{known.path!r} ({_describe_change(known, now)})")
    if same:
        _update_list(folder, same)
    return tuple(dict.fromkeys(found))


def require_unchanged(folder: Path, root: Path, finished: str) -> None:
    """Refuses a cohort, `finished` at a time, whose source files in `root` were changed.

    Raises:
        ChangedSourcesError: says how many files, which ones first, and what to do.
    """
    found = changed_sources(folder, root)
    if not found:
        return
    number = sum(1 for _ in _read_list(folder))
    rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise ChangedSourcesError(
        f"data root {root}: {len(found)} of {number} files are not those that were imported "
        f"{finished}: {', '.join(found[:_NAMED])}{rest}. Put the files back; or accept the change "
        "with `make ... ON_CHANGED_DATA=reimport` (`ccl run cohort --on-changed-data reimport`), "
        "which imports them as another run and computes everything after it anew; what is "
        f"finished stays in {folder.parent.parent}"
    )


@cache
def warn_if_absent(folder: Path, root: Path) -> None:
    """Warns, once per process, of a finished cohort whose source files are not there."""
    if _list_file(folder) is not None:  # a simulated cohort needs none
        logger.warning(
            "data root %s is not there: its files could not be compared with those that were "
            "imported; going on with the finished cohort %s",
            root,
            folder,
        )


def _describe_change(known: SourceFile, now: SourceFile) -> str:
    if now.size < 0:
        return "missing"
    if known.size < 0:
        return "was missing, is there now"
    if not now.sha256:
        return "cannot be read"
    changed = datetime.fromtimestamp(now.modified / 1e9, UTC)
    return f"other bytes, dated {changed:%Y-%m-%d %H:%M} UTC"


def _read_list(folder: Path) -> Iterator[SourceFile]:
    """The files that an import read, with the last dates at which they held those bytes.

    Raises:
        DamagedFileError: the list is not what was written.
    """
    listing = _list_file(folder)
    if listing is not None:
        with listing.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    known = SourceFile(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise damaged(listing, f"line {number} is no file: {error}") from error
                yield known


def _list_file(folder: Path) -> Path | None:
    known = (_updated_list(folder), folder / SOURCES)
    return next((file for file in known if file.is_file()), None)


def _updated_list(folder: Path) -> Path:
    """Finished folders are never written to, so new dates lie beside them."""
    return folder.with_name(f"{folder.name}.{SOURCES}")


def _update_list(folder: Path, states: dict[str, FileState]) -> None:
    """Keeps new dates of files that hold what they held; several processes may do so at once."""
    try:
        with replacing(_updated_list(folder)) as file:
            for known in _read_list(folder):
                now = states.get(known.path, known.state)
                file.write(json.dumps(asdict(replace(known, modified=now.modified))) + "\n")
    except OSError as error:
        logger.warning("%s: new dates of the source files cannot be kept (%s)", folder, error)


def count_reimports(runs: Path, data_root: str) -> int:
    """How often a change of a data root was accepted, for the runs of one profile and cohort.

    The number is part of the cohort's digest, so that each import is another run.
    """
    return int(_reimports(runs).get(data_root, 0))


def write_reimports(runs: Path, data_root: str, number: int) -> None:
    """Stores that number, once the import is finished: a killed one changes nothing."""
    counts = _reimports(runs) | {data_root: number}
    write_atomically(runs / _REIMPORTS, json.dumps(counts, indent=1))


def _reimports(runs: Path) -> dict[str, int]:
    file = runs / _REIMPORTS
    return read_json(file) if file.is_file() else {}
