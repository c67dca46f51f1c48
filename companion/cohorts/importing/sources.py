"""The files that an import read, each with its size, its date and the SHA-256 of its bytes.

An import keeps them as `sources.jsonl` in the cohort's folder. Later on the files are compared with
that: size and date of each, and the bytes of those only where these differ. Nothing here is slow to
import, because the workflow looks as well.
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

from companion.engine.files import file_digest

SOURCES = "sources.jsonl"
_SHOWN = 5  # changed files that a message names
_READERS = 8  # files that are read at once: a shared file system answers several alike

logger = logging.getLogger(__name__)


class ChangedSourcesError(ValueError):
    """Files of the data root are not those that a finished cohort was imported from."""


@dataclass(frozen=True)
class Stamp:
    """What a look at a file says without reading it; the defaults are those of no file.

    Attributes:
        size: bytes.
        modified: nanoseconds since 1970.
    """

    size: int = -1
    modified: int = 0


@dataclass(frozen=True)
class Source:
    """A file as it was when it was read.

    Attributes:
        path: relative to the data root.
        size, modified: as in `Stamp`.
        sha256: of its bytes, in hexadecimal digits; '' where it was not there or not readable.
    """

    path: str
    size: int
    modified: int
    sha256: str

    @property
    def stamp(self) -> Stamp:
        """Its size and date."""
        return Stamp(self.size, self.modified)

    def line(self) -> bytes:
        """As it stands in `sources.jsonl`."""
        return json.dumps(asdict(self)).encode() + b"\n"


def stamp(path: Path) -> Stamp:
    """Size and date of a regular file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL character in the name
        return Stamp()
    return Stamp(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else Stamp()


def take(root: Path, path: str) -> Source:
    """A file of a data root as it is now."""
    now = stamp(root / path)
    try:
        digest = file_digest(root / path) if now.size >= 0 else ""
    except OSError:
        digest = ""
    return Source(path, now.size, now.modified, digest)


def gone(root: Path) -> bool:
    """Whether a data root is not there, or empty as the place of a disk that is not mounted."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def differing(folder: Path, root: Path) -> list[Source]:
    """The files that an import read and whose size or date is another now; none is read.

    Args:
        folder: of the finished cohort; a simulated one has no such files.
        root: the data root.
    """
    return [known for known in _listed(folder) if stamp(root / known.path) != known.stamp]


@cache
def changes(folder: Path, root: Path) -> tuple[str, ...]:
    """What changed under a finished cohort, looked at once per process.

    Files that were copied or touched, and hold the same bytes, are no change; their new dates are
    kept beside the folder, so that they need not be read again.

    Args:
        folder: of the finished cohort.
        root: the data root, which is there.

    Returns:
        A few words on each changed file.
    """
    found: list[str] = []
    same: dict[str, Stamp] = {}
    for known, now in _taken(root, differing(folder, root)):
        if now.size == known.size and now.sha256 == known.sha256:
            same[known.path] = now.stamp
        else:
            found.append(f"{known.path!r} ({_said(known, now)})")
    if same:
        _remember(folder, same)
    return tuple(dict.fromkeys(found))


def _taken(root: Path, listed: list[Source]) -> Iterator[tuple[Source, Source]]:
    """Files as they were and as they are; a whole tree that was copied is read side by side."""
    from tqdm import tqdm

    with ThreadPoolExecutor(_READERS) as readers:
        now = readers.map(lambda known: take(root, known.path), listed)
        # Said only where it takes long enough to wonder.
        shown = tqdm(now, "comparing with what was imported", len(listed), unit="file", delay=3)
        yield from zip(listed, shown, strict=True)


def require_unchanged(folder: Path, root: Path, finished: str) -> None:
    """Refuses a finished cohort whose source files were changed.

    Args:
        folder: of the finished cohort.
        root: the data root, which is there.
        finished: when the import was finished, for the message.

    Raises:
        ChangedSourcesError: says how many files, which ones first, and what to do.
    """
    found = changes(folder, root)
    if not found:
        return
    number = sum(1 for _ in _listed(folder))
    rest = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise ChangedSourcesError(
        f"data root {root}: {len(found)} of {number} files are not those that were imported "
        f"{finished}: {', '.join(found[:_SHOWN])}{rest}. Put the files back; or accept the change "
        "with `make ... ON_CHANGED_DATA=reimport` (`ccl run cohort --on-changed-data reimport`), "
        "which imports them as another run and computes everything after it anew; what is "
        f"finished stays in {folder.parent.parent}"
    )


@cache
def warn_of_absence(folder: Path, root: Path) -> None:
    """Says, once per process, that a finished cohort is used whose source files are not there.

    Args:
        folder: of the finished cohort; a simulated one needs no such files.
        root: the data root.
    """
    if _listing(folder) is not None:
        logger.warning(
            "data root %s is not there: its files could not be compared with those that were "
            "imported; going on with the finished cohort %s",
            root,
            folder,
        )


def _said(known: Source, now: Source) -> str:
    if now.size < 0:
        return "missing"
    if known.size < 0:
        return "was missing, is there now"
    if not now.sha256:
        return "cannot be read"
    return (
        f"other bytes, dated {datetime.fromtimestamp(now.modified / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
    )


def _listed(folder: Path) -> Iterator[Source]:
    """The files that an import read, with the last dates at which they held those bytes."""
    listing = _listing(folder)
    if listing is not None:
        with listing.open("rb") as lines:
            for line in lines:
                yield Source(**json.loads(line))


def _listing(folder: Path) -> Path | None:
    known = (_remembered(folder), folder / SOURCES)
    return next((file for file in known if file.is_file()), None)


def _remembered(folder: Path) -> Path:
    """Finished folders are never written to, so new dates lie beside them."""
    return folder.with_name(f"{folder.name}.{SOURCES}")


def _remember(folder: Path, stamps: dict[str, Stamp]) -> None:
    """Keeps new dates of files that hold what they held; several processes may do so at once."""
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.{SOURCES}")
    try:
        with unfinished.open("wb") as file:
            for known in _listed(folder):
                now = stamps.get(known.path, known.stamp)
                file.write(replace(known, modified=now.modified).line())
        os.replace(unfinished, _remembered(folder))
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        logger.warning("%s: new dates of the source files cannot be kept (%s)", folder, error)
