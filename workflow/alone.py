"""Runs a command while holding a lock: `python alone.py LOCK COMMAND ...`.

The operating system drops the lock when the last process of the command has ended, however it
ended; a killed build therefore never leaves a lock behind. Standard library only, as it also
guards the making of the environment.
"""

import errno
import fcntl
import os
import sys
from pathlib import Path

# What file systems say that are mounted without locks, such as Lustre without 'flock'.
CANNOT_LOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


def main(lock: Path, command: list[str]) -> None:
    """Waits for the lock, then becomes the command, which inherits the lock."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        sys.exit(f"Error: the folder {lock.parent} cannot be written to ({error.strerror})")
    os.set_inheritable(descriptor, True)
    try:
        hold(descriptor, lock)
    except OSError as error:
        if error.errno not in CANNOT_LOCK:
            raise
        print(
            f"Warning: the file system of {lock.parent.absolute()} cannot lock files "
            f"({error.strerror}), so two builds here at once would not notice each other. Start "
            "only one at a time, or have it mounted with locks (Lustre: option 'flock')",
            file=sys.stderr,
        )
    os.execvp(command[0], command)


def hold(descriptor: int, lock: Path) -> None:
    """Takes the lock, and says so where another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another build is at work here ({lock}); waiting for it ...", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
