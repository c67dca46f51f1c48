"""Files that are either whole or absent, their locks and digests, and disks that are full."""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ccl import files

logger = logging.getLogger(__name__)

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has no more room for you, by its quota"}
# What file systems say that are mounted without locks, such as Lustre without 'flock'.
_CANNOT_LOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_REMEDY = "Make room there and give the same command again: it goes on from what is finished"


class DiskFullError(OSError):
    """There is no room for what is to be written; the message names the folder."""


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """`ccl.files.write_atomically`, which names a full disk and the remedy.

    Raises:
        DiskFullError: there is no room; nothing is left behind.
    """
    with explain_full_disk(path.parent):
        files.write_atomically(path, content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of another once it is whole.

    Of several processes that do so at once, the last one's stays.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            yield file
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Raises DiskFullError, with folder and remedy, where something within it finds the disk full.

    Raises:
        DiskFullError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFullError(
            f"the disk of {folder} {_FULL[error.errno]} ({_size(_free(folder))} free). {_REMEDY}"
        ) from error


def require_free_space(folder: Path, needed: int) -> None:
    """Refuses to start where there is no room to finish: `needed` bytes in a folder that is there.

    Raises:
        DiskFullError: there is less room.
    """
    free = _free(folder)
    if free < needed:
        raise DiskFullError(
            f"the disk of {folder} is too full: {_size(needed)} are needed, {_size(free)} are "
            f"free. {_REMEDY}"
        )


def _free(folder: Path) -> int:
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits; memory does not grow with the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(file: IO[Any], path: Path, *, wait: bool) -> None:
    """Locks a file that is open for writing, until it is closed or the process ends.

    Where the file system cannot lock, this warns and goes on.

    Raises:
        BlockingIOError: another process holds it and `wait` is False.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise
        logger.warning(
            "the file system of %s cannot lock files (%s): see to it that no second process works "
            "there at the same time, or have it mounted with locks (Lustre: option 'flock')",
            path.parent.absolute(),
            os.strerror(error.errno),
        )
