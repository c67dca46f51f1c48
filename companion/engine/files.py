"""Files that are either whole or absent, what they hold, and disks that are full."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccl import files
from companion.engine.errors import DiskFullError

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has no more room for you, by its quota"}


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """`ccl.files.write_atomically`, which names a full disk and the remedy.

    Raises:
        DiskFullError: there is no room; nothing is left behind.
    """
    with explain_full_disk(path.parent):
        files.write_atomically(path, content)


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Names folder and remedy where something within it finds the disk full.

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
    """Refuses to start where there is no room to finish.

    Args:
        folder: is there, and will receive the files.
        needed: bytes.

    Raises:
        DiskFullError: there is less room.
    """
    free = _free(folder)
    if free < needed:
        raise DiskFullError(
            f"the disk of {folder} is too full: {_size(needed)} are needed, {_size(free)} are "
            f"free. {_REMEDY}"
        )


def allocate(path: Path, header: bytes, size: int) -> None:
    """Makes a file of a header and zeros that occupies its whole size at once.

    A memory map of a file with holes ends the process when the disk is full as one is filled.

    Args:
        path: replaced if it is there.
        header: its first bytes.
        size: of the file, bytes.

    Raises:
        DiskFullError: there is no room; an empty file is left.
    """
    with path.open("wb") as file:
        require_free_space(path.parent, size)
        with explain_full_disk(path.parent):
            file.write(header)
            file.flush()
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                _write_zeros(file.fileno(), size - len(header))


_ZEROS = bytes(2**20)


def _write_zeros(file: int, count: int) -> None:
    while count > 0:
        count -= os.write(file, _ZEROS[: min(count, len(_ZEROS))])


_REMEDY = "Make room there and give the same command again: it goes on from what is finished"


def _free(folder: Path) -> int:
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits; memory does not grow with the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
