"""Runs a command while holding a lock: `python alone.py LOCK COMMAND ...`.

The operating system drops the lock when the last process of the command has ended, however it
ended; a killed build therefore never leaves a lock behind. Standard library only, as it also
guards the making of the environment.
"""

import fcntl
import os
import sys
from pathlib import Path


def main(lock: Path, command: list[str]) -> None:
    """Waits for the lock, then becomes the command, which inherits the lock."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        sys.exit(f"Error: the folder {lock.parent} cannot be written to ({error.strerror})")
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another build is at work here ({lock}); waiting for it ...", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
