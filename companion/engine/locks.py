"""File locks, which the system drops when a process ends, however it ends."""

import errno
import fcntl
import logging
import os
from pathlib import Path
from typing import IO, Any

# What file systems say that are mounted without locks, such as Lustre without 'flock'.
_CANNOT_LOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}

logger = logging.getLogger(__name__)


def lock(file: IO[Any], path: Path, *, wait: bool) -> None:
    """Locks an open file for this process alone; where the file system cannot, warns and goes on.

    Args:
        file: open for writing; lets go of the lock when it is closed.
        path: of the file, for the warning.
        wait: until another process lets go of it.

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
