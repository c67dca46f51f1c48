"""Files that are either whole or absent."""

import os
from pathlib import Path

CHECKPOINTS = "checkpoints"  # folder of what a killed training resumes from
HISTORY_FILE = "history.csv"  # metrics of a training, one row per epoch


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Writes a file so that it is never seen half-written; one that was there stays until then.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # else the name could reach the disk before the content
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
